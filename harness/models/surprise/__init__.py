"""Families that scikit-surprise trains, and scikit-surprise as a reference."""
