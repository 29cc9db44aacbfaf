"""A data set as MLflow records that a run used it."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.tracking.run_image import DatasetFacts

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

__all__ = ["dataset_facts", "dataset_input", "sealed_facts"]

_LONGEST_DIGEST = 36
_COLUMNS = {"user": "string", "item": "string", "rating": "float"}


def dataset_facts(facts: Mapping[str, Any]) -> DatasetFacts:
    """Say what is known of a data set in the terms of MLflow.

    Parameters
    ----------
    facts : mapping
        As `harness.data.dataset.Dataset.facts` gives them.

    Returns
    -------
    DatasetFacts
        Name, digest, and JSON.
    """
    profile = {key: value for key, value in facts.items() if key != "source"}
    profile = {"num_rows": facts.get("n_ratings"), **profile}
    return DatasetFacts(
        name=str(facts.get("name")),
        digest=str(facts.get("fingerprint"))[:_LONGEST_DIGEST],
        source=_source(facts),
        schema=_schema(),
        profile=json.dumps(profile, default=str),
    )


def sealed_facts(dataset: Mapping[str, Any], split: Mapping[str, Any]) -> DatasetFacts:
    """Say what is known of the test part in the terms of MLflow.

    Parameters
    ----------
    dataset, split : mapping
        Facts as in `StudyRecord`.

    Returns
    -------
    DatasetFacts
        Its digest is the fingerprint of the split.
    """
    profile = {"num_rows": split.get("n_test"), **split}
    return DatasetFacts(
        name=f"{dataset.get('name')}, test part",
        digest=str(split.get("fingerprint"))[:_LONGEST_DIGEST],
        source=_source(dataset),
        schema=_schema(),
        profile=json.dumps(profile, default=str),
        context="test",
    )


def _source(dataset: Mapping[str, Any]) -> str:
    return json.dumps({"uri": str(dataset.get("source"))})


def _schema() -> str:
    columns = [{"name": name, "type": kind} for name, kind in _COLUMNS.items()]
    return json.dumps({"mlflow_colspec": columns})


def dataset_input(facts: DatasetFacts) -> "DatasetInput":
    """Make the input of a run.

    Parameters
    ----------
    facts : DatasetFacts
        The data set.

    Returns
    -------
    mlflow.entities.DatasetInput
        For `MlflowClient.log_inputs`.
    """
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
