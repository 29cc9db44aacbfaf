"""What accuracy costs: test RMSE against the latency of a recommendation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.experiment.decision import decide
from harness.experiment.measured import measured
from harness.experiment.record import BIAS_BASELINE, ExperimentRecord
from harness.report.experiment_figures.label_placement import Line, place_labels
from harness.report.experiment_figures.looks import display_name
from harness.report.experiment_figures.ratio_axis import label_logarithmic
from harness.report.style import (
    ACCENT,
    DARK,
    LIGHT,
    MEDIUM,
    any_script,
    figure_style,
    save_figure,
)

if TYPE_CHECKING:  # drawing takes half a second to import
    from matplotlib.axes import Axes

__all__ = ["draw_pareto", "pareto_front"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    name: str
    latency: float
    rmse: Mapping[str, Any]
    is_winner: bool

    @property
    def place(self) -> tuple[float, float]:
        return self.latency, self.rmse["value"]


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Find the points that no other is as good as in both respects, and better in one.

    Parameters
    ----------
    points : sequence of (float, float)
        Two costs of each: the lower, the better.

    Returns
    -------
    list of int
        Places in `points`, by rising first cost.

    Examples
    --------
    >>> pareto_front([(1, 5), (2, 6), (3, 2), (3, 4)])
    [0, 2]
    """
    return sorted(
        (
            place
            for place, (x, y) in enumerate(points)
            if not any(a <= x and b <= y and (a, b) != (x, y) for a, b in points)
        ),
        key=lambda place: points[place],
    )


def draw_pareto(record: ExperimentRecord, path: Path) -> bool:
    """Draw the test RMSE of the tuned families against their latency.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    path : Path
        PNG to write.

    Returns
    -------
    bool
        False, and no file, if latency and RMSE are not known of two models at least.
    """
    points = _points(record)
    if len(points) < 2:
        return False
    from matplotlib.figure import Figure

    with figure_style():
        figure = Figure(figsize=(8, 4.6), layout="constrained")
        axes = figure.add_subplot()
        front = _draw_points(axes, points)
        _set_limits(axes, points)
        axes.set_xlabel("p95 latency of one user's top 10, in ms (log)")
        axes.set_ylabel("RMSE on the test set, in stars")
        figure.legend(loc="outside upper center", ncols=4)
        names = [(point.name, point.place) for point in points]
        with any_script():
            place_labels(axes, names, lines=[*front, *map(_bar, points)])
        save_figure(figure, path)
    return True


def _points(record: ExperimentRecord) -> list[_Point]:
    decision = decide(record)
    names = {c: display_name(record, c, width=22) for c in record.spec.families}
    models = {c: record.model(c) for c in names} | {BIAS_BASELINE: record.baseline()}
    latencies = {c: measured(record, "latency_p95_ms", c) for c in models}
    return [
        _Point(
            name=names.get(candidate, candidate),
            latency=latency,
            rmse=model["metrics"]["rmse"],
            is_winner=decision is not None and candidate == decision.winner,
        )
        for candidate, model in models.items()
        if model is not None and (latency := latencies[candidate])
    ]


def _bar(point: _Point) -> Line:
    low, high = point.rmse["low"], point.rmse["high"]
    return (point.latency, low), (point.latency, high)


def _draw_points(axes: "Axes", points: Sequence[_Point]) -> list[Line]:
    """Draw points, their intervals and the front; return the stairs of the front."""
    places = [point.place for point in points]
    front = pareto_front(places)
    # Up to the next better point the last one is the best for its latency.
    corners = [places[front[0]]]
    for k in front[1:]:
        corners += [(places[k][0], corners[-1][1]), places[k]]
    xs, ys = zip(*corners, strict=True)
    axes.plot(xs, ys, color=MEDIUM, linewidth=1.3, label="Pareto front")
    winner = {k for k, point in enumerate(points) if point.is_winner}
    others = set(range(len(points))) - winner
    for chosen, label, marker, size, face, edge in (
        (others & {*front}, "on the front", "o", 60, DARK, DARK),
        (others - {*front}, "off the front", "o", 60, "white", DARK),
        (winner, "the family chosen", "*", 230, ACCENT, "white"),
    ):
        if chosen:
            axes.scatter(
                [places[k][0] for k in chosen],
                [places[k][1] for k in chosen],
                s=size,
                marker=marker,
                facecolors=face,
                edgecolors=edge,
                linewidths=1.2,
                label=label,
                zorder=4,
            )
    for (x, low), (_, high) in map(_bar, points):
        axes.vlines(x, low, high, color=LIGHT, linewidth=2, zorder=1)
    return list(pairwise(corners))


def _set_limits(axes: "Axes", points: Sequence[_Point]) -> None:
    latencies = [point.latency for point in points]
    # Room for the names, on either side.
    room = max((max(latencies) / min(latencies)) ** 0.18, 1.3)
    axes.set_xlim(min(latencies) / room, max(latencies) * room)
    label_logarithmic(axes)
    axes.margins(y=0.12)
    axes.autoscale_view(scalex=False)
