"""Figures of searches: their course, and what mattered."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.experiment.convergence import best_so_far, expected_curve, still_falling
from harness.experiment.results import ExperimentRecord
from harness.formatting import setting
from harness.report.figures.candidates import display_name
from harness.report.figures.style import (
    ACCENT,
    DARK,
    MEDIUM,
    figure_style,
    make_panels,
    save_figure,
)
from harness.search.importance import dominating_choice, param_importance
from harness.search.records import StudyRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_histories", "draw_importance"]


# By then the expected best of a space with many bad corners has come down.
_SETTLED = 5


def draw_histories(record: ExperimentRecord, path: Path) -> bool:
    """Draw the best value so far of every family, and the expected best, against trials."""
    studies = {
        candidate: study
        for candidate, study in record.studies.items()
        if len(best_so_far(study)) > 1
    }
    if not studies:
        return False
    n_columns = 2 if len(studies) <= 4 else 3
    with figure_style():
        figure, panels = make_panels([2.3] * len(studies), n_columns=n_columns)
        for place, (candidate, study) in enumerate(studies.items()):
            axes = panels[place]
            _draw_study(axes, study)
            axes.set_title(display_name(record, candidate, width=26), fontsize=10)
            if place % n_columns == 0:
                axes.set_ylabel("RMSE over the folds")
            if place >= len(studies) - n_columns:
                axes.set_xlabel("trials")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2)
        save_figure(figure, path)
    return True


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
    low = curve[-1][1]
    high = max(curve[0][1], expected[min(_SETTLED, len(expected)) - 1][1])
    room = max(0.08 * (high - low), 2e-4)
    axes.set_ylim(low - room, high + room)
    axes.set_xlim(0.5 if n_trials < 20 else 0, 1.02 * n_trials)
    _set_ticks(axes)


def _set_ticks(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.ticklabel_format(axis="y", useOffset=False)


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
    )


_MOST_PARAMETERS = 8


def draw_importance(record: ExperimentRecord, path: Path) -> bool:
    """Draw how the variance of the objective is shared among the hyperparameters.

    Where one choice dominates, a second panel shows the shares among the trials that
    have made it as the best trial has.
    """
    shares = [
        (title, dict(list(found.items())[:_MOST_PARAMETERS]))
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
        figure.supxlabel("share of the variance of the RMSE over the trials", size=10)
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


def _draw_shares(axes: "Axes", shares: Mapping[str, float]) -> None:
    names, values = list(shares), list(shares.values())
    bars = axes.barh(range(len(names)), values, color=DARK, height=0.62)
    labels = [f"{value:.0%}" for value in values]
    axes.bar_label(bars, labels, padding=3, fontsize=8.5)
    axes.set_yticks(range(len(names)), names, fontsize=8.5)
    axes.grid(visible=False, axis="y")
    # The same scale for all: families can be compared.
    axes.set_xlim(0, 1.15)
    axes.set_xticks([0, 0.5, 1], ["0%", "50%", "100%"])
