"""What an experiment will take: time and memory, from a probe of each family on samples."""

import gc
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from harness.data.ratings import Ratings
from harness.data.wording import counted
from harness.errors import StudyError
from harness.evaluation.cost_probe import peak_bytes, restart_peak
from harness.evaluation.costs import LONG_SECONDS, n_cost_processes
from harness.evaluation.splits import assign_folds
from harness.evaluation.worker_process import (
    WorkerDiedError,
    available_bytes,
    n_cores,
    pack,
)
from harness.experiment.run import PreparedExperiment
from harness.formatting import duration, size
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
    n_parts_kept,
    portable,
    share,
)
from harness.search.samplers import draw_settings
from harness.search.storage import read_studies
from harness.search.study import StudyPlan

__all__ = [
    "FamilyForecast",
    "Forecast",
    "extrapolate",
    "forecast_experiment",
    "forecast_where_large",
]

LARGE = 500_000
"""Training ratings from which on nothing starts without a forecast.

Below, a search of shipped families fits any machine, and the probe would take longer than
many a search.
"""
SMALLEST_SAMPLE = 3_000
WHOLE_SAMPLE = 200_000
"""Fewer training ratings than this are tried whole; of more a quarter at most."""
LARGEST_SAMPLE = 800_000
N_DRAWN = 3
"""Settings that are tried besides the initial ones."""
PROBE_SECONDS = 12.0
"""A family is not tried on larger samples when their trainings would pass this."""
N_COMPLETE = 3
SHARE_COMPLETE = 1 / 12
"""Trials that go through all folds: the first ones, and of the others a share.

Most others end after one fold. Of svd, 8 trials on 5 million ratings trained 20 of 40
folds, and 100 on `ott` 145 of 500; this makes 23 and 145 of it.
"""
SHARE_CLIMBING = 0.45
"""Trials that go on from a sample: more than a quarter, for later trials are better.

Of svd, 40 trials on 1 million ratings, three seeds: 13 to 16 went on from the first sample,
7 to 10 from the second.
"""
SCORING_SECONDS = 4e-6
"""Seconds for each training rating until the baselines are tuned and all is scored.

With 16 million of them, 4 million test ratings and lists of 20,000 users: 58.
"""
ROOM = 0.95
"""Share of the memory that is free which may be planned for."""


