"""Look-up of what an experiment has measured, by the names that its file uses."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from harness.evaluation.depth_contest import COLD
from harness.experiment.measures import (
    BLOCK,
    DATA,
    MEASURES,
    METRIC_NAMES,
    PARAM,
    check_metric,
)
from harness.experiment.record import ExperimentRecord
from harness.features.blocks import block_weights, is_off

__all__ = [
    "DEPTH_METRICS",
    "METRIC_NAMES",
    "DepthMetric",
    "check_metric",
    "interval",
    "measured",
    "measured_value",
]


@dataclass(frozen=True, slots=True)
class DepthMetric:
    """An error on the test pairs of which little is known.

    Parameters
    ----------
    side : {"users", "items"}
        Whose training ratings are few.
    depth : str
        How few, as `harness.evaluation.depth_contest` names it.
    groups : tuple of str
        The groups of training ratings that are pooled.
    """

    side: Literal["users", "items"]
    depth: str
    groups: tuple[str, ...]


DEPTH_METRICS: Mapping[str, DepthMetric] = MappingProxyType(
    {
        "cold_user_rmse": DepthMetric("users", COLD, ("0", "1-5")),
        "cold_item_rmse": DepthMetric("items", COLD, ("0", "1-5")),
        "sparse_user_rmse": DepthMetric("users", "6-20", ("6-20",)),
        "sparse_item_rmse": DepthMetric("items", "6-20", ("6-20",)),
    }
)
"""Errors by depth that a file may name."""


def measured(
    record: ExperimentRecord, metric: str, candidate: str | None, role: str = "tuned"
) -> float | None:
    """Look up a number.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    metric : str
        See `harness.experiment.measures`.
    candidate : str or None
        Key of an entry of the file, or name of a baseline; None for ``data.`` metrics.
    role : {"tuned", "initial"}, default "tuned"
        Which of its settings.

    Returns
    -------
    float or None
        In the unit of the metric; None if it was not measured, is not defined, or is a
        text.

    Raises
    ------
    UnknownNameError
        If there is no such metric.
    """
    value = measured_value(record, metric, candidate, role)
    return None if isinstance(value, str) else value


def measured_value(
    record: ExperimentRecord, metric: str, candidate: str | None, role: str = "tuned"
) -> float | str | None:
    """Look up a number or, for settings and facts about the data, a text.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    metric : str
        See `harness.experiment.measures`.
    candidate : str or None
        Key of an entry of the file, or name of a baseline; None for ``data.`` metrics.
    role : {"tuned", "initial"}, default "tuned"
        Which of its settings. Latency and sizes are measured of tuned models only.

    Returns
    -------
    float or str or None
        In the unit of the metric, truth values as 0 and 1; None if it was not measured
        or is not defined.

    Raises
    ------
    UnknownNameError
        If there is no such metric.
    """
    check_metric(metric)
    if metric.startswith(DATA):
        return _plain(record.profile.get(metric.removeprefix(DATA)))
    if candidate is None:
        return None
    if metric in MEASURES and MEASURES[metric].is_cost:
        return _plain(_cost(record, metric, candidate, role))
    model = _find(record, candidate, role)
    return None if model is None else _plain(_of_model(record, metric, model))


def interval(
    record: ExperimentRecord, metric: str, candidate: str | None, role: str = "tuned"
) -> tuple[float, float] | None:
    """Look up the confidence interval of a number.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    metric : str
        See `harness.experiment.measures`.
    candidate : str or None
        Key of an entry of the file, or name of a baseline.
    role : {"tuned", "initial"}, default "tuned"
        Which of its settings.

    Returns
    -------
    (float, float) or None
        Its ends; None for what has no interval.

    Raises
    ------
    UnknownNameError
        If there is no such metric.
    """
    check_metric(metric)
    model = None if candidate is None else _find(record, candidate, role)
    if model is None:
        return None
    found: Mapping[str, Any] | None = model.get("metrics", {}).get(metric)
    bias = record.baseline()
    if metric == "gain_over_bias" and bias is not None:
        found = record.difference(bias["name"], model["name"])
    if found is None or found.get("low") is None or found.get("high") is None:
        return None
    return float(found["low"]), float(found["high"])


def _find(
    record: ExperimentRecord, candidate: str, role: str
) -> Mapping[str, Any] | None:
    baselines = (m for m in record.models if m["role"] == "baseline")
    named = (m for m in baselines if m["name"] == candidate)
    return record.model(candidate, role) or next(named, None)


def _cost(record: ExperimentRecord, metric: str, candidate: str, role: str) -> Any:
    """Look up what a model costs; only tuned ones have a process of their own for it."""
    if role == "tuned":
        costs = record.efficiency.get(candidate, {})
        return _below(costs, MEASURES[metric].path[1:])
    model = _find(record, candidate, role) or {}
    return model.get("fit_seconds") if metric == "fit_seconds" else None


def _of_model(record: ExperimentRecord, metric: str, model: Mapping[str, Any]) -> Any:
    if metric.startswith(PARAM):
        return model["params"].get(metric.removeprefix(PARAM))
    if metric.startswith(BLOCK):
        block = metric.removeprefix(BLOCK)
        if is_off(block, model.get("notes", ())):
            return None
        return block_weights(model["params"]).get(block)
    if metric == "gain_over_bias":
        bias = record.baseline()
        path = MEASURES["rmse"].path
        return None if bias is None else _below(bias, path) - _below(model, path)
    if metric in DEPTH_METRICS:
        return _pooled_rmse(model.get("depth", {}), DEPTH_METRICS[metric])
    return _below(model, MEASURES[metric].path)


def _pooled_rmse(depth: Mapping[str, Any], metric: DepthMetric) -> float | None:
    r"""Pool groups: :math:`\sqrt{\sum_g n_g e_g^2 / \sum_g n_g}`."""
    groups = [
        g
        for g in depth.get(metric.side, ())
        if g["depth"] in metric.groups and g["n_pairs"] > 0
    ]
    n_pairs = sum(g["n_pairs"] for g in groups)
    squares = sum(g["n_pairs"] * g["value"] ** 2 for g in groups)
    return math.sqrt(squares / n_pairs) if n_pairs else None


def _below(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _plain(value: Any) -> float | str | None:
    if value is None or isinstance(value, str):
        return value
    return None if math.isnan(value) else float(value)
