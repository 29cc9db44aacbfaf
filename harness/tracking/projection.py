"""The runs of a study and its trials: what they should be, and how they get there."""

import hashlib
import json
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from harness.search.records import StudyRecord, TrialRecord
from harness.tracking.run_image import (
    LONGEST_VALUE,
    DatasetFacts,
    MetricPoint,
    RunImage,
    RunStatus,
    as_json,
    as_milliseconds,
    as_text,
    current_user,
    dataset_facts,
    sealed_facts,
    shorten,
)
from harness.tracking.store import Outcome, RunStore, can_become, mend

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = [
    "STUDY_TAG",
    "TRIAL_TAG",
    "StudyRuns",
    "SyncCounts",
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
    """Identify a study among all that are logged to one store."""
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
    """Show a trial as a run."""
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
    """Show a study as a run, the parent of its trials' runs."""
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


@dataclass(frozen=True, kw_only=True)
class SyncCounts:
    """What a synchronisation did.

    Parameters
    ----------
    created, repaired, unchanged : int, default 0
        Number of runs that were missing, that were not right, and that were right.
    """

    created: int = 0
    repaired: int = 0
    unchanged: int = 0

    @classmethod
    def of(cls, outcomes: list[Outcome]) -> Self:
        """Count what had to be done."""
        return cls(
            created=outcomes.count("created"),
            repaired=outcomes.count("repaired"),
            unchanged=outcomes.count("unchanged"),
        )


class StudyRuns:
    """The runs of one study: what is there, and what is written.

    Parameters
    ----------
    store : RunStore
        The store.
    study : StudyRecord
        The study.
    above : str, optional
        Id of the run of the experiment that the study belongs to.
    """

    def __init__(
        self, store: RunStore, study: StudyRecord, *, above: str | None = None
    ) -> None:
        self._store = store
        self._above = above
        self._study = study
        self._parent: Run | None = None
        self._trials: dict[int, list[Run]] = {}
        parents = []
        for run in store.runs(STUDY_TAG, study_identity(study)):
            number = run.data.tags.get(TRIAL_TAG)
            if number is None:
                parents.append(run)
            else:
                self._trials.setdefault(int(number), []).append(run)
        if parents:
            self._parent = parents[0]
        for run in parents[1:]:
            store.delete(run.info.run_id)

    @property
    def parent_id(self) -> str:
        """Id of the run of the study, which `begin` has created."""
        assert self._parent is not None
        return str(self._parent.info.run_id)

    def write(self, study: StudyRecord) -> list[Outcome]:
        """Write the run of the study, and those of its trials that have ended."""
        running = any(trial.state == "running" for trial in study.trials)
        begun = self.begin(study)
        outcomes = [self.write_trial(t) for t in study.trials if t.state != "running"]
        ended = self.write_parent(study, running=running)
        return [*outcomes, "created" if begun == "created" else ended]

    def begin(self, study: StudyRecord) -> Outcome:
        """Create the run of the study if there is none."""
        self._store.show_trials(_columns(study))
        if self._parent is not None:
            return "unchanged"
        image = project_study(study, status="RUNNING")
        self._parent = self._store.read(self._store.create(image, parent=self._above))
        return "created"

    def write_parent(self, study: StudyRecord, *, running: bool) -> Outcome:
        """Bring the run of the study up to date; `begin` has created it."""
        assert self._parent is not None
        image = project_study(study, status="RUNNING" if running else "FINISHED")
        if not mend(self._store, self._parent, image, parent=self._above):
            return "unchanged"
        self._parent = self._store.read(self.parent_id)
        return "repaired"

    def write_trial(self, trial: TrialRecord) -> Outcome:
        """Write the run of a trial that has ended, below that of its study."""
        image = project_trial(self._study, trial)
        found = self._trials.pop(trial.number, [])
        kept = next((run for run in found if can_become(run, image)), None)
        for run in found:
            if run is not kept:
                self._store.delete(run.info.run_id)
        if kept is None:
            self._store.create(image, parent=self.parent_id)
            return "repaired" if found else "created"
        changed = mend(self._store, kept, image, parent=self.parent_id)
        return "repaired" if changed or len(found) > 1 else "unchanged"


def _columns(study: StudyRecord) -> list[str]:
    names = list(study.settings.get("space", {}))
    names += [name for trial in study.trials[-1:] for name in trial.params]
    return list(dict.fromkeys(names))