@dataclass(frozen=True, kw_only=True)
class FamilyForecast:
    """What one family will take.

    Parameters
    ----------
    family : str
        Key of the family in the experiment.
    n_trials : int
        Trials still to be done.
    search_seconds : float
        Of their search, if the race drops as many as usual.
    most_seconds : float
        Of their search, if it drops none.
    judging_seconds : float
        Of fresh folds, refits and costs.
    worker_bytes : float
        Memory of one worker on top of the data, which all share.
    model_bytes : float
        Memory of one fitted model.
    """

    family: str
    n_trials: int
    search_seconds: float
    most_seconds: float
    judging_seconds: float
    worker_bytes: float
    model_bytes: float


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What an experiment will take, on top of the data that are loaded.

    Parameters
    ----------
    families : tuple of FamilyForecast
        Each family that has trials to be done; those that failed in the probe are not
        there.
    failed : dict of str to str
        Why a family could not be tried, by its key.
    jobs : int
        Worker processes.
    n_ratings : int
        Training ratings.
    n_models : int
        Fitted models of each family that are compared on the test set; 0 without one.
    n_splits : int
        Splits on which all is done.
    data_bytes : int
        Of the training ratings, of which the process that measures costs has its own.
    available_bytes : int
        Memory that is free.
    idle : str, optional
        That workers will idle, and what window would occupy them.
    introduction : tuple of str
        What the data are, and what was taken for what, line by line.
    """

    families: tuple[FamilyForecast, ...]
    failed: dict[str, str]
    jobs: int
    n_ratings: int
    n_models: int
    n_splits: int
    data_bytes: int
    available_bytes: int
    idle: str | None = None
    introduction: tuple[str, ...] = ()

    @property
    def search_seconds(self) -> float:
        """Of all searches."""
        return self.n_splits * sum(each.search_seconds for each in self.families)

    @property
    def most_seconds(self) -> float:
        """Of all searches, if no trial is dropped."""
        return self.n_splits * sum(each.most_seconds for each in self.families)

    @property
    def judging_seconds(self) -> float:
        """Of judging."""
        of_families = sum(each.judging_seconds for each in self.families)
        return self.n_splits * (of_families + SCORING_SECONDS * self.n_ratings)

    @property
    def memory_bytes(self) -> float:
        """Of all processes together, at the highest."""
        return self._memory(self.jobs, self.families)

    def _memory(self, jobs: int, families: Sequence[FamilyForecast]) -> float:
        largest = max((each.worker_bytes for each in families), default=0.0)
        if not self.n_models:
            return jobs * largest
        models = self.n_models * sum(each.model_bytes for each in families)
        # Workers keep their memory while a process beside them measures costs.
        return (jobs + 1) * largest + self.data_bytes + models

    def _fits(self, jobs: int, families: Sequence[FamilyForecast]) -> bool:
        return self._memory(jobs, families) <= ROOM * self.available_bytes

    def require_room(self) -> None:
        """Refuse what does not fit, and say what would.

        Raises
        ------
        StudyError
            If the memory that is free is less than what it takes.
        """
        if self._fits(self.jobs, self.families):
            return
        raise StudyError(
            f"This needs about {size(self.memory_bytes)} of memory on top of the data, "
            f"but {size(self.available_bytes)} are free: {self._what_fits()}."
        )

    def _what_fits(self) -> str:
        for jobs in range(self.jobs - 1, 0, -1):
            if self._fits(jobs, self.families):
                return f"--jobs {jobs} would fit"
        smaller = [f for f in self.families if self._fits(1, [f])]
        if smaller:
            names = " and ".join(each.family for each in smaller)
            return f"with --jobs 1 it would fit with the families {names} only"
        least = min(self.families, key=lambda each: self._memory(1, [each]))
        share = ROOM * self.available_bytes / self._memory(1, [least])
        n_fit = int(share * self.n_ratings)
        return (
            f"take another family, or a sample of the users, with some {n_fit:,} of the "
            f"{self.n_ratings:,} training ratings"
        )

    def describe(self) -> list[str]:
        """Say it in a few lines."""
        if not self.families and not self.failed:
            return ["Forecast: no trial is left to be done."]
        search, most = duration(self.search_seconds), duration(self.most_seconds)
        workers = counted(self.jobs, "worker")
        first = (
            f"Forecast with {workers}: search {search} (at most {most}), judging "
            f"{duration(self.judging_seconds)}; {size(self.memory_bytes)} of memory on "
            f"top of the data, {size(self.available_bytes)} free"
        )
        lines = [first]
        if len(self.families) > 1:
            lines += [
                f"  {each.family}: {counted(each.n_trials, 'trial')}, search "
                f"{duration(each.search_seconds)}, judging "
                f"{duration(each.judging_seconds)}, {size(each.worker_bytes)} a worker"
                for each in self.families
            ]
        lines += [f"  {name}: not known: {why}" for name, why in self.failed.items()]
        return lines if self.idle is None else [*lines, self.idle]


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


def forecast_where_large(
    prepared: PreparedExperiment, only: str | None = None
) -> Forecast | None:
    """Forecast what has much data, on this machine; else None.

    A cluster's workers have their own memory.
    """
    if len(prepared.split.train) < LARGE or prepared.settings.jobs is None:
        return None
    found = forecast_experiment(prepared, only)
    return found if found.families else None


def forecast_experiment(
    prepared: PreparedExperiment, only: str | None = None
) -> Forecast:
    """Try each family on samples of the users, and draw the line to all of them.

    Writes nothing. The initial settings and some drawn at random are trained and scored
    as in the search, in a process of its own.
    """
    if (jobs := prepared.settings.jobs) is None:
        raise StudyError(
            "A forecast is for this machine, and the workers of a cluster have time and "
            "memory of their own: leave --executor out."
        )
    spec, train = prepared.spec, prepared.split.train
    families, failed = list[FamilyForecast](), dict[str, str]()
    left, tried = _trials_left(prepared), dict[str, _Tried]()
    # Blends last: they cost what their members cost.
    for candidate in sorted(left, key=spec.is_blend):
        if only not in {None, candidate}:
            continue
        try:
            found = _try_candidate(candidate, prepared, tried)
        except _ProbeFailedError as error:
            failed[candidate] = str(error)
            continue
        families.append(_of_family(candidate, found, left[candidate], prepared))
    return Forecast(
        families=tuple(families),
        failed=failed,
        jobs=jobs,
        n_ratings=len(train),
        n_models=0 if prepared.split.test is None else 2 * spec.final_seeds,
        n_splits=spec.split.repeats,
        data_bytes=_n_bytes(train),
        available_bytes=available_bytes(),
        idle=spec.search.note_on_workers(jobs),
        introduction=tuple(prepared.dataset.introduction()),
    )


def _trials_left(prepared: PreparedExperiment) -> dict[str, int]:
    """Count the trials of each family that earlier sessions have left."""
    storage = prepared.settings.storage
    names = {c: plan.name for c, plan in prepared.plans.items()}
    is_there = "://" in storage or Path(storage).exists()
    studies = read_studies(storage, names.values()) if is_there else {}
    left = dict[str, int]()
    for candidate, name in names.items():
        study, wanted = studies.get(name), prepared.spec.n_trials(candidate)
        # A family without hyperparameters has one trial, whatever its budget.
        n_points = prepared.plans[candidate].settings().n_points
        wanted = wanted if n_points is None else min(wanted, n_points)
        states = [] if study is None else [trial.state for trial in study.trials]
        n = wanted - states.count("complete") - states.count("pruned")
        if n > 0:
            left[candidate] = n
    return left


def _n_bytes(ratings: Ratings) -> int:
    arrays = (ratings.users, ratings.items, ratings.values, ratings.rows)
    times = 0 if ratings.timestamps is None else ratings.timestamps.nbytes
    return times + sum(array.nbytes for array in arrays)


class _ProbeFailedError(Exception):
    """A family that none of the settings could be tried of."""


class _Cost(NamedTuple):
    """What one fold of one setting took."""

    seconds: float
    # On top of what the process had before, with the fold that was cut.
    n_bytes: int
    error: str | None


class _Sample(NamedTuple):
    """What settings cost on one sample, the initial ones first."""

    ratings: Ratings
    costs: list[_Cost]
    model_bytes: int
    process_bytes: int


class _Tried(NamedTuple):
    """What a family costs on a fold of all the training ratings."""

    # The mean over the settings tried, and the most.
    seconds: float
    n_bytes: float
    model_bytes: float
    process_bytes: int


def _of_family(
    candidate: str, tried: _Tried, n_trials: int, prepared: PreparedExperiment
) -> FamilyForecast:
    spec, train = prepared.spec, prepared.split.train
    jobs = prepared.settings.jobs or 1
    at_once = min(jobs, n_cores(), spec.search.n_tasks)
    n_folds, plan = spec.search.folds, prepared.plans[candidate]
    of_fold = tried.seconds / at_once
    is_blend = spec.is_blend(candidate)
    # All trials of a blend weight the same fits.
    n_fitted = 1 if is_blend else n_trials
    most = n_fitted * sum(each.share for each in plan.evaluations) * of_fold
    usual = _usual_folds(n_fitted, plan) * of_fold
    if plan.pruner == "none":
        usual = most
    # Of large data one fold, with two seeds.
    judging = (2 if plan.fidelity.one_fold else n_folds) * of_fold
    if prepared.split.test is not None:
        # On all folds, not all but one.
        refit = tried.seconds * n_folds / (n_folds - 1)
        n_costs = n_cost_processes(spec.cost_processes) if refit < LONG_SECONDS else 1
        # Of large data another seed changes no digit, as a rule.
        is_asked = "final_seeds" in spec.model_fields_set
        n_seeds = 1 if plan.fidelity.one_fold and not is_asked else spec.final_seeds
        # The tuned models come from where costs are measured.
        n_refits = n_seeds + max(0, n_seeds - n_costs)
        # A blend is made of members that were refitted and measured.
        if not is_blend:
            judging += n_refits * refit / at_once + n_costs * refit
    if spec.budget.seconds is not None:
        most, usual = min(most, spec.budget.seconds), min(usual, spec.budget.seconds)
    n_whole = len(plan.evaluations) - len(plan.fidelity.samples)
    # One fold is in what was measured.
    kept = min(n_whole, n_parts_kept(len(train))) - 1 + sum(plan.fidelity.samples)
    return FamilyForecast(
        family=candidate,
        n_trials=n_trials,
        search_seconds=usual,
        most_seconds=most,
        judging_seconds=judging,
        worker_bytes=tried.process_bytes + tried.n_bytes + kept * _n_bytes(train),
        model_bytes=tried.model_bytes,
    )


def _usual_folds(n_trials: int, plan: StudyPlan) -> float:
    """Expect how many folds of everything are trained, or as much work on samples."""
    samples = plan.fidelity.samples
    n_reaching, n_folds = float(n_trials), len(plan.evaluations) - len(samples)
    on_samples = 0.0
    for part in samples:
        on_samples += n_reaching * part
        n_reaching = max(1.0, SHARE_CLIMBING * n_reaching)
    n_complete = min(n_reaching, N_COMPLETE + SHARE_COMPLETE * n_trials)
    return on_samples + n_reaching + (n_folds - 1) * n_complete


def _try_candidate(
    candidate: str, prepared: PreparedExperiment, tried: dict[str, _Tried]
) -> _Tried:
    """Try a family, or the members of a blend, unless that was done, and keep it."""
    if candidate in tried:
        return tried[candidate]
    if not prepared.spec.is_blend(candidate):
        tried[candidate] = _try_family(prepared.plans[candidate], prepared)
        return tried[candidate]
    members = [
        _try_candidate(member, prepared, tried)
        for member in prepared.spec.members(candidate)
    ]
    return _Tried(
        seconds=sum(each.seconds for each in members),
        n_bytes=sum(each.n_bytes for each in members),
        # Those of its members are counted with them.
        model_bytes=0.0,
        process_bytes=max(each.process_bytes for each in members),
    )


def _try_family(plan: StudyPlan, prepared: PreparedExperiment) -> _Tried:
    """Measure on growing samples, while there is time, and extrapolate."""
    tasks = _tasks(plan)
    samples = list[_Sample]()
    with _worker(plan.family) as executor:
        for n_ratings in _sizes(len(prepared.split.train)):
            if len(samples) > 1 and not _may_grow(samples):
                break
            sample = _sample(prepared.split.train, n_ratings)
            data = TrainingData(
                family=plan.family,
                train=sample,
                catalogue=prepared.dataset.catalogue,
                fold_of=assign_folds(
                    sample,
                    n_folds=plan.n_folds,
                    seed=plan.seed,
                    method=plan.split.method,
                ),
            )
            if not samples:
                # Each setting may load code of its own, which is paid for once.
                _measure_sample(executor, data, tasks)
            samples.append(_measure_sample(executor, data, tasks))
    return _extrapolated(plan.family, tasks, samples, prepared.split.train)


def _may_grow(samples: Sequence[_Sample]) -> bool:
    """Tell whether there is time for the next sample, which costs four times the last.

    By what was measured, not by the clock: on a busy machine, or where kernels are
    compiled first, the clock would end at samples that are too small to tell anything.
    """
    seconds = [sum(cost.seconds for cost in sample.costs) for sample in samples]
    return sum(seconds) + 4 * seconds[-1] <= PROBE_SECONDS


def _extrapolated(
    family: type[Recommender],
    tasks: Sequence[FoldTask],
    samples: Sequence[_Sample],
    train: Ratings,
) -> _Tried:
    seconds, n_bytes = list[float](), list[float]()
    for k, task in enumerate(tasks):
        costs = [sample.costs[k] for sample in samples]
        if any(cost.error for cost in costs):
            continue
        model = make_model(family, task.params, task.seed)
        sizes = [model.growth(sample.ratings) for sample in samples]
        whole = model.growth(train)
        by_time = [Point(g.time, c.seconds) for g, c in zip(sizes, costs, strict=True)]
        by_size = [
            Point(g.memory, c.n_bytes) for g, c in zip(sizes, costs, strict=True)
        ]
        seconds.append(_extended(by_time, whole.time))
        n_bytes.append(_extended(by_size, whole.memory))
    if not seconds:
        raise _ProbeFailedError(samples[-1].costs[0].error)
    models = [Point(len(s.ratings), s.model_bytes) for s in samples]
    return _Tried(
        seconds=float(np.mean(seconds)),
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
    sizes = [largest // share for share in (64, 16, 4)]
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
    executor: ProcessExecutor, data: TrainingData, tasks: Sequence[FoldTask]
) -> _Sample:
    call = partial(_measure_tasks, family=portable(data.family), tasks=list(tasks))
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
    bench: Workbench, *, family: type[Recommender] | str, tasks: Sequence[FoldTask]
) -> tuple[list[_Cost], int, int]:
    """Carry out tasks in a worker, and measure each."""
    if isinstance(family, str):
        family = load_family(family)
    bench = bench.of_family(family)
    # Data are read once.
    first = tasks[0]
    bench.run(first)
    bench.parts.cache_clear()
    gc.collect()
    process_bytes = _private_bytes()
    costs = [_measure_task(bench, task) for task in tasks]
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
    grown = (peak_bytes() or 0) - before
    reason = None if result.error is None else result.error.strip().splitlines()[-1]
    return _Cost(seconds, max(0, grown), reason)


def _private_bytes() -> int:
    """Count what this process has for itself, not what it shares with its owner."""
    return int(psutil.Process().memory_full_info().uss)
