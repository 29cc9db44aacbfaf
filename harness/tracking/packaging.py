"""Fitted recommenders as MLflow models: made from code, logged, and loaded again."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import __version__
from harness.data.dataset import Dataset
from harness.errors import HarnessError
from harness.models.base import Recommender
from harness.tracking.dataset_input import dataset_facts, dataset_input, sealed_facts
from harness.tracking.location import locate
from harness.tracking.model_card import write_card
from harness.tracking.model_folder import PackagedModel, write_model
from harness.tracking.model_requirements import requirements
from harness.tracking.problems import unusable
from harness.tracking.store import open_store, quieten
from harness.version import code_version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.models import Model

__all__ = ["Origin", "log_model", "package", "save_model"]

CARD = "card.md"
REPORT = "report"
_SCRIPT = Path(__file__).with_name("model_script.py")
_MODEL_FILE = "MLmodel"
_TAGS = (
    *("family", "study", "experiment", "trial", "simulated", "harness_version"),
    *("fingerprint", "size_bytes"),
)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a model comes from.

    Parameters
    ----------
    study : str
        Name of the study that found its settings.
    split : mapping
        Facts of the split, as in `StudyRecord`.
    experiment : str, optional
        Name of the experiment of the study.
    trial : int, optional
        Number of the trial; None for settings that no trial has found.
    metrics : mapping
        Figures on the sealed test set: name to ``value``, ``low`` and ``high``.
    """

    study: str
    split: Mapping[str, Any]
    experiment: str | None = None
    trial: int | None = None
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def package(
    model: Recommender,
    dataset: Dataset,
    origin: Origin,
    *,
    report: Path | None = None,
) -> PackagedModel:
    """Put a fitted model together with the titles of its data and its origin.

    Parameters
    ----------
    model : Recommender
        Fitted on the training part of the data set.
    dataset : Dataset
        The data set.
    origin : Origin
        Where the settings come from.
    report : Path, optional
        Folder of the report, which is logged with the model.

    Returns
    -------
    PackagedModel
        Its facts are JSON-like: ``family``, ``study``, ``experiment``, ``trial``,
        ``dataset``, ``split``, ``metrics``, ``n_train``, ``scale``, ``simulated``,
        ``harness_version`` and ``code_version``.
    """
    known = dataset.facts()
    frame = dataset.catalogue.frame
    titles = (
        frame["title"].tolist() if "title" in frame else [None] * len(model.item_ids_)
    )
    return PackagedModel(
        model=model,
        titles=tuple(t if isinstance(t, str) else None for t in titles),
        report=report,
        facts={
            "family": model.name,
            "study": origin.study,
            "experiment": origin.experiment,
            "trial": origin.trial,
            "dataset": known,
            "split": dict(origin.split),
            "metrics": {name: dict(figure) for name, figure in origin.metrics.items()},
            "n_train": origin.split["n_train"],
            "scale": known["scale"],
            "simulated": dataset.simulated,
            "harness_version": __version__,
            "code_version": code_version(),
        },
    )


def save_model(packaged: PackagedModel, folder: Path) -> "Model":
    """Write a packaged model as an MLflow model, which any MLflow can load and serve.

    Parameters
    ----------
    packaged : PackagedModel
        The model.
    folder : Path
        Must not exist, or be empty.

    Returns
    -------
    mlflow.models.Model
        Its metadata has what the tags of a logged model have.
    """
    quieten()
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import Model

    from harness.tracking.served_model import ARTIFACT, DEFAULT_N, signature

    model = Model()
    somebody = str(packaged.model.user_ids_[0])
    # MLflow compares the names of columns with a range, which pandas 4 takes otherwise
    # for its own type of text.
    names = pd.Index(["user"], dtype=object)
    example = (pd.DataFrame([[somebody]], columns=names), {"n": DEFAULT_N})
    with tempfile.TemporaryDirectory() as beside:
        artifact = Path(beside) / ARTIFACT
        facts = write_model(packaged, artifact)
        mlflow.pyfunc.save_model(
            str(folder),
            mlflow_model=model,
            python_model=str(_SCRIPT),
            artifacts={ARTIFACT: str(artifact)},
            signature=signature(),
            input_example=example,
            pip_requirements=requirements(packaged.model.name),
            metadata=_summary(facts),
        )
    _forget_paths(model)
    model.save(str(folder / _MODEL_FILE))
    (folder / CARD).write_text(_card(packaged), encoding="utf-8")
    if packaged.report is not None:
        shutil.copytree(packaged.report, folder / REPORT)
    return model


