"""Errors by the number of training ratings of the user, or of the title."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from harness.evaluation.cold_start import COLD, POOLED_DEPTHS
from harness.evaluation.measures import MEASURES
from harness.evaluation.results import SIDES, DepthError, ModelResult, Side
from harness.experiment.results import ExperimentRecord
from harness.report.context import (
    Context,
    as_comparison,
    measures_of,
    name_of,
    paragraphs,
    rivals,
    unit,
)
from harness.report.figures.results import FEWEST_PAIRS, draw_depth
from harness.report.markdown import fold, table
from harness.report.tables import BOLD, definitions, models_by_measure, size_cell

__all__ = ["cold_start"]


def cold_start(context: Context) -> str:
    """Compare the tuned models by the number of training ratings."""
    record = context.record
    models = [m for m in rivals(record) if m.depth]
    measures = measures_of(record, "cold start")
    if not models:
        return ""
    parts = []
    for side, one in SIDES.items():
        if len(_groups(models, side)) > 1:
            parts += [
                f"### By the ratings of the {one}",
                _cold_start_table(record, models, side),
            ]
        parts.append(_about_coldest(record, models, side))
    return paragraphs(
        "## Cold start",
        f"RMSE in {unit(record)} on the test set by how many training ratings the user, or "
        f"the title, of a pair has; intervals where there are at least {FEWEST_PAIRS} "
        "pairs.",
        context.figure(
            draw_depth, "depth.png", "RMSE by the number of training ratings"
        ),
        *parts,
        fold(
            "All measures of cold start",
            paragraphs(
                models_by_measure(record, models, measures),
                BOLD,
                definitions(measures),
            )
            if measures
            else "",
        ),
    )


def _groups(models: Sequence[ModelResult], side: Side) -> list[DepthError]:
    """Find the depths that have test pairs; the pairs are the same for all models."""
    return [group for group in models[0].depth.get(side, ()) if group.n_pairs]


def _cold_start_table(
    record: ExperimentRecord, models: Sequence[ModelResult], side: Side
) -> str:
    groups = _groups(models, side)
    rows = [["test pairs", *(f"{group.n_pairs:,}" for group in groups)]]
    for model in models:
        cells = {group.depth: _cell(group) for group in model.depth[side]}
        rows.append([name_of(record, model), *(cells[g.depth] for g in groups)])
    head = ["training ratings", *(group.depth for group in groups)]
    return table(head, rows, align="l" + "r" * len(groups))


def _cell(group: DepthError) -> str:
    if group.rmse is None:
        return "-"
    # Three decimals: these groups are small, and their intervals wide.
    value = f"{group.rmse.value:.3f}"
    if group.n_pairs < FEWEST_PAIRS:
        return value
    return f"{value} [{group.rmse.low:.3f}, {group.rmse.high:.3f}]"


def _about_coldest(
    record: ExperimentRecord, models: Sequence[ModelResult], side: Side
) -> str:
    """Say who is best where ratings are fewest, and how much worse it is there."""
    groups = [g for g in _groups(models, side) if g.n_pairs >= FEWEST_PAIRS]
    if not groups:
        return (
            f"There are fewer than {FEWEST_PAIRS} test pairs of each number of ratings of "
            f"the {SIDES[side]}: too few to compare."
        )
    coldest = groups[0].depth
    others = len(_groups(models, side)) > 1
    only = _about_only(coldest, side, others=others) if len(groups) == 1 else ""
    if only and coldest not in POOLED_DEPTHS[COLD]:
        return only
    warmest = groups[-1].depth if len(groups) > 1 else None
    ends = _about_ends(record, models, side, (coldest, warmest))
    return " ".join(
        filter(None, [only, ends, *_same_family(record, models, side, coldest)])
    )


def _about_only(depth: str, side: Side, *, others: bool) -> str:
    """Say what it means that all test pairs, but for a few others, are of one depth."""
    told = (
        "all that this report says of errors is about cold start"
        if depth in POOLED_DEPTHS[COLD]
        else "this split says little about cold start"
    )
    return (
        f"All{' but a few' if others else ''} test pairs have a {SIDES[side]} with "
        f"{_amount(depth)} training ratings: {told}."
    )


def _about_ends(
    record: ExperimentRecord,
    models: Sequence[ModelResult],
    side: Side,
    depths: tuple[str, str | None],
) -> str:
    """Name the best and the worst at the coldest depth, and the best at the warmest."""
    coldest, warmest = depths
    at = {m.name: _errors_by_depth(m, side) for m in models}
    best = min(models, key=lambda m: at[m.name][coldest])
    worst = max(models, key=lambda m: at[m.name][coldest])
    warm = (
        ""
        if warmest is None
        else f"; {at[best.name][warmest]:.3f} with {_amount(warmest)}"
    )
    sentence = (
        f"With {_amount(coldest)} training ratings of the {SIDES[side]} the lowest RMSE is "
        f"{at[best.name][coldest]:.3f} {unit(record)} ({name_of(record, best)}{warm})"
    )
    if best is worst:
        return sentence + "."
    sure = _how_sure(record, (worst, best), side=side, depth=coldest)
    return (
        f"{sentence}, the highest {at[worst.name][coldest]:.3f} ({name_of(record, worst)}); "
        f"{sure}."
    )


def _errors_by_depth(model: ModelResult, side: Side) -> dict[str, float]:
    return {g.depth: g.rmse.value for g in model.depth[side] if g.rmse is not None}


def _same_family(
    record: ExperimentRecord, models: Sequence[ModelResult], side: Side, depth: str
) -> Iterator[str]:
    """Compare entries of one family: what sets them apart may be made for cold start."""
    at = {m.name: _errors_by_depth(m, side) for m in models}
    tuned = [m for m in models if m.role == "tuned"]
    for pair in combinations(tuned, 2):
        if pair[0].family != pair[1].family:
            continue
        one, other = sorted(pair, key=lambda m: at[m.name][depth])
        sure = _how_sure(record, (other, one), side=side, depth=depth)
        yield (
            f"Of the same family, {name_of(record, one)} errs less there "
            f"({at[one.name][depth]:.3f}) than {name_of(record, other)} "
            f"({at[other.name][depth]:.3f}); {sure}."
        )


def _how_sure(
    record: ExperimentRecord,
    models: tuple[ModelResult, ModelResult],
    *,
    side: Side,
    depth: str,
) -> str:
    """Compare worst and best on the same pairs, which intervals of each cannot."""
    one, other = models
    difference = record.depth_difference(one.name, other.name, side=side, depth=depth)
    if difference is None:
        return "they were not compared, so this may be chance"
    found = as_comparison(record, difference)
    size = f"on the same pairs they differ by {size_cell(found, MEASURES['rmse'])} {unit(record)}"
    p = f"adjusted p {found.p_text}" if found.n_compared > 1 else f"p {found.p_text}"
    if found.outcome == "unclear":
        return f"{size}, which may be chance ({p})"
    return f"{size}, beyond chance ({p})"


def _amount(depth: str) -> str:
    if depth == "0":
        return "no"
    return depth.replace(">", "more than ").replace("-", " to ")
