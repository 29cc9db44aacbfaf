"""A study logged to MLflow while it runs, without the study noticing."""

import shlex
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from harness.experiment.results import ExperimentRecord
from harness.search.records import StudyRecord, TrialRecord
from harness.tracking.location import Location
from harness.tracking.runs import StudyRuns
from harness.tracking.store import RunStore, open_store, reason

__all__ = ["MLflowTracker", "not_logged"]


_DEFAULT_STORAGE = "optuna.log"  # as `harness sync` has it
# Importing MLflow and making its tables takes two seconds of a core, which at the start
# of a study the workers need more.
_HEAD_START_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class StudyStarted:
    """A study starts or continues."""

    # With the trials that it has.
    study: StudyRecord


@dataclass(frozen=True, kw_only=True)
class TrialEnded:
    """A trial of the study that was started has ended."""

    trial: TrialRecord


@dataclass(frozen=True, kw_only=True)
class StudyEnded:
    """The search has ended."""

    study: StudyRecord


Event = StudyStarted | TrialEnded | StudyEnded


def not_logged(
    why: str, record: StudyRecord | ExperimentRecord | None, location: Location
) -> str:
    """Say that runs are missing in MLflow, and how to bring them in."""
    command = ["harness", "sync"]
    if record is not None:
        command.append(record.name)
        if record.storage != _DEFAULT_STORAGE:
            command += ["--storage", record.storage]
    command += location.options
    return (
        f"Not everything is logged to MLflow at {location.shown}: {why} The study is not "
        f"affected; to log what is missing: {shlex.join(command)}"
    )


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
        """Say it, unless it was said before."""
        with self._lock:
            if self._said:
                return
            self._said = True
        self._warn(not_logged(why, study, self._location))


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
        self._given_up = False
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
        """Remember what is to be written."""
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

    def give_up(self) -> None:
        """Write nothing after what is being written: others bring in what is missing."""
        self._given_up = True

    def flush(self) -> None:
        """Write what is to be written, unless the store failed a moment ago."""
        if time.monotonic() >= self._retry_at:
            self.retry()

    def retry(self) -> None:
        """Write what is to be written now."""
        if self.study is None or not self.pending or self._given_up:
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
            if self._given_up:
                return
            self._runs.write_trial(self._trials[number])
            del self._trials[number]
        # Last, so that a finished study has all its trials.
        if not self._running:
            self._runs.write_parent(study, running=False)
            self._parent_is_due = False


LONGEST_WAIT_FOR_FAILING_SECONDS = 5.0
_LAST_WRITE_SECONDS = 5.0


def _ignore(_message: str) -> None:
    pass


class MLflowTracker:
    """A listener that logs a study and its trials as MLflow runs.

    Its methods put what they hear into a queue and return; one thread, started with the
    first study, imports MLflow and writes. A store that fails is tried again after a
    pause that doubles from 1 s to 60 s, and once more at the end; what is missing then
    is brought in by ``harness sync``.

    Parameters
    ----------
    location : Location
        Where the runs are kept.
    warn : callable, optional
        Is given one sentence, once, when runs cannot be logged. It is called by the
        thread that writes, or by the one that calls `close`.

    Examples
    --------
    The command line closes the tracker after the study::

        with MLflowTracker(locate(), warn=print) as tracker:
            run_study(..., listener=tracker)
    """

    def __init__(
        self, location: Location, *, warn: Callable[[str], None] = _ignore
    ) -> None:
        self.location = location
        self._warning = OneWarning(self.location, warn)
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._writer = StudyWriter(self.location, self._warning)

    def on_study_start(self, study: StudyRecord) -> None:
        """Open or continue the run of the study, and log the trials that it has."""
        self._tell(StudyStarted(study=study))

    def on_trial_end(self, study: StudyRecord, trial: TrialRecord) -> None:
        """Log a trial below the run of its study."""
        del study  # known since on_study_start
        self._tell(TrialEnded(trial=trial))

    def on_study_end(self, study: StudyRecord) -> None:
        """Complete the run of the study."""
        self._tell(StudyEnded(study=study))

    def close(self, timeout: float = 15.0) -> bool:
        """Wait until everything is written; give up when the time is over."""
        if self._thread is None:
            return True
        if not self._closed:
            self._closed = True
            self._events.put(None)
            if self._writer.is_failing:
                timeout = min(timeout, LONGEST_WAIT_FOR_FAILING_SECONDS)
            self._thread.join(timeout)
            if self._thread.is_alive():
                # Whoever logs next makes the runs that are missing: not both of them.
                self._writer.give_up()
                self._thread.join(min(timeout, _LAST_WRITE_SECONDS))
                late = f"it took longer than {timeout:g} s."
                self._warning.say(self._writer.study, late)
        return not (self._thread.is_alive() or self._writer.pending)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _tell(self, event: Event) -> None:
        self._events.put(event)
        if self._thread is not None:
            return
        try:
            # A daemon: a store that never answers must not keep the process alive.
            self._thread = threading.Thread(
                target=self._write, name="harness-tracking", daemon=True
            )
            self._thread.start()
        except RuntimeError as error:  # the system has no thread to give
            self._thread = None
            self._warning.say(None, str(error))

    def _write(self) -> None:
        """Write until None, which closes, comes out of the queue."""
        while True:
            try:
                event = self._events.get(timeout=self._writer.seconds_to_wait)
            except Empty:
                self._writer.flush()
                continue
            if event is None:
                self._writer.retry()
                return
            self._writer.take(event)
            self._writer.flush()
