"""What a family costs: a few of its settings, tried on growing samples of the users."""

import gc
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.errors import StudyError
from harness.evaluation.cost_probe import peak_bytes, restart_peak
from harness.evaluation.splits import assign_folds
from harness.evaluation.worker_process import WorkerDiedError, pack
from harness.models.base import Recommender
from harness.models.families import load_family, make_model
from harness.plain import Params
from harness.search.executors import ProcessExecutor
from harness.search.fidelity import draw_users
from harness.search.folds import (
    FoldTask,
    TrainingData,
    Workbench,
    call_with_shared_data,
    portable,
    share,
)
from harness.search.samplers import draw_settings
from harness.search.study import StudyPlan

__all__ = ["FamilyCosts", "ProbeFailedError", "extrapolate", "try_family"]

SMALLEST_SAMPLE = 3_000
WHOLE_SAMPLE = 200_000
"""Fewer training ratings than this are tried whole; of more a quarter at most."""
LARGEST_SAMPLE = 800_000
N_DRAWN = 7
"""Settings that are tried besides the initial ones."""
FEWEST_DRAWN = 3
"""The others are left out where all of them take too long on the smallest sample."""
LOADING_SECONDS = 6.0
"""Code of their own is loaded for so many settings as are trained in this time."""
PROBE_SECONDS = 24.0
"""A family is not tried on larger samples when their trainings would pass this."""
N_EARLY = 10
"""Trials whose settings are drawn at random, before TPE looks for better ones."""
GROWTH = 4
"""How many times as many ratings the next sample has."""


class Point(NamedTuple):
    """A cost on one sample, and what it grows with there."""

    growth: float
    cost: float


def extrapolate(points: Sequence[Point], growth: float) -> float:
    """Continue the line through the last two measurements; a cost does not fall.

    Examples
    --------
    >>> extrapolate([Point(10, 7), Point(20, 9)], 100)
    25.0
    >>> extrapolate([Point(10, 7), Point(20, 6)], 100)
    6.0
    """
    (x1, y1), (x2, y2) = points[-2], points[-1]
    slope = max(0.0, (y2 - y1) / (x2 - x1)) if x2 > x1 else 0.0
    return y2 + slope * (growth - x2)


class ProbeFailedError(Exception):
    """A family that none of the settings could be tried of."""


class FamilyCosts(NamedTuple):
    """What a family costs on a fold of all the training ratings."""

    # The mean over the settings tried, and the initial ones.
    seconds: float
    initial_seconds: float
    # Settings that the race does not drop, at the beginning of a search and at its end.
    early_seconds: float
    late_seconds: float
    # The most of all settings tried.
    n_bytes: float
    model_bytes: float
    process_bytes: int

    @property
    def most_seconds(self) -> float:
        """Of a fold, if all settings are like the dearest of these."""
        return max(self.seconds, self.early_seconds, self.late_seconds)

    def best_seconds(self, n_trials: int) -> float:
        """Of a fold of settings that the race does not drop in so many trials."""
        late = max(0.0, 1 - N_EARLY / n_trials)
        return (1 - late) * self.early_seconds + late * self.late_seconds


class _Cost(NamedTuple):
    """What one fold of one setting took."""

    seconds: float
    # On top of what the process had before, with the fold that was cut.
    n_bytes: int
    error: str | None
    # As many as were trained; 1 where nothing is trained in epochs.
    n_epochs: int = 1


class _Sample(NamedTuple):
    """What settings cost on one sample, the initial ones first."""

    ratings: Ratings
    costs: list[_Cost]
    model_bytes: int
    process_bytes: int


def try_family(plan: StudyPlan, train: Ratings, catalogue: Catalogue) -> FamilyCosts:
    """Measure on growing samples, while there is time, and extrapolate."""
    tasks = _tasks(plan)
    samples = list[_Sample]()
    with _worker(plan.family) as executor:
        for n_ratings in _sizes(len(train)):
            if len(samples) > 1 and not _may_grow(samples):
                break
            sample = _sample(train, n_ratings)
            data = TrainingData(
                family=plan.family,
                train=sample,
                catalogue=catalogue,
                fold_of=assign_folds(
                    sample,
                    n_folds=plan.n_folds,
                    seed=plan.seed,
                    method=plan.split.method,
                ),
            )
            if not samples:
                # Each setting may load code of its own, which is paid for once.
                loading = _measure_sample(executor, data, tasks, LOADING_SECONDS)
                tasks = tasks[: max(len(loading.costs), 1 + FEWEST_DRAWN)]
            samples.append(_measure_sample(executor, data, tasks))
    return _extrapolated(plan, tasks, samples, train)


def _may_grow(samples: Sequence[_Sample]) -> bool:
    """Tell whether there is time for the next sample, which costs four times the last.

    By what was measured, not by the clock: on a busy machine, or where kernels are
    compiled first, the clock would end at samples that are too small to tell anything.
    """
    seconds = [sum(cost.seconds for cost in sample.costs) for sample in samples]
    return sum(seconds) + GROWTH * seconds[-1] <= PROBE_SECONDS


