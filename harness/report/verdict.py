"""Which family to use, how much better it is, and why: the verdict in statements."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC

from harness.evaluation.metrics import OBJECTIVE
from harness.evaluation.objectives import measure_of
from harness.evaluation.results import (
    BIAS_BASELINE,
    MEAN_BASELINE,
    Difference,
    ModelResult,
)
from harness.experiment.decision import FLOOR
from harness.experiment.front import Front, describe_pick
from harness.experiment.measured import estimate, measure_named
from harness.experiment.results import (
    BlendGain,
    Decision,
    ExperimentRecord,
    RepeatedSplits,
    Round,
)
from harness.formatting import Comparison, in_words, percent
from harness.report.caveats import caveats_of
from harness.report.context import (
    LONGEST,
    Context,
    Statement,
    amount,
    as_comparison,
    better,
    compare,
    error,
    level,
    listed,
    margin,
    objective,
    paragraphs,
    side_of,
    tuned_models,
    unit,
    worse,
)
from harness.report.markdown import escape
from harness.search.records import why_none_is_best

__all__ = [
    "Verdict",
    "describe_chosen",
    "describe_users_needed",
    "opening",
    "verdict_lines",
    "verdict_of",
]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What an experiment has found, in a few statements."""

    # What to use; how much better it is; how sure that is.
    lines: tuple[Statement, ...]
    question: str = ""
    reasons: tuple[Statement, ...] = ()
    # What a reader must know before trusting it.
    caveats: tuple[Statement, ...] = ()


def verdict_of(record: ExperimentRecord) -> Verdict:
    """Draw up the verdict."""
    decision = record.decision
    if decision is None:
        return Verdict(lines=tuple(_undecided(record)))
    question, reasons = _reasons(record, decision)
    return Verdict(
        lines=tuple(_lines(record, decision)),
        question=question,
        reasons=tuple(reasons),
        caveats=tuple(caveats_of(record)),
    )


def verdict_lines(record: ExperimentRecord) -> list[str]:
    """Write the verdict as plain text, a line each, for a terminal."""
    verdict = verdict_of(record)
    lines = [statement.text for statement in verdict.lines]
    if verdict.question:
        lines.append(verdict.question)
    lines += [f"- {statement.text}" for statement in verdict.reasons]
    kinds = dict.fromkeys(statement.kind for statement in verdict.caveats)
    if kinds:
        lines.append(f"Caveats (see the report): {', '.join(kinds)}.")
    return lines


def _undecided(record: ExperimentRecord) -> Iterator[Statement]:
    found = [*_so_far(record)]
    n_started, n_all = len(record.studies), len(record.spec.families)
    if record.is_study and record.studies and not found:
        yield Statement(
            kind="no trial",
            text=" ".join(filter(None, map(why_none_is_best, record.studies.values())))
            or "No trial was completed, so there is no result yet.",
        )
        return
    if record.split.method == "none":
        yield Statement(
            kind="no test set",
            text="No test set (split none): the search used all ratings, so every score "
            "is optimistic.",
        )
    else:
        begun = (
            "" if record.is_study else f"; {n_started} of {n_all} searches have begun"
        )
        yield Statement(
            kind="sealed",
            text=f"Nothing is decided: the test set is still sealed{begun}. Repeat the "
            "same command to go on.",
            facts={"started": n_started, "families": n_all},
        )
    yield from found


def _so_far(record: ExperimentRecord) -> Iterator[Statement]:
    """Give the best score of the search."""
    best = {
        c: (study.best.number, study.best.value, study.metric)
        for c, study in record.studies.items()
        if study.best is not None and study.best.value is not None
    }
    if not best:
        return
    first = min(best, key=lambda c: best[c][2].sign * best[c][1])
    number, value, metric = best[first]
    where = record.studies[first].settings.scored_on
    measure = measure_of(metric)
    which = "Lowest" if metric.direction == "minimize" else "Highest"
    of = f" {unit(record)}" if measure.unit == "rating" else ""
    score = f"{measure.format(value)}{of}"
    found = (
        f"Picked on the Pareto front so far: {record.spec.label(first)}, trial #{number} "
        f"with {measure.label} {score} {where}"
        if first in record.fronts
        else f"{which} {measure.label} {where} so far: {record.spec.label(first)}, "
        f"{score} (trial #{number})"
    )
    yield Statement(
        kind="so far",
        text=f"{found}; optimistic, because the settings were chosen by it.",
        facts={"candidate": first, "trial": number, metric.name: value},
    )


