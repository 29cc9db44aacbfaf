"""What limits a verdict: looks, searches that were too short, ranges, failed criteria."""

from collections.abc import Iterator

from harness.evaluation.intervals import FEWEST_USERS
from harness.experiment.criteria import check_criteria
from harness.experiment.declared import changed_since_opened
from harness.experiment.effort import (
    has_equal_budgets,
    n_judged_trials,
    still_falling,
)
from harness.experiment.record import MEAN_BASELINE, ExperimentRecord
from harness.report.digits import stars
from harness.report.experiment.differences import compare_lowest
from harness.report.experiment.draft import LONGEST, Draft
from harness.report.experiment.models import label, tuned_models
from harness.report.markdown import code, escape
from harness.report.search_range import edges

__all__ = ["caveats"]

MANY_UNSEEN = 0.2
"""Share of test ratings of unseen users, or titles, from which on it is worth a word."""


def caveats(draft: Draft) -> list[str]:
    """Find what a reader must know before trusting the verdict.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    list of str
        Sentences in markdown; none before the test set was opened.
    """
    record = draft.record
    if not record.models:
        return []
    is_far, far = compare_lowest(draft)
    return [
        *_failed_criteria(record),
        *_above_the_mean(record),
        *_few_users(record),
        *_strangers(record),
        *_looks(record),
        *_changed(record),
        *_out_of_date(record),
        *_unequal(record),
        *_unfinished(record),
        *_narrow(record),
        *([f"**Not as published**: {far}"] if is_far else []),
    ]


def _failed_criteria(record: ExperimentRecord) -> Iterator[str]:
    for checked in check_criteria(record):
        if not checked.passed:
            yield f"**Acceptance criterion failed**: {escape(checked.sentence, longest=LONGEST)}"


def _few_users(record: ExperimentRecord) -> Iterator[str]:
    n_users = (record.final or {}).get("n_test_users", FEWEST_USERS)
    if n_users < FEWEST_USERS:
        yield (
            f"The test set has ratings of **{n_users} users only**: intervals from so few "
            "are somewhat too narrow, and p-values somewhat too small."
        )


def _above_the_mean(record: ExperimentRecord) -> Iterator[str]:
    """Say where the best family is worse than one number for everything."""
    mean, tuned = record.baseline(MEAN_BASELINE), tuned_models(record)
    if mean is None or not tuned:
        return
    level, lowest = (m["metrics"]["rmse"]["value"] for m in (mean, tuned[0]))
    if level < lowest:
        yield (
            f"**The {MEAN_BASELINE} has a lower RMSE** ({stars(level)}) than every "
            f"family ({label(record, tuned[0]['candidate'])}: {stars(lowest)}): on these "
            "ratings one number for everybody does better."
        )


def _strangers(record: ExperimentRecord) -> Iterator[str]:
    """Say where many test ratings are of users, or titles, that training has not seen."""
    depth = record.models[0].get("depth", {})
    for side, one in (("users", "user"), ("items", "title")):
        counts = {group["depth"]: group["n_pairs"] for group in depth.get(side, ())}
        total, unseen = sum(counts.values()), counts.get("0", 0)
        if total and unseen > MANY_UNSEEN * total:
            amount = "mostly" if 2 * unseen > total else "in part"
            yield (
                f"**{100 * unseen / total:.0f} % of the test ratings** ({unseen:,} of "
                f"{total:,}) have a {one} without any training rating: the comparison is "
                f"{'wholly' if unseen == total else amount} one of what families say of "
                f"{one}s that they do not know."
            )


def _looks(record: ExperimentRecord) -> Iterator[str]:
    looks = (record.final or {}).get("looks", 1)
    if looks > 1:
        yield (
            f"The test set has been opened **{looks} times**, by this experiment and "
            "others on the same split: whoever has seen an earlier test score knew "
            "something of this one, so that it is a little optimistic."
        )


def _changed(record: ExperimentRecord) -> Iterator[str]:
    changed = changed_since_opened(record)
    if changed:
        yield (
            f"**Changed after the test set was first opened**: {', '.join(changed)}. "
            "Whoever knew the scores could choose them so that they suit."
        )


def _unequal(record: ExperimentRecord) -> Iterator[str]:
    if not has_equal_budgets(record):
        counts = n_judged_trials(record)
        listed = ", ".join(f"{label(record, c)} {n}" for c, n in counts.items())
        yield (
            f"**Unequal budgets**: the families have had different numbers of trials "
            f"({listed}); who was searched longer is favoured."
        )


def _out_of_date(record: ExperimentRecord) -> Iterator[str]:
    judged = (record.final or {}).get("best_trials", {})
    for candidate, study in record.studies.items():
        found = None if study.best is None else study.best.number
        if candidate in judged and found is not None and judged[candidate] != found:
            yield (
                f"**Out of date**: of {label(record, candidate)} the test set has judged "
                f"trial #{judged[candidate]}, and the search has since found a better "
                f"one, #{found}."
            )
    missing = [c for c in record.spec.families if record.model(c) is None]
    if missing:
        names = ", ".join(label(record, c) for c in missing)
        yield f"**Not judged**: {names}."


def _unfinished(record: ExperimentRecord) -> Iterator[str]:
    falling = [label(record, c) for c, s in record.studies.items() if still_falling(s)]
    if falling:
        yield (
            f"**Not converged**: {', '.join(falling)}. The search still found better "
            "settings when its budget ended."
        )


def _narrow(record: ExperimentRecord) -> Iterator[str]:
    at_edges = {c: edges(study) for c, study in record.studies.items()}
    listed = [
        f"{label(record, c)} {', '.join(f'{code(n)} ({end})' for n, end in found.items())}"
        for c, found in at_edges.items()
        if found
    ]
    if listed:
        yield (
            f"**Widen the range** of: {'; '.join(listed)}. The best value lies at that "
            "end, and a better one may lie beyond."
        )
