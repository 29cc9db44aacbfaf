"""The outcome of an experiment in MLflow: its runs, its report, its final models."""

import shlex
from pathlib import Path

from harness.data.dataset import Dataset
from harness.errors import TrackingError
from harness.experiment.record import ExperimentRecord
from harness.tracking.experiment_runs import log_experiment
from harness.tracking.location import locate
from harness.tracking.packaging import Origin, log_model, package
from harness.workflow.judgement import JudgedExperiment

__all__ = ["log_result"]


def log_result(
    judged: JudgedExperiment,
    report: Path,
    dataset: Dataset | None,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> str | None:
    """Log the runs of an experiment, with its report, and the models just fitted.

    Parameters
    ----------
    judged : JudgedExperiment
        The experiment.
    report : Path
        Folder of the report.
    dataset : Dataset or None
        Its data; None where nothing was fitted.
    tracking_uri, experiment : str, optional
        Where the runs are kept, see `harness.tracking.location.locate`.

    Returns
    -------
    str or None
        What went wrong, and how to mend it, in one sentence: the experiment itself does
        not depend on MLflow.
    """
    record = judged.record
    where = {"tracking_uri": tracking_uri, "experiment": experiment}
    try:
        runs = log_experiment(record, report, **where)
        for candidate, model in judged.models.items():
            if dataset is not None and candidate in runs:
                packaged = package(
                    model, dataset, _origin(record, candidate), report=report
                )
                log_model(packaged, run_id=runs[candidate], **where)
    except TrackingError as error:
        options = locate(tracking_uri, experiment).options
        command = shlex.join(["harness", "sync", record.name, *options])
        return f"Not everything is logged to MLflow: {error} Later: {command}"
    return None


def _origin(record: ExperimentRecord, candidate: str) -> Origin:
    model, study = record.model(candidate), record.studies[candidate]
    assert model is not None
    assert record.final is not None
    return Origin(
        study=study.name,
        split=record.split,
        experiment=record.name,
        trial=record.final["best_trials"][candidate],
        metrics=model["metrics"],
    )
