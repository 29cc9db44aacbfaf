"""Numbers at the right of a figure, beside its rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # drawing takes half a second to import
    from matplotlib.axes import Axes

__all__ = ["label_right"]


def label_right(
    axes: "Axes", places: Sequence[float], texts: Sequence[str], *, head: str
) -> None:
    """Write texts in a column at the right, where they meet no mark.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to.
    places : sequence of float
        Heights, in units of the vertical axis.
    texts : sequence of str
        One for each height.
    head : str
        Stands above the column.
    """
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
