"""Records of a study and its trials, without Optuna: what trackers and reports read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

__all__ = [
    "LEFT_BEHIND",
    "NoListener",
    "StudyListener",
    "StudyRecord",
    "TrialRecord",
    "busy_seconds",
    "why_exhausted",
]


LEFT_BEHIND = "The process ended while this trial was running."
"""Error of a trial that failed because its process was killed."""

TrialState = Literal["running", "complete", "pruned", "failed"]
ParamValue = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial, as the storage has it.

    Parameters
    ----------
    number : int
        Number of the trial in its study, from 0.
    state : {"running", "complete", "pruned", "failed"}
        How it ended.
    params : mapping
        Hyperparameters of the model, those found on the way (``n_epochs``) included.
    value : float or None
        Objective: mean over the folds of the RMSE in stars; None unless complete.
    fold_values : tuple of float
        RMSE of each fold that was evaluated, in the order of the folds.
    metrics : mapping
        Means over the evaluated folds: ``rmse``, ``mae``, ``r2``, ``within_half_star``,
        ``within_one_star``, ``fit_seconds`` ...
    seed : int
        Seed of the models of this trial.
    started, ended : datetime
        With time zone UTC; `ended` is None while it runs.
    error : str or None
        Traceback of a failed trial.
    duplicate_of : int or None
        Number of the trial with equal parameters whose values were taken over.
    """

    number: int
    state: TrialState
    params: Mapping[str, ParamValue]
    value: float | None
    fold_values: tuple[float, ...]
    metrics: Mapping[str, float]
    seed: int
    started: datetime
    ended: datetime | None
    error: str | None = None
    duplicate_of: int | None = None

    @property
    def rmse(self) -> float | None:
        """RMSE over the folds evaluated, be it all of them or not."""
        if self.value is not None:
            return self.value
        return self.metrics.get("rmse")


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """One study, as the storage has it.

    Parameters
    ----------
    name : str
        Name of the study in the Optuna storage.
    family : str
        Family of models that is tuned.
    settings : mapping
        JSON-like settings that fix the search: ``sampler``, ``pruner`` (each a mapping
        with ``name`` and every argument), ``n_folds``, ``seed``, ``jobs``, ``engine``,
        ``space`` (name to distribution) ...
    dataset : mapping
        JSON-like facts: ``name``, ``source``, ``fingerprint``, ``n_users``, ``n_items``,
        ``n_ratings``, ``scale``, ``simulated``, ``notes``.
    split : mapping
        JSON-like facts: ``method``, ``seed``, ``fingerprint``, ``n_train``, ``n_test``.
    code_version : str
        Version of harness, with the commit where it is known.
    storage : str
        Where the study is kept: URL or path, without a password.
    trials : tuple of TrialRecord
        In the order of their numbers.
    identity : str
        Drawn at random when the study was created and kept with it: tells studies of
        the same name in different storages apart.
    """

    name: str
    family: str
    settings: Mapping[str, Any]
    dataset: Mapping[str, Any]
    split: Mapping[str, Any]
    code_version: str
    storage: str
    trials: tuple[TrialRecord, ...] = field(default=())
    identity: str = ""

    @property
    def best(self) -> TrialRecord | None:
        """The complete trial with the lowest value; the earliest of equals."""
        complete = [t for t in self.trials if t.state == "complete"]
        return min(complete, key=lambda t: (t.value, t.number), default=None)


def why_exhausted(study: StudyRecord) -> str | None:
    """Say why there is nothing left to try, where that is so."""
    n_points = study.settings.get("n_points")
    if n_points is None or len(study.trials) < n_points:
        return None
    if study.settings["sampler"]["name"] == "grid" and n_points > 2:
        return (
            f"All {n_points - 1} points of the grid and the initial settings were tried: "
            "there is nothing left to search."
        )
    searched = [d for d in study.settings["space"].values() if d["type"] != "fixed"]
    if not searched:
        return f"{study.family} has no parameter to search here: one trial says all."
    return f"{study.family} has only its epochs to search here: two trials say all."


class StudyListener(Protocol):
    """Something that is told how a study goes. It must return at once, and not raise."""

    def on_study_start(self, study: StudyRecord) -> None:
        """Hear that a study starts or continues; `study.trials` are those there are."""

    def on_trial_end(self, study: StudyRecord, trial: TrialRecord) -> None:
        """Hear that a trial has ended; `study` is the record given at the start."""

    def on_study_end(self, study: StudyRecord) -> None:
        """Hear that the search has ended, interrupted or not; all trials are there."""


class NoListener:
    """A listener that ignores everything."""

    def on_study_start(self, study: StudyRecord) -> None:
        """Ignore it."""

    def on_trial_end(self, study: StudyRecord, trial: TrialRecord) -> None:
        """Ignore it."""

    def on_study_end(self, study: StudyRecord) -> None:
        """Ignore it."""


def busy_seconds(study: StudyRecord) -> float:
    """Measure the time during which at least one trial was under way."""
    spans = [
        (trial.started, trial.ended)
        for trial in study.trials
        # What a killed process has left behind "ends" with the next session.
        if trial.ended is not None and trial.error != LEFT_BEHIND
    ]
    total, until = 0.0, None
    for start, end in sorted(spans):
        begin = start if until is None else max(start, until)
        total += max(0.0, (end - begin).total_seconds())
        until = end if until is None else max(until, end)
    return total
