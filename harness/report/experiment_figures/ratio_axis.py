"""Logarithmic axes whose ticks are plain numbers."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # drawing takes half a second to import
    from matplotlib.axes import Axes

__all__ = ["label_logarithmic"]


def label_logarithmic(axes: "Axes") -> None:
    """Make the horizontal axis logarithmic, with ticks such as 0.5, 1, 2 and 5.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Its limits are set, above 0.
    """
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
