"""Compiled (Numba) loops, one module for each family that has any."""
