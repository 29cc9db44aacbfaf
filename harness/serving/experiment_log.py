"""The outcome of an experiment in MLflow: its runs, its report, its final models."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.data.dataset import Dataset
from harness.errors import TrackingError
from harness.experiment.judge import JudgedExperiment
from harness.experiment.results import ExperimentRecord
from harness.experiment.store import RUNS
from harness.search.storage import save_experiment_facts
from harness.serving.package import Origin, log_model, package
from harness.tracking.experiment_projection import (
    attach_report,
    find_run_ids,
    log_experiment,
)
from harness.tracking.location import locate

__all__ = ["log_report", "log_runs"]


def log_runs(
    record: ExperimentRecord,
    storage: str,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> tuple[ExperimentRecord, str | None]:
    """Log the runs of an experiment, and keep their ids with it, for its report."""
    where = {"tracking_uri": tracking_uri, "experiment": experiment}
    try:
        log_experiment(record, None, **where)
        runs = find_run_ids(record, **where)
    except TrackingError as error:
        return record, _problem(record, error, where)
    # A journal keeps every write: the same ids are not written again.
    if runs != record.runs:
        save_experiment_facts(storage, record.name, RUNS, runs)
    return replace(record, runs=runs), None


def log_report(
    judged: JudgedExperiment,
    report: Path,
    dataset: Dataset | None,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> str | None:
    """Add the report to the run of an experiment, and the models just fitted to theirs."""
    where = {"tracking_uri": tracking_uri, "experiment": experiment}
    record, runs = judged.record, judged.record.runs
    try:
        attach_report(runs["experiment"], report, **where)
        for candidate, model in judged.models.items():
            run_id = runs["candidates"].get(candidate, {}).get("final_run")
            if dataset is not None and run_id is not None:
                packaged = package(
                    model, dataset, _origin(record, candidate), report=report
                )
                log_model(packaged, run_id=run_id, **where)
    except TrackingError as error:
        return _problem(record, error, where)
    return None


def _problem(
    record: ExperimentRecord, error: TrackingError, where: Mapping[str, Any]
) -> str:
    options = locate(**where).options
    command = shlex.join(["harness", "sync", record.name, *options])
    return f"Not everything is logged to MLflow: {error} Later: {command}"


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
