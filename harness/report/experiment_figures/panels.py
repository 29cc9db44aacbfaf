"""Small multiples: one panel for each candidate."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # drawing takes half a second to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["make_panels"]


def make_panels(
    heights: Sequence[float], *, n_columns: int
) -> tuple["Figure", list["Axes"]]:
    """Lay out panels in rows; call it inside `figure_style`.

    Parameters
    ----------
    heights : sequence of float
        Height that each panel needs, in inches; a row is as high as its highest.
    n_columns : int
        Panels in a row, at most.

    Returns
    -------
    figure : matplotlib.figure.Figure
        As wide as the others of the report.
    panels : list of matplotlib.axes.Axes
        One for each height; places left over are empty.
    """
    from matplotlib.figure import Figure

    n_columns = min(n_columns, len(heights))
    n_rows = math.ceil(len(heights) / n_columns)
    rows = [max(heights[k * n_columns : (k + 1) * n_columns]) for k in range(n_rows)]
    figure = Figure(figsize=(8, sum(rows) + 0.4), layout="constrained")
    grid = figure.add_gridspec(n_rows, n_columns, height_ratios=rows)
    places = [divmod(place, n_columns) for place in range(len(heights))]
    return figure, [figure.add_subplot(grid[place]) for place in places]
