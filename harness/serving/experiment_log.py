"""The outcome of an experiment in MLflow: its runs, its report, its final models."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harness.data.dataset import Dataset
from harness.errors import TrackingError
from harness.experiment.judge import JudgedExperiment
from harness.experiment.refit import refit_best
from harness.experiment.results import ExperimentRecord
from harness.experiment.store import keep
from harness.models.base import Recommender
from harness.serving.package import log_model, origin_of, package
from harness.serving.registry import Registry
from harness.tracking.live import not_logged
from harness.tracking.location import Location
from harness.tracking.runs import attach_report, log_experiment

__all__ = ["log_report", "log_runs"]


def log_runs(
    record: ExperimentRecord, storage: str, location: Location
) -> tuple[ExperimentRecord, str | None]:
    """Log the runs of an experiment, and keep their ids with it, for its report.

    The second value says what went wrong, and how to repair it, in one sentence: the
    experiment itself does not depend on MLflow.
    """
    try:
        runs = log_experiment(record, location)
    except TrackingError as error:
        return record, not_logged(str(error), record, location)
    # A journal keeps every write: the same ids are not written again.
    if runs != record.runs:
        keep(storage, record.name, "runs", runs)
    return replace(record, runs=runs), None


def log_report(
    judged: JudgedExperiment, report: Path, dataset: Dataset | None, location: Location
) -> str | None:
    """Add the report to the run of an experiment, and the models just fitted to theirs.

    `dataset` is None where nothing was fitted; what went wrong is said as by `log_runs`.
    """
    record, runs = judged.record, judged.record.runs
    try:
        if runs.experiment is not None:
            attach_report(runs.experiment, report, location)
        if dataset is None:
            return None
        for candidate, model in _models(judged, dataset, location):
            final_run = runs.candidates[candidate].final_run
            assert final_run is not None
            origin = origin_of(record, candidate)
            packaged = package(model, dataset, origin, report=report)
            log_model(packaged, run_id=final_run, location=location)
    except TrackingError as error:
        return not_logged(str(error), record, location)
    return None


def _models(
    judged: JudgedExperiment, dataset: Dataset, location: Location
) -> Iterator[tuple[str, Recommender]]:
    """Give the final models that have a run, but are not in MLflow.

    One that was judged by a process that was stopped before it was logged is fitted again.
    """
    registry = Registry(location)
    for candidate, logged in judged.record.runs.candidates.items():
        if logged.final_run is None:
            continue
        if candidate in judged.models:
            yield candidate, judged.models[candidate]
        elif registry.logged_model(logged.final_run, trial=logged.trial) is None:
            study = judged.record.studies[candidate]
            if study.best is not None and study.best.number == logged.trial:
                yield candidate, refit_best(study, lambda: dataset).model
