"""What is fitted after the search: fresh folds, the bias floor, and the models judged."""

import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from harness.errors import StudyError
from harness.evaluation.cost_probe import Measured
from harness.evaluation.final import Entry, seeds_of
from harness.evaluation.metrics import OBJECTIVE, Metric
from harness.evaluation.results import FloorTuning
from harness.evaluation.worker_process import WorkerDiedError, n_cores, pack, unpack
from harness.models.base import Recommender
from harness.models.blend import Blend, predict_held_out
from harness.models.families import load_family, make_model, reference_of
from harness.plain import Params, ParamValue
from harness.search.executors import ProcessExecutor
from harness.search.folds import (
    FoldResult,
    FoldTask,
    TrainingData,
    Workbench,
    call_with_shared_data,
    costs_of,
    portable,
    share,
)

__all__ = [
    "FRESH_SEED_OFFSET",
    "HALF_A_DIGIT",
    "Fitter",
    "HeldOut",
    "Settings",
    "choose_jobs",
    "hold_out",
    "made_of_others",
    "open_fitter",
    "settings_key",
    "tune_floor",
]

T = TypeVar("T")
Call = Callable[[Workbench], T]
Settings = tuple[type[Recommender], Params]
Fits = tuple[list[Recommender], float]
Floats = npt.NDArray[np.float64]