def _lines(record: ExperimentRecord, decision: Decision) -> Iterator[Statement]:
    winner = record.model(decision.winner)
    assert winner is not None
    yield _use(record, decision)
    if record.metric != OBJECTIVE:
        yield _objective(record, winner)
    if decision.winner in record.fronts:
        yield _picked_point(record, record.fronts[decision.winner])
    floor, metric = record.baseline(decision.floor), record.metric.name
    found = compare(record, winner, floor)
    score = winner.measures[metric].value
    here = (
        f"{objective(record).label} {objective(record).sentence(score, unit(record))}"
    )
    here += " on the sealed test set"
    if found is None or floor is None:
        yield Statement(kind="error", text=f"{here}.", facts={metric: score})
        return
    whole = abs(floor.measures[metric].value)
    share = -found.value / whole if whole else math.nan
    part = "" if math.isnan(share) else f" ({percent(abs(share), 1)})"
    side = side_of(record, found.value).place
    yield Statement(
        kind="gain",
        text=f"{here}: {amount(record, abs(found.value))}{part} {side} the {floor.name} "
        f"baseline ({level(record, floor)}).",
        facts={
            metric: score,
            "gain": -found.value,
            "share": share,
            "floor": floor.name,
        },
    )
    yield _certainty(record, found)
    yield from (_about_blend(record, blend) for blend in record.blends)
    yield from _over_splits(record)


def _use(record: ExperimentRecord, decision: Decision) -> Statement:
    """Say what to use, if anything."""
    name = record.spec.label(decision.winner)
    facts = {"candidate": decision.winner, "floor": decision.floor}
    if decision.beats_floor:
        return Statement(kind="use", text=f"Use {name}.", facts=facts)
    who = name if record.is_study else f"{name}, which the rule chooses,"
    unbeaten = MEAN_BASELINE if decision.beats_bias else BIAS_BASELINE
    return Statement(
        kind="use none",
        text=f"Use none yet: {who} is not shown to beat the {unbeaten} baseline.",
        facts=facts,
    )


def _about_blend(record: ExperimentRecord, blend: BlendGain) -> Statement:
    """Say what a blend gains over the best single family, and whether that matters."""
    found = blend.difference
    limit, measure = f"the margin of {margin(record)}", objective(record)
    matters = {
        "better": f"more than {limit}",
        "worse": f"more than {limit}",
        "equivalent": f"equivalent within {limit}",
        "undecided": f"undecided, for it may be more or less than {limit}",
    }[found.answer]
    name, single = (record.spec.label(c) for c in (blend.candidate, blend.single))
    value, low, high = as_comparison(record, found).apart
    way, to = ("loses", "to") if found.value > 0 else ("gains", "over")
    return Statement(
        kind="blend",
        text=f"{name} {way} {amount(record, value)} "
        f"({measure.amount(low)} to {measure.amount(high)}) {to} {single}, the best single "
        f"family: {matters}.",
        facts={
            "candidate": blend.candidate,
            "single": blend.single,
            "gain": -found.value,
            "answer": found.answer,
        },
    )


def _over_splits(record: ExperimentRecord) -> Iterator[Statement]:
    """Say in how many of the splits the rule chooses the same."""
    found = record.repeated
    if found is None:
        return
    missing = found.n_asked - len(found.splits)
    yet = f"; {missing} more to come" if missing else ""
    yield Statement(
        kind="repeats",
        text=f"On repeated splits the rule chooses {describe_chosen(record, found)}{yet}.",
        facts={**found.chosen, "splits": len(found.splits), "asked": found.n_asked},
    )


def describe_chosen(record: ExperimentRecord, found: RepeatedSplits) -> str:
    """Say how often each candidate was chosen: "svd in 4 of 5, cf in 1"."""
    first, *others = (
        f"{record.spec.label(candidate)} in {count}"
        for candidate, count in found.chosen.items()
    )
    return ", ".join([f"{first} of {len(found.splits)}", *others])


