"""Figures, each drawn where there is something to draw."""
