"""Cold start: the error by how many ratings of the user or the title were known."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.experiment.record import BIAS_BASELINE, ExperimentRecord
from harness.report.experiment_figures.looks import display_name, looks
from harness.report.style import ACCENT, LIGHT, figure_style, save_figure

if TYPE_CHECKING:  # drawing takes half a second to import
    from matplotlib.axes import Axes

__all__ = ["FEWEST_PAIRS", "draw_depth"]

FEWEST_PAIRS = 30
"""Fewer test pairs have no interval worth showing, and nothing is said of them."""

Groups = Sequence[Mapping[str, Any]]

_SIDES = {"users": "user", "items": "title"}
# Share of the distance between two depths that the marks of one take up.
_WIDTH = 0.72


def draw_depth(record: ExperimentRecord, path: Path) -> bool:
    """Draw the RMSE of every tuned family by the training ratings of user and title.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    path : Path
        PNG to write.

    Returns
    -------
    bool
        False, and no file, before the test set was opened.
    """
    scored = {c: m for c in record.spec.families if (m := record.model(c))}
    measured = {c: m["depth"] for c, m in scored.items() if m.get("depth")}
    if not measured:
        return False
    from matplotlib.figure import Figure

    with figure_style():
        figure = Figure(figsize=(8, 6.2), layout="constrained")
        panels = figure.subplots(2, 1, sharey=True)
        for side, axes in zip(_SIDES, panels, strict=True):
            _draw_bias(axes, ((record.baseline() or {}).get("depth") or {}).get(side))
            _draw_side(axes, record, {c: depth[side] for c, depth in measured.items()})
            axes.set_title(f"By training ratings of the {_SIDES[side]}")
            axes.set_ylabel("RMSE in stars")
        _limit(panels, [depth[side] for depth in measured.values() for side in _SIDES])
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside upper center", ncols=min(len(labels), 3)
        )
        save_figure(figure, path)
    return True


def _draw_side(
    axes: "Axes", record: ExperimentRecord, groups: Mapping[str, Groups]
) -> None:
    marks = looks(record)
    shifts = _WIDTH * (np.arange(len(groups)) + 0.5) / len(groups) - _WIDTH / 2
    for (candidate, found), shift in zip(groups.items(), shifts, strict=True):
        value, low, high = _intervals(found)
        look = marks[candidate]
        axes.errorbar(
            np.arange(len(found)) + shift,
            value,
            yerr=[value - low, high - value],
            linestyle="none",
            marker=look.marker,
            markersize=6.5,
            markerfacecolor=look.face,
            markeredgecolor=look.line,
            ecolor=look.line,
            elinewidth=1.3,
            label=display_name(record, candidate, width=34),
            zorder=3,
        )
    depths = next(iter(groups.values()))
    axes.set_xticks(range(len(depths)), [_depth_name(group) for group in depths])
    axes.set_xlim(-0.5, len(depths) - 0.5)
    axes.grid(visible=False, axis="x")
    for border in range(1, len(depths)):
        axes.axvline(border - 0.5, color=LIGHT, linewidth=0.6)


def _limit(panels: Iterable["Axes"], groups: Sequence[Groups]) -> None:
    """Keep all values and all intervals that are drawn in sight, in both panels."""
    drawn = np.concatenate([_intervals(found).ravel() for found in groups])
    if not np.isfinite(drawn).any():
        return
    low, high = float(np.nanmin(drawn)), float(np.nanmax(drawn))
    margin = max(0.06 * (high - low), 0.01)
    for axes in panels:
        axes.set_ylim(low - margin, high + margin)


def _intervals(groups: Groups) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Take values and the ends of their intervals, of those of pairs enough."""
    value, *ends = (_numbers(groups, key) for key in ("value", "low", "high"))
    enough = np.array([group["n_pairs"] >= FEWEST_PAIRS for group in groups])
    return np.stack([value, *(np.where(enough, end, np.nan) for end in ends)])


def _numbers(groups: Groups, key: str) -> "np.ndarray[Any, np.dtype[np.float64]]":
    return np.array([np.nan if g[key] is None else g[key] for g in groups], float)


def _depth_name(group: Mapping[str, Any]) -> str:
    n_pairs = f"{group['n_pairs']:,} pairs" if group["n_pairs"] else "no pairs"
    return f"{group['depth']}\n{n_pairs}"


def _draw_bias(axes: "Axes", groups: Groups | None) -> None:
    if not groups:
        return
    places = np.arange(len(groups))
    axes.hlines(
        _numbers(groups, "value"),
        places - 0.46,
        places + 0.46,
        color=ACCENT,
        linestyle="--",
        linewidth=1.3,
        label=BIAS_BASELINE,
    )
