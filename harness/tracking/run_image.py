"""A run as it should be in MLflow, without MLflow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["DatasetFacts", "MetricPoint", "RunImage", "RunStatus"]

RunStatus = Literal["RUNNING", "FINISHED", "KILLED", "FAILED"]


@dataclass(frozen=True, kw_only=True)
class MetricPoint:
    """One value of a metric.

    Parameters
    ----------
    key : str
        Name of the metric.
    value : float
        The value.
    timestamp : int
        Milliseconds since 1970-01-01 UTC.
    step : int, default 0
        Fold or trial.
    """

    key: str
    value: float
    timestamp: int
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """A dataset as MLflow wants it.

    Parameters
    ----------
    name, digest : str
        Name and fingerprint.
    source, schema, profile : str
        JSON.
    """

    name: str
    digest: str
    source: str
    schema: str
    profile: str


@dataclass(frozen=True, kw_only=True)
class RunImage:
    """A run as it should be.

    Parameters
    ----------
    trial : int or None
        Number of the trial; None for the run of the study.
    name : str
        Name of the run.
    status : {"RUNNING", "FINISHED", "KILLED", "FAILED"}
        MLflow's status.
    started, ended : int or None
        Times in ms since 1970 (UTC).
    params, tags : mapping of str to str
        What MLflow calls so.
    points : tuple of MetricPoint
        Values of metrics.
    dataset : DatasetFacts
        The input.
    """

    trial: int | None
    name: str
    status: RunStatus
    started: int | None
    ended: int | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    points: tuple[MetricPoint, ...]
    dataset: DatasetFacts

    @property
    def latest(self) -> dict[str, float]:
        """The value that MLflow shows of each metric: that of the last step."""
        ordered = sorted(self.points, key=lambda p: (p.step, p.timestamp, p.value))
        return {point.key: point.value for point in ordered}
