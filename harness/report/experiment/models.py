"""The models of an experiment as reports list and compare them."""

from collections.abc import Mapping
from typing import Any

from harness.experiment.record import ExperimentRecord
from harness.report.comparison import Comparison
from harness.report.markdown import escape

__all__ = ["baselines", "compare", "label", "name_of", "rivals", "tuned_models"]

Model = Mapping[str, Any]


def tuned_models(record: ExperimentRecord) -> list[Model]:
    """List the tuned models, the lowest RMSE on the test set first.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.

    Returns
    -------
    list of mapping
        As in `ExperimentRecord.final`; none before the test set was opened.
    """
    tuned = [m for m in record.models if m["role"] == "tuned"]
    return sorted(tuned, key=_rmse)


def baselines(record: ExperimentRecord) -> list[Model]:
    """List the baselines, the lowest RMSE on the test set first.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.

    Returns
    -------
    list of mapping
        As in `ExperimentRecord.final`.
    """
    found = [m for m in record.models if m["role"] == "baseline"]
    return sorted(found, key=_rmse)


def rivals(record: ExperimentRecord) -> list[Model]:
    """List the tuned models, and after them the bias baseline.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.

    Returns
    -------
    list of mapping
        As in `ExperimentRecord.final`.
    """
    bias = record.baseline()
    return [*tuned_models(record), *([] if bias is None else [bias])]


def _rmse(model: Model) -> float:
    return float(model["metrics"]["rmse"]["value"])


def label(record: ExperimentRecord, candidate: str) -> str:
    """Name a candidate, or a baseline, for people.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    candidate : str
        Key of an entry of the file, or name of a baseline.

    Returns
    -------
    str
        Markdown.
    """
    known = candidate in record.spec.families
    return escape(record.spec.label(candidate) if known else candidate)


def name_of(record: ExperimentRecord, model: Model) -> str:
    """Name a model for people, without its role.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    model : mapping
        As in `ExperimentRecord.final`.

    Returns
    -------
    str
        Markdown: the label of its candidate; of baselines and variants their name.
    """
    named = model["role"] in {"baseline", "variant"} or model["candidate"] is None
    return escape(model["name"]) if named else label(record, model["candidate"])


def compare(
    record: ExperimentRecord, one: Model | None, other: Model | None
) -> Comparison | None:
    """Say how two models differ on the test set.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    one, other : mapping or None
        As in `ExperimentRecord.final`.

    Returns
    -------
    Comparison or None
        With the p-value corrected within its group; None if they were not compared.
    """
    if one is None or other is None or record.final is None:
        return None
    found = record.difference(one["name"], other["name"])
    if found is None:
        return None
    return Comparison(
        other=other["name"],
        value=found["value"],
        low=found["low"],
        high=found["high"],
        p_value=found["p_holm"],
        significance=record.spec.decision.significance,
    )