def _objective(record: ExperimentRecord, winner: ModelResult) -> Statement:
    """Say what was searched for, where it is not RMSE, and what the RMSE is."""
    rmse, bias = winner.rmse.value, record.baseline()
    beside = (
        "" if bias is None else f" ({bias.name} baseline: {error(bias.rmse.value)})"
    )
    return Statement(
        kind="objective",
        text=f"The search was for {objective(record).label}: {better(record).comparative} "
        f"is better. The RMSE is {error(rmse)} {unit(record)}{beside}.",
        facts={"objective": record.metric.name, "rmse": rmse},
    )


def _picked_point(record: ExperimentRecord, front: Front) -> Statement:
    """Say that the best settings are one point of a front, and by which rule."""
    *others, last = (measure_of(metric).label for metric in front.objectives)
    return Statement(
        kind="front",
        text=f"The search was for {', '.join(others)} and {last}. "
        f"{describe_pick(front, record.dataset.scale)}",
        facts={"trial": front.picked, "on_front": len(front.points)},
    )


def _picked(record: ExperimentRecord, decision: Decision) -> Iterator[Statement]:
    """Give the best score as it is to be expected elsewhere: it was picked for it."""
    picked = None if record.judging is None else record.judging.picked
    if picked is None:
        return
    measure = objective(record)
    if measure.format(picked.score) == measure.format(picked.corrected):
        return  # nothing that could be seen
    yield Statement(
        kind="picked",
        text=f"Picking the {_extreme(record)} of {picked.n_close} families makes it look too "
        f"good: {record.spec.label(decision.best)} has "
        f"{measure.sentence(picked.score, unit(record))}, corrected "
        f"{measure.format(picked.corrected)}.",
        facts={
            "candidate": decision.best,
            "close": picked.n_close,
            record.metric.name: picked.score,
            "corrected": picked.corrected,
        },
    )


def _certainty(record: ExperimentRecord, found: Comparison) -> Statement:
    judging = record.judging
    assert judging is not None
    if math.isnan(found.low):
        return Statement(
            kind="certainty",
            text=f"Whether that is chance, the {judging.n_test:,} ratings of a single test "
            "user cannot say.",
            facts={"comparisons": found.n_compared},
        )
    sure = {
        "better": "The gain is beyond chance",
        "worse": "The loss is beyond chance",
        "unclear": "The difference may be chance",
    }[found.outcome]
    adjusted = (
        f", both adjusted for {found.n_compared} comparisons"
        if found.n_compared > 1
        else ""
    )
    return Statement(
        kind="certainty",
        text=f"{sure}: p {found.p_text}, {percent(judging.confidence)} interval of the gain "
        f"{objective(record).amount(-found.high)} to {amount(record, -found.low)}{adjusted}; "
        f"{judging.n_test:,} ratings of {judging.n_test_users:,} users.",
        facts={
            "p": found.p_value,
            "low": -found.high,
            "high": -found.low,
            "comparisons": found.n_compared,
        },
    )


def _reasons(
    record: ExperimentRecord, decision: Decision
) -> tuple[str, list[Statement]]:
    if record.is_study:
        return "", list(_about_tuning(record, decision.winner))
    others = [m for m in tuned_models(record) if m.candidate != decision.winner]
    if not others:
        text = "It is the only family that was judged."
        return "", [Statement(kind="only one", text=text)]
    picked = _picked(record, decision)
    if not decision.close:
        return "", [_next_best(record, decision, others[0]), *picked]
    close = [_close_one(record, decision, candidate) for candidate in decision.close]
    best = record.spec.label(decision.best)
    question = (
        f"Why {best}, although others are not shown to be worse?"
        if decision.winner == decision.best
        else f"Why not {best}, which has the {_extreme(record)}?"
    )
    return question, [*close, *_rounds(record, decision), *picked]


def _about_tuning(record: ExperimentRecord, candidate: str) -> Iterator[Statement]:
    tuned, initial = record.model(candidate), record.model(candidate, "initial")
    found = compare(record, tuned, initial)
    if tuned is None or initial is None or found is None:
        return
    # The initial settings also have what is not active.
    if dict(initial.params).items() >= dict(tuned.params).items():
        yield Statement(
            kind="nothing better",
            text="The search found nothing better than the initial settings.",
        )
        return
    did = {"lower": "lowered", "higher": "raised"}
    side = side_of(record, found.value).comparative
    done = "changed" if found.outcome == "unclear" else did[side]
    chance = ", which may be chance" if found.outcome == "unclear" else ""
    yield Statement(
        kind="tuning",
        text=f"Tuning {done} the {objective(record).label} from {level(record, initial)} to "
        f"{level(record, tuned)}, by {_size(record, found)}{chance}.",
        facts={"value": found.value, "p": found.p_value, "outcome": found.outcome},
    )


