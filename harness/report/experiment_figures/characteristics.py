"""The data as measured, relative to the data as published."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.experiment.claims import judge_claims
from harness.experiment.measures import DATA, write
from harness.experiment.record import ExperimentRecord
from harness.report.experiment_figures.looks import wrap
from harness.report.experiment_figures.ratio_axis import label_logarithmic
from harness.report.experiment_figures.right_labels import label_right
from harness.report.style import ACCENT, DARK, LIGHT, MEDIUM, figure_style, save_figure

if TYPE_CHECKING:  # drawing takes half a second to import
    from matplotlib.axes import Axes

__all__ = ["draw_characteristics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    name: str
    numbers: str
    ratio: float
    tolerance: float


def draw_characteristics(record: ExperimentRecord, path: Path) -> bool:
    """Draw each characteristic of the data as a ratio, measured to published.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    path : Path
        PNG to write.

    Returns
    -------
    bool
        False, and no file, if nothing was both published and measured as a number above
        zero.
    """
    rows = _rows(record)
    if not rows:
        return False
    from matplotlib.figure import Figure

    with figure_style():
        size = (8, 1.3 + 0.42 * len(rows))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        _draw_rows(axes, rows)
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        ratios = [row.ratio for row in rows]
        low, high = min([0.8, *ratios]), max([1.25, *ratios])
        room = (high / low) ** 0.06
        axes.set_xlim(low / room, high * room)
        label_logarithmic(axes)
        axes.set_xlabel("measured divided by published (log)")
        numbers = [row.numbers for row in rows]
        label_right(axes, range(len(rows)), numbers, head="published | measured")
        figure.legend(loc="outside upper center", ncols=3)
        save_figure(figure, path)
    return True


def _rows(record: ExperimentRecord) -> list[_Row]:
    found = []
    for judged in judge_claims(record):
        claim, here = judged.claim, judged.measured
        published = claim.value
        if not claim.metric.startswith(DATA) or isinstance(published, str):
            continue
        if here is None or isinstance(here, str) or min(here, published) <= 0:
            continue
        allowed = claim.tolerance if claim.relative else claim.tolerance / published
        numbers = f"{write(claim.metric, published)} | {write(claim.metric, here)}"
        found.append(
            _Row(
                name=wrap(claim.label or _name_of(claim.metric), width=30),
                numbers=numbers,
                ratio=here / published,
                tolerance=allowed,
            )
        )
    return found


def _name_of(metric: str) -> str:
    return metric.removeprefix(DATA).replace("_", " ")


def _draw_rows(axes: "Axes", rows: Sequence[_Row]) -> None:
    places = range(len(rows))
    axes.barh(
        places,
        [min(2 * row.tolerance, row.tolerance + 1) for row in rows],
        left=[max(1 - row.tolerance, 0) for row in rows],
        height=0.62,
        color=LIGHT,
        label="tolerance of the claim",
    )
    axes.axvline(1, color=MEDIUM, linestyle="--", linewidth=1.2, label="as published")
    inside = [abs(row.ratio - 1) <= row.tolerance + 1e-9 for row in rows]
    for wanted, label, face, edge in (
        (True, "measured, within tolerance", DARK, DARK),
        (False, "measured, outside", "white", ACCENT),
    ):
        chosen = [place for place in places if inside[place] is wanted]
        if chosen:
            axes.scatter(
                [rows[place].ratio for place in chosen],
                chosen,
                s=52,
                marker="o" if wanted else "D",
                facecolors=face,
                edgecolors=edge,
                linewidths=1.5,
                label=label,
                zorder=3,
            )