def _forget_paths(model: "Model") -> None:
    """Leave out where this machine keeps its files, which loading does not need."""
    flavor = model.flavors["python_function"]
    flavor["model_code_path"] = _SCRIPT.name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]


def _summary(facts: Mapping[str, Any]) -> dict[str, str]:
    """Say the most important facts in text: the tags of the logged model."""
    summary = {name: str(facts[name]) for name in _TAGS if facts[name] is not None}
    return summary | {
        "dataset": facts["dataset"]["name"],
        "dataset_fingerprint": facts["dataset"]["fingerprint"],
        "split_fingerprint": facts["split"]["fingerprint"],
    }


def _card(packaged: PackagedModel) -> str:
    params = packaged.model.hyperparameters()
    return write_card(packaged.facts, params, has_report=packaged.report is not None)


def log_model(
    packaged: PackagedModel,
    *,
    run_id: str,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> str:
    """Log a packaged model to a run, with its data set as an input of the run.

    Parameters
    ----------
    packaged : PackagedModel
        The model.
    run_id : str
        Run of its final evaluation; its status and times stay as they are.
    tracking_uri, experiment : str, optional
        Where the run is kept, see `harness.tracking.location.locate`.

    Returns
    -------
    str
        URI of the model: ``"models:/m-4f6e..."``.

    Raises
    ------
    TrackingError
        If the store cannot be used; a model that was begun is marked as failed.
    """
    location = locate(tracking_uri, experiment)
    try:
        open_store(location)
        from mlflow import MlflowClient

        return _log(MlflowClient(location.tracking_uri), packaged, run_id)
    except HarnessError:
        raise
    except Exception as error:
        raise unusable(location, error) from error


def _log(client: "MlflowClient", packaged: PackagedModel, run_id: str) -> str:
    # mlflow.pyfunc.log_model would do it in the store and the experiment that are active
    # in the whole process; the client does the same where it is told to.
    from mlflow.entities import LoggedModelOutput

    facts = packaged.facts
    run = client.get_run(run_id)
    client.log_inputs(run_id, [dataset_input(dataset_facts(facts["dataset"]))])
    params = {k: str(v) for k, v in packaged.model.hyperparameters().items()}
    logged = client.create_logged_model(
        run.info.experiment_id,
        name=re.sub(r"[^\w-]+", "-", facts["study"]),
        source_run_id=run_id,
        params=params,
        model_type="recommender",
    )
    try:
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        summary = _upload(client, packaged, run_id, logged)
        note = {"mlflow.note.content": _card(packaged)}
        client.set_logged_model_tags(logged.model_id, summary | note)
        _copy_metrics(client, run, logged.model_id, packaged)
    except BaseException:
        client.finalize_logged_model(logged.model_id, "FAILED")
        raise
    client.finalize_logged_model(logged.model_id, "READY")
    return str(logged.model_uri)


def _upload(
    client: "MlflowClient", packaged: PackagedModel, run_id: str, logged: "LoggedModel"
) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as beside:
        folder = Path(beside) / "model"
        model = save_model(packaged, folder)
        model.run_id, model.model_id = run_id, logged.model_id
        model.artifact_path = logged.artifact_location
        model.save(str(folder / _MODEL_FILE))
        client.log_model_artifacts(logged.model_id, str(folder))
    return dict(model.metadata or {})


def _copy_metrics(
    client: "MlflowClient", run: "Run", model_id: str, packaged: PackagedModel
) -> None:
    """Show the figures of the run on the page of the model, too, and what they are of."""
    from mlflow.entities import Metric

    test = sealed_facts(packaged.facts["dataset"], packaged.facts["split"])
    metrics = []
    for key in run.data.metrics:
        last = client.get_metric_history(run.info.run_id, key)[-1]
        metrics.append(
            Metric(
                key,
                last.value,
                last.timestamp,
                last.step,
                model_id=model_id,
                dataset_name=test.name,
                dataset_digest=test.digest,
            )
        )
    client.log_batch(run.info.run_id, metrics=metrics)
