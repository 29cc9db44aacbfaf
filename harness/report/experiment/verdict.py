"""Section: which family to use, in three sentences."""

from collections.abc import Iterable

from harness.experiment.decision import FLOOR, Decision, Round
from harness.experiment.measured import measured
from harness.experiment.record import BIAS_BASELINE, ExperimentRecord
from harness.report.digits import duration, interval, milliseconds, size, stars
from harness.report.experiment.caveats import caveats
from harness.report.experiment.draft import LONGEST, Draft, paragraphs
from harness.report.experiment.models import compare, label, tuned_models
from harness.report.experiment.quantities import label as metric_label
from harness.report.experiment.quantities import write
from harness.report.markdown import escape

__all__ = ["opening"]

SIMULATED = (
    "> **These ratings are simulated.** They were made by a program; no figure in this "
    "report says anything about real users."
)


def opening(draft: Draft) -> str:
    """Write title and verdict.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    str
        Markdown.
    """
    record = draft.record
    simulated = bool(record.dataset.get("simulated"))
    title = escape(record.spec.title) + (" (SIMULATED ratings)" if simulated else "")
    limits = "\n".join(f"- {line}" for line in caveats(draft))
    return paragraphs(
        f"# {title}",
        SIMULATED if simulated else "",
        " ".join(_sentences(draft)),
        "What limits it:" if limits else "",
        limits,
        escape(record.spec.about, longest=LONGEST) if record.spec.about else "",
    )


def _sentences(draft: Draft) -> list[str]:
    record, decision = draft.record, draft.decision
    if decision is None:
        return _unopened(record)
    return [
        _which(record, decision),
        _how_sure(record, decision),
        _at_what_cost(record, decision),
    ]


def _unopened(record: ExperimentRecord) -> list[str]:
    n_started, n_all = len(record.studies), len(record.spec.families)
    best = {
        c: s.best.value
        for c, s in record.studies.items()
        if s.best is not None and s.best.value is not None
    }
    sealed = (
        "**The test set is still sealed**, so nothing is decided: "
        f"{n_started} of {n_all} searches have begun, and the same command goes on."
    )
    if not best:
        return [sealed]
    lowest = min(best, key=lambda c: best[c])
    so_far = (
        f"So far {label(record, lowest)} has the lowest RMSE over the folds, "
        f"{stars(best[lowest])} stars; a score that settings were chosen by is optimistic."
    )
    return [sealed, so_far]


def _which(record: ExperimentRecord, decision: Decision) -> str:
    winner = record.model(decision.winner)
    assert winner is not None
    name, rmse = (
        label(record, decision.winner),
        interval("rmse", winner["metrics"]["rmse"]),
    )
    bias = record.baseline()
    found = compare(record, winner, bias)
    if bias is None or found is None:
        return f"**Use {name}**: its RMSE on the sealed test set is {rmse} stars."
    level = stars(bias["metrics"]["rmse"]["value"])
    if decision.beats_bias:
        return (
            f"**Use {name}**: its RMSE on the sealed test set is {rmse} stars, "
            f"{found.size} below the {BIAS_BASELINE} baseline ({level}; p {found.p_text})."
        )
    how = (
        f"the difference of {found.size} stars may be chance"
        if found.outcome == "tied"
        else f"it is worse by {found.size} stars"
    )
    return (
        f"**Use none of them yet**: the rule chooses {name}, with an RMSE of {rmse} stars "
        f"on the sealed test set, but it **does not beat the {BIAS_BASELINE} baseline** "
        f"({level}): {how} (p {found.p_text})."
    )


