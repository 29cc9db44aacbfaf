"""Figures of an experiment, each drawn where there is something to draw."""

from harness.report.experiment_figures.blocks import draw_blocks
from harness.report.experiment_figures.characteristics import draw_characteristics
from harness.report.experiment_figures.depth import draw_depth
from harness.report.experiment_figures.histories import draw_histories
from harness.report.experiment_figures.importance import draw_importance
from harness.report.experiment_figures.pareto import draw_pareto
from harness.report.experiment_figures.residuals import draw_residuals
from harness.report.experiment_figures.rmse import draw_rmse

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
