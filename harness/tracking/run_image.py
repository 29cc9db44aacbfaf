"""A run as it should be in MLflow, compared with what is there."""

import functools
import getpass
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from harness.data.dataset import DatasetFacts
from harness.evaluation.splits import SplitFacts
from harness.plain import to_json

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

__all__ = [
    "LONGEST_VALUE",
    "LoggedDataset",
    "MetricPoint",
    "RunImage",
    "RunStatus",
    "as_json",
    "as_milliseconds",
    "as_text",
    "current_user",
    "dataset_input",
    "logged_dataset",
    "logged_test",
    "shorten",
]


RunStatus = Literal["RUNNING", "FINISHED", "KILLED", "FAILED"]


@dataclass(frozen=True, kw_only=True)
class MetricPoint:
    """One value of a metric."""

    key: str
    value: float
    # Milliseconds since 1970-01-01 UTC.
    timestamp: int
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class LoggedDataset:
    """A dataset as MLflow wants it."""

    name: str
    digest: str
    source: str
    schema: str
    profile: str
    context: str = "training"


@dataclass(frozen=True, kw_only=True)
class RunImage:
    """A run as it should be."""

    name: str
    status: RunStatus
    # Times in ms since 1970 (UTC).
    started: int | None
    ended: int | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    points: tuple[MetricPoint, ...]
    datasets: tuple[LoggedDataset, ...]

    @property
    def latest(self) -> dict[str, float]:
        """The value that MLflow shows of each metric: that of the last step."""
        ordered = sorted(self.points, key=lambda p: (p.step, p.timestamp, p.value))
        return {point.key: point.value for point in ordered}


LONGEST_VALUE = 5000
"""Characters of a tag; MLflow cuts it at 8000, older servers at 5000."""


def as_text(value: object) -> str:
    """Write a value as a parameter or a tag."""
    return str(value)[:LONGEST_VALUE]


def as_json(value: object) -> str:
    """Write a value as JSON; what JSON does not know, as text."""
    return json.dumps(value, default=str)


def as_milliseconds(moment: datetime) -> int:
    """Convert a time with zone."""
    return int(moment.timestamp() * 1000)


def shorten(value: float) -> float:
    """Round a figure, because MLflow prints as many digits as there are.

    Examples
    --------
    >>> shorten(0.5592452493)
    0.559245
    """
    return float(f"{value:.6g}")


@functools.cache
def current_user() -> str:
    """Name the user of this process, for MLflow's column of that name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


_LONGEST_DIGEST = 36
_COLUMNS = {"user": "string", "item": "string", "rating": "float"}


def logged_dataset(facts: DatasetFacts) -> LoggedDataset:
    """Say what is known of a data set in the terms of MLflow."""
    profile = {key: value for key, value in to_json(facts).items() if key != "source"}
    return LoggedDataset(
        name=facts.name,
        digest=facts.fingerprint[:_LONGEST_DIGEST],
        source=_source(facts),
        schema=_schema(),
        profile=json.dumps({"num_rows": facts.n_ratings, **profile}),
    )


def logged_test(dataset: DatasetFacts, split: SplitFacts) -> LoggedDataset:
    """Say what is known of the test part in the terms of MLflow."""
    return LoggedDataset(
        name=f"{dataset.name}, test part",
        digest=split.fingerprint[:_LONGEST_DIGEST],
        source=_source(dataset),
        schema=_schema(),
        profile=json.dumps({"num_rows": split.n_test, **to_json(split)}),
        context="test",
    )


def _source(dataset: DatasetFacts) -> str:
    return json.dumps({"uri": dataset.source})


def _schema() -> str:
    columns = [{"name": name, "type": kind} for name, kind in _COLUMNS.items()]
    return json.dumps({"mlflow_colspec": columns})


def dataset_input(facts: LoggedDataset) -> "DatasetInput":
    """Make the input of a run."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    return DatasetInput(
        Dataset(
            name=facts.name,
            digest=facts.digest,
            source_type="local",
            source=facts.source,
            schema=facts.schema,
            profile=facts.profile,
        ),
        [InputTag("mlflow.data.context", facts.context)],
    )
