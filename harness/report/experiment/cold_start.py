"""Section: how well users and titles with few training ratings are predicted."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from harness.experiment.record import ExperimentRecord
from harness.report.comparison import Comparison
from harness.report.experiment.draft import Draft, paragraphs
from harness.report.experiment.models import Model, name_of, rivals
from harness.report.experiment_figures import draw_depth
from harness.report.experiment_figures.depth import FEWEST_PAIRS
from harness.report.markdown import table

__all__ = ["cold_start"]

_COLD = ("0", "1-5")
_SIDES = {"users": "user", "items": "title"}


def cold_start(draft: Draft) -> str:
    """Compare the tuned models by the number of training ratings.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    str
        Markdown; empty before the test set was opened.
    """
    record = draft.record
    models = [m for m in rivals(record) if m.get("depth")]
    if not models:
        return ""
    parts = []
    for side, one in _SIDES.items():
        parts += [
            f"### By the ratings of the {one}",
            _table(record, models, side),
            _about_coldest(record, models, side),
        ]
    return paragraphs(
        "## Cold start",
        "RMSE on the test set by how many training ratings the user, or the title, of a "
        "pair has; in brackets 95 % intervals of a bootstrap over users, where there are at "
        f"least {FEWEST_PAIRS} pairs.",
        draft.figure(draw_depth, "depth.png", "RMSE by the number of training ratings"),
        *parts,
    )


def _groups(models: list[Model], side: str) -> list[dict[str, Any]]:
    """Find the depths that have test pairs; the pairs are the same for all models."""
    return [group for group in models[0]["depth"][side] if group["n_pairs"]]


def _table(record: ExperimentRecord, models: list[Model], side: str) -> str:
    groups = _groups(models, side)
    rows = [["test pairs", *(f"{group['n_pairs']:,}" for group in groups)]]
    for model in models:
        cells = {group["depth"]: _cell(group) for group in model["depth"][side]}
        rows.append([name_of(record, model), *(cells[g["depth"]] for g in groups)])
    head = ["training ratings", *(group["depth"] for group in groups)]
    return table(head, rows, align="l" + "r" * len(groups))


def _cell(group: dict[str, Any]) -> str:
    if group["value"] is None:
        return "-"
    # Three decimals: these groups are small, and their intervals wide.
    value = f"{group['value']:.3f}"
    known = group.get("low") is not None and group.get("high") is not None
    if not known or group["n_pairs"] < FEWEST_PAIRS:
        return value
    return f"{value} [{group['low']:.3f}, {group['high']:.3f}]"


def _about_coldest(record: ExperimentRecord, models: list[Model], side: str) -> str:
    """Say who is best where ratings are fewest, and how much worse it is there."""
    groups = [g for g in _groups(models, side) if g["n_pairs"] >= FEWEST_PAIRS]
    if not groups:
        return f"There are fewer than {FEWEST_PAIRS} test pairs of each: too few to compare."
    coldest = groups[0]["depth"]
    others = len(_groups(models, side)) > 1
    only = _about_only(coldest, side, others=others) if len(groups) == 1 else ""
    if only and coldest not in _COLD:
        return only
    warmest = groups[-1]["depth"] if len(groups) > 1 else None
    ends = _about_ends(record, models, side, (coldest, warmest))
    return " ".join(filter(None, [only, ends, *_kin(record, models, side, coldest)]))


def _about_only(depth: str, side: str, *, others: bool) -> str:
    """Say what it means that all test pairs, but for a few others, are of one depth."""
    told = (
        "all that this report says of errors is about cold start"
        if depth in _COLD
        else "this split says little about cold start"
    )
    return (
        f"All{' but a few' if others else ''} test pairs have a {_SIDES[side]} with "
        f"{_amount(depth)} training ratings: {told}."
    )


def _about_ends(
    record: ExperimentRecord,
    models: list[Model],
    side: str,
    depths: tuple[str, str | None],
) -> str:
    """Name the best and the worst at the coldest depth, and the best at the warmest."""
    coldest, warmest = depths
    at = _errors(models, side)
    best = min(models, key=lambda m: at[m["name"]][coldest])
    worst = max(models, key=lambda m: at[m["name"]][coldest])
    here = f"{at[best['name']][coldest]:.3f} stars"
    if warmest is not None:
        here += f"; {at[best['name']][warmest]:.3f} with {_amount(warmest)}"
    sentence = (
        f"With {_amount(coldest)} training ratings {name_of(record, best)} errs least "
        f"({here})"
    )
    if best is worst:
        return sentence + "."
    sure = _how_sure(record, (worst, best), side=side, depth=coldest)
    return (
        f"{sentence}, {name_of(record, worst)} most ({at[worst['name']][coldest]:.3f}); "
        f"{sure}."
    )


def _errors(models: list[Model], side: str) -> dict[str, dict[str, float]]:
    return {
        m["name"]: {g["depth"]: g["value"] for g in m["depth"][side]} for m in models
    }


def _kin(
    record: ExperimentRecord, models: list[Model], side: str, depth: str
) -> Iterator[str]:
    """Compare entries of one family: what sets them apart may be made for cold start."""
    at = _errors(models, side)
    tuned = [m for m in models if m["role"] == "tuned"]
    for pair in combinations(tuned, 2):
        if pair[0]["family"] != pair[1]["family"]:
            continue
        one, other = sorted(pair, key=lambda m: at[m["name"]][depth])
        sure = _how_sure(record, (other, one), side=side, depth=depth)
        yield (
            f"Of the same family, {name_of(record, one)} errs less there "
            f"({at[one['name']][depth]:.3f}) than {name_of(record, other)} "
            f"({at[other['name']][depth]:.3f}); {sure}."
        )


def _how_sure(
    record: ExperimentRecord, models: tuple[Model, Model], *, side: str, depth: str
) -> str:
    """Compare worst and best on the same pairs, which intervals of each cannot."""
    names = [model["name"] for model in models]
    found = record.depth_difference(*names, side=side, depth=depth)
    if found is None:
        return "they were not compared, so this may be chance"
    comparison = Comparison(
        other=names[1],
        value=found["value"],
        low=found["low"],
        high=found["high"],
        p_value=found["p_holm"],
        significance=record.spec.decision.significance,
    )
    size = f"on the same pairs they differ by {comparison.size} stars"
    if comparison.outcome == "tied":
        return f"{size}, which may be chance (p {comparison.p_text})"
    return f"{size}, beyond chance (p {comparison.p_text})"


def _amount(depth: str) -> str:
    if depth == "0":
        return "no"
    return depth.replace(">", "more than ").replace("-", " to ")
