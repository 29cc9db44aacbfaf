"""Executors: where fold tasks run, and what happens when a worker dies."""

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.evaluation.worker_process import end_with_parent, environment_of_workers
from harness.models.base import Recommender
from harness.search.fold_task import FoldResult, FoldTask, Workbench

__all__ = ["InlineExecutor", "TaskRunner", "TrainingData", "open_runner"]

# So long does Ctrl-C wait at most while all workers are busy.
MOMENT_SECONDS = 0.2
_ARRAYS = ("users", "items", "values", "rows")


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """All that a worker needs to know: there is no place for test ratings.

    Parameters
    ----------
    family : type
        Class of the models.
    train : Ratings
        The training part.
    catalogue : Catalogue
        Of its titles.
    fold_of : ndarray of int16, shape (n_ratings,)
        The fold in which each rating is held out.
    """

    family: type[Recommender]
    train: Ratings
    catalogue: Catalogue
    fold_of: npt.NDArray[np.int16]


class InlineExecutor(Executor):
    """Runs each call at once, in this process."""

    def submit(
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        """Run the call, and wrap what it returns or raises."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the future carries it
            future.set_exception(error)
        return future


_workbench: Workbench | None = None


def _run(task: FoldTask) -> FoldResult:
    assert _workbench is not None
    return _workbench.run(task)


def _set_up(data: TrainingData) -> None:
    global _workbench  # noqa: PLW0603 - a worker process has one study all its life
    _workbench = Workbench(data.family, data.train, data.catalogue, data.fold_of)


def _set_up_worker(folder: Path, rest: dict[str, Any]) -> None:
    end_with_parent()
    arrays = {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}
    fold_of = arrays.pop("fold_of")
    train = Ratings(**arrays, **rest.pop("ratings"))
    _set_up(TrainingData(train=train, fold_of=fold_of, **rest))


class TaskRunner:
    """Runs fold tasks on an executor, and survives the death of its workers.

    When a worker dies, all tasks under way are lost. Each of them is then run again
    alone, so that the one that kills its worker is found, and fails.

    Parameters
    ----------
    start : callable
        Makes a fresh executor.
    jobs : int
        How many tasks run at the same time.
    """

    def __init__(self, start: Callable[[], Executor], *, jobs: int) -> None:
        self.jobs = jobs
        self._start = start
        self._running: Executor | None = None
        self._pending: dict[Future[FoldResult], tuple[Any, FoldTask]] = {}

    @property
    def _executor(self) -> Executor:
        # Started with the first task: a study that is complete needs no workers.
        if self._running is None:
            self._running = self._start()
        return self._running

    @property
    def n_pending(self) -> int:
        """Number of tasks submitted and not yet returned."""
        return len(self._pending)

    def submit(self, key: Any, task: FoldTask) -> None:
        """Hand in a task.

        Parameters
        ----------
        key : hashable
            Comes back with the result.
        task : FoldTask
            What to do.
        """
        try:
            future = self._executor.submit(_run, task)
        except BrokenExecutor as error:
            future = Future()
            future.set_exception(error)
        self._pending[future] = (key, task)

    def wait(self) -> list[tuple[Any, FoldResult]]:
        """Wait until at least one task is done, or a moment has passed.

        Returns
        -------
        list of (key, FoldResult)
            Everything that is done.
        """
        done = wait(
            self._pending, timeout=MOMENT_SECONDS, return_when=FIRST_COMPLETED
        ).done
        if any(isinstance(future.exception(), BrokenExecutor) for future in done):
            return self._rescue()
        return [(self._pending.pop(future)[0], future.result()) for future in done]

    def _rescue(self) -> list[tuple[Any, FoldResult]]:
        lost = list(self._pending.values())
        self._pending.clear()
        self._restart()
        return [(key, self._run_alone(task)) for key, task in lost]

    def _run_alone(self, task: FoldTask) -> FoldResult:
        try:
            result: FoldResult = self._executor.submit(_run, task).result()
        except BrokenExecutor:
            self._restart()
            return FoldResult(
                metrics={},
                error=f"The worker process died (killed, out of memory or crashed) "
                f"while it evaluated fold {task.fold}.",
            )
        return result

    def _restart(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._running = None

    def stop(self) -> None:
        """Drop the tasks that are pending, and the workers with them."""
        self._pending.clear()
        if self._running is None:
            return
        processes: Mapping[int, Any] = getattr(self._running, "_processes", None) or {}
        workers = list(processes.values())
        self._running.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()


@contextmanager
def open_runner(data: TrainingData, *, jobs: int) -> Iterator[TaskRunner]:
    """Start workers for a study, and stop them at the end.

    Parameters
    ----------
    data : TrainingData
        What they work on. They share it through memory-mapped files.
    jobs : int
        Number of worker processes; 1 works in this process.

    Yields
    ------
    TaskRunner
        Ready for tasks.
    """
    if jobs == 1:
        _set_up(data)
        yield TaskRunner(InlineExecutor, jobs=1)
        return
    with tempfile.TemporaryDirectory(prefix="harness-") as name:
        folder = Path(name)
        rest = _share(data, folder)
        # A forked copy of a process with threads can hang; a spawned one is clean.
        context = multiprocessing.get_context("spawn")

        def start() -> Executor:
            with environment_of_workers():
                pool = ProcessPoolExecutor(
                    jobs, context, initializer=_set_up_worker, initargs=(folder, rest)
                )
                # Each call starts one more process, with the environment of now.
                for _ in range(jobs):
                    pool.submit(os.getpid)
            return pool

        runner = TaskRunner(start, jobs=jobs)
        try:
            yield runner
        finally:
            runner.stop()


def _share(data: TrainingData, folder: Path) -> dict[str, Any]:
    train = data.train
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", getattr(train, name))
    np.save(folder / "fold_of.npy", data.fold_of)
    if train.timestamps is not None:
        np.save(folder / "timestamps.npy", train.timestamps)
    ids = {
        "user_ids": train.user_ids,
        "item_ids": train.item_ids,
        "scale": train.scale,
    }
    return {"family": data.family, "catalogue": data.catalogue, "ratings": ids}