def _size(record: ExperimentRecord, found: Comparison) -> str:
    """Write the size of a difference, with its interval; a single user leaves none."""
    (value, low, high), measure = found.apart, objective(record)
    ends = f"interval {measure.amount(low)} to {measure.amount(high)}; "
    known = "" if math.isnan(low) else ends
    return f"{amount(record, value)} ({known}p {found.p_text})"


def _next_best(
    record: ExperimentRecord, decision: Decision, second: ModelResult
) -> Statement:
    found = compare(record, second, record.model(decision.winner))
    name = record.spec.label(str(second.candidate))
    if found is None or record.judging is None:
        return Statement(kind="next best", text=f"The next best family is {name}.")
    beyond = f"the margin of {margin(record)}" if record.judging.margin else "0"
    return Statement(
        kind="next best",
        text=f"The next best family, {name}, is worse: {_above(record, found)}, lies above "
        f"{beyond}.",
        facts=_facts(record, str(second.candidate), found),
    )


def _facts(
    record: ExperimentRecord, candidate: str, found: Comparison | Difference
) -> dict[str, float | str]:
    assert record.judging is not None
    return {
        "candidate": candidate,
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "margin": record.judging.margin,
    }


def _extreme(record: ExperimentRecord) -> str:
    return f"{better(record).superlative} {objective(record).label}"


def _close_one(
    record: ExperimentRecord, decision: Decision, candidate: str
) -> Statement:
    """Say why a family is not shown to be worse: it is as good, or nobody can tell."""
    best, name = record.spec.label(decision.best), record.spec.label(candidate)
    one, other = record.model(candidate), record.model(decision.best)
    assert one is not None
    assert other is not None
    assert record.judging is not None
    found = record.difference(one.name, other.name)
    if found is None:
        text = f"{best} and {name} were not compared."
        return Statement(kind="undecided", text=text, facts={"candidate": candidate})
    if math.isnan(found.low):
        text = f"{name}, undecided: ratings of a single test user leave no interval to tell by."
        return Statement(kind="undecided", text=text, facts={"candidate": candidate})
    above = _above(record, as_comparison(record, found), of=best)
    facts = _facts(record, candidate, found)
    if found.answer == "equivalent":
        return Statement(
            kind="equivalent",
            text=f"{name}, equivalent: {above}, lies within the margin of "
            f"{margin(record)}.",
            facts=facts,
        )
    power = (
        ""
        if math.isnan(found.detectable) or found.low > 0
        else f". With 80 % power a true difference of "
        f"{objective(record).amount(found.detectable)} would be detected"
    )
    # Neither within the margin nor beyond it.
    reaches = (
        f"excludes 0, but includes the margin of {margin(record)}"
        if found.low > 0
        else f"includes 0 and reaches beyond the margin of {margin(record)}"
    )
    return Statement(
        kind="undecided",
        text=f"{name}, undecided: {above}, {reaches}{power}.",
        facts=facts | {"detectable": found.detectable},
    )


def _above(record: ExperimentRecord, found: Comparison, of: str = "") -> str:
    """Begin a sentence on how much worse a score is; what its interval does follows."""
    measure = objective(record)
    return (
        f"{measure.label} {amount(record, found.value)} {worse(record).place}"
        f"{of and f' {of}'}; the adjusted interval, {measure.amount(found.low)} to "
        f"{measure.amount(found.high)}"
    )


def describe_users_needed(record: ExperimentRecord, found: Difference) -> str:
    """Say how many test users it takes to find a difference as large as the margin."""
    judging = record.judging
    assert judging is not None
    if found.users_needed is None:
        why = ": titles or seeds are too few" if judging.margin else ""
        return (
            "no number of test users would detect a difference as large as the margin of "
            f"{margin(record)}{why}"
        )
    return (
        f"detecting one as large as the margin of {margin(record)} takes "
        f"{found.users_needed:,} test users (here {judging.n_test_users:,})"
    )


