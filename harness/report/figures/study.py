"""Figures of a study: its course, its folds, and what mattered."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.formatting import setting
from harness.report.figures.style import (
    ACCENT,
    DARK,
    LIGHT,
    MEDIUM,
    figure_style,
    save_figure,
)
from harness.search.pruners import paired_values
from harness.search.records import StudyRecord, TrialRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_slices"]


RMSE_LABEL = "RMSE in stars"


@dataclass(frozen=True, slots=True)
class _Look:
    """How trials of one kind are drawn; shapes differ, so that print needs no colour."""

    label: str
    marker: str
    size: float
    face: str
    edge: str


_COMPLETE = _Look("complete", "o", 38, DARK, "white")
_PRUNED = _Look("pruned (estimate)", "o", 17, "none", MEDIUM)
_FAILED = _Look("failed", "x", 26, ACCENT, ACCENT)
_BEST = _Look("best", "*", 190, ACCENT, "white")
_BEYOND = _Look("above the figure", "^", 24, LIGHT, DARK)


def _scatter(axes: "Axes", x: list[Any], y: list[float], look: _Look) -> None:
    if not x:
        return
    # A cross has no face, and matplotlib warns about the edge of one.
    colours = (
        {"color": look.edge}
        if look.marker == "x"
        else {"facecolors": look.face, "edgecolors": look.edge}
    )
    axes.scatter(
        x,
        y,
        s=look.size,
        marker=look.marker,
        label=look.label,
        linewidths=0.9,
        zorder=4 if look is _BEST else 3,
        clip_on=False,
        **colours,  # type: ignore[arg-type]
    )


@dataclass(frozen=True)
class TrialMarks:
    """Values of the trials, and the part of the axis that is worth showing.

    Parameters
    ----------
    values : mapping of int to float
        Number of a trial to its value, or its `paired_values`, in stars of RMSE.
    low, high : float
        Ends of the part shown; trials above it are marked at its upper end.
    """

    values: Mapping[int, float]
    low: float
    high: float

    @classmethod
    def of(cls, study: StudyRecord) -> "TrialMarks":
        """Find the values of a study, and the part of the axis."""
        values = paired_values(study)
        known = np.array(list(values.values()) or [0.0])
        low = float(known.min())
        # A few hopeless trials would press all others onto one line.
        usual = float(np.quantile(known, 0.9))
        high = min(float(known.max()), low + 1.6 * max(usual - low, 1e-4))
        first = values.get(0, low)
        high = max(high, first) if first < low + 3 * (high - low) else high
        margin = max(0.06 * (high - low), 1e-3)
        return cls(values, low - margin, high + margin)

    def draw(self, axes: "Axes", study: StudyRecord, x: Mapping[int, Any]) -> None:
        """Draw the trials that have a place, the best one last."""
        best = study.best
        for look, state in ((_PRUNED, "pruned"), (_COMPLETE, "complete")):
            numbers = [
                t.number
                for t in study.trials
                if t.state == state
                and t.number in x
                and self.values.get(t.number, math.inf) <= self.high
                and t is not best
            ]
            _scatter(
                axes, [x[n] for n in numbers], [self.values[n] for n in numbers], look
            )
        beyond = [n for n, v in self.values.items() if v > self.high and n in x]
        _scatter(axes, [x[n] for n in beyond], [self.high] * len(beyond), _BEYOND)
        failed = [t.number for t in study.trials if t.state == "failed"]
        failed = [number for number in failed if number in x]
        _scatter(axes, [x[n] for n in failed], [self.high] * len(failed), _FAILED)
        if best is not None and best.number in x:
            _scatter(axes, [x[best.number]], [self.values[best.number]], _BEST)
        room = 0.04 * (self.high - self.low)
        axes.set_ylim(self.low - room, self.high + room)


N_RACED = 8
_FOLD_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")


def draw_history(study: StudyRecord, path: Path) -> Path:
    """Draw the value of each trial, and the best so far."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    marks = TrialMarks.of(study)
    with figure_style():
        figure = Figure(figsize=(8, 3.8), layout="constrained")
        axes = figure.add_subplot()
        numbers, best = _best_so_far(study)
        axes.step(
            numbers, best, where="post", color=DARK, linewidth=1.4, label="best so far"
        )
        marks.draw(axes, study, {t.number: t.number for t in study.trials})
        axes.set_xlim(-0.5, max(t.number for t in study.trials) + 0.5)
        axes.set_xlabel("trial")
        axes.set_ylabel(RMSE_LABEL)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.legend(loc="outside upper center", ncols=6)
        return save_figure(figure, path)


def _best_so_far(study: StudyRecord) -> tuple[list[int], list[float]]:
    numbers: list[int] = []
    best: list[float] = []
    for trial in study.trials:
        if trial.state == "complete" and trial.value is not None:
            numbers.append(trial.number)
            best.append(min(trial.value, best[-1] if best else math.inf))
    # The last level holds until the last trial.
    return [*numbers, study.trials[-1].number], [*best, best[-1]]


def draw_folds(study: StudyRecord, path: Path) -> Path:
    """Draw the fold values of the best trials beside those of the initial settings."""
    from matplotlib.figure import Figure

    shown = _raced(study)
    with figure_style():
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        axes = figure.add_subplot()
        places = list(range(len(shown)))
        for fold in range(max(len(t.fold_values) for t in shown)):
            line = [
                t.fold_values[fold] if fold < len(t.fold_values) else math.nan
                for t in shown
            ]
            axes.plot(
                places,
                line,
                color=MEDIUM,
                linewidth=0.8,
                marker=_FOLD_MARKERS[fold % len(_FOLD_MARKERS)],
                markersize=5,
                markerfacecolor="white",
                markeredgecolor=DARK,
                label=f"fold {fold + 1}",
            )
        means = [t.value if t.value is not None else math.nan for t in shown]
        axes.scatter(
            places,
            means,
            marker="_",
            s=420,
            color=ACCENT,
            linewidths=2,
            label="mean",
            zorder=4,
        )
        axes.set_xticks(places, [_name_of(t, study) for t in shown])
        axes.set_ylabel(RMSE_LABEL)
        axes.margins(x=0.08)
        figure.legend(loc="outside upper center", ncols=6)
        return save_figure(figure, path)


def _raced(study: StudyRecord) -> list[TrialRecord]:
    complete = [t for t in study.trials if t.state == "complete" and t.fold_values]
    best = sorted(complete, key=lambda t: (t.value, t.number))[:N_RACED]
    initial = [t for t in complete if t.number == 0 and t not in best]
    return [*best, *initial]


def _name_of(trial: TrialRecord, study: StudyRecord) -> str:
    name = f"#{trial.number}"
    if trial is study.best:
        return f"{name}\nbest"
    return f"{name}\ninitial" if trial.number == 0 else name


def draw_importance(importance: Mapping[str, float], path: Path) -> Path:
    """Draw how the variance of the objective is shared among the hyperparameters."""
    from matplotlib.figure import Figure

    names, shares = list(importance), list(importance.values())
    with figure_style():
        size = (8, 0.8 + 0.32 * len(names))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        bars = axes.barh(range(len(names)), shares, color=DARK, height=0.62)
        axes.bar_label(bars, [f"{share:.0%}" for share in shares], padding=4)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0, 1.08 * max(shares))
        axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        axes.set_xlabel("share of the variance of the RMSE over the trials")
        return save_figure(figure, path)


_COLUMNS = 3


def draw_slices(study: StudyRecord, path: Path) -> Path | None:
    """Draw the value of the trials against each hyperparameter that was searched."""
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
