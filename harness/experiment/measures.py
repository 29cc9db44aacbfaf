"""Everything an experiment measures that a file may name, and its values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from harness.data.profile import published_characteristics
from harness.errors import UnknownNameError
from harness.evaluation.cold_start import COLD
from harness.experiment.record import ExperimentRecord
from harness.features.blocks import PUBLISHED_WEIGHTS, block_weights, is_off

__all__ = [
    "BLOCK",
    "DATA",
    "DEPTH_METRICS",
    "MEASURES",
    "METRIC_NAMES",
    "PARAM",
    "check_metric",
    "interval",
    "label_of",
    "measured",
    "measured_value",
    "write",
    "write_given",
]


Unit = Literal["", "stars", "ms", "s", "bytes", "bits"]

PARAM = "param."
"""Prefix of a setting of a model: ``param.n_factors``."""

BLOCK = "block."
"""Prefix of a content block: ``block.genre`` is its share of the weights of all four."""

DATA = "data."
"""Prefix of a characteristic of the data: ``data.sparsity``."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A number of a model that criteria, claims and preferences may name.

    Parameters
    ----------
    name : str
        Name in files.
    label : str
        Name for people.
    unit : str
        Unit of its values; empty for shares and indices.
    path : tuple of str
        Where the record has it: keys below the model of `ExperimentRecord.final`, or
        below the candidate in `ExperimentRecord.efficiency` if the first key is
        ``"efficiency"``; empty if it is worked out from others.
    """

    name: str
    label: str
    unit: Unit = ""
    path: tuple[str, ...] = ()

    @property
    def is_cost(self) -> bool:
        """Whether it is about what a model costs, not about what it predicts."""
        return self.path[:1] == ("efficiency",)


def _accuracy(name: str, label: str, unit: Unit = "") -> Measure:
    return Measure(name, label, unit, ("metrics", name, "value"))


def _cost(name: str, label: str, unit: Unit, *path: str) -> Measure:
    return Measure(name, label, unit, ("efficiency", *(path or (name,))))


def _ranking(name: str, label: str, unit: Unit = "") -> Measure:
    return Measure(name, label, unit, ("ranking", name))


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        measure.name: measure
        for measure in (
            _accuracy("rmse", "RMSE", "stars"),
            _accuracy("mae", "MAE", "stars"),
            _accuracy("r2", "R²"),
            _accuracy("within_half_star", "share within half a star"),
            _accuracy("within_one_star", "share within one star"),
            _accuracy("user_rmse", "RMSE per user", "stars"),
            Measure("gain_over_bias", "gain over the bias baseline", "stars"),
            Measure("cold_user_rmse", "RMSE of users with 0-5 ratings", "stars"),
            Measure("cold_item_rmse", "RMSE of titles with 0-5 ratings", "stars"),
            Measure("sparse_user_rmse", "RMSE of users with 6-20 ratings", "stars"),
            Measure("sparse_item_rmse", "RMSE of titles with 6-20 ratings", "stars"),
            Measure("coverage", "coverage of pairs", "", ("coverage",)),
            _cost("fit_seconds", "training time", "s"),
            _cost("latency_p50_ms", "p50 latency", "ms", "latency_ms", "p50"),
            _cost("latency_p95_ms", "p95 latency", "ms", "latency_ms", "p95"),
            _cost("latency_p99_ms", "p99 latency", "ms", "latency_ms", "p99"),
            _cost("peak_memory_bytes", "peak memory", "bytes"),
            _cost("model_bytes", "model size", "bytes"),
            _ranking("ndcg_at_10", "NDCG@10"),
            _ranking("recall_at_10", "recall@10"),
            _ranking("catalogue_coverage", "catalogue coverage"),
            _ranking("intra_list_diversity", "intra-list diversity"),
            _ranking("novelty", "novelty", "bits"),
            _ranking("serendipity", "serendipity"),
            *(
                Measure(f"{BLOCK}{block}", f"share of the weights: {block}")
                for block in PUBLISHED_WEIGHTS
            ),
        )
    }
)
"""All measures of a model, by name."""

DATA_NAMES: tuple[str, ...] = tuple(DATA + key for key in published_characteristics())
"""Names of what is measured of the data."""

METRIC_NAMES: tuple[str, ...] = tuple(MEASURES)
"""Names of the measures of a model; ``param.`` and `DATA_NAMES` come on top."""


def check_metric(name: str) -> None:
    """Refuse a name that stands for nothing."""
    known = (*METRIC_NAMES, *DATA_NAMES)
    is_setting = name.startswith(PARAM) and name != PARAM
    if name not in known and not is_setting:
        raise UnknownNameError("metric", name, [*known, f"{PARAM}<name>"])


def label_of(name: str) -> str:
    """Name a metric for people.

    Examples
    --------
    >>> label_of("rmse"), label_of("param.n_factors"), label_of("data.peak_hours")
    ('RMSE', 'n_factors', 'peak hours of the data')
    """
    if name in MEASURES:
        return MEASURES[name].label
    if name.startswith(DATA):
        return name.removeprefix(DATA).replace("_", " ") + " of the data"
    return name.removeprefix(PARAM)


def write(name: str, value: float | str) -> str:
    """Write a measured value in a sentence: as many digits as it can bear, and the unit.

    Examples
    --------
    >>> write("rmse", 0.90384), write("latency_p95_ms", 8), write("model_bytes", 2.5e6)
    ('0.9038 stars', '8 ms', '2.5 MB')
    >>> write("param.n_factors", 100.0), write("data.peak_hours", "20:00-23:00")
    ('100', '20:00-23:00')
    """
    unit = MEASURES[name].unit if name in MEASURES else None
    if isinstance(value, str) or unit not in {"stars", ""}:
        return write_given(name, value)
    return f"{value:.4f} {unit}".rstrip()


def write_given(name: str, value: float | str) -> str:
    """Write a value that somebody chose, a bound or a published figure: no digits added.

    Examples
    --------
    >>> write_given("rmse", 0.89), write_given("fit_seconds", 150.0)
    ('0.89 stars', '150 s')
    """
    if isinstance(value, str):
        return value
    unit = MEASURES[name].unit if name in MEASURES else ""
    if unit == "bytes":
        return f"{_digits(value / 1e6)} MB"
    return f"{_digits(value)} {unit}".rstrip()


def _digits(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 9999.5 else f"{value:,.0f}"


@dataclass(frozen=True, slots=True)
class DepthMetric:
    """An error on the test pairs of which little is known.

    Parameters
    ----------
    side : {"users", "items"}
        Whose training ratings are few.
    depth : str
        How few, as `harness.evaluation.cold_start` names it.
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
    """Look up a number."""
    value = measured_value(record, metric, candidate, role)
    return None if isinstance(value, str) else value


def measured_value(
    record: ExperimentRecord, metric: str, candidate: str | None, role: str = "tuned"
) -> float | str | None:
    """Look up a number or, for settings and facts about the data, a text."""
    check_metric(metric)
    if metric.startswith(DATA):
        return _plain(record.profile.get(metric.removeprefix(DATA)))
    if candidate is None:
        return None
    if metric in MEASURES and MEASURES[metric].is_cost:
        return _plain(_measured_cost(record, metric, candidate, role))
    model = _find(record, candidate, role)
    return None if model is None else _plain(_of_model(record, metric, model))


def interval(
    record: ExperimentRecord, metric: str, candidate: str | None, role: str = "tuned"
) -> tuple[float, float] | None:
    """Look up the confidence interval of a number."""
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


def _measured_cost(
    record: ExperimentRecord, metric: str, candidate: str, role: str
) -> Any:
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
