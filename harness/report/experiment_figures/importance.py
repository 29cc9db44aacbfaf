"""Which hyperparameters mattered, for every family."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.experiment.record import ExperimentRecord
from harness.report.digits import setting
from harness.report.experiment_figures.looks import display_name
from harness.report.experiment_figures.panels import make_panels
from harness.report.style import DARK, figure_style, save_figure
from harness.search.importance import dominating_choice, param_importance
from harness.search.records import StudyRecord

if TYPE_CHECKING:  # drawing takes half a second to import
    from matplotlib.axes import Axes

__all__ = ["draw_importance"]

_MOST_PARAMETERS = 8


def draw_importance(record: ExperimentRecord, path: Path) -> bool:
    """Draw how the variance of the objective is shared among the hyperparameters.

    Where one choice dominates, a second panel shows the shares among the trials that
    have made it as the best trial has.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    path : Path
        PNG to write. It shows the eight most important ones of each family.

    Returns
    -------
    bool
        False, and no file, if no study has trials enough to tell.
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
