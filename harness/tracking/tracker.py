"""Logs a study to MLflow while it runs, without the study noticing."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from harness.search.records import StudyRecord, TrialRecord
from harness.tracking.location import locate
from harness.tracking.writer import (
    Event,
    OneWarning,
    StudyEnded,
    StudyStarted,
    StudyWriter,
    TrialEnded,
)

__all__ = ["MLflowTracker"]

LONGEST_WAIT_FOR_FAILING_SECONDS = 5.0


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
    tracking_uri, experiment : str, optional
        Where the runs are kept, see `harness.tracking.location.locate`.
    warn : callable, optional
        Is given one sentence, once, when runs cannot be logged. It is called by the
        thread that writes, or by the one that calls `close`.

    Raises
    ------
    TrackingError
        If the URI is not one that MLflow can keep runs at.

    Examples
    --------
    The command line closes the tracker after the study::

        with MLflowTracker(warn=print) as tracker:
            run_study(..., listener=tracker)
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        experiment: str | None = None,
        *,
        warn: Callable[[str], None] = _ignore,
    ) -> None:
        self.location = locate(tracking_uri, experiment)
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
        """Wait until everything is written; give up when the time is over.

        Parameters
        ----------
        timeout : float, default 15
            Longest wait in seconds. A store that failed at the last attempt is waited
            for 5 s at most. A second call does not wait.

        Returns
        -------
        bool
            Whether everything was written. If not, `warn` has been told.
        """
        if self._thread is None:
            return True
        if not self._closed:
            self._closed = True
            self._events.put(None)
            if self._writer.is_failing:
                timeout = min(timeout, LONGEST_WAIT_FOR_FAILING_SECONDS)
            self._thread.join(timeout)
        if self._thread.is_alive():
            self._warning.say(self._writer.study, f"it took longer than {timeout:g} s.")
            return False
        return not self._writer.pending

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
