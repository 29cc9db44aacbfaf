"""Figures of an experiment, each drawn where there is something to draw."""

from harness.report.figures.data import draw_characteristics
from harness.report.figures.results import (
    draw_blocks,
    draw_depth,
    draw_pareto,
    draw_residuals,
    draw_rmse,
)
from harness.report.figures.search import draw_histories, draw_importance

__all__ = [
    "draw_blocks",
    "draw_characteristics",
    "draw_depth",
    "draw_histories",
    "draw_importance",
    "draw_pareto",
    "draw_residuals",
    "draw_rmse",
]