# Far from the seeds of the search: the fresh folds must not be its folds.
FRESH_SEED_OFFSET = 1_000_003


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitter:
    """Fits and scores models: here, or in worker processes where there is an executor."""

    bench: Workbench
    executor: Executor | None = None
    folder: str = ""

    def map(self, calls: Sequence[Call[T]]) -> Iterator[T]:
        """Carry out calls, and yield what they return in their order."""
        if self.executor is None:
            yield from (call(self.bench) for call in calls)
            return
        futures: list[Future[T]] = [
            self.executor.submit(call_with_shared_data, self.folder, call)
            for call in calls
        ]
        # Given up one by one: a model that was yielded must not be kept alive here.
        for future in _taken(futures):
            try:
                yield future.result()
            except WorkerDiedError as error:
                raise StudyError(
                    "A worker process died while the best settings were judged (killed, "
                    f"out of memory or crashed: {error}): repeat the command with fewer "
                    "--jobs; what is done is kept."
                ) from error

    def fresh_scores(
        self,
        settings: Mapping[str, Settings],
        *,
        seed: int,
        n_folds: int,
        metric: Metric = OBJECTIVE,
    ) -> dict[str, float]:
        """Score settings on the folds of the bench.

        The best of many trials looks better than it is, because it was chosen for its
        values; on other folds this is the same measurement without the choice. A blend
        is scored by what its members predict here.
        """
        found = self.fold_scores(
            settings, seed=seed, folds=range(n_folds), metric=metric
        )
        return {name: float(np.mean(values)) for name, values in found.items()}

    def fold_scores(
        self,
        settings: Mapping[str, Settings],
        *,
        seed: int,
        folds: Sequence[int],
        metric: Metric,
    ) -> dict[str, list[float]]:
        """Score settings on some folds of the bench, in the order of the folds."""
        mixed = made_of_others(settings) if metric == OBJECTIVE else {}
        members = {name for shares in mixed.values() for name in shares}
        alone = [name for name in settings if name not in mixed]
        # Fold by fold, so that each is cut once for all settings.
        keys = [(fold, name) for fold in folds for name in alone]
        calls = [
            partial(
                _score_fold,
                family=portable(settings[name][0]),
                task=FoldTask(
                    params=dict(settings[name][1]),
                    seed=seed,
                    fold=fold,
                    metric=metric,
                ),
                keep=name in members,
            )
            for fold, name in keys
        ]
        held_out = dict[tuple[int, str], npt.NDArray[np.float32]]()
        values: dict[str, list[float]] = {name: [] for name in settings}
        for (fold, name), (result, kept) in zip(keys, self.map(calls), strict=True):
            if result.error is not None:
                reason = result.error.strip().splitlines()[-1]
                raise StudyError(
                    f"The settings {dict(settings[name][1])} failed on fold {fold} after "
                    f"the search: {reason}"
                )
            values[name].append(float(result.metrics[metric.name][-1]))
            if kept is not None:
                held_out[fold, name] = kept
        for name, shares in mixed.items():
            for fold in folds:
                terms = [share * held_out[fold, m] for m, share in shares.items()]
                scores = self.bench.score_held_out(fold, np.sum(terms, axis=0))
                values[name].append(scores[metric.name])
        return values

    def fit(
        self,
        entries: Sequence[Entry],
        seeds: Sequence[int],
        known: Mapping[str, Measured] = MappingProxyType({}),
    ) -> Iterator[Fits]:
        """Fit each entry with each seed; yield its models and the mean seconds of one.

        Entries with the same settings have the same models. Those of a blend are made of
        models of entries before it, where its members are among them. Of the settings in
        `known`, by `settings_key`, some models were fitted while they were measured.
        """
        alone = {
            settings_key(entry.family, entry.params): entry
            for entry in entries
            if entry.family is not Blend
        }
        calls = [
            partial(
                _fit,
                family=portable(entry.family),
                params=dict(entry.params),
                seed=seed,
                packed=self.executor is not None,
            )
            for key, entry in alone.items()
            for seed in seeds_of(entry, seeds)
            if key not in known or seed not in known[key].models
        ]
        fitted = self.map(calls)
        found = dict[str, Fits]()
        for entry in entries:
            if entry.family is Blend:
                yield self._blends(entry.params, seeds, found)
                continue
            key = settings_key(entry.family, entry.params)
            if key not in found:
                found[key] = self._fits(entry, seeds, fitted, known.get(key))
            yield found[key]

    def _fits(
        self,
        entry: Entry,
        seeds: Sequence[int],
        fitted: Iterator["_Fitted | None"],
        known: Measured | None,
    ) -> Fits:
        """Take models of one entry from where they are known, else the next ones fitted."""
        models, took = list[Recommender](), list[float]()
        for seed in seeds_of(entry, seeds):
            if known is not None and seed in known.models:
                model = unpack(known.models[seed], self.bench.train)
                seconds = known.costs.fit_seconds
            else:
                model, seconds = self._unpacked(next(fitted), entry, seed)
            models.append(model)
            took.append(seconds)
        return models, float(np.mean(took))

    def _blends(
        self, params: Params, seeds: Sequence[int], found: Mapping[str, Fits]
    ) -> Fits:
        """Make a blend for each seed, and say what its members took to fit."""
        blends, total = list[Recommender](), 0.0
        for position, seed in enumerate(seeds):
            start = time.perf_counter()
            blend = Blend(**{**params, "seed": seed})  # type: ignore[arg-type]
            there, before = dict[str, Recommender](), 0.0
            for member in blend.read():
                key = settings_key(load_family(member.family), member.params)
                models, seconds = found.get(key, ([], 0.0))
                if models:
                    # One without randomness is the same for all seeds.
                    there[member.name] = models[min(position, len(models) - 1)]
                    before += seconds if blend.shares()[member.name] else 0.0
            blends.append(
                blend.fit_around(self.bench.train, self.bench.catalogue, there)
            )
            total += before + time.perf_counter() - start
        return blends, total / len(seeds)

    def _unpacked(
        self, answer: "_Fitted | None", entry: Entry, seed: int
    ) -> tuple[Recommender, float]:
        train = self.bench.train
        if answer is None:
            # It failed in the worker, or cannot be sent: here the error shows itself.
            start = time.perf_counter()
            model = make_model(entry.family, entry.params, seed)
            model.fit(train, self.bench.catalogue)
            return model, time.perf_counter() - start
        if isinstance(answer.model, bytes):
            return unpack(answer.model, train), answer.seconds
        return answer.model, answer.seconds