def _how_sure(record: ExperimentRecord, decision: Decision) -> str:
    others = [m for m in tuned_models(record) if m["candidate"] != decision.winner]
    if not others:
        return "It is the only family that was judged."
    if not decision.tied:
        return _clear_win(record, decision)
    if decision.winner == decision.best:
        start = (
            "It has the lowest RMSE of the families, but cannot be told apart from "
            f"{_tied(record, decision)}"
        )
    else:
        others_tied = [c for c in decision.tied if c != decision.winner]
        nor = (
            f", and neither can {_names(record, others_tied)} from it"
            if others_tied
            else ""
        )
        start = (
            f"{label(record, decision.best)} has the lowest RMSE of the families, but the two cannot be "
            f"told apart ({_gap(record, decision.winner, decision.best)}){nor}"
        )
    return f"{start}; {_why(record, decision)}."


def _clear_win(record: ExperimentRecord, decision: Decision) -> str:
    second = next(m for m in tuned_models(record) if m["candidate"] != decision.winner)
    found = compare(record, second, record.model(decision.winner))
    name = label(record, second["candidate"])
    if found is None:
        return f"The next best family is {name}."
    return (
        f"No other family is tied with it: the next best, {name}, is worse by "
        f"{found.size} stars, which is beyond chance (p {found.p_text})."
    )


def _tied(record: ExperimentRecord, decision: Decision) -> str:
    named = [
        f"{label(record, c)} ({_gap(record, c, decision.best)})" for c in decision.tied
    ]
    return _join(named)


def _gap(record: ExperimentRecord, one: str, other: str) -> str:
    found = compare(record, record.model(one), record.model(other))
    if found is None:
        return "not compared"
    # Else a reader who sees that the interval excludes zero sees a contradiction.
    apart = found.outcome == "tied" and found.low * found.high > 0
    corrected = " when corrected for all pairs" if apart else ""
    return f"{found.size} stars, p {found.p_text}{corrected}"


def _why(record: ExperimentRecord, decision: Decision) -> str:
    """Go through the criteria of the rule, with the values that decided."""
    steps, silent = list[str](), list[str]()
    for applied in decision.rounds:
        if len(applied.left) == len(applied.values):
            silent.append(metric_label(applied.criterion))
            continue
        steps += [_in_vain(silent)] if silent else []
        steps.append(_step(record, applied))
        silent = []
    return f"among the tied the rule decides: {'; '.join(steps)}"


def _in_vain(criteria: list[str]) -> str:
    if len(criteria) == 1:
        return f"{criteria[0]} does not separate them"
    return f"{_join(criteria)} do not separate them"


def _step(record: ExperimentRecord, applied: Round) -> str:
    criterion = applied.criterion

    def named(candidates: Iterable[str]) -> str:
        return _join(
            [
                f"{label(record, c)} ({write(criterion, applied.values[c])})"
                for c in candidates
            ]
        )

    beaten = [c for c in applied.values if c not in applied.left]
    out = "drops out" if len(beaten) == 1 else "drop out"
    if criterion == FLOOR:
        return f"{named(beaten)} {out}, not beyond chance better than the bias baseline"
    if len(applied.left) == 1:
        ahead = f"{named(applied.left)} is ahead of {named(beaten)}"
        return f"by {metric_label(criterion)} {ahead}"
    return f"by {metric_label(criterion)} {named(beaten)} {out}"


def _at_what_cost(record: ExperimentRecord, decision: Decision) -> str:
    values = {
        name: measured(record, name, decision.winner)
        for name in (
            "fit_seconds",
            "latency_p95_ms",
            "peak_memory_bytes",
            "model_bytes",
        )
    }
    phrases = {
        "fit_seconds": lambda v: f"{duration(v)} to train",
        "latency_p95_ms": lambda v: f"{milliseconds(v)} for a user's top 10 (p95)",
        "peak_memory_bytes": lambda v: f"{size(v)} of memory at its peak",
        "model_bytes": lambda v: f"{size(v)} on disk",
    }
    told = [phrases[name](value) for name, value in values.items() if value is not None]
    if not told:
        return "What it costs was not measured."
    return f"It takes {_join(told)}."


def _names(record: ExperimentRecord, candidates: list[str]) -> str:
    return _join([label(record, c) for c in candidates])


def _join(parts: list[str]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
