"""The look of all figures: colours, labels, panels, axes."""

import itertools
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

__all__ = [
    "ACCENT",
    "DARK",
    "LIGHT",
    "MEDIUM",
    "Line",
    "any_script",
    "figure_style",
    "label_logarithmic",
    "label_right",
    "make_panels",
    "place_labels",
    "save_figure",
    "share_legend",
]


DARK = "#0b3c5d"
MEDIUM = "#4f83a8"
LIGHT = "#b9c9d6"
ACCENT = "#d55e00"
"""Vermilion of Okabe and Ito: as dark as MEDIUM in print, and nobody takes it for blue."""

_SETTINGS: Mapping[str, object] = MappingProxyType(
    {
        "axes.axisbelow": True,
        "axes.edgecolor": "#555555",
        # 0.5712 rather than 0.0012 beside "+5.7e-1".
        "axes.formatter.useoffset": False,
        "axes.grid": True,
        "axes.labelsize": 10,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "figure.dpi": 110,
        "figure.facecolor": "white",
        "font.family": "DejaVu Sans",
        "font.size": 9.5,
        "grid.color": "#e3e3e3",
        "grid.linewidth": 0.7,
        "legend.frameon": False,
        "legend.fontsize": 9,
        # A dollar sign in the name of a title or a parameter is not a formula.
        "text.parse_math": False,
    }
)


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw in the house style inside the ``with`` block, and only there."""
    from matplotlib import rc_context

    settings: Any = dict(_SETTINGS)  # matplotlib's type lists every key there is
    with rc_context(settings):
        yield


@contextmanager
def any_script() -> Iterator[None]:
    """Let names be in a script that the font lacks: they show as boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        yield


def save_figure(figure: "Figure", path: Path) -> Path:
    """Write a figure as PNG."""
    # Ticks are made while drawing, so the style must still hold.
    with figure_style(), any_script():
        engine = figure.get_layout_engine()
        if engine is not None:
            engine.execute(figure)
        # Otherwise `savefig` makes the layout twice more, and draws twice.
        figure.set_layout_engine(None)
        # Without the version of matplotlib equal figures are equal files.
        figure.savefig(path, format="png", metadata={"Software": None})
        figure.set_layout_engine(engine)
    return path


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


def make_panels(
    heights: Sequence[float], *, n_columns: int
) -> tuple["Figure", list["Axes"]]:
    """Lay out panels in rows; call it inside `figure_style`."""
    from matplotlib.figure import Figure

    n_columns = min(n_columns, len(heights))
    n_rows = math.ceil(len(heights) / n_columns)
    rows = [max(heights[k * n_columns : (k + 1) * n_columns]) for k in range(n_rows)]
    figure = Figure(figsize=(8, sum(rows) + 0.4), layout="constrained")
    grid = figure.add_gridspec(n_rows, n_columns, height_ratios=rows)
    places = [divmod(place, n_columns) for place in range(len(heights))]
    return figure, [figure.add_subplot(grid[place]) for place in places]


def share_legend(figure: "Figure", *, n_columns: int) -> None:
    """Name above all panels what is drawn in any of them, once."""
    found = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        found.values(), found.keys(), loc="outside upper center", ncols=n_columns
    )


def label_logarithmic(axes: "Axes") -> None:
    """Make the horizontal axis logarithmic, with ticks such as 0.5, 1, 2 and 5."""
    from matplotlib.ticker import (
        FuncFormatter,
        Locator,
        LogLocator,
        MaxNLocator,
        NullLocator,
    )

    low, high = axes.get_xlim()
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    # Within a factor of 5 there may be one such number or none; over many decades only
    # their ends have room.
    subs = (1, 2, 5) if high / low < 300 else (1,)
    locator: Locator = LogLocator(subs=subs, numticks=12)
    if high / low < 5:
        locator = MaxNLocator(nbins=7, steps=[1, 2, 5, 10])
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.4g}"))


def label_right(
    axes: "Axes", places: Sequence[float], texts: Sequence[str], *, head: str
) -> None:
    """Write texts in a column at the right, where they meet no mark."""
    right = axes.secondary_yaxis("right")
    right.set_yticks(list(places), list(texts))
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)
    axes.annotate(
        head,
        (1, 1),
        xytext=(4, 3),
        xycoords="axes fraction",
        textcoords="offset points",
        color="#555555",
    )