def settings_key(family: type[Recommender], params: Params) -> str:
    """Name a family with its settings, defaults filled in, so that equal ones are found."""
    settings = make_model(family, params, 0).hyperparameters()
    return json.dumps([reference_of(family), settings], sort_keys=True)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a model predicts of a fold that was held out, not clipped; the model if kept.

    `costs` are those that the task asks for, and the seconds of training.
    """

    prediction: npt.NDArray[np.float32]
    costs: Mapping[str, float]
    model: Recommender | None = None


def hold_out(
    bench: Workbench, *, family: type[Recommender] | str, task: FoldTask, keep: bool
) -> HeldOut:
    """Fit a model on all folds but one, and let it predict that one, to be blended."""
    train, valid = bench.parts(task.fold)
    model = make_model(_loaded(family), task.params, task.seed)
    start = time.perf_counter()
    model.fit(train, bench.catalogue)
    costs = {"fit_seconds": time.perf_counter() - start}
    costs |= costs_of(model, train, task.also)
    prediction = predict_held_out(model, valid).astype(np.float32)
    return HeldOut(prediction, costs, model if keep else None)


SHORT_SECONDS = 0.5 if sys.platform == "linux" else 4.0
"""Less work than this is done here: workers take about a second to start, unless they are
forked from a process that is there since the search."""


def choose_jobs(seconds: float, asked: int | None) -> int:
    """Take the workers of the search, unless they need longer to start than to work."""
    if seconds <= SHORT_SECONDS:
        return 1
    # A cluster is for searches: its owner's machine does the rest.
    return asked or n_cores()


def _taken(futures: list[Future[T]]) -> Iterator[Future[T]]:
    futures.reverse()
    while futures:
        yield futures.pop()


@contextmanager
def open_fitter(data: TrainingData, *, jobs: int) -> Iterator[Fitter]:
    """Open worker processes of this machine; with one job, all is done in this process."""
    bench = Workbench(data.family, data.train, data.catalogue, data.fold_of)
    if jobs == 1:
        yield Fitter(bench=bench)
        return
    executor = ProcessExecutor(jobs, imports_main=data.family.__module__ == "__main__")
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        share(data, Path(folder))
        try:
            yield Fitter(bench=bench, executor=executor, folder=folder)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def _loaded(family: type[Recommender] | str) -> type[Recommender]:
    return load_family(family) if isinstance(family, str) else family


def made_of_others(settings: Mapping[str, Settings]) -> dict[str, dict[str, float]]:
    """Find the blends that are made of other settings here, and what each of these weighs."""
    found = {}
    for name, (family, params) in settings.items():
        if family is not Blend:
            continue
        blend = Blend(**dict(params))  # type: ignore[arg-type]
        shares = {n: share for n, share in blend.shares().items() if share > 0}
        of = {m.name: (load_family(m.family), dict(m.params)) for m in blend.read()}
        there = {n: (f, dict(p)) for n, (f, p) in settings.items()}
        if all(there.get(n) == of[n] for n in shares):
            found[name] = shares
    return found


def _score_fold(
    bench: Workbench, *, family: type[Recommender] | str, task: FoldTask, keep: bool
) -> tuple[FoldResult, npt.NDArray[np.float32] | None]:
    """Score settings on one fold; with what they predict of it, if that is kept."""
    bench = bench.of_family(_loaded(family))
    if not keep:
        return bench.run(task), None
    try:
        held_out = hold_out(bench, family=family, task=task, keep=False)
    except Exception:  # noqa: BLE001 - as `Workbench.run` does
        return FoldResult(metrics={}, error=traceback.format_exc()), None
    scores = bench.score_held_out(task.fold, held_out.prediction)
    metrics = {name: np.array([value]) for name, value in scores.items()}
    return FoldResult(metrics=metrics), held_out.prediction


@dataclass(frozen=True)
class _Fitted:
    """A model, as bytes where it comes from a worker, and the seconds it took."""

    model: Recommender | bytes
    seconds: float


def _fit(
    bench: Workbench,
    *,
    family: type[Recommender] | str,
    params: Params,
    seed: int,
    packed: bool,
) -> _Fitted | None:
    model = make_model(_loaded(family), params, seed)
    bench.parts.cache_clear()  # no fold is needed any more
    start = time.perf_counter()
    if not packed:
        return _Fitted(
            model.fit(bench.train, bench.catalogue), time.perf_counter() - start
        )
    try:
        model.fit(bench.train, bench.catalogue)
        return _Fitted(pack(model, bench.train), time.perf_counter() - start)
    except Exception:  # noqa: BLE001 - the owner fits it again, and sees the error
        return None


BIAS_REGULARIZATIONS = (1.0, 3.0, 10.0, 30.0)
N_BLOCKS = 64
"""Groups of users whose errors tell by how much two settings may differ by chance."""
FEWEST_BLOCKS = 32
N_STANDARD_ERRORS = 4.0
HALF_A_DIGIT = 0.00005
"""Of a score in a report, relative to a star."""


def tune_floor(
    fitter: Fitter, n_folds: int, metric: Metric = OBJECTIVE
) -> tuple[dict[str, ParamValue], FloorTuning]:
    """Tune the bias floor: to beat one that is badly set would prove nothing.

    One fold is scored for all settings. Those that are worse beyond doubt are out; the
    others go on to all folds, unless none of them can change a digit of a score. How
    sure that is, is known of RMSE; by another objective the best few go on.
    """
    candidates: list[dict[str, ParamValue]] = [
        {"kind": "bias", "user_regularization": user, "item_regularization": item}
        for user, item in product(BIAS_REGULARIZATIONS, repeat=2)
    ]
    if metric != OBJECTIVE:
        return _tune_floor_by(metric, fitter, candidates, n_folds)
    # The fold that was cut last is still at hand.
    errors = _floor_errors(fitter, candidates, [n_folds - 1])
    still_open = _race(errors[0], star=fitter.bench.train.scale.star)
    n_scored = 1
    if len(still_open) > 1 and n_folds > 1:
        candidates = [candidates[k] for k in still_open]
        others = _floor_errors(fitter, candidates, [*range(n_folds - 1)])
        errors = np.concatenate([errors[:, still_open], others])
        still_open, n_scored = [*range(len(candidates))], n_folds
    rmses = np.sqrt(errors[..., 0].sum(axis=2) / errors[..., 1].sum(axis=2))
    means = rmses.mean(axis=0)
    best = min(still_open, key=lambda k: means[k])
    done = FloorTuning(
        n_settings=len(BIAS_REGULARIZATIONS) ** 2,
        n_compared_on_all=len(still_open) if n_scored > 1 else 0,
        n_folds_scored=n_scored,
        n_folds=n_folds,
    )
    return candidates[best], done


N_FINALISTS = 4


def _tune_floor_by(
    metric: Metric,
    fitter: Fitter,
    candidates: Sequence[dict[str, ParamValue]],
    n_folds: int,
) -> tuple[dict[str, ParamValue], FloorTuning]:
    """Score all settings on one fold, and the best few of them on all."""
    family = load_family("baseline")
    names = {str(k): params for k, params in enumerate(candidates)}

    def losses(of: Sequence[str], folds: Sequence[int]) -> dict[str, list[float]]:
        settings: dict[str, Settings] = {name: (family, names[name]) for name in of}
        found = fitter.fold_scores(settings, seed=0, folds=folds, metric=metric)
        return {n: [metric.sign * value for value in own] for n, own in found.items()}

    first = losses([*names], [n_folds - 1])
    best = sorted(first, key=lambda name: first[name])[:N_FINALISTS]
    rest = losses(best, range(n_folds - 1))
    means = {name: np.mean(first[name] + rest[name]) for name in best}
    done = FloorTuning(
        n_settings=len(names),
        n_compared_on_all=len(best),
        n_folds_scored=n_folds,
        n_folds=n_folds,
    )
    return names[min(best, key=lambda name: means[name])], done


def _floor_errors(
    fitter: Fitter, candidates: Sequence[Params], folds: Sequence[int]
) -> Floats:
    """Sum squared errors and count ratings, by fold, setting and block of users."""
    size = len(BIAS_REGULARIZATIONS)
    parts = [candidates[k : k + size] for k in range(0, len(candidates), size)]
    calls = [
        partial(_errors_of_biases, fold=fold, settings=part)
        for fold in folds
        for part in parts
    ]
    found = list(fitter.map(calls))
    return np.stack(
        [
            np.concatenate(found[k : k + len(parts)])
            for k in range(0, len(found), len(parts))
        ]
    )


def _errors_of_biases(
    bench: Workbench, *, fold: int, settings: Sequence[Params]
) -> Floats:
    train, valid = bench.parts(fold)
    block = valid.users % N_BLOCKS
    counts = np.bincount(block, minlength=N_BLOCKS)
    errors = []
    for params in settings:
        model = load_family("baseline")(**params).fit(train, bench.catalogue)
        predicted = model.predict(valid.users, valid.items).astype(np.float64)
        square = np.square(predicted - valid.values)
        sums = np.bincount(block, weights=square, minlength=N_BLOCKS)
        errors.append(np.stack([sums, counts], axis=1))
    return np.array(errors)


def _race(errors: Floats, *, star: float) -> list[int]:
    """Keep the settings that may be the best by more than nobody can see."""
    sums, counts = errors[..., 0], errors[0, :, 1]
    rmses = np.sqrt(sums.sum(axis=1) / counts.sum())
    best = int(rmses.argmin())
    if (counts > 0).sum() < FEWEST_BLOCKS or not rmses[best]:
        return [*range(len(sums))]
    excess = sums - sums[best]
    margin = N_STANDARD_ERRORS * np.sqrt(N_BLOCKS) * excess.std(axis=1, ddof=1)
    gap = excess.sum(axis=1)
    kept = [k for k in range(len(sums)) if gap[k] <= margin[k]]
    # Of a difference between mean squares, that of their roots is this share.
    by_chance = (gap + margin) / (2 * counts.sum() * rmses[best])
    return [best] if max(by_chance[kept]) < HALF_A_DIGIT * star else kept
