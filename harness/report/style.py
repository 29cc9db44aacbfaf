"""The look of all figures: readable in black and white, and by the colour-blind."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # drawing takes half a second to import
    from matplotlib.figure import Figure

__all__ = [
    "ACCENT",
    "DARK",
    "LIGHT",
    "MEDIUM",
    "any_script",
    "figure_style",
    "save_figure",
]

DARK = "#0b3c5d"
MEDIUM = "#4f83a8"
LIGHT = "#b9c9d6"
ACCENT = "#d55e00"
"""Vermilion of Okabe and Ito: as dark as MEDIUM in print, and nobody takes it for blue."""

_SETTINGS: Mapping[str, Any] = MappingProxyType(
    {
        "axes.axisbelow": True,
        "axes.edgecolor": "#555555",
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
    """Draw in the house style inside the ``with`` block, and only there.

    Yields
    ------
    None
        While it lasts.
    """
    from matplotlib import rc_context

    settings: Any = dict(_SETTINGS)  # matplotlib's type lists every key there is
    with rc_context(settings):
        yield


@contextmanager
def any_script() -> Iterator[None]:
    """Let names be in a script that the font lacks: they show as boxes.

    Yields
    ------
    None
        While it lasts, nothing warns of them: the reader of a warning could do nothing.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        yield


def save_figure(figure: "Figure", path: Path) -> Path:
    """Write a figure as PNG.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Made with ``Figure(...)``: without pyplot there is nothing to close.
    path : Path
        File to write; its folder exists.

    Returns
    -------
    Path
        `path`.
    """
    # Ticks are made while drawing, so the style must still hold.
    with figure_style(), any_script():
        # Without the version of matplotlib equal figures are equal files.
        figure.savefig(path, format="png", metadata={"Software": None})
    return path
