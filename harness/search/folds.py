"""Fold tasks: one model, trained on all folds but one and scored on that one."""

import pickle
import time
import traceback
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.errors import TrainingError
from harness.evaluation.cost_probe import PERCENTILES, size_on_disk, time_lists
from harness.evaluation.metrics import OBJECTIVE, Metric, score
from harness.evaluation.objectives import Fold, is_slow, measure_on
from harness.evaluation.requirements import COSTS_OF_A_TRIAL
from harness.evaluation.splits import cut_fold
from harness.models.base import IterativeRecommender, Recommender
from harness.models.families import file_of, load_family, make_model, reference_of
from harness.plain import Params
from harness.search.fidelity import Sample

__all__ = [
    "FoldResult",
    "FoldTask",
    "TrainingData",
    "Workbench",
    "best_position_in",
    "call_with_shared_data",
    "costs_of",
    "n_parts_kept",
    "portable",
    "run_with_shared_data",
    "share",
]


_CACHE_BYTES = 1 << 30
_BYTES_OF_RATING = 24
_N_SAMPLES_KEPT = 2


def n_parts_kept(n_ratings: int) -> int:
    """Say how many folds of so many ratings a worker keeps cut."""
    return max(1, _CACHE_BYTES // max(1, n_ratings * _BYTES_OF_RATING))


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """All that a worker needs to know: there is no place for test ratings.

    `fold_of` has the fold in which each rating is held out, see `assign_folds`.
    """

    family: type[Recommender]
    train: Ratings
    catalogue: Catalogue
    fold_of: npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class FoldTask:
    """What to train, and the fold that is held out: of a sample, or of everything.

    With `patience`, the model is scored after every epoch, and training stops so many
    epochs after the best; without, only the fitted model is scored. `also` is what is to be
    measured besides the metric.
    """

    params: Params
    seed: int
    fold: int
    patience: int | None = None
    metric: Metric = OBJECTIVE
    sample: Sample | None = None
    also: tuple[Metric, ...] = ()

    @property
    def measures(self) -> tuple[Metric, ...]:
        """All that is to be measured."""
        return (self.metric, *self.also)


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    """Scores on one fold: a curve for each metric, or the traceback of a failure.

    `metrics` have ``fit_seconds`` so far, too. A curve has one value for each of `epochs`;
    where epochs were not scored one by one, `epochs` is empty and the value is one.
    `found` are settings that were found on the way, such as the weights of a blend.
    """

    metrics: Mapping[str, npt.NDArray[np.float64]]
    epochs: tuple[int, ...] = ()
    error: str | None = None
    found: Params = field(default_factory=dict)


class Workbench:
    """What a worker keeps between tasks: the ratings, cut into folds once."""

    def __init__(
        self,
        family: type[Recommender],
        train: Ratings,
        catalogue: Catalogue,
        fold_of: npt.NDArray[np.int16],
    ) -> None:
        self.family = family
        self.train = train
        self.catalogue = catalogue
        self._fold_of = fold_of
        self.parts = lru_cache(maxsize=n_parts_kept(len(train)))(self._cut)
        self.parts_of_sample = lru_cache(maxsize=_N_SAMPLES_KEPT)(self._cut_sample)

    def _cut(self, fold: int) -> tuple[Ratings, Ratings]:
        learnt, held_out = cut_fold(self._fold_of, fold)
        return self.train.take(learnt), self.train.take(held_out)

    def _cut_sample(self, fold: int, sample: Sample) -> tuple[Ratings, Ratings]:
        chosen = sample.chosen(self.train)
        ratings = self.train.take(chosen)
        learnt, held_out = cut_fold(self._fold_of[chosen], fold)
        return ratings.take(learnt), ratings.take(held_out)

    def of_family(self, family: type[Recommender]) -> "Workbench":
        """Give the same ratings, and the folds already cut, to another family."""
        other = copy(self)
        other.family = family
        return other

    def score_held_out(
        self, fold: int, predicted: npt.NDArray[np.floating[Any]]
    ) -> dict[str, float]:
        """Score what was predicted of a fold, clipped to the scale."""
        _, valid = self.parts(fold)
        return score(valid.values, valid.scale.clip(predicted))

    def run(self, task: FoldTask) -> FoldResult:
        """Carry out a task."""
        try:
            return self._score(task)
        except Exception:  # noqa: BLE001 - whatever a model raises fails its trial only
            return FoldResult(metrics={}, error=traceback.format_exc())

    def _score(self, task: FoldTask) -> FoldResult:
        train, valid = (
            self.parts(task.fold)
            if task.sample is None
            else self.parts_of_sample(task.fold, task.sample)
        )
        model = make_model(self.family, task.params, task.seed)
        if isinstance(model, IterativeRecommender) and task.patience is not None:
            by_epoch = self._score_epochs(model, train, valid, task)
            return FoldResult(
                metrics=_as_curves(list(by_epoch.values())), epochs=tuple(by_epoch)
            )
        start = time.perf_counter()
        model.fit(train, self.catalogue)
        seconds = time.perf_counter() - start
        scores = self._scores(model, (train, valid), seconds, task.measures)
        scores |= costs_of(model, train, task.measures)
        return FoldResult(metrics=_as_curves([scores]))

    def _score_epochs(
        self,
        model: IterativeRecommender,
        train: Ratings,
        valid: Ratings,
        task: FoldTask,
    ) -> dict[int, dict[str, float]]:
        assert task.patience is not None
        metric, slow = task.metric, any(map(is_slow, task.measures))
        costs: dict[str, float] | None = None
        scored: dict[int, dict[str, float]] = {}
        best, best_epoch, fit_seconds = float("inf"), 0, 0.0
        start = time.perf_counter()
        try:
            for epoch in model.fit_epochs(train, self.catalogue):
                fit_seconds += time.perf_counter() - start
                if not slow or epoch == model.n_epochs or _is_on_grid(epoch):
                    parts = (train, valid)
                    scores = self._scores(model, parts, fit_seconds, task.measures)
                    if costs is None:
                        # Those of a later epoch are no others.
                        costs = costs_of(model, train, task.measures)
                    scored[epoch] = scores | costs
                    value = metric.sign * scored[epoch][metric.name]
                    if value < best:
                        best, best_epoch = value, epoch
                    if epoch - best_epoch >= task.patience:
                        break
                start = time.perf_counter()
        except TrainingError:
            # What was good before the training left the range of numbers counts.
            if not scored:
                raise
        return scored

    def _scores(
        self,
        model: Recommender,
        parts: tuple[Ratings, Ratings],
        fit_seconds: float,
        measures: tuple[Metric, ...],
    ) -> dict[str, float]:
        train, valid = parts
        prediction = model.predict(valid.users, valid.items, valid.timestamps)
        scores = score(valid.values, prediction) | {"fit_seconds": fit_seconds}
        fold = Fold(train, valid, self.catalogue)
        for metric in measures:
            if metric.name not in scores and metric.name not in COSTS_OF_A_TRIAL:
                scores[metric.name] = measure_on(fold, metric, model, prediction)
        return scores


N_LISTS = 30
"""So many lists are timed on each fold: those of the same users for all settings."""
_N_WARM_UP_LISTS = 5


def costs_of(
    model: Recommender, train: Ratings, measures: tuple[Metric, ...]
) -> dict[str, float]:
    """Measure what is asked for and is a cost, but for the seconds of training."""
    names = {metric.name for metric in measures}
    costs: dict[str, float] = {}
    times = [f"latency_p{percent}_ms" for percent in PERCENTILES]
    if not names.isdisjoint(times):
        # The time of this thread: other workers must not decide what is feasible.
        clock = time.thread_time_ns
        found = time_lists(model, train, N_LISTS, _N_WARM_UP_LISTS, clock)
        costs |= dict(zip(times, found, strict=True))
    if "model_bytes" in names:
        costs["model_bytes"] = float(size_on_disk(model))
    return {name: value for name, value in costs.items() if name in names}


def _is_on_grid(epoch: int) -> bool:
    """Pick every epoch up to 8, then four in each doubling."""
    return epoch % (1 << max(0, epoch.bit_length() - 3)) == 0


def _as_curves(scored: list[dict[str, float]]) -> dict[str, npt.NDArray[np.float64]]:
    return {name: np.array([scores[name] for scores in scored]) for name in scored[0]}


def best_position_in(results: list[FoldResult], metric: Metric) -> int:
    """Find where in the curves the mean over the folds is best."""
    curves = [result.metrics[metric.name] for result in results]
    n_common = min(len(curve) for curve in curves)
    mean = np.mean([curve[:n_common] for curve in curves], axis=0)
    return int(np.argmin(metric.sign * mean))


_ARRAYS = ("users", "items", "values", "rows", "timestamps")
_REST = "rest.pickle"


def share(data: TrainingData, folder: Path) -> None:
    """Write data once for all workers of this machine: arrays to map, the rest to read."""
    train = data.train
    arrays = {name: getattr(train, name) for name in _ARRAYS}
    for name, array in {**arrays, "fold_of": data.fold_of}.items():
        if array is not None:
            np.save(folder / f"{name}.npy", array)
    ids = {
        "user_ids": train.user_ids,
        "item_ids": train.item_ids,
        "scale": train.scale,
    }
    with (folder / _REST).open("wb") as file:
        pickle.dump((portable(data.family), data.catalogue, ids), file, protocol=5)


def portable(family: type[Recommender]) -> type[Recommender] | str:
    """Give a family the form in which workers get it; `load_family` reads a name."""
    # A class from a file has no module that a worker could import it from.
    return family if file_of(family) is None else reference_of(family)


@lru_cache(maxsize=1)
def _workbench_of(folder: str) -> Workbench:
    path = Path(folder)
    arrays = {file.stem: np.load(file, mmap_mode="r") for file in path.glob("*.npy")}
    # Written a moment ago by the owner, in a folder that nobody else can write to.
    with (path / _REST).open("rb") as file:
        family, catalogue, ids = pickle.load(file)  # noqa: S301
    fold_of = arrays.pop("fold_of")
    if isinstance(family, str):
        family = load_family(family)
    return Workbench(family, Ratings(**arrays, **ids), catalogue, fold_of)


def run_with_shared_data(folder: str, task: FoldTask) -> FoldResult:
    """Carry out a task in a worker, with the data that `share` has written."""
    return _workbench_of(folder).run(task)


T = TypeVar("T")


def call_with_shared_data(folder: str, call: Callable[[Workbench], T]) -> T:
    """Carry out a call in a worker, with the data that `share` has written."""
    return call(_workbench_of(folder))
