"""Writes what is heard of a study to the store, again and again until it is there."""

import shlex
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.search.records import StudyRecord, TrialRecord
from harness.tracking.location import Location
from harness.tracking.problems import reason
from harness.tracking.store import RunStore, open_store
from harness.tracking.study_runs import StudyRuns

__all__ = [
    "Event",
    "OneWarning",
    "StudyEnded",
    "StudyStarted",
    "StudyWriter",
    "TrialEnded",
]

_DEFAULT_STORAGE = "optuna.log"  # as `harness sync` has it
# Importing MLflow and making its tables takes two seconds of a core, which at the start
# of a study the workers need more.
_HEAD_START_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class StudyStarted:
    """A study starts or continues.

    Parameters
    ----------
    study : StudyRecord
        With the trials that it has.
    """

    study: StudyRecord


@dataclass(frozen=True, kw_only=True)
class TrialEnded:
    """A trial of the study that was started has ended.

    Parameters
    ----------
    trial : TrialRecord
        The trial.
    """

    trial: TrialRecord


@dataclass(frozen=True, kw_only=True)
class StudyEnded:
    """The search has ended.

    Parameters
    ----------
    study : StudyRecord
        With all its trials.
    """

    study: StudyRecord


Event = StudyStarted | TrialEnded | StudyEnded


class OneWarning:
    """Says once that runs cannot be logged.

    Parameters
    ----------
    location : Location
        Where the runs should be.
    warn : callable
        Is given the sentence.
    """

    def __init__(self, location: Location, warn: Callable[[str], None]) -> None:
        self._location = location
        self._warn = warn
        self._said = False
        self._lock = threading.Lock()

    def say(self, study: StudyRecord | None, why: str) -> None:
        """Say it, unless it was said before.

        Parameters
        ----------
        study : StudyRecord or None
            The study that is not logged.
        why : str
            What is wrong.
        """
        with self._lock:
            if self._said:
                return
            self._said = True
        command = ["harness", "sync"]
        if study is not None:
            command.append(study.name)
            if study.storage != _DEFAULT_STORAGE:
                command += ["--storage", study.storage]
        command += self._location.options
        self._warn(
            f"Not everything is logged to MLflow at {self._location.shown}: {why} The "
            f"study is not affected; to log what is missing: {shlex.join(command)}"
        )


class StudyWriter:
    """Writes what is heard of a study to the store.

    Parameters
    ----------
    location : Location
        Where the runs are kept.
    warning : OneWarning
        Is told when the store fails.
    """

    def __init__(self, location: Location, warning: OneWarning) -> None:
        self._location = location
        self._warning = warning
        self._store: RunStore | None = None
        self._runs: StudyRuns | None = None
        self._trials: dict[int, TrialRecord] = {}
        self._running = True
        self._parent_is_due = False
        self._pause = _FIRST_PAUSE_SECONDS
        self._retry_at = 0.0
        self._has_head_start = False
        self.study: StudyRecord | None = None

    @property
    def pending(self) -> bool:
        """Whether something is not written yet."""
        return self._parent_is_due or bool(self._trials)

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt has failed."""
        return self._pause > _FIRST_PAUSE_SECONDS

    @property
    def seconds_to_wait(self) -> float | None:
        """Seconds until the next attempt; None if there is nothing to write."""
        if not self.pending:
            return None
        return max(0.0, self._retry_at - time.monotonic())

    def take(self, event: Event) -> None:
        """Remember what is to be written.

        Parameters
        ----------
        event : Event
            What was heard.
        """
        if isinstance(event, TrialEnded):
            self._trials[event.trial.number] = event.trial
            self._end_head_start()
            return
        # The runs are read again at the start and at the end of a study: one search
        # finds whatever an earlier process, or a failure on the way, has left undone.
        self._runs = None
        self.study = event.study
        self._running = isinstance(event, StudyStarted)
        self._parent_is_due = True
        ended = [t for t in event.study.trials if t.state != "running"]
        self._trials = {trial.number: trial for trial in ended}
        if not self._running:
            self._end_head_start()
        elif self._store is None:
            self._has_head_start = True
            self._retry_at = time.monotonic() + _HEAD_START_SECONDS

    def _end_head_start(self) -> None:
        if self._has_head_start:
            self._has_head_start = False
            self._retry_at = 0.0

    def flush(self) -> None:
        """Write what is to be written, unless the store failed a moment ago."""
        if time.monotonic() >= self._retry_at:
            self.retry()

    def retry(self) -> None:
        """Write what is to be written now."""
        if self.study is None or not self.pending:
            return
        try:
            self._write(self.study)
        # Whatever MLflow, a database driver or a server raises: the study goes on.
        except Exception as error:  # noqa: BLE001
            self._has_head_start = False
            self._runs = None  # what was written is known after the next search only
            self._retry_at = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
            self._warning.say(self.study, reason(error))
        else:
            self._pause = _FIRST_PAUSE_SECONDS

    def _write(self, study: StudyRecord) -> None:
        if self._store is None:
            self._store = open_store(self._location)
        if self._runs is None:
            self._runs = StudyRuns(self._store, study)
            ended = [self._trials[number] for number in sorted(self._trials)]
            so_far = replace(study, trials=tuple(ended))
            self._runs.begin(so_far)
            if self._running:
                self._runs.write_parent(so_far, running=True)
                self._parent_is_due = False
        for number in sorted(self._trials):
            self._runs.write_trial(self._trials[number])
            del self._trials[number]
        # Last, so that a finished study has all its trials.
        if not self._running:
            self._runs.write_parent(study, running=False)
            self._parent_is_due = False