def _rounds(record: ExperimentRecord, decision: Decision) -> Iterator[Statement]:
    """Go through the criteria of the rule, with the values that decided."""
    silent, unsteady = list[str](), list[Statement]()
    for applied in decision.rounds:
        if applied.unsure:
            unsteady.append(_unsteady(record, applied))
        if len(applied.left) == len(applied.values):
            silent.append(applied.criterion)
            continue
        if silent:
            yield _silent(silent)
        silent = []
        yield _round(record, applied)
    yield from unsteady


def _unsteady(record: ExperimentRecord, applied: Round) -> Statement:
    """Say where the spread of a criterion's own measurements could flip it."""
    measure = measure_named(applied.criterion)
    known = {c: v for c, v in applied.values.items() if v is not None}
    shown = dict.fromkeys((min(known, key=known.__getitem__), *applied.unsure))
    found = {c: estimate(record, applied.criterion, c) for c in shown}
    ranges = [
        f"{record.spec.label(c)} {measure.format(e.low)} to {measure.format(e.high)}"
        for c, e in found.items()
        if e is not None
    ]
    return Statement(
        kind="unsteady criterion",
        text=f"Measured again, {measure.label} could turn out otherwise: single processes "
        f"have found {in_words(ranges)}.",
        facts={"criterion": applied.criterion, "unsure": ", ".join(applied.unsure)},
    )


def _silent(criteria: list[str]) -> Statement:
    names = in_words([measure_named(name).label for name in criteria])
    verb = "does" if len(criteria) == 1 else "do"
    return Statement(
        kind="silent criteria",
        text=f"By the rule, {names} {verb} not separate them.",
        facts=dict.fromkeys(criteria, "equal"),
    )


def _round(record: ExperimentRecord, applied: Round) -> Statement:
    measure = measure_named(applied.criterion)

    def shown(candidate: str) -> str:
        value = applied.values[candidate]
        # A gain is one by the objective.
        if applied.criterion == FLOOR and value is not None:
            return objective(record).amount(value)
        return measure.format(value)

    def named(candidates: Iterable[str]) -> str:
        return in_words([f"{record.spec.label(c)} ({shown(c)})" for c in candidates])

    beaten = [c for c in applied.values if c not in applied.left]
    out = "drops out" if len(beaten) == 1 else "drop out"
    if applied.criterion == FLOOR:
        text = f"By {measure.label}, {named(beaten)} {out}: not shown to beat it."
    elif len(applied.left) == 1:
        ahead = f"{named(applied.left)} is ahead of {named(beaten)}"
        text = f"By the rule, {measure.label} decides: {ahead}."
    else:
        text = f"By the rule, {measure.label} comes next: {named(beaten)} {out}."
    return Statement(
        kind="round",
        text=text,
        facts={"criterion": applied.criterion, "left": ", ".join(applied.left)},
    )


SIMULATED = (
    "> **These ratings are simulated.** They were made by a program; no figure in this "
    "report says anything about real users."
)


def opening(context: Context) -> str:
    """Write title and verdict."""
    record, verdict = context.record, verdict_of(context.record)
    simulated = record.dataset.simulated
    first, *more = map(_said, verdict.lines)
    title = "" if record.is_study else f"*{escape(record.spec.title)}*"
    return paragraphs(
        f"# {_heading(record)}{' (SIMULATED ratings)' if simulated else ''}",
        title,
        escape(record.spec.about, longest=LONGEST) if record.spec.about else "",
        SIMULATED if simulated else "",
        f"**{first}**",
        *more,
        f"**{escape(verdict.question, longest=LONGEST)}**" if verdict.question else "",
        _list(verdict.reasons),
        "**What limits it**" if verdict.caveats else "",
        _list(verdict.caveats),
    )


def _heading(record: ExperimentRecord) -> str:
    """Name what it is, its data and its day: they tell reports apart."""
    day = record.started if record.judging is None else record.judging.opened
    data = escape(record.dataset.name)
    return f"{escape(record.name)}: {data}, {day.astimezone(UTC):%Y-%m-%d}"


def _list(statements: Iterable[Statement]) -> str:
    return listed([_said(statement) for statement in statements])


def _said(statement: Statement) -> str:
    # Before a blank it opens no tag, and p < 0.001 can be read in the source, too.
    return escape(statement.text, longest=LONGEST).replace("&lt; ", "< ")
