"""The MLflow callback for any Optuna study."""

import atexit
import logging
import os
import ssl
import threading
import time
import traceback
import urllib.error
import urllib.request
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from harness.errors import HarnessError, TrackingError
from harness.tracking.location import Location, locate
from harness.tracking.optuna_runs import (
    OptunaStudyRuns,
    ProjectionOptions,
    TrialStore,
    open_trial_store,
)
from harness.tracking.store import SyncCounts, reason, unusable

if TYPE_CHECKING:
    from mlflow import ActiveRun
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

__all__ = ["MLflowCallback", "sync_study"]

_logger = logging.getLogger("harness.callback")

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_PROBE_SECONDS = 5.0
# Long, because a short study on a busy machine waits for the import of MLflow here.
_EXIT_SECONDS = 60.0
_FLUSH_SECONDS = 300.0
_PARENT_EVERY_SECONDS = 10.0


class MLflowCallback:
    """Logs the trials of any Optuna study as MLflow runs, without slowing it.

    Each study is a run and each trial a run below it: parameters, objective values,
    intermediate values by step, constraints, user attributes and distributions, with
    the status and the times that Optuna has recorded. A call puts the trial into a
    queue and returns; a thread writes what is in the queue. A server that is slow or
    down is waited for by that thread only: it is warned of once, tried again after 1 to
    60 seconds, and what is missing in the end is written by `sync_study`.

    Works with `Study.optimize` (``n_jobs`` included), with ask and tell, and with
    several processes on one storage. The study is read, never written to.

    Parameters
    ----------
    tracking_uri : str, optional
        URI of the MLflow store: ``http://...`` or a database such as
        ``sqlite:///mlflow.db``. By default the one that `mlflow.set_tracking_uri` or
        ``MLFLOW_TRACKING_URI`` names, else ``sqlite:///mlflow.db``.
    experiment : str, optional
        Name of the MLflow experiment, created if it is not there. By default the one
        that `mlflow.set_experiment` or ``MLFLOW_EXPERIMENT_NAME`` names, else
        ``harness``.
    nested : bool, default True
        Whether there is a run of the study above those of its trials.
    metric_name : str or sequence of str, optional
        Names of the objectives as metrics. By default what `Study.set_metric_names`
        has set, else ``value``, or ``value_0``, ``value_1`` ... for several objectives.
    tags : mapping of str to str, optional
        Tags for every run.
    study : optuna.Study, optional
        The study, if it is known: then its trials are logged even if the first one
        raises an error that ends `Study.optimize`.

    Raises
    ------
    TrackingError
        If the URI is not one that MLflow can keep runs at, or `metric_name` does not
        name each objective of a study: when the callback is made with `study`, else at
        the first trial.

    See Also
    --------
    sync_study : Write what is missing.

    Examples
    --------
    ::

        import optuna
        from harness import MLflowCallback

        study = optuna.create_study(study_name="parabola")
        study.optimize(objective, n_trials=100, callbacks=[MLflowCallback()])
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        experiment: str | None = None,
        *,
        nested: bool = True,
        metric_name: str | Sequence[str] | None = None,
        tags: Mapping[str, str] | None = None,
        study: "Study | None" = None,
    ) -> None:
        self._given = (tracking_uri, experiment, nested, metric_name, tags)
        self._options = _options(nested, metric_name, tags)
        self._writer = _Writer(_Place(locate(tracking_uri, experiment)), self._options)
        if study is not None:
            self._take_on(study)

    def __call__(self, study: "Study", trial: "FrozenTrial") -> None:
        """Log a trial that has ended; returns at once.

        Parameters
        ----------
        study : optuna.Study
            The study.
        trial : optuna.trial.FrozenTrial
            The trial, as `Study.optimize` hands it to callbacks and `Study.tell`
            returns it.
        """
        if not hasattr(trial, "state") or not trial.state.is_finished():
            raise TypeError(
                "The callback takes a trial that has ended: the FrozenTrial that "
                f"study.tell() returns, but got {type(trial).__name__}."
            )
        self._take_on(study)
        self._writer.put(study, trial)

    @contextmanager
    def run(self, trial: "Trial") -> "Iterator[ActiveRun | None]":
        """Make the trial's own run the active one: ``mlflow.log_*`` goes there.

        The run is created at once, so this waits for the store, as ``mlflow.log_*``
        do. Sets MLflow's tracking URI and experiment of the process to those of the
        callback. An error that leaves the block is kept in the run's tag
        ``optuna.error``, with its traceback.

        Parameters
        ----------
        trial : optuna.trial.Trial
            The trial that the objective was given.

        Yields
        ------
        mlflow.ActiveRun or None
            The run; None if the store cannot be reached, which is warned of once.

        Examples
        --------
        ::

            def objective(trial):
                x = trial.suggest_float("x", -1, 1)
                with callback.run(trial) as run:
                    if run is not None:
                        mlflow.log_text(str(x), "x.txt")
                    return x**2
        """
        self._take_on(trial.study)
        active = self._writer.open_run(trial)
        if active is None:
            yield None
            return
        # `mlflow.start_run` and `end_run` cost five requests more, and `end_run` waits
        # for minutes where the server has died; the writer sets the status anyway.
        from mlflow.tracking import fluent

        stack: list[ActiveRun] = fluent._active_run_stack.get()  # type: ignore[no-untyped-call] # noqa: SLF001
        stack.append(active)
        try:
            yield active
        except BaseException as error:
            if type(error).__name__ != "TrialPruned":
                text = "".join(traceback.format_exception(error))
                self._writer.note_error(trial.study, trial.number, text)
            raise
        finally:
            # Runs that the objective has started and not ended lie above.
            while active in stack:
                stack.pop()

    def flush(self, timeout: float = _FLUSH_SECONDS) -> bool:
        """Wait until everything is written, and look for trials that are missing.

        Trials for which Optuna calls no callback are found here: one whose error ends
        `Study.optimize`. The process does it by itself when it exits.

        Parameters
        ----------
        timeout : float, default 300
            Longest wait in seconds. A server that does not answer is not waited for.

        Returns
        -------
        bool
            Whether everything was written.
        """
        return self._writer.flush(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._writer.flush(_FLUSH_SECONDS, last=True)

    def __reduce__(self) -> tuple[Any, ...]:
        # For executors that send the callback to another process: it has its own
        # thread there.
        return _make, self._given

    def _take_on(self, study: "Study") -> None:
        """Take note of a study, unless `metric_name` does not fit it."""
        if not self._writer.knows(study):
            self._options.names_for(study)
            self._writer.remember(study)


def _make(
    tracking_uri: str | None,
    experiment: str | None,
    nested: bool,  # noqa: FBT001  # as pickle calls it
    metric_name: str | Sequence[str] | None,
    tags: Mapping[str, str] | None,
) -> MLflowCallback:
    return MLflowCallback(
        tracking_uri, experiment, nested=nested, metric_name=metric_name, tags=tags
    )


def sync_study(
    study: "Study",
    tracking_uri: str | None = None,
    experiment: str | None = None,
    *,
    nested: bool = True,
    metric_name: str | Sequence[str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> SyncCounts:
    """Make the MLflow runs of a study equal to its trials.

    Creates the runs that are missing, completes those that lack something, and deletes
    those that are there twice. A second call changes nothing. Trials that still run are
    left alone.

    Parameters
    ----------
    study : optuna.Study
        The study.
    tracking_uri, experiment, nested, metric_name, tags
        As for `MLflowCallback`; give what the callback was given.

    Returns
    -------
    SyncCounts
        How many runs were created, repaired, and unchanged.

    Raises
    ------
    TrackingError
        If the store cannot be used, or no trial of the study has started.

    Examples
    --------
    ::

        study = optuna.load_study(study_name="parabola", storage="sqlite:///study.db")
        sync_study(study, "http://127.0.0.1:5000")
    """
    if isinstance(study, str):  # as a caller without types may say it
        raise TrackingError(
            f"sync_study takes a study, not the name of one: load it with "
            f"optuna.load_study(study_name={study!r}, storage=...)."
        )
    place = _Place(locate(tracking_uri, experiment))
    try:
        store = place.open()
        options = _options(nested, metric_name, tags)
        return OptunaStudyRuns(store, study, options).reconcile()
    except HarnessError:
        raise
    except Exception as error:
        raise unusable(place.location, error) from error


def _options(
    nested: bool,  # noqa: FBT001
    metric_name: str | Sequence[str] | None,
    tags: Mapping[str, str] | None,
) -> ProjectionOptions:
    names = (metric_name,) if isinstance(metric_name, str) else metric_name
    if not isinstance(names, Sequence | None):
        raise TrackingError(f"metric_name must be a name or a list, but is {names!r}.")
    return ProjectionOptions(
        nested=nested, metric_names=tuple(names or ()), tags=dict(tags or {})
    )


@dataclass(frozen=True)
class _Place:
    """Where the runs go."""

    location: Location

    def open(self) -> TrialStore:
        self.check_answer()
        return open_trial_store(self.location)

    def check_answer(self) -> None:
        """Raise within seconds if the server is down: MLflow would try for minutes."""
        if not self.location.is_server:
            return
        url = self.location.tracking_uri.rstrip("/") + "/health"
        # Nothing is sent and nothing is believed, so the certificate does not matter.
        context = ssl._create_unverified_context()  # noqa: S323, SLF001
        request = urllib.request.Request(_without_login(url))  # noqa: S310
        try:
            urllib.request.urlopen(  # noqa: S310
                request, timeout=_PROBE_SECONDS, context=context
            ).close()
        except urllib.error.HTTPError as error:
            # "not found" and "not allowed" are answers; a proxy's 502 is not.
            if error.code in (502, 503, 504):
                raise


def _without_login(url: str) -> str:
    scheme, rest = url.split("://", 1)
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


@dataclass
class _Flush:
    last: bool
    done: threading.Event = field(default_factory=threading.Event)
    complete: bool = False


@dataclass
class _StudyState:
    """What the writer knows of a study."""

    study: "Study"
    runs: OptunaStudyRuns | None = None
    pending: "list[FrozenTrial]" = field(default_factory=list)
    # Trials are missing that are not pending: only a comparison finds them.
    behind: bool = False
    compared: int = -1
    refreshed: float = 0.0

    def n_ended(self) -> int:
        trials = self.study.get_trials(deepcopy=False)
        return sum(trial.state.is_finished() for trial in trials)


class _ErrorHandler(logging.Handler):
    """Catches the errors of objectives, which Optuna logs and does not keep."""

    def __init__(self, writer: "_Writer") -> None:
        super().__init__(logging.WARNING)
        self._writer = weakref.ref(writer)

    def emit(self, record: logging.LogRecord) -> None:
        writer, info = self._writer(), record.exc_info
        if writer is None or not isinstance(info, tuple) or info[1] is None:
            return
        # The outermost frame is that of Optuna's loop, which knows the trial; what
        # it calls it may change, and then there is no error to show.
        frame = info[2].tb_frame.f_locals if info[2] is not None else {}
        study, trial = frame.get("study"), frame.get("trial")
        if study is not None and trial is not None:
            text = "".join(traceback.format_exception(info[1]))
            writer.note_error(study, trial.number, text)


class _Writer:
    """Writes trials in a thread of its own."""

    def __init__(self, place: _Place, options: ProjectionOptions) -> None:
        self._place = place
        self._options = options
        self._warned = False
        self._start()
        handler = _ErrorHandler(self)
        optuna_logger = logging.getLogger("optuna")
        optuna_logger.addHandler(handler)
        weakref.finalize(self, optuna_logger.removeHandler, handler)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._starting = threading.Lock()
        self._queue: SimpleQueue[tuple[Study, FrozenTrial] | _Flush] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._states: dict[int, _StudyState] = {}
        self._errors: weakref.WeakKeyDictionary[Study, dict[int, str]] = (
            weakref.WeakKeyDictionary()
        )
        self._store: TrialStore | None = None
        self._pause = _FIRST_PAUSE_SECONDS
        self._retry_at = 0.0
        self._active_is_set = False

    # ---- called by the threads of the study

    def knows(self, study: "Study") -> bool:
        if self._pid != os.getpid():  # a fork: the thread has stayed behind
            self._start()
        return id(study) in self._states

    def remember(self, study: "Study") -> None:
        self._states.setdefault(id(study), _StudyState(study))
        self._ensure_thread()

    def put(self, study: "Study", trial: "FrozenTrial") -> None:
        self._queue.put((study, trial))
        self._ensure_thread()

    def note_error(self, study: "Study", number: int, error: str) -> None:
        """Keep the error of an objective until its trial is written.

        Also that of a study which is not known: it may be at its first trial.
        """
        self._errors.setdefault(study, {})[number] = error

    def _ensure_thread(self) -> None:
        # Not `_lock`, which is held while the store is opened: that may take long.
        with self._starting:
            if self._thread is not None:
                return
            # A daemon: a store that never answers must not keep the process alive.
            thread = threading.Thread(
                target=self._work, name="harness-callback", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:  # the system has no thread to give
                self._warn(error)
                return
            self._thread = thread
            atexit.register(self._flush_at_exit)

    def flush(self, timeout: float, *, last: bool = False) -> bool:
        """Wait until all is written; with `last`, end the thread if it is."""
        if self._pid != os.getpid() or not self._states:
            return True
        try:
            self._place.check_answer()
        except Exception as error:  # noqa: BLE001
            self._warn(error)
            return False
        self._ensure_thread()
        request = _Flush(last)
        self._queue.put(request)
        if not request.done.wait(timeout):
            self._warn(TimeoutError(f"it took longer than {timeout:g} s"))
        if last and request.complete:
            with self._starting:
                self._thread = None
            self._states.clear()
            atexit.unregister(self._flush_at_exit)
        return request.complete

    def _flush_at_exit(self) -> None:
        self.flush(_EXIT_SECONDS)

    def open_run(self, trial: "Trial") -> "ActiveRun | None":
        """Find or create the run of a trial for its objective."""
        try:
            self._place.check_answer()
            runs = self._runs(self._states[id(trial.study)])
            return self._activate(runs.open_run(trial))
        except Exception as error:  # noqa: BLE001  # whatever MLflow raises
            self._warn(error)
            return None

    def _activate(self, run_id: str) -> "ActiveRun":
        import mlflow

        assert self._store is not None
        with self._lock:
            if not self._active_is_set:
                mlflow.set_tracking_uri(self._place.location.tracking_uri)
                mlflow.set_experiment(experiment_id=self._store.experiment_id)
                self._active_is_set = True
        return mlflow.ActiveRun(self._store.read(run_id))  # type: ignore[no-untyped-call]

    def _runs(self, state: _StudyState) -> OptunaStudyRuns:
        # The first opening imports MLflow and may create a database; one that hangs
        # must not hold an objective for ever.
        if not self._lock.acquire(timeout=_LONGEST_PAUSE_SECONDS):
            raise TimeoutError("The store does not answer.")
        try:
            if self._store is None:
                self._store = self._place.open()
            if state.runs is None:
                state.runs = OptunaStudyRuns(
                    self._store,
                    state.study,
                    self._options,
                    errors=self._errors.setdefault(state.study, {}),
                )
            return state.runs
        finally:
            self._lock.release()

    def _warn(self, error: BaseException) -> None:
        if self._warned:
            return
        self._warned = True
        _logger.warning(
            "Not all trials are in MLflow at %s: %s The study is not affected. They "
            "are logged when the store can be used again; if this process ends before, "
            "call harness.sync_study.",
            self._place.location.shown,
            reason(error),
        )

    # ---- called by the writer's own thread

    def _work(self) -> None:
        while True:
            flushes = self._take()
            complete = self._attempt(final=bool(flushes))
            for request in flushes:
                request.complete = complete
                request.done.set()
            if complete and any(request.last for request in flushes):
                return

    def _take(self) -> list[_Flush]:
        """Wait for work, then take all there is: it is written as one batch."""
        flushes = []
        try:
            item = self._queue.get(timeout=self._seconds_to_wait())
            while True:
                if isinstance(item, _Flush):
                    flushes.append(item)
                else:
                    study, trial = item
                    self._states[id(study)].pending.append(trial)
                item = self._queue.get_nowait()
        except Empty:
            return flushes

    def _seconds_to_wait(self) -> float | None:
        if not any(s.pending or s.behind for s in self._states.copy().values()):
            return None
        return max(0.0, self._retry_at - time.monotonic())

    def _attempt(self, *, final: bool) -> bool:
        """Write what is due; say whether all is written."""
        if not final and time.monotonic() < self._retry_at:
            return False
        states = self._states.copy().values()
        written = [self._has_written(state, final=final) for state in states]
        if all(written):
            self._pause, self._retry_at = _FIRST_PAUSE_SECONDS, 0.0
            return True
        self._retry_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        return False

    def _has_written(self, state: _StudyState, *, final: bool) -> bool:
        try:
            self._write(state, final=final)
        # Whatever MLflow, a database driver or a server raises: the study goes on.
        except Exception as error:  # noqa: BLE001
            self._warn(error)
            # Not kept in memory: the study itself has them.
            state.behind = state.behind or bool(state.pending)
            state.pending.clear()
            if state.runs is not None:
                state.runs.start_again()
            return False
        return True

    def _write(self, state: _StudyState, *, final: bool) -> None:
        now = time.monotonic()
        if state.behind or (final and state.n_ended() not in (0, state.compared)):
            self._place.check_answer()
            ended = state.n_ended()
            self._runs(state).reconcile(live=True)
            state.behind = False
            state.pending.clear()
            state.compared, state.refreshed = ended, now
        elif state.pending:
            self._place.check_answer()
            runs = self._runs(state)
            runs.write(state.pending)
            state.pending.clear()
            if now - state.refreshed > _PARENT_EVERY_SECONDS:
                runs.write_parent(running=True)
                state.refreshed = now
