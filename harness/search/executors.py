"""Executors of fold tasks: where they run, and what happens when a worker dies."""

import multiprocessing
import os
import tempfile
import time
import traceback
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
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.errors import StudyError
from harness.evaluation.metrics import OBJECTIVE, score
from harness.evaluation.splits import cut_fold
from harness.evaluation.worker_process import end_with_parent, environment_of_workers
from harness.models.base import IterativeRecommender, Recommender

__all__ = [
    "FoldResult",
    "FoldTask",
    "TaskRunner",
    "TrainingData",
    "Workbench",
    "best_position_in",
    "open_runner",
    "score_on_folds",
]


_CACHE_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True)
class FoldTask:
    """What to train and where to score it.

    Parameters
    ----------
    params : mapping
        Hyperparameters of the model.
    seed : int
        Seed of the model, where it takes one.
    fold : int
        The fold that is held out.
    patience : int or None
        Score after every epoch, and stop so many epochs after the best; None scores
        only the fitted model.
    """

    params: Mapping[str, Any]
    seed: int
    fold: int
    patience: int | None = None


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    """Scores on one fold, after each epoch that was scored.

    Parameters
    ----------
    metrics : dict of str to ndarray of float64, shape (n_scored,)
        Each metric, and the training time so far as ``fit_seconds``. One value where
        epochs were not scored one by one.
    epochs : tuple of int, length n_scored
        The epochs that were scored; empty where they were not scored one by one. An
        engine that cannot be looked into has only its last.
    error : str or None
        Traceback, if it failed; then there are no metrics.
    """

    metrics: Mapping[str, npt.NDArray[np.float64]]
    epochs: tuple[int, ...] = ()
    error: str | None = None


class Workbench:
    """What a worker keeps between tasks: the ratings, cut into folds once.

    Parameters
    ----------
    family : type
        Class of the models.
    train : Ratings
        The training part; nothing else.
    catalogue : Catalogue
        Of its titles.
    fold_of : ndarray of int16, shape (n_ratings,)
        The fold in which each rating is held out, see `assign_folds`.
    """

    def __init__(
        self,
        family: type[Recommender],
        train: Ratings,
        catalogue: Catalogue,
        fold_of: npt.NDArray[np.int16],
    ) -> None:
        self._family = family
        self._train = train
        self._catalogue = catalogue
        self._fold_of = fold_of
        fits = _CACHE_BYTES // max(1, len(train) * 24)
        self._parts = lru_cache(maxsize=max(1, int(fits)))(self._cut)

    def _cut(self, fold: int) -> tuple[Ratings, Ratings]:
        learnt, held_out = cut_fold(self._fold_of, fold)
        return self._train.take(learnt), self._train.take(held_out)

    def run(self, task: FoldTask) -> FoldResult:
        """Carry out a task."""
        try:
            return self._score(task)
        except Exception:  # noqa: BLE001 - whatever a model raises fails its trial only
            return FoldResult(metrics={}, error=traceback.format_exc())

    def _score(self, task: FoldTask) -> FoldResult:
        train, valid = self._parts(task.fold)
        params = dict(task.params)
        if "seed" in self._family.__dataclass_fields__:
            params["seed"] = task.seed
        model = self._family(**params)
        if isinstance(model, IterativeRecommender) and task.patience is not None:
            by_epoch = self._score_epochs(model, train, valid, task.patience)
            return FoldResult(
                metrics=_as_curves(list(by_epoch.values())), epochs=tuple(by_epoch)
            )
        start = time.perf_counter()
        model.fit(train, self._catalogue)
        scores = _scores(model, valid, time.perf_counter() - start)
        return FoldResult(metrics=_as_curves([scores]))

    def _score_epochs(
        self,
        model: IterativeRecommender,
        train: Ratings,
        valid: Ratings,
        patience: int,
    ) -> dict[int, dict[str, float]]:
        sign = 1.0 if OBJECTIVE.direction == "minimize" else -1.0
        scored: dict[int, dict[str, float]] = {}
        best, best_epoch, fit_seconds = float("inf"), 0, 0.0
        start = time.perf_counter()
        for epoch in model.fit_epochs(train, self._catalogue):
            fit_seconds += time.perf_counter() - start
            scored[epoch] = _scores(model, valid, fit_seconds)
            value = sign * scored[epoch][OBJECTIVE.name]
            if value < best:
                best, best_epoch = value, epoch
            if epoch - best_epoch >= patience:
                break
            start = time.perf_counter()
        return scored


def _as_curves(scored: list[dict[str, float]]) -> dict[str, npt.NDArray[np.float64]]:
    return {name: np.array([scores[name] for scores in scored]) for name in scored[0]}


def _scores(model: Recommender, valid: Ratings, fit_seconds: float) -> dict[str, float]:
    prediction = model.predict(valid.users, valid.items, valid.timestamps)
    scores = score(valid.values, prediction)
    return scores | {"fit_seconds": fit_seconds}


def best_position_in(results: list[FoldResult]) -> int:
    """Find where in the curves the mean over the folds is best."""
    curves = [result.metrics[OBJECTIVE.name] for result in results]
    n_common = min(len(curve) for curve in curves)
    mean = np.mean([curve[:n_common] for curve in curves], axis=0)
    best = np.argmin(mean) if OBJECTIVE.direction == "minimize" else np.argmax(mean)
    return int(best)


def score_on_folds(
    data: Workbench, params: Mapping[str, Any], *, seed: int, n_folds: int
) -> float:
    """Evaluate parameters outside a search.

    The best of many trials looks better than it is, because it was chosen for its
    values; on other folds this is the same measurement without the choice.
    """
    values = []
    for fold in range(n_folds):
        result = data.run(FoldTask(params=params, seed=seed, fold=fold))
        if result.error is not None:
            reason = result.error.strip().splitlines()[-1]
            raise StudyError(
                f"The settings {dict(params)} failed on fold {fold} after the search: "
                f"{reason}"
            )
        values.append(result.metrics[OBJECTIVE.name][-1])
    return float(np.mean(values))


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
        """Hand in a task."""
        try:
            future = self._executor.submit(_run, task)
        except BrokenExecutor as error:
            future = Future()
            future.set_exception(error)
        self._pending[future] = (key, task)

    def wait(self) -> list[tuple[Any, FoldResult]]:
        """Wait until at least one task is done, or a moment has passed."""
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
    """Start workers for a study, and stop them at the end."""
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
