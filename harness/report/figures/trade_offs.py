"""Figure of Pareto fronts: the trials of searches by their objectives."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.evaluation.metrics import Metric
from harness.evaluation.objectives import measure_of
from harness.evaluation.requirements import COSTS_OF_A_TRIAL
from harness.experiment.front import Front
from harness.experiment.results import ExperimentRecord
from harness.formatting import unit_of_scale
from harness.report.figures.candidates import display_name
from harness.report.figures.search import (
    BELOW,
    BEYOND,
    INFEASIBLE,
    Look,
    name_of_objective,
    scatter,
)
from harness.report.figures.style import (
    ACCENT,
    DARK,
    LIGHT,
    MEDIUM,
    figure_style,
    make_panels,
    save_figure,
    share_legend,
)
from harness.search.records import StudyRecord, TrialRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_fronts"]


def draw_fronts(record: ExperimentRecord, path: Path) -> bool:
    """Draw the trials by their first objective and each other one, and the Pareto front."""
    panels_of = [
        (candidate, front, place)
        for candidate, front in record.fronts.items()
        for place in range(1, len(front.objectives))
        if len(record.studies[candidate].ranked) > 1
    ]
    if not panels_of:
        return False
    n_columns = 1 if len(panels_of) == 1 else 2
    unit = unit_of_scale(record.dataset.scale)
    with figure_style():
        height = 3.8 if n_columns == 1 else 3.0
        figure, panels = make_panels([height] * len(panels_of), n_columns=n_columns)
        for axes, (candidate, front, place) in zip(panels, panels_of, strict=False):
            _draw_front(axes, record.studies[candidate], front, place)
            axes.set_ylabel(name_of_objective(front.objectives[0], unit))
            axes.set_xlabel(_name_on_axis(front.objectives[place], unit))
            if not record.is_study:
                axes.set_title(display_name(record, candidate, width=26), fontsize=10)
        share_legend(figure, n_columns=6)
        save_figure(figure, path)
    return True


def _draw_front(axes: "Axes", study: StudyRecord, front: Front, place: int) -> None:
    """Draw the trials by two objectives; what all panels have in common is the first one."""
    on_front = {point.trial for point in front.points}
    looks = {
        "no": Look("complete", "o", 22, "none", MEDIUM),
        "infeasible": INFEASIBLE,
        "yes": Look("on the front", "o", 42, DARK, "white"),
        "picked": Look("picked", "*", 220, ACCENT, "white"),
        "beyond": BEYOND if front.objectives[0].sign > 0 else BELOW,
    }
    complete = [trial for trial in study.trials if trial.value is not None]
    limit = _set_first_axis(axes, complete, front)
    points: dict[str, list[tuple[float, float]]] = {kind: [] for kind in looks}
    for trial in complete:
        assert trial.value is not None
        is_on = "yes" if trial.number in on_front else "no"
        kind = "picked" if trial.number == front.picked else is_on
        kind, y = kind if trial.is_feasible else "infeasible", trial.value
        if front.objectives[0].sign * (y - limit) > 0:
            kind, y = "beyond", limit
        points[kind].append((trial.more_values[place - 1], y))
    if len(front.objectives) == 2:
        _draw_staircase(axes, front)
    for kind, look in looks.items():
        scatter(axes, [x for x, _ in points[kind]], [y for _, y in points[kind]], look)
    _set_other_axis(
        axes, front.objectives[place], [t.more_values[place - 1] for t in complete]
    )


def _draw_staircase(axes: "Axes", front: Front) -> None:
    """Join the points of a front of two objectives: all beyond the line is dominated."""
    ends = sorted((point.compared[1], point.compared[0]) for point in front.points)
    # From the left a minimum holds until the next point, a maximum from the one before.
    is_low = front.objectives[1].direction == "minimize"
    axes.step(
        [x for x, _ in ends],
        [y for _, y in ends],
        where="post" if is_low else "pre",
        color=DARK,
        linewidth=1.1,
        zorder=2,
    )
    band = front.margins[0].amount
    best = front.points[0].compared[0]
    if band and len(front.points) > 1:
        worst = best + front.objectives[0].sign * band
        axes.axhspan(
            *sorted((best, worst)), color=LIGHT, alpha=0.5, zorder=0, label="margin"
        )


def _set_first_axis(axes: "Axes", complete: list[TrialRecord], front: Front) -> float:
    """Show the front and most trials; hopeless ones are beyond the limit that it gives."""
    sign = front.objectives[0].sign
    losses = sign * np.array([trial.value for trial in complete], dtype=np.float64)
    of_front = sign * np.array([point.compared[0] for point in front.points])
    low = float(losses.min())
    high = max(float(np.quantile(losses, 0.9)), float(of_front.max()))
    room = 0.08 * (high - low) or 1e-3
    axes.set_ylim(*sorted((sign * (low - room), sign * (high + room))))
    return sign * (high + room)


def _set_other_axis(axes: "Axes", metric: Metric, values: list[float]) -> None:
    """Write costs with their units."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    if metric.name not in COSTS_OF_A_TRIAL:
        return
    low, high = min(values), max(values)
    if 0 < low * _DECADE < high:
        axes.set_xscale("log")
    elif high < _ALIKE * low:
        # What differs by less than anybody would notice must not look far apart.
        axes.set_xlim(low / _ALIKE, high * _ALIKE)
    axes.xaxis.set_major_formatter(lambda x, _: measure_of(metric).format(x))
    axes.xaxis.set_minor_formatter(lambda *_: "")


# Costs that differ by more than this factor are drawn on a logarithmic scale.
_DECADE = 10.0
_ALIKE = 1.1


def _name_on_axis(metric: Metric, unit: str) -> str:
    """Name an objective; costs have their unit at the ticks."""
    if metric.name in COSTS_OF_A_TRIAL:
        return measure_of(metric).label
    return name_of_objective(metric, unit)
