"""Figures of searches: their course, their folds, and what mattered."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.evaluation.metrics import Metric
from harness.evaluation.objectives import measure_of
from harness.experiment.convergence import best_so_far, expected_curve, still_falling
from harness.experiment.results import ExperimentRecord
from harness.formatting import percent, setting, unit_of_scale
from harness.report.figures.candidates import display_name
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
from harness.search.distributions import Categorical, Distribution, ends_of, is_log
from harness.search.importance import dominating_choice, param_importance
from harness.search.pruners import paired_values
from harness.search.records import StudyRecord, TrialRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "BELOW",
    "BEYOND",
    "INFEASIBLE",
    "Look",
    "draw_folds",
    "draw_histories",
    "draw_importance",
    "draw_slices",
    "drawable",
    "name_of_objective",
    "scatter",
]


def name_of_objective(metric: Metric, unit: str, where: str = "") -> str:
    """Name the objective for an axis, with its unit if it has that of the ratings."""
    measure = measure_of(metric)
    if measure.unit != "rating":
        return f"{measure.label}{where}"
    return f"{measure.label}{where}{',' if where else ''} in {unit}"


def drawable(study: StudyRecord) -> bool:
    """Say whether there are trials enough to compare: one makes no figure."""
    n_scored = sum(bool(trial.fold_values) for trial in study.trials)
    return study.best is not None and n_scored > 1


@dataclass(frozen=True, slots=True)
class Look:
    """How trials of one kind are drawn; shapes differ, so that print needs no colour."""

    label: str
    marker: str
    size: float
    face: str
    edge: str


_COMPLETE = Look("complete", "o", 38, DARK, "white")
_PRUNED = Look("pruned (estimate)", "o", 17, "none", MEDIUM)
INFEASIBLE = Look("infeasible", "s", 24, "none", ACCENT)
_FAILED = Look("failed", "x", 26, ACCENT, ACCENT)
_BEST = Look("best", "*", 190, ACCENT, "white")
BEYOND = Look("above the figure", "^", 24, LIGHT, DARK)
BELOW = Look("below the figure", "v", 24, LIGHT, DARK)


def scatter(axes: "Axes", x: list[Any], y: list[float], look: Look) -> None:
    """Draw trials of one kind, if there are any."""
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
    """Values of the trials, and the part of the axis that is worth showing."""

    # Number of a trial to its value, or its paired_values.
    values: Mapping[int, float]
    # Ends of the part shown; trials beyond its bad end are marked there.
    best: float
    worst: float
    # 1 where less is better, else -1.
    sign: float = 1.0

    @classmethod
    def of(cls, study: StudyRecord) -> "TrialMarks":
        """Find the values of a study, and the part of the axis."""
        values, sign = paired_values(study), study.metric.sign
        known = sign * np.array(list(values.values()) or [0.0])
        low = float(known.min())
        # A few hopeless trials would press all others onto one line.
        usual = float(np.quantile(known, 0.9))
        high = min(float(known.max()), low + 1.6 * max(usual - low, 1e-4))
        first = sign * values[0] if 0 in values else low
        high = max(high, first) if first < low + 3 * (high - low) else high
        margin = max(0.06 * (high - low), 1e-3)
        return cls(values, sign * (low - margin), sign * (high + margin), sign)

    def _is_beyond(self, number: int) -> bool:
        return self.sign * (self.values.get(number, math.inf) - self.worst) > 0

    def draw(self, axes: "Axes", study: StudyRecord, x: Mapping[int, Any]) -> None:
        """Draw the trials that have a place, the best one last."""
        best = study.best
        looks = (
            (_PRUNED, "pruned", True),
            (_COMPLETE, "complete", True),
            (INFEASIBLE, "complete", False),
        )
        for look, state, is_feasible in looks:
            numbers = [
                t.number
                for t in study.trials
                if t.state == state
                and (t.is_feasible or state == "pruned") is is_feasible
                and t.number in x
                and t.number in self.values
                and not self._is_beyond(t.number)
                and t is not best
            ]
            scatter(
                axes, [x[n] for n in numbers], [self.values[n] for n in numbers], look
            )
        beyond = [n for n in self.values if self._is_beyond(n) and n in x]
        look = BEYOND if self.sign > 0 else BELOW
        scatter(axes, [x[n] for n in beyond], [self.worst] * len(beyond), look)
        failed = [t.number for t in study.trials if t.state == "failed"]
        failed = [number for number in failed if number in x]
        scatter(axes, [x[n] for n in failed], [self.worst] * len(failed), _FAILED)
        if best is not None and best.number in x:
            scatter(axes, [x[best.number]], [self.values[best.number]], _BEST)
        low, high = sorted((self.best, self.worst))
        room = 0.04 * (high - low)
        axes.set_ylim(low - room, high + room)


# By then the expected best of a space with many bad corners has come down.
_SETTLED = 5


def draw_histories(record: ExperimentRecord, path: Path) -> bool:
    """Draw the best value so far of every family, and the expected best, against trials.

    Of a single family there is room for every trial.
    """
    studies = {
        candidate: study
        for candidate, study in record.studies.items()
        if len(best_so_far(study)) > 1
    }
    if not studies:
        return False
    n_columns = 2 if len(studies) <= 4 else 3
    unit = unit_of_scale(record.dataset.scale)
    with figure_style():
        if len(studies) == 1:
            [study] = studies.values()
            figure, panels = make_panels([3.8], n_columns=1)
            _draw_trials(panels[0], study)
            where = f" {study.settings.scored_on}"
            panels[0].set_ylabel(name_of_objective(record.metric, unit, where))
        else:
            figure, panels = make_panels([2.3] * len(studies), n_columns=n_columns)
            for place, (candidate, study) in enumerate(studies.items()):
                axes = panels[place]
                _draw_study(axes, study)
                axes.set_title(display_name(record, candidate, width=26), fontsize=10)
                if place % n_columns == 0:
                    axes.set_ylabel(
                        f"{measure_of(record.metric).label} {study.settings.scored_on}"
                    )
                if place >= len(studies) - n_columns:
                    axes.set_xlabel("trials")
        share_legend(figure, n_columns=2 if len(studies) > 1 else 6)
        save_figure(figure, path)
    return True


def _draw_trials(axes: "Axes", study: StudyRecord) -> None:
    """Draw the value of each trial of one search, and the best so far."""
    from matplotlib.ticker import MaxNLocator

    curve = best_so_far(study)
    last = max(trial.number for trial in study.trials)
    axes.step(
        [*(number for number, _ in curve), last],
        [*(value for _, value in curve), curve[-1][1]],
        where="post",
        color=DARK,
        linewidth=1.4,
        label="best so far",
    )
    if still_falling(study):
        _flag(axes)
    TrialMarks.of(study).draw(axes, study, {t.number: t.number for t in study.trials})
    axes.set_xlim(-0.5, last + 0.5)
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _draw_study(axes: "Axes", study: StudyRecord) -> None:
    # The trial with number n is the (n + 1)-th.
    curve = [(number + 1, value) for number, value in best_so_far(study)]
    n_trials = max(trial.number for trial in study.trials) + 1
    curve.append((n_trials, curve[-1][1]))
    expected = expected_curve(study)
    axes.plot(
        [n for n, _ in expected],
        [value for _, value in expected],
        color=MEDIUM,
        linestyle="--",
        linewidth=1.3,
        label="expected best of so many trials in random order",
    )
    axes.step(
        [n for n, _ in curve],
        [value for _, value in curve],
        where="post",
        color=DARK,
        linewidth=1.6,
        label="best so far",
    )
    if still_falling(study):
        _flag(axes)
    settled = expected[min(_SETTLED, len(expected)) - 1][1]
    ends = (curve[-1][1], curve[0][1], settled)
    low, high = min(ends), max(ends)
    room = max(0.08 * (high - low), 2e-4)
    axes.set_ylim(low - room, high + room)
    axes.set_xlim(0.5 if n_trials < 20 else 0, 1.02 * n_trials)
    _set_ticks(axes)


def _set_ticks(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))


def _flag(axes: "Axes") -> None:
    axes.text(
        0.97,
        0.93,
        "not converged",
        transform=axes.transAxes,
        horizontalalignment="right",
        verticalalignment="top",
        color=ACCENT,
        fontweight="bold",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
    )


_MOST_PARAMETERS = 8
_LEAST_SHARE = 0.005


def draw_importance(record: ExperimentRecord, path: Path) -> bool:
    """Draw how the variance of the objective is shared among the hyperparameters.

    Where one choice dominates, a second panel shows the shares among the trials that
    have made it as the best trial has.
    """
    shares = [
        (title, _worth_a_bar(found))
        for candidate, study in record.studies.items()
        for title, found in _shares(display_name(record, candidate, width=34), study)
    ]
    if not shares:
        return False
    sizes = [len(found) for _, found in shares]
    with figure_style():
        figure, panels = make_panels([0.9 + 0.26 * n for n in sizes], n_columns=2)
        for place, (title, found) in enumerate(shares):
            axes, row = panels[place], place - place % 2
            _draw_shares(axes, found)
            # Bars in a row are equally thick.
            axes.set_ylim(max(sizes[row : row + 2]) - 0.5, -0.5)
            axes.set_title(title, fontsize=10)
        objective = measure_of(record.metric).label
        figure.supxlabel(
            f"share of the variance of the {objective} over the trials", size=10
        )
        save_figure(figure, path)
    return True


def _shares(name: str, study: StudyRecord) -> Iterator[tuple[str, dict[str, float]]]:
    """Work out the shares among all trials, and where one choice hides the rest, in it."""
    everywhere = param_importance(study)
    if not everywhere:
        return
    yield name, everywhere
    given = dominating_choice(study, everywhere)
    within = param_importance(study, given=given) if given else {}
    if within:
        made = ", ".join(f"{key} = {setting(value)}" for key, value in given.items())
        yield f"{name}\nof trials with {made}", within


def _worth_a_bar(shares: Mapping[str, float]) -> dict[str, float]:
    """Leave out what would be 0 %, and all but the most important."""
    shown = {name: share for name, share in shares.items() if share >= _LEAST_SHARE}
    return dict(list(shown.items())[:_MOST_PARAMETERS])


def _draw_shares(axes: "Axes", shares: Mapping[str, float]) -> None:
    names, values = list(shares), list(shares.values())
    bars = axes.barh(range(len(names)), values, color=DARK, height=0.62)
    labels = [percent(value) for value in values]
    axes.bar_label(bars, labels, padding=3, fontsize=8.5)
    axes.set_yticks(range(len(names)), names, fontsize=8.5)
    axes.grid(visible=False, axis="y")
    # The same scale for all: families can be compared.
    axes.set_xlim(0, 1.15)
    axes.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])


N_RACED = 8
_FOLD_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")


def draw_folds(study: StudyRecord, path: Path, *, unit: str) -> bool:
    """Draw the fold values of the best trials beside those of the initial settings."""
    from matplotlib.figure import Figure

    # There is nothing to see of one fold but the values themselves.
    shown = _raced(study) if study.settings.n_held_out > 1 else []
    if not shown:
        return False
    with figure_style():
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        axes = figure.add_subplot()
        _draw_fold_values(axes, shown)
        axes.set_xticks(range(len(shown)), [_name_of(t, study) for t in shown])
        axes.set_ylabel(name_of_objective(study.metric, unit))
        axes.margins(x=0.08)
        figure.legend(loc="outside upper center", ncols=6)
        save_figure(figure, path)
    return True


def _draw_fold_values(axes: "Axes", trials: list[TrialRecord]) -> None:
    places = range(len(trials))
    for fold in range(max(len(t.fold_values) for t in trials)):
        line = [
            t.fold_values[fold] if fold < len(t.fold_values) else math.nan
            for t in trials
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
    means = [math.nan if t.value is None else t.value for t in trials]
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


def _raced(study: StudyRecord) -> list[TrialRecord]:
    complete = [t for t in study.ranked if t.fold_values]
    best = complete[:N_RACED]
    initial = [t for t in complete if t.number == 0 and t not in best]
    return [*best, *initial]


def _name_of(trial: TrialRecord, study: StudyRecord) -> str:
    name = f"#{trial.number}"
    if trial is study.best:
        return f"{name}\nbest"
    return f"{name}\ninitial" if trial.number == 0 else name


_COLUMNS = 3


def draw_slices(study: StudyRecord, path: Path, *, unit: str) -> bool:
    """Draw the value of the trials against each hyperparameter that was searched."""
    from matplotlib.figure import Figure

    searched = {n: d for n, d in study.space.items() if _has_choice(d)}
    if not searched:
        return False
    marks = TrialMarks.of(study)
    n_rows = math.ceil(len(searched) / _COLUMNS)
    with figure_style():
        size = (8.6, 0.5 + 2.2 * n_rows)
        figure = Figure(figsize=size, layout="constrained")
        for place, (name, distribution) in enumerate(searched.items()):
            axes = figure.add_subplot(n_rows, _COLUMNS, place + 1)
            _draw_slice(axes, study, marks, (name, distribution))
            if place % _COLUMNS == 0:
                axes.set_ylabel(name_of_objective(study.metric, unit))
            else:
                axes.tick_params(labelleft=False)
        share_legend(figure, n_columns=6)
        save_figure(figure, path)
    return True


def _has_choice(distribution: Distribution) -> bool:
    if isinstance(distribution, Categorical):
        return len(distribution.choices) > 1
    ends = ends_of(distribution)
    return ends is not None and ends[0] < ends[1]


def _draw_slice(
    axes: "Axes",
    study: StudyRecord,
    marks: TrialMarks,
    parameter: tuple[str, Distribution],
) -> None:
    name, distribution = parameter
    values = {t.number: t.params[name] for t in study.trials if name in t.params}
    axes.set_xlabel(name)
    if isinstance(distribution, Categorical):
        choices = list(distribution.choices)
        values = {
            n: choices.index(v) + _aside(n) for n, v in values.items() if v in choices
        }
        labels = [setting(choice).replace("_", "_\n") for choice in choices]
        axes.set_xticks(range(len(choices)), labels)
        axes.set_xlim(-0.5, len(choices) - 0.5)
    elif (ends := ends_of(distribution)) is not None:
        low, high = ends
        if is_log(distribution):
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
