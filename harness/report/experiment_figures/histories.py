"""Tuning effort: what the search found, and what so many trials were expected to find."""

from pathlib import Path
from typing import TYPE_CHECKING

from harness.experiment.effort import best_so_far, expected_curve, still_falling
from harness.experiment.record import ExperimentRecord
from harness.report.experiment_figures.looks import display_name
from harness.report.experiment_figures.panels import make_panels
from harness.report.style import ACCENT, DARK, MEDIUM, figure_style, save_figure
from harness.search.records import StudyRecord

if TYPE_CHECKING:  # drawing takes half a second to import
    from matplotlib.axes import Axes

__all__ = ["draw_histories"]

# By then the expected best of a space with many bad corners has come down.
_SETTLED = 5


def draw_histories(record: ExperimentRecord, path: Path) -> bool:
    """Draw the best value so far of every family, and the expected best, against trials.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    path : Path
        PNG to write.

    Returns
    -------
    bool
        False, and no file, if no study has two complete trials.
    """
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
