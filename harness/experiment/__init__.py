"""Experiments: several families under one budget, one sealed test set, and what follows from it."""
