"""Names of points that keep clear of each other, of the points and of lines."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # drawing takes half a second to import
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

__all__ = ["Line", "place_labels"]

_NEAR, _FAR, _FARTHEST = 8.0, 22.0, 40.0
_MARK = 6.0
_THIN = 2.0

Point = tuple[float, float]
Line = tuple[Point, Point]


def place_labels(
    axes: "Axes", names: Sequence[tuple[str, Point]], *, lines: Sequence[Line] = ()
) -> None:
    """Write a name beside each point, where it overlaps least.

    Places to the sides, above and below are tried, the nearest first; names further off
    are tied to their point by a line.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Complete but for the names, limits included.
    names : sequence of (str, (float, float))
        Name and point, in the units of the axes.
    lines : sequence of ((float, float), (float, float))
        Ends of lines to keep clear of, each along one of the axes.
    """
    from matplotlib.transforms import Bbox

    figure = axes.get_figure(root=True)
    assert figure is not None
    # Sizes in pixels are known once the layout is made.
    figure.draw_without_rendering()
    inside = axes.get_window_extent()
    reach = _MARK * figure.dpi / 72
    taken = [
        Bbox(np.sort(axes.transData.transform(ends), axis=0)).padded(pad)
        for ends, pad in (
            *(((point, point), reach) for _, point in names),
            *((line, _THIN) for line in lines),
        )
    ]
    for text, point in names:
        label = axes.annotate(
            text, point, xytext=(0, 0), textcoords="offset points", fontsize=9
        )
        # The layout is made already, and must not move for a name.
        label.set_in_layout(False)
        taken.append(_settle(label, taken, inside))
        if max(map(abs, label.xyann)) > _NEAR:
            _tie(axes, label)


def _settle(label: "Annotation", taken: Sequence["Bbox"], inside: "Bbox") -> "Bbox":
    """Move a label to the first of the best places; return the box it takes."""
    best: tuple[float, tuple[float, float], Bbox] | None = None
    for distance, (across, up) in itertools.product(
        (_NEAR, _FAR, _FARTHEST),
        ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)),
    ):
        box = _move(label, across * distance, up * distance)
        cost = sum(_shared(box, other) for other in taken)
        cost += box.width * box.height - _shared(box, inside)
        if best is None or cost < best[0]:
            best = (cost, (across * distance, up * distance), box)
    assert best is not None
    _move(label, *best[1])
    return best[2]


def _move(label: "Annotation", across: float, up: float) -> "Bbox":
    label.xyann = (across, up)
    label.set_horizontalalignment(
        "left" if across > 0 else "right" if across < 0 else "center"
    )
    label.set_verticalalignment("bottom" if up > 0 else "top" if up < 0 else "center")
    return label.get_window_extent()


def _shared(one: "Bbox", other: "Bbox") -> float:
    """Compute the area, in square pixels, that two boxes have in common."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(width, 0) * max(height, 0))


def _tie(axes: "Axes", label: "Annotation") -> None:
    axes.annotate(
        "",
        label.xy,
        xytext=label.xyann,
        textcoords="offset points",
        arrowprops={"arrowstyle": "-", "color": "#777777", "linewidth": 0.7},
    ).set_in_layout(False)
