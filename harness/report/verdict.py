"""Which family to use, what speaks for it, and what limits the verdict."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from harness.evaluation.metrics import Direction
from harness.evaluation.statistics import FEWEST_USERS
from harness.experiment.convergence import (
    has_equal_budgets,
    n_judged_trials,
    still_falling,
)
from harness.experiment.decision import (
    FLOOR,
    CheckedCriterion,
    Decision,
    Round,
    beats_bias_of,
    changed_since_opened,
    check_criteria,
)
from harness.experiment.measures import DEPTH_METRICS, measured
from harness.experiment.results import BIAS_BASELINE, MEAN_BASELINE, ExperimentRecord
from harness.formatting import duration, interval, milliseconds, size, stars
from harness.report.claims import compare_lowest
from harness.report.context import (
    LONGEST,
    Draft,
    compare,
    label,
    paragraphs,
    tuned_models,
    write,
    write_published,
)
from harness.report.context import quantity_label as metric_label
from harness.report.markdown import code, escape, table
from harness.report.study_verdict import edges

__all__ = ["criteria", "opening", "reasons"]


MANY_UNSEEN = 0.2
"""Share of test ratings of unseen users, or titles, from which on it is worth a word."""


def caveats(draft: Draft) -> list[str]:
    """Find what a reader must know before trusting the verdict."""
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


SIMULATED = (
    "> **These ratings are simulated.** They were made by a program; no figure in this "
    "report says anything about real users."
)


def opening(draft: Draft) -> str:
    """Write title and verdict."""
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


@dataclass(frozen=True, slots=True)
class _Trait:
    """Something a family can be best or worst at.

    It is named only where best and worst differ by `gap`: a difference in stars, or a
    factor if `is_factor`; errors on pairs of which little is known only if best and worst
    differ beyond chance, too. Of each `kind` a family has one reason, for a cell must be
    short.
    """

    kind: Literal["cold start", "sparsity", "hits", "diversity", "cost"]
    metric: str
    direction: Direction
    best: str
    worst: str
    gap: float
    is_factor: bool = True


# In the order of what the publication gives as reasons; hits, which it does not mention,
# because the lowest error does not mean the best list.
_TRAITS = (
    _Trait(
        "cold start",
        "cold_item_rmse",
        "minimize",
        "lowest error on cold titles",
        "highest error on cold titles",
        gap=0.01,
        is_factor=False,
    ),
    _Trait(
        "cold start",
        "cold_user_rmse",
        "minimize",
        "lowest error on cold users",
        "highest error on cold users",
        gap=0.01,
        is_factor=False,
    ),
    _Trait(
        "sparsity",
        "sparse_item_rmse",
        "minimize",
        "lowest error on titles with 6-20 ratings",
        "highest error on titles with 6-20 ratings",
        gap=0.01,
        is_factor=False,
    ),
    _Trait(
        "sparsity",
        "sparse_user_rmse",
        "minimize",
        "lowest error on users with 6-20 ratings",
        "highest error on users with 6-20 ratings",
        gap=0.01,
        is_factor=False,
    ),
    _Trait(
        "hits",
        "ndcg_at_10",
        "maximize",
        "highest NDCG@10",
        "lowest NDCG@10",
        gap=1.5,
    ),
    _Trait(
        "diversity",
        "intra_list_diversity",
        "maximize",
        "most diverse lists",
        "least diverse lists",
        gap=1.1,
    ),
    _Trait(
        "diversity",
        "catalogue_coverage",
        "maximize",
        "shows most of the catalogue",
        "shows least of the catalogue",
        gap=1.5,
    ),
    _Trait(
        "cost", "latency_p95_ms", "minimize", "fastest top 10", "slowest top 10", gap=2
    ),
    _Trait(
        "cost", "fit_seconds", "minimize", "trains fastest", "trains slowest", gap=2
    ),
    _Trait("cost", "model_bytes", "minimize", "smallest model", "largest model", gap=5),
)


def reasons(record: ExperimentRecord, candidate: str) -> str:
    """Say what speaks for and against a family."""
    said = _accuracy(record, candidate)
    kinds = set[tuple[str, str]]()
    for trait in _TRAITS:
        values = _values(record, trait.metric)
        side = _side(trait, values, candidate)
        if side is None or (trait.kind, side) in kinds:
            continue
        kinds.add((trait.kind, side))
        phrase = trait.best if side == "for" else trait.worst
        said[side].append(f"{phrase} ({write(trait.metric, values[candidate])})")
    parts = [
        f"{side}: {', '.join(phrases)}" for side, phrases in said.items() if phrases
    ]
    return "; ".join(parts) or "-"


def _accuracy(record: ExperimentRecord, candidate: str) -> dict[str, list[str]]:
    errors = _values(record, "rmse")
    lowest = min(errors.values())
    gap = errors[candidate] - lowest
    said: dict[str, list[str]] = {"for": [], "against": []}
    if len(errors) > 1 and gap == 0:
        said["for"].append("lowest RMSE of the families")
    if record.baseline() is not None and not beats_bias_of(record, candidate):
        said["against"].append("does not beat the bias baseline")
    elif gap > 0:
        said["against"].append(f"RMSE {stars(gap)} above the lowest")
    return said


def _values(record: ExperimentRecord, metric: str) -> dict[str, float]:
    """Collect the values of the tuned models that have one worth a word."""
    found = {
        m["candidate"]: measured(record, metric, m["candidate"])
        for m in tuned_models(record)
    }
    values = {c: value for c, value in found.items() if value is not None}
    if metric in DEPTH_METRICS and not _differ(record, metric, values):
        return {}
    return values


def _differ(record: ExperimentRecord, metric: str, values: Mapping[str, float]) -> bool:
    """Say whether best and worst differ beyond chance where little is known."""
    if len(values) < 2:
        return False
    ends = [record.model(find(values, key=values.__getitem__)) for find in (min, max)]
    names = [end["name"] for end in ends if end is not None]
    at = DEPTH_METRICS[metric]
    found = record.depth_difference(*names, side=at.side, depth=at.depth)
    return found is not None and found["p_holm"] < record.spec.decision.significance


def _side(
    trait: _Trait, values: Mapping[str, float], candidate: str
) -> Literal["for", "against"] | None:
    """Tell whether a family is best or worst, where that is worth a word."""
    if candidate not in values or len(values) < 2:
        return None
    low, high = min(values.values()), max(values.values())
    apart = high >= trait.gap * low if trait.is_factor else high - low >= trait.gap
    # Two of less than a millisecond are no reason for either.
    apart = apart and write(trait.metric, low) != write(trait.metric, high)
    if not apart or list(values.values()).count(values[candidate]) > 1:
        return None
    best, worst = (low, high) if trait.direction == "minimize" else (high, low)
    if values[candidate] == best:
        return "for"
    return "against" if values[candidate] == worst else None


def criteria(draft: Draft) -> str:
    """Check the acceptance criteria."""
    checked = check_criteria(draft.record)
    if not checked:
        return ""
    n_failed = sum(not each.passed for each in checked)
    passed = {1: "It holds.", 2: "Both hold."}.get(
        len(checked), f"All {len(checked)} hold."
    )
    failed = (
        f"**{n_failed} of {len(checked)} fail.** `harness run --check` exits with 1."
    )
    rows = [_row(draft.record, each) for each in checked]
    return paragraphs(
        "## Acceptance criteria",
        failed if n_failed else passed,
        table(["metric", "of", "measured", "required", ""], rows, align="llrrl"),
    )


def _row(record: ExperimentRecord, checked: CheckedCriterion) -> list[str]:
    criterion = checked.criterion
    bounds = {"at least": criterion.at_least, "at most": criterion.at_most}
    required = [
        f"{words} {write_published(criterion.metric, bound)}"
        for words, bound in bounds.items()
        if bound is not None
    ]
    passed = f"pass, but {checked.doubt}" if checked.doubt else "pass"
    return [
        metric_label(criterion.metric),
        label(record, checked.candidate),
        write(criterion.metric, checked.measured),
        ", ".join(required),
        passed if checked.passed else "**FAIL**",
    ]
