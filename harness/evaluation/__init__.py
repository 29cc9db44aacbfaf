"""Evaluation: splits, metrics, intervals and the sealed test set."""
