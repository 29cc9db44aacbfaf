"""Critical-difference figure: mean ranks over data sets, and who is not told apart."""

from pathlib import Path
from typing import TYPE_CHECKING

from harness.evaluation.data_sets import DataSetComparison
from harness.formatting import p_relation
from harness.report.figures.style import ACCENT, DARK, MEDIUM, figure_style, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_ranks"]

# Heights below the axis of ranks, in rows of names.
_FIRST_BAR, _BAR_STEP, _CD_BAR = 0.5, 0.34, -0.95
_LONGEST = 24


def draw_ranks(found: DataSetComparison, path: Path, *, measure: str) -> Path:
    """Draw mean ranks by a measure on a line as in Demšar's paper, the best at the left.

    Bars join families that are not told apart.
    """
    from matplotlib.figure import Figure

    n_bars = len(found.groups)
    first_row = _FIRST_BAR + _BAR_STEP * n_bars + 0.45
    depth = first_row + (len(found.models) + 1) // 2 - 1
    with figure_style():
        figure = Figure(figsize=(8, 1.5 + 0.36 * (depth + 1.5)), layout="constrained")
        axes = figure.add_subplot()
        axes.set_axis_off()
        right = max(len(found.models), 1 + found.critical_difference)
        _draw_axis(axes, len(found.models))
        _draw_critical_difference(axes, found.critical_difference)
        _draw_names(axes, found, first_row=first_row, right=right)
        _draw_groups(axes, found)
        axes.set_xlim(0.98, right + 0.02)
        axes.set_ylim(depth + 0.5, _CD_BAR - 0.75)
        figure.suptitle(_title(found, measure), x=0.01, ha="left", fontsize=11)
        return save_figure(figure, path)


def _title(found: DataSetComparison, measure: str) -> str:
    n_data_sets, p = len(found.data_sets), p_relation(found.friedman.p_value)
    title = (
        f"Mean rank of {measure} over {n_data_sets} data sets (Friedman, p {p}).\n"
        "Thick bars join families that are not told apart."
    )
    return f"{title} Description, not proof." if found.is_description else title


def _draw_axis(axes: "Axes", n_models: int) -> None:
    axes.plot([1, n_models], [0, 0], color="#555555", linewidth=1.2)
    for rank in range(1, n_models + 1):
        axes.plot([rank, rank], [0, -0.16], color="#555555", linewidth=1.2)
        axes.text(rank, -0.22, str(rank), ha="center", va="bottom")


def _draw_critical_difference(axes: "Axes", reach: float) -> None:
    axes.plot(
        [1, 1 + reach], [_CD_BAR, _CD_BAR], color=ACCENT, marker="|", markersize=8
    )
    text = f"critical difference {reach:.2f} (Nemenyi)"
    axes.text(1, _CD_BAR - 0.2, text, ha="left", va="bottom", color=ACCENT)


def _draw_names(
    axes: "Axes", found: DataSetComparison, *, first_row: float, right: float
) -> None:
    """Hang the better half of the names at the left, the others at the right."""
    n_left = (len(found.models) + 1) // 2
    for place, model in enumerate(found.models):
        is_left = place < n_left
        row = place if is_left else len(found.models) - 1 - place
        depth, end = first_row + row, 0.97 if is_left else right + 0.03
        axes.plot(
            [model.rank, model.rank, end], [0, depth, depth], color=MEDIUM, linewidth=1
        )
        axes.plot(model.rank, 0, marker="o", markersize=5, color=DARK, clip_on=False)
        name, rank = _short(model.name), f"{model.rank:.2f}"
        axes.text(
            end,
            depth,
            f"{name}  {rank} " if is_left else f" {rank}  {name}",
            ha="right" if is_left else "left",
            va="center",
        )


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _draw_groups(axes: "Axes", found: DataSetComparison) -> None:
    ranks = {model.name: model.rank for model in found.models}
    for level, group in enumerate(found.groups):
        height = _FIRST_BAR + _BAR_STEP * level
        axes.plot(
            # A little beyond the marks, so that a group of equal ranks is seen.
            [ranks[group[0]] - 0.03, ranks[group[-1]] + 0.03],
            [height, height],
            color=DARK,
            linewidth=4,
            solid_capstyle="butt",
        )