def _extrapolated(
    plan: StudyPlan,
    tasks: Sequence[FoldTask],
    samples: Sequence[_Sample],
    train: Ratings,
) -> FamilyCosts:
    seconds, n_bytes, n_epochs = (list[float]() for _ in range(3))
    for k, task in enumerate(tasks):
        costs = [sample.costs[k] for sample in samples]
        if any(cost.error for cost in costs):
            continue
        model = make_model(plan.family, task.params, task.seed)
        sizes = [model.growth(sample.ratings) for sample in samples]
        whole = model.growth(train)
        pairs = [*zip(sizes, costs, strict=True)]
        by_time = [Point(g.time, c.seconds) for g, c in pairs]
        by_size = [Point(g.memory, c.n_bytes) for g, c in pairs]
        seconds.append(_extended(by_time, whole.time))
        n_bytes.append(_extended(by_size, whole.memory))
        n_epochs.append(costs[-1].n_epochs)
    if not seconds:
        raise ProbeFailedError(samples[-1].costs[0].error)
    models = [Point(len(s.ratings), s.model_bytes) for s in samples]
    mean, initial = float(np.mean(seconds)), seconds[0]
    if plan.space.epochs is None:
        # Most trials are behind the initial settings from the first fold on.
        early = late = initial
    else:
        # What is best learns slowly and long. Scores on a sample would not tell: there
        # settings that learn fast are ahead.
        early = mean
        late = plan.space.epochs.high * float(np.mean(np.divide(seconds, n_epochs)))
    return FamilyCosts(
        seconds=mean,
        initial_seconds=initial,
        early_seconds=early,
        late_seconds=late,
        n_bytes=max(n_bytes),
        model_bytes=_extended(models, len(train)),
        process_bytes=samples[0].process_bytes,
    )


def _extended(points: Sequence[Point], growth: float) -> float:
    # Little data are measured whole.
    return points[0].cost if len(points) == 1 else extrapolate(points, growth)


def _sizes(n_ratings: int) -> list[int]:
    """Choose samples that grow fourfold."""
    largest = min(n_ratings, LARGEST_SAMPLE, max(WHOLE_SAMPLE, n_ratings // 4))
    sizes = [largest // GROWTH**power for power in (3, 2, 1)]
    return [*(n for n in sizes if n >= SMALLEST_SAMPLE), largest]


_SEED_OF_SAMPLES = 0
"""The same users are drawn for all families."""


def _sample(train: Ratings, n_ratings: int) -> Ratings:
    """Draw users until they have so many ratings; each sample holds the smaller ones."""
    if n_ratings >= len(train):
        return train
    return train.take(draw_users(train, n_ratings, _SEED_OF_SAMPLES))


def _tasks(plan: StudyPlan) -> list[FoldTask]:
    """Take the initial settings and some others, to be trained as the search would."""
    epochs = plan.space.epochs
    drawn: list[Params] = []
    if plan.space.searched or epochs:
        drawn = draw_settings(plan.space, N_DRAWN, seed=plan.seed)
    # Folds of a split in time grow: the last one has most to learn from.
    fold, metric = plan.n_folds - 1, plan.metric
    tasks = [
        FoldTask(
            params=plan.space.initial,
            seed=plan.seed,
            fold=fold,
            metric=metric,
            also=plan.more_metrics,
        )
    ]
    for params in drawn:
        own = {} if epochs is None else {"n_epochs": epochs.high}
        tasks.append(
            FoldTask(
                params={**params, **own},
                seed=plan.seed,
                fold=fold,
                patience=None if epochs is None else epochs.patience,
                metric=metric,
                also=plan.more_metrics,
            )
        )
    return tasks


@contextmanager
def _worker(family: type[Recommender]) -> Iterator[ProcessExecutor]:
    executor = ProcessExecutor(1, imports_main=family.__module__ == "__main__")
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _measure_sample(
    executor: ProcessExecutor,
    data: TrainingData,
    tasks: Sequence[FoldTask],
    limit: float = math.inf,
) -> _Sample:
    call = partial(
        _measure_tasks, family=portable(data.family), tasks=list(tasks), limit=limit
    )
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        share(data, Path(folder))
        future = executor.submit(call_with_shared_data, folder, call)
        try:
            costs, model_bytes, process_bytes = future.result()
        except WorkerDiedError as error:
            raise StudyError(
                f"{data.family.name} cannot be trained on a sample of "
                f"{len(data.train):,} ratings: the process died (killed, out of memory or "
                f"crashed: {error}): take another family."
            ) from error
    return _Sample(data.train, costs, model_bytes, process_bytes)


def _measure_tasks(
    bench: Workbench,
    *,
    family: type[Recommender] | str,
    tasks: Sequence[FoldTask],
    limit: float,
) -> tuple[list[_Cost], int, int]:
    """Carry out tasks in a worker, none after so many seconds, and measure each."""
    if isinstance(family, str):
        family = load_family(family)
    bench = bench.of_family(family)
    first = tasks[0]
    # Data are read once, and what settings share is computed once.
    bench.run(first)
    bench.parts.cache_clear()
    gc.collect()
    # What is there now stays: each search of it for garbage would take 90 ms.
    gc.freeze()
    process_bytes = _private_bytes()
    costs = list[_Cost]()
    for task in tasks:
        if sum(cost.seconds for cost in costs) <= limit:
            costs.append(_measure_task(bench, task))
    try:
        model = make_model(family, first.params, first.seed)
        learnt, _ = bench.parts(first.fold)
        model_bytes = len(pack(model.fit(learnt, bench.catalogue), learnt))
    except Exception:  # noqa: BLE001 - it has failed as a task before, and that is told
        model_bytes = 0
    return costs, model_bytes, process_bytes


def _measure_task(bench: Workbench, task: FoldTask) -> _Cost:
    bench.parts.cache_clear()
    restart_peak()
    before, start = peak_bytes() or 0, time.process_time()
    result = bench.run(task)
    seconds = time.process_time() - start
    grown = max(0, (peak_bytes() or 0) - before)
    if result.error is not None:
        return _Cost(seconds, grown, result.error.strip().splitlines()[-1])
    given = task.params.get("n_epochs", 1)
    n_epochs = result.epochs[-1] if result.epochs else int(given or 1)
    return _Cost(seconds, grown, None, n_epochs)


def _private_bytes() -> int:
    """Count what this process has for itself, not what it shares with its owner."""
    return int(psutil.Process().memory_full_info().uss)
