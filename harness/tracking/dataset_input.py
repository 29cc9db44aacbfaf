"""A data set as MLflow records that a run used it."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.tracking.run_image import DatasetFacts

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

__all__ = ["dataset_facts", "dataset_input"]

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
    schema = [{"name": name, "type": kind} for name, kind in _COLUMNS.items()]
    profile = {key: value for key, value in facts.items() if key != "source"}
    profile = {"num_rows": facts.get("n_ratings"), **profile}
    return DatasetFacts(
        name=str(facts.get("name")),
        digest=str(facts.get("fingerprint"))[:_LONGEST_DIGEST],
        source=json.dumps({"uri": str(facts.get("source"))}),
        schema=json.dumps({"mlflow_colspec": schema}),
        profile=json.dumps(profile, default=str),
    )


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
        [InputTag("mlflow.data.context", "training")],
    )
