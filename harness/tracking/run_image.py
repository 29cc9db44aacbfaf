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
    context : str, default "training"
        What it was used for.
    """

    name: str
    digest: str
    source: str
    schema: str
    profile: str
    context: str = "training"


@dataclass(frozen=True, kw_only=True)
class RunImage:
    """A run as it should be.

    Parameters
    ----------
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
    datasets : tuple of DatasetFacts
        The inputs.
    """

    name: str
    status: RunStatus
    started: int | None
    ended: int | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    points: tuple[MetricPoint, ...]
    datasets: tuple[DatasetFacts, ...]

    @property
    def latest(self) -> dict[str, float]:
        """The value that MLflow shows of each metric: that of the last step."""
        ordered = sorted(self.points, key=lambda p: (p.step, p.timestamp, p.value))
        return {point.key: point.value for point in ordered}
