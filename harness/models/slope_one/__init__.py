"""Slope One: mean differences between titles."""
