"""Costs as measured: what a test gives where fresh processes would take too long."""

from harness.evaluation.cost_probe import Measured
from harness.evaluation.results import Costs

__all__ = ["COSTS", "MEASURED"]

COSTS = Costs(
    fit_seconds=0.1,
    latency_p50_ms=1.0,
    latency_p95_ms=2.0,
    latency_p99_ms=3.0,
    n_calls=10,
    n_titles=40,
    peak_memory_bytes=1000,
    model_bytes=100,
)
MEASURED = Measured(costs=COSTS)
