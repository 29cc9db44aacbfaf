"""What a study and a trial look like as runs: names, status, times, values, tags."""

import hashlib
import json
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from harness.search.records import StudyRecord, TrialRecord
from harness.tracking.dataset_input import dataset_facts, sealed_facts
from harness.tracking.run_image import DatasetFacts, MetricPoint, RunImage, RunStatus
from harness.tracking.run_values import (
    LONGEST_VALUE,
    as_json,
    as_milliseconds,
    as_text,
    current_user,
    shorten,
)

__all__ = [
    "STUDY_TAG",
    "TRIAL_TAG",
    "project_study",
    "project_trial",
    "study_identity",
]

STUDY_TAG = "harness.study_id"
TRIAL_TAG = "trial"

_STATUS: dict[str, RunStatus] = {
    "running": "RUNNING",
    "complete": "FINISHED",
    "pruned": "KILLED",
    "failed": "FAILED",
}


def study_identity(study: StudyRecord) -> str:
    """Identify a study among all that are logged to one store.

    Parameters
    ----------
    study : StudyRecord
        The study.

    Returns
    -------
    str
        16 hexadecimal digits. They come from the identity that the storage keeps, so
        that a study of the same name in another storage has others; without one, from
        name, family, seed and the fingerprints of dataset and split.
    """
    parts = (
        [study.identity]
        if study.identity
        else [
            study.name,
            study.family,
            study.settings.get("seed"),
            study.dataset.get("fingerprint"),
            study.split.get("fingerprint"),
        ]
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def project_trial(study: StudyRecord, trial: TrialRecord) -> RunImage:
    """Show a trial as a run.

    Parameters
    ----------
    study : StudyRecord
        The study it belongs to.
    trial : TrialRecord
        The trial, ended.

    Returns
    -------
    RunImage
        The run. A pruned trial has its folds' values, and no means: a mean over fewer
        folds would be ranked among those over all of them.
    """
    ended = as_milliseconds(trial.ended or trial.started)
    return RunImage(
        name=f"{study.family} #{trial.number} {_outcome(trial)}",
        status=_STATUS[trial.state],
        started=as_milliseconds(trial.started),
        ended=ended,
        params={key: as_text(value) for key, value in trial.params.items()},
        tags=_trial_tags(study, trial),
        points=tuple(_trial_points(trial, ended)),
        datasets=(dataset_facts(study.dataset),),
    )


def _outcome(trial: TrialRecord) -> str:
    if trial.state == "complete" and trial.value is not None:
        return f"rmse {trial.value:.4f}"
    return trial.state


def _trial_points(trial: TrialRecord, ended: int) -> Iterator[MetricPoint]:
    means = dict(trial.metrics)
    if trial.value is not None:
        means["rmse"] = trial.value
    if len(trial.fold_values) > 1:
        means["rmse_fold_sd"] = statistics.stdev(trial.fold_values)
    for key, value in means.items():
        ranked = trial.state == "complete" or key.endswith("_seconds")
        if ranked and math.isfinite(value):
            yield MetricPoint(key=key, value=shorten(value), timestamp=ended)
    for fold, value in enumerate(trial.fold_values):
        if math.isfinite(value):
            yield MetricPoint(
                key="fold_rmse", value=shorten(value), timestamp=ended, step=fold
            )


def _trial_tags(study: StudyRecord, trial: TrialRecord) -> dict[str, str]:
    tags = _shared_tags(study) | {
        TRIAL_TAG: str(trial.number),
        "state": trial.state,
        "seed": str(trial.seed),
    }
    if trial.error:
        # The end of a traceback says what happened.
        tags["traceback"] = trial.error[-LONGEST_VALUE:]
    if trial.duplicate_of is not None:
        tags["duplicate_of"] = str(trial.duplicate_of)
    return tags


def project_study(study: StudyRecord, *, status: RunStatus) -> RunImage:
    """Show a study as a run, the parent of its trials' runs.

    Parameters
    ----------
    study : StudyRecord
        The study with its trials.
    status : {"RUNNING", "FINISHED"}
        Whether it goes on.

    Returns
    -------
    RunImage
        The run. What can change when the study is continued (the best parameters)
        stands in tags, because MLflow's parameters cannot change.
    """
    name = f"{study.name} study"
    if status != "RUNNING" and study.best is not None:
        name += f", best rmse {study.best.value:.4f}"
    started = [as_milliseconds(t.started) for t in study.trials]
    ended = [as_milliseconds(t.ended) for t in study.trials if t.ended is not None]
    return RunImage(
        name=name,
        status=status,
        started=min(started, default=None),
        ended=None if status == "RUNNING" else max(ended, default=None),
        params=_study_params(study),
        tags=_study_tags(study),
        points=() if status == "RUNNING" else tuple(_study_points(study)),
        datasets=_study_datasets(study),
    )


def _study_datasets(study: StudyRecord) -> tuple[DatasetFacts, ...]:
    training = dataset_facts(study.dataset)
    if not (study.final or {}).get("models"):
        return (training,)
    return (training, sealed_facts(study.dataset, study.split))


def _study_params(study: StudyRecord) -> dict[str, str]:
    params = {"family": study.family}
    for key, value in study.settings.items():
        if isinstance(value, Mapping):
            if "name" in value:
                params[key] = as_text(value["name"])
        elif not isinstance(value, list | tuple):
            params[key] = as_text(value)
    params["split"] = as_text(study.split.get("method"))
    return params


def _study_tags(study: StudyRecord) -> dict[str, str]:
    tags = _shared_tags(study) | {
        "seed": as_text(study.settings.get("seed")),
        "storage": study.storage,
        "settings": as_json(study.settings)[:LONGEST_VALUE],
        "split": as_json(study.split)[:LONGEST_VALUE],
        "mlflow.note.content": _note(study),
    }
    if study.final is not None:  # the seal: when the test set was opened, how often
        tags["test_opened"] = as_text(study.final.get("opened"))
        tags["test_looks"] = as_text(study.final.get("looks"))
    if study.best is not None:
        tags["best_trial"] = str(study.best.number)
        tags |= {f"best_{key}": as_text(v) for key, v in study.best.params.items()}
    return tags


def _study_points(study: StudyRecord) -> Iterator[MetricPoint]:
    """Yield the best value so far by trial, the numbers of trials, the test's figures."""
    ended = [t for t in study.trials if t.ended is not None]
    if not ended:
        return
    best = math.inf
    for trial in ended:
        if trial.state == "complete" and trial.value is not None and trial.value < best:
            best = trial.value
            yield MetricPoint(
                key="best_rmse",
                value=shorten(best),
                timestamp=as_milliseconds(trial.ended or trial.started),
                step=trial.number,
            )
    counts = Counter(trial.state for trial in ended)
    now = max(as_milliseconds(t.ended or t.started) for t in ended)
    figures: dict[str, float] = {
        "n_trials": len(ended),
        **{f"n_{state}": counts[state] for state in ("complete", "pruned", "failed")},
        **dict(_test_figures(study.final or {})),
    }
    for key, value in figures.items():
        if math.isfinite(value):
            yield MetricPoint(
                key=key, value=shorten(value), timestamp=now, step=len(ended)
            )


def _test_figures(final: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield every metric of the first model, the tuned one, and the RMSE of the others."""
    for place, model in enumerate(final.get("models", ())):
        suffix = "" if place == 0 else "_" + re.sub(r"\W+", "_", model["name"])
        for metric, interval in model["metrics"].items():
            if place == 0 or metric == "rmse":
                yield f"test_{metric}{suffix}", interval["value"]
        if place == 0:
            rmse = model["metrics"]["rmse"]
            yield from ((f"test_rmse_{end}", rmse[end]) for end in ("low", "high"))


def _shared_tags(study: StudyRecord) -> dict[str, str]:
    return {
        STUDY_TAG: study_identity(study),
        "study": study.name,
        "family": study.family,
        "dataset": as_text(study.dataset.get("name")),
        "dataset_fingerprint": as_text(study.dataset.get("fingerprint")),
        "split_fingerprint": as_text(study.split.get("fingerprint")),
        "code_version": study.code_version,
        "mlflow.source.name": f"harness study {study.family}",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": current_user(),
    }


def _note(study: StudyRecord) -> str:
    data = study.dataset
    summary = (
        f"Search of `{study.family}` on **{data.get('name')}**: "
        f"{data.get('n_ratings')} ratings, {data.get('n_users')} users, "
        f"{data.get('n_items')} titles; split `{study.split.get('method')}`."
    )
    lines = [summary]
    if data.get("simulated"):
        lines.append("These ratings are **simulated**.")
    if study.best is not None:
        lines.append(
            f"Best: trial {study.best.number}, RMSE {study.best.value:.4f} stars "
            f"(mean over the folds)."
        )
    return "\n\n".join(lines)
