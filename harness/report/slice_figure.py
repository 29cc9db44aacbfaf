"""Small multiples: the value of the trials against each hyperparameter."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.report.digits import setting
from harness.report.style import figure_style, save_figure
from harness.report.trial_marks import RMSE_LABEL, TrialMarks
from harness.search.records import StudyRecord

if TYPE_CHECKING:  # drawing takes half a second to import
    from matplotlib.axes import Axes

__all__ = ["draw_slices"]

_COLUMNS = 3


def draw_slices(study: StudyRecord, path: Path) -> Path | None:
    """Draw the value of the trials against each hyperparameter that was searched.

    Parameters
    ----------
    study : StudyRecord
        A study with a complete trial.
    path : Path
        PNG to write.

    Returns
    -------
    Path or None
        `path`; None if nothing was searched.
    """
    from matplotlib.figure import Figure

    space: Mapping[str, Any] = study.settings["space"]
    searched = {n: d for n, d in space.items() if _has_choice(d)}
    if not searched:
        return None
    marks = TrialMarks.of(study)
    n_rows = math.ceil(len(searched) / _COLUMNS)
    with figure_style():
        size = (8.6, 0.5 + 2.2 * n_rows)
        figure = Figure(figsize=size, layout="constrained")
        for place, (name, distribution) in enumerate(searched.items()):
            axes = figure.add_subplot(n_rows, _COLUMNS, place + 1)
            _draw_slice(axes, study, marks, (name, distribution))
            if place % _COLUMNS == 0:
                axes.set_ylabel(RMSE_LABEL)
            else:
                axes.tick_params(labelleft=False)
        found = {
            label: handle
            for axes in figure.axes
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(found.values(), found.keys(), loc="outside upper center", ncols=6)
        return save_figure(figure, path)


def _has_choice(distribution: Mapping[str, Any]) -> bool:
    if distribution["type"] == "categorical":
        return len(distribution["choices"]) > 1
    return "high" in distribution and distribution.get("low", 1) < distribution["high"]


def _draw_slice(
    axes: "Axes",
    study: StudyRecord,
    marks: TrialMarks,
    parameter: tuple[str, Mapping[str, Any]],
) -> None:
    name, distribution = parameter
    values = {t.number: t.params[name] for t in study.trials if name in t.params}
    axes.set_xlabel(name)
    if distribution["type"] == "categorical":
        choices = list(distribution["choices"])
        values = {
            n: choices.index(v) + _aside(n) for n, v in values.items() if v in choices
        }
        labels = [setting(choice).replace("_", "_\n") for choice in choices]
        axes.set_xticks(range(len(choices)), labels)
        axes.set_xlim(-0.5, len(choices) - 0.5)
    else:
        low, high = distribution.get("low", 1), distribution["high"]
        if distribution.get("log"):
            _set_log_axis(axes, (low, high))
        _set_limits(axes, low, high)
    marks.draw(axes, study, values)


def _aside(number: int) -> float:
    """Spread the trials of one choice, evenly and the same way each time."""
    return 0.36 * (number * 0.618034 % 1 - 0.5)


def _set_log_axis(axes: "Axes", ends: tuple[float, float]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    # 0.002 rather than 2 x 10^-3: the settings are written so everywhere else.
    low, high = ends
    few = math.log10(high / low) > 1.5
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if few else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _set_limits(axes: "Axes", low: float, high: float) -> None:
    if axes.get_xscale() == "log":
        margin = (high / low) ** 0.04
        axes.set_xlim(low / margin, high * margin)
    else:
        margin = 0.04 * (high - low)
        axes.set_xlim(low - margin, high + margin)
    # The ends of the range: a best value near one of them asks for a wider range.
    for end in (low, high):
        axes.axvline(end, color="#999999", linewidth=0.8, linestyle=(0, (2, 2)))
