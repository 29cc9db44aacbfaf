"""Look-up of what an experiment has measured, by the names that its file uses."""

import math
from collections.abc import Mapping
from typing import Any

from harness.data.profile import published_characteristics
from harness.errors import UnknownNameError
from harness.evaluation.measures import MEASURES, Measure
from harness.evaluation.results import ModelResult, Role
from harness.evaluation.statistics import Estimate
from harness.experiment.results import ExperimentRecord

__all__ = [
    "DATA",
    "PARAM",
    "check_metric",
    "estimate",
    "measure_named",
    "measured",
    "measured_value",
]

PARAM = "param."
"""Prefix of a setting of a model: ``param.n_factors``."""

DATA = "data."
"""Prefix of a characteristic of the data: ``data.sparsity``."""

DATA_NAMES: tuple[str, ...] = tuple(DATA + key for key in published_characteristics())
"""Names of what is measured of the data."""


def check_metric(name: str) -> None:
    """Refuse a name that stands for nothing.

    Hyperparameters (``param.n_factors``) are not looked up: which ones there are depends
    on the family.
    """
    is_setting = name.startswith(PARAM) and name != PARAM
    if name not in MEASURES and name not in DATA_NAMES and not is_setting:
        raise UnknownNameError(
            "metric", name, [*MEASURES, *DATA_NAMES, f"{PARAM}<name>"]
        )


def measure_named(name: str) -> Measure:
    """Find a measure, or make one for a setting or a characteristic of the data.

    Examples
    --------
    >>> [measure_named(n).label for n in ("rmse", "param.n_factors", "data.peak_hours")]
    ['RMSE', 'n_factors', 'peak hours of the data']
    """
    if name in MEASURES:
        return MEASURES[name]
    label = name.removeprefix(PARAM)
    if name.startswith(DATA):
        label = name.removeprefix(DATA).replace("_", " ") + " of the data"
    return Measure(name=name, label=label, direction=None, kind="setting")


def measured(
    record: ExperimentRecord, metric: str, candidate: str | None, role: Role = "tuned"
) -> float | None:
    """Look up a number of a candidate, or of a baseline by its name.

    None if it was not measured, is not defined, or is a text.
    """
    value = measured_value(record, metric, candidate, role)
    return None if isinstance(value, str) else value


def measured_value(
    record: ExperimentRecord, metric: str, candidate: str | None, role: Role = "tuned"
) -> float | str | None:
    """Look up a number or, for settings and facts about the data, a text.

    Truth values are 0 and 1. Latency and sizes are measured of tuned models only.
    """
    check_metric(metric)
    if metric.startswith(DATA):
        return _plain(record.profile.get(metric.removeprefix(DATA)))
    model = _find(record, candidate, role)
    if model is None:
        return None
    if metric.startswith(PARAM):
        return _plain(model.params.get(metric.removeprefix(PARAM)))
    return _plain(model.value(metric))


def estimate(
    record: ExperimentRecord, metric: str, candidate: str | None, role: Role = "tuned"
) -> Estimate | None:
    """Look up a number with its interval; None for what has no interval."""
    check_metric(metric)
    model = _find(record, candidate, role)
    found = None if model is None else model.measures.get(metric)
    if found is None or math.isnan(found.low) or math.isnan(found.high):
        return None
    return found


def _find(
    record: ExperimentRecord, candidate: str | None, role: Role
) -> ModelResult | None:
    if candidate is None:
        return None
    return record.model(candidate, role) or record.baseline(candidate)


def _plain(value: Any) -> float | str | None:
    if value is None or isinstance(value, str):
        return value
    return None if isinstance(value, Mapping) or math.isnan(value) else float(value)
