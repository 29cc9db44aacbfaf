"""What decides between families that are tied, and what is too small to decide."""

from collections.abc import Mapping
from typing import Literal

__all__ = ["NEGLIGIBLE", "PREFERENCES"]

PREFERENCES: Mapping[str, Literal["minimize", "maximize"]] = {
    "latency_p95_ms": "minimize",
    "fit_seconds": "minimize",
    "peak_memory_bytes": "minimize",
    "model_bytes": "minimize",
    "cold_user_rmse": "minimize",
    "cold_item_rmse": "minimize",
    "catalogue_coverage": "maximize",
    "intra_list_diversity": "maximize",
    "ndcg_at_10": "maximize",
    "rmse": "minimize",
}
"""What can decide between families that are tied, and which way is better."""


NEGLIGIBLE: Mapping[str, float] = {
    "latency_p95_ms": 1.0,
    "fit_seconds": 10.0,
    "peak_memory_bytes": 50e6,
    "model_bytes": 10e6,
    "ndcg_at_10": 0.002,
}
"""Differences that nobody would notice, however large a share they are: 20 microseconds
must not decide between two models."""
