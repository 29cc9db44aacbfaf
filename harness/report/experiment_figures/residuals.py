"""Errors of the family chosen: by what users gave, and by what was predicted."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.experiment.decision import decide
from harness.experiment.record import ExperimentRecord
from harness.report.style import ACCENT, DARK, LIGHT, MEDIUM, figure_style, save_figure

if TYPE_CHECKING:  # drawing takes half a second to import
    from matplotlib.axes import Axes

__all__ = ["draw_residuals"]

_MANY = 6


def draw_residuals(record: ExperimentRecord, path: Path) -> bool:
    """Draw the errors of the family chosen by star, and its calibration.

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
    decision = decide(record)
    model = record.model(decision.winner) if decision else None
    residuals: Mapping[str, Any] = (model or {}).get("residuals") or {}
    if not residuals.get("by_star") or not residuals.get("calibration"):
        return False
    from matplotlib.figure import Figure

    with figure_style():
        figure = Figure(figsize=(8, 3.7), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
        _draw_by_star(left, residuals["by_star"])
        _draw_calibration(right, residuals["calibration"])
        save_figure(figure, path)
    return True


def _draw_by_star(axes: "Axes", groups: Sequence[Mapping[str, Any]]) -> None:
    places = range(len(groups))
    errors = [g["mean_error"] for g in groups]
    axes.bar(places, errors, color=LIGHT, edgecolor=DARK, width=0.7, label="mean error")
    axes.plot(
        places,
        [g["rmse"] for g in groups],
        color=ACCENT,
        marker="D",
        markersize=5,
        linewidth=1,
        label="RMSE",
    )
    axes.axhline(0, color=DARK, linewidth=0.8)
    total = sum(g["n"] for g in groups)
    names = [f"{g['star']:g}\n{g['n'] / total:.0%}" for g in groups]
    axes.set_xticks(places, names)
    axes.set_xlabel("stars given (below: share of the test ratings)")
    if len(groups) > _MANY:
        axes.tick_params(axis="x", labelsize=8)
    axes.set_ylabel("prediction minus rating, in stars")
    axes.set_title("By star")
    axes.grid(visible=False, axis="x")
    axes.legend(loc="best")


def _draw_calibration(axes: "Axes", groups: Sequence[Mapping[str, Any]]) -> None:
    predicted = [g["predicted"] for g in groups]
    actual = [g["actual"] for g in groups]
    ends = min(predicted + actual), max(predicted + actual)
    room = 0.06 * (ends[1] - ends[0]) or 0.1
    low, high = ends[0] - room, ends[1] + room
    axes.plot(
        (low, high),
        (low, high),
        color=MEDIUM,
        linestyle="--",
        linewidth=1.2,
        label="prediction = rating",
    )
    axes.plot(
        predicted,
        actual,
        color=DARK,
        marker="o",
        markersize=5.5,
        linewidth=1,
        label=f"groups of about {groups[0]['n']:,}",
    )
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set_xlabel("mean prediction, in stars")
    axes.set_ylabel("mean rating, in stars")
    axes.set_title("Calibration")
    axes.legend(loc="upper left")
