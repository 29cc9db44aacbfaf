"""What limits a verdict: what a reader must know before trusting it."""

from collections.abc import Iterator
from datetime import UTC, datetime

from harness.evaluation.results import MEAN_BASELINE, SIDES, Side
from harness.evaluation.statistics import FEWEST_USERS
from harness.experiment.convergence import has_equal_budgets, n_judged_trials
from harness.experiment.results import ExperimentRecord
from harness.formatting import percent
from harness.report.claims import lowest_published
from harness.report.context import Statement, better, level, objective, tuned_models
from harness.report.searches import edges, falling
from harness.search.records import why_none_is_best

__all__ = ["caveats_of", "describe_openings", "minute"]

MANY_UNSEEN = 0.2
"""Share of test ratings of unseen users, or titles, from which on it is worth a word."""


def caveats_of(record: ExperimentRecord) -> Iterator[Statement]:
    """Find what a reader must know before trusting the verdict."""
    for checked in record.criteria:
        if not checked.passed:
            text = f"Acceptance criterion failed: {checked.sentence}."
            facts = {"metric": checked.criterion.metric}
            yield Statement(kind="failed criterion", text=text, facts=facts)
    yield from _above_the_mean(record)
    yield from _few_users(record)
    yield from _unseen(record, "users")
    yield from _unseen(record, "items")
    yield from _openings(record)
    yield from _changed(record)
    yield from _out_of_date(record)
    yield from _unequal(record)
    yield from _unfinished(record)
    yield from _narrow(record)
    far = lowest_published(record)
    if far is not None and far.is_far:
        text = f"Not as published: {far.text}"
        yield Statement(kind="not as published", text=text, facts={"share": far.share})


def _above_the_mean(record: ExperimentRecord) -> Iterator[Statement]:
    """Say where the best family is worse than one number for everything."""
    mean, tuned = record.baseline(MEAN_BASELINE), tuned_models(record)
    if mean is None or not tuned or record.loss_of(mean) >= record.loss_of(tuned[0]):
        return
    best = record.spec.label(str(tuned[0].candidate))
    than = (
        best if record.is_study else f"every family ({best}: {level(record, tuned[0])})"
    )
    yield Statement(
        kind="above the mean",
        text=f"The {MEAN_BASELINE} has a {better(record).comparative} "
        f"{objective(record).label} ({level(record, mean)}) than {than}: on these ratings "
        "one number for everybody does better.",
        facts={"mean": record.loss_of(mean), "lowest": record.loss_of(tuned[0])},
    )


def _few_users(record: ExperimentRecord) -> Iterator[Statement]:
    n_users = FEWEST_USERS if record.judging is None else record.judging.n_test_users
    if n_users < FEWEST_USERS:
        yield Statement(
            kind="few users",
            text="The test set has ratings of only 1 user: there are no intervals, and no "
            "difference is shown to be more than chance."
            if n_users == 1
            else f"The test set has ratings of only {n_users} users: intervals from so few "
            "are somewhat too narrow, and p-values somewhat too small.",
            facts={"users": n_users},
        )


def _unseen(record: ExperimentRecord, side: Side) -> Iterator[Statement]:
    """Say where many test ratings are of users, or titles, that training has not seen."""
    one = SIDES[side]
    counts = {
        group.depth: group.n_pairs for group in record.models[0].depth.get(side, ())
    }
    total, unseen = sum(counts.values()), counts.get("0", 0)
    if total and unseen > MANY_UNSEEN * total:
        amount = "mostly" if 2 * unseen > total else "in part"
        how = "wholly" if unseen == total else amount
        yield Statement(
            kind="unseen users or titles",
            text=f"{percent(unseen / total)} of the test ratings ({unseen:,} of {total:,}) "
            f"have a {one} without any training rating: the comparison is {how} about cold "
            f"start for {one}s.",
            facts={"side": side, "unseen": unseen, "total": total},
        )


def _openings(record: ExperimentRecord) -> Iterator[Statement]:
    judging = record.judging
    by_now = 0 if record.openings is None else record.openings.number
    if judging is None or max(judging.openings, by_now) < 2:
        return
    yield Statement(
        kind="openings",
        text=f"Openings of this test set: {describe_openings(record)}. Choices "
        "may have been made with an earlier score in view, so these may be too good.",
        facts={"when judged": judging.openings, "by now": by_now},
    )


def describe_openings(record: ExperimentRecord) -> str:
    """Say which opening of the test set this was, and how many there are by now."""
    judging, openings = record.judging, record.openings
    if record.split.method == "none":
        return "there is no test set"
    if judging is None:
        return "still sealed for this experiment"
    when = f"no. {judging.openings} when judged ({minute(judging.opened)})"
    if openings is None or openings.number <= judging.openings:
        return when
    last = "" if openings.last is None else f", the last at {minute(openings.last)}"
    return f"{when}; {openings.number} by now{last}"


def minute(moment: datetime) -> str:
    """Write a moment to the minute, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _changed(record: ExperimentRecord) -> Iterator[Statement]:
    changed = record.changed_since_opened
    if changed:
        yield Statement(
            kind="changed rules",
            text=f"Changed after the test set was first opened: {', '.join(changed)}. "
            "They may have been chosen with the scores in view.",
            facts={"changed": ", ".join(changed)},
        )


def _out_of_date(record: ExperimentRecord) -> Iterator[Statement]:
    judged = {} if record.judging is None else record.judging.best_trials
    for candidate, study in record.studies.items():
        found = None if study.best is None else study.best.number
        if candidate in judged and found is not None and judged[candidate] != found:
            yield Statement(
                kind="out of date",
                text=f"Out of date: trial #{judged[candidate]} of "
                f"{record.spec.label(candidate)} was judged, and the search has since found "
                f"a better one, #{found}. Repeat the command to judge it.",
                facts={
                    "candidate": candidate,
                    "judged": judged[candidate],
                    "best": found,
                },
            )
    missing = [c for c in record.spec.families if record.model(c) is None]
    if missing:
        names = ", ".join(record.spec.label(c) for c in missing)
        reasons = [why_none_is_best(s) for s in record.studies.values()]
        text = " ".join([f"Not judged: {names}.", *filter(None, reasons)])
        yield Statement(kind="not judged", text=text, facts={"missing": len(missing)})


def _unequal(record: ExperimentRecord) -> Iterator[Statement]:
    if not has_equal_budgets(record):
        counts = n_judged_trials(record)
        shown = ", ".join(f"{record.spec.label(c)} {n}" for c, n in counts.items())
        yield Statement(
            kind="unequal budgets",
            text=f"Unequal budgets: the families had different numbers of trials ({shown}); "
            "those searched longer are favoured.",
            facts=dict(counts),
        )


def _unfinished(record: ExperimentRecord) -> Iterator[Statement]:
    found = falling(record)
    if found:
        names = ", ".join(record.spec.label(c) for c in found)
        yield Statement(
            kind="not converged",
            text=f"Not converged: {names}. The search was still finding better settings "
            "when it ended.",
            facts={"candidates": ", ".join(found)},
        )


def _narrow(record: ExperimentRecord) -> Iterator[Statement]:
    for candidate, study in record.studies.items():
        found = edges(study)
        if found:
            names = ", ".join(f"{name} ({end} end)" for name, end in found.items())
            yield Statement(
                kind="range too narrow",
                text=f"Widen the range of {names} in the space of "
                f"{record.spec.label(candidate)}: the best value lies at its edge, and a "
                "better one may lie beyond.",
                facts={"candidate": candidate, **found},
            )
