"""The figures of a tuned model as metrics of its run, each with its unit in the name."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.experiment.record import BIAS_BASELINE, ExperimentRecord
from harness.tracking.run_image import MetricPoint
from harness.tracking.run_values import shorten

__all__ = ["final_points", "rmse_of"]

_BYTES_PER_MB = 1e6


def rmse_of(model: Mapping[str, Any]) -> float:
    """Look up the RMSE on the test set.

    Parameters
    ----------
    model : mapping
        As in `ExperimentRecord.final`.

    Returns
    -------
    float
        In stars.
    """
    return float(model["metrics"]["rmse"]["value"])


def final_points(
    record: ExperimentRecord, candidate: str, *, timestamp: int
) -> Iterator[MetricPoint]:
    """Yield what was measured of the tuned model of a candidate.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment, judged.
    candidate : str
        Key of an entry of the file.
    timestamp : int
        Milliseconds since 1970-01-01 UTC.

    Yields
    ------
    MetricPoint
        One for each finite number, rounded to 6 significant digits; ``test_rmse_by_seed`` has a step for each seed.
    """
    model = record.model(candidate)
    assert model is not None
    figures = {
        **_on_test(model),
        **_on_the_way(record, candidate, model),
        **_costs(record.efficiency.get(candidate, {})),
        **_rankings(model.get("ranking", {})),
        **_by_depth(model.get("depth", {})),
    }
    for key, value in figures.items():
        if value is not None and math.isfinite(value):
            yield MetricPoint(key=key, value=shorten(value), timestamp=timestamp)
    for step, value in enumerate(model["rmse_by_seed"]):
        yield MetricPoint(
            key="test_rmse_by_seed",
            value=shorten(value),
            timestamp=timestamp,
            step=step,
        )


def _on_test(model: Mapping[str, Any]) -> dict[str, float | None]:
    rmse = model["metrics"]["rmse"]
    figures = {f"test_{name}": m["value"] for name, m in model["metrics"].items()}
    return figures | {
        "test_rmse_low": rmse["low"],
        "test_rmse_high": rmse["high"],
        "test_pairs_known_share": model.get("coverage"),
    }


def _on_the_way(
    record: ExperimentRecord, candidate: str, model: Mapping[str, Any]
) -> dict[str, float | None]:
    """Collect what stands beside the test score: search, fresh folds, initial, bias."""
    study, initial = record.studies.get(candidate), record.model(candidate, "initial")
    bias = record.baseline(BIAS_BASELINE)
    gain = record.difference(BIAS_BASELINE, model["name"])
    return {
        "search_rmse": study.best.value if study and study.best else None,
        "fresh_folds_rmse": record.fresh_folds.get(candidate),
        "initial_test_rmse": rmse_of(initial) if initial else None,
        "gain_over_bias": rmse_of(bias) - rmse_of(model) if bias else None,
        "gain_over_bias_p": gain["p_holm"] if gain else None,
    }


def _costs(costs: Mapping[str, Any]) -> dict[str, float | None]:
    latency = costs.get("latency_ms", {})
    megabytes = {
        "peak_memory_mb": costs.get("peak_memory_bytes"),
        "model_mb": costs.get("model_bytes"),
    }
    return {
        "fit_seconds": costs.get("fit_seconds"),
        **{f"latency_{p}_ms": latency.get(p) for p in ("p50", "p95", "p99")},
        **{name: n and n / _BYTES_PER_MB for name, n in megabytes.items()},
    }


def _rankings(ranking: Mapping[str, Any]) -> dict[str, float | None]:
    names = {"novelty": "novelty_bits"}
    return {
        names.get(name, name): value
        for name, value in ranking.items()
        if name not in {"n_users", "ndcg_error"}
    }


def _by_depth(depth: Mapping[str, Any]) -> dict[str, float | None]:
    """Name them by whose training ratings are counted, and by how many there are."""
    return {
        f"test_rmse_{side}_{_words(group['depth'])}": group["value"]
        for side, groups in depth.items()
        for group in groups
    }


def _words(depth: str) -> str:
    """Write ``">20"`` as MLflow allows it in a name."""
    return re.sub(r"\W+", "_", depth.replace(">", "over_"))
