"""One unit of work: train a model on all folds but one, and score it on that one."""

import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.evaluation.metrics import METRICS, OBJECTIVE
from harness.models.base import IterativeRecommender, Recommender

__all__ = [
    "FoldResult",
    "FoldTask",
    "Workbench",
    "best_epoch_of",
    "score_on_fresh_folds",
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
    error : str or None
        Traceback, if it failed; then there are no metrics.
    """

    metrics: Mapping[str, npt.NDArray[np.float64]]
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
    fold_of : ndarray of int, shape (n_ratings,)
        The fold in which each rating is held out.
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
        held_out = self._fold_of == fold
        return self._train.take(~held_out), self._train.take(held_out)

    def run(self, task: FoldTask) -> FoldResult:
        """Carry out a task.

        Parameters
        ----------
        task : FoldTask
            What to do.

        Returns
        -------
        FoldResult
            Scores, or the traceback of what was raised.
        """
        try:
            return FoldResult(metrics=self._score(task))
        except Exception:  # noqa: BLE001 - whatever a model raises fails its trial only
            return FoldResult(metrics={}, error=traceback.format_exc())

    def _score(self, task: FoldTask) -> dict[str, npt.NDArray[np.float64]]:
        train, valid = self._parts(task.fold)
        params = dict(task.params)
        if "seed" in self._family.__dataclass_fields__:
            params["seed"] = task.seed
        model = self._family(**params)
        scored: list[dict[str, float]] = []
        if isinstance(model, IterativeRecommender) and task.patience is not None:
            self._score_epochs(model, train, valid, task.patience, scored)
        else:
            start = time.perf_counter()
            model.fit(train, self._catalogue)
            scored.append(_scores(model, valid, time.perf_counter() - start))
        return {
            name: np.array([scores[name] for scores in scored]) for name in scored[0]
        }

    def _score_epochs(
        self,
        model: IterativeRecommender,
        train: Ratings,
        valid: Ratings,
        patience: int,
        scored: list[dict[str, float]],
    ) -> None:
        sign = 1.0 if OBJECTIVE.direction == "minimize" else -1.0
        best, best_epoch, fit_seconds = float("inf"), 0, 0.0
        start = time.perf_counter()
        for epoch in model.fit_epochs(train, self._catalogue):
            fit_seconds += time.perf_counter() - start
            scored.append(_scores(model, valid, fit_seconds))
            value = sign * scored[-1][OBJECTIVE.name]
            if value < best:
                best, best_epoch = value, epoch
            if epoch - best_epoch >= patience:
                return
            start = time.perf_counter()


def _scores(model: Recommender, valid: Ratings, fit_seconds: float) -> dict[str, float]:
    prediction = model.predict(valid.users, valid.items)
    scores = {
        name: metric.compute(valid.values, prediction)
        for name, metric in METRICS.items()
    }
    return scores | {"fit_seconds": fit_seconds}


def best_epoch_of(results: list[FoldResult]) -> int:
    """Find the epoch that is best in the mean over folds.

    Parameters
    ----------
    results : list of FoldResult
        Of the same parameters on different folds; folds may have stopped at different
        epochs, and only those that all of them have reached are considered.

    Returns
    -------
    int
        Number of the epoch, from 1.
    """
    curves = [result.metrics[OBJECTIVE.name] for result in results]
    n_common = min(len(curve) for curve in curves)
    mean = np.mean([curve[:n_common] for curve in curves], axis=0)
    best = np.argmin(mean) if OBJECTIVE.direction == "minimize" else np.argmax(mean)
    return int(best) + 1


def score_on_fresh_folds(
    data: Workbench, params: Mapping[str, Any], *, seed: int, n_folds: int
) -> float:
    """Evaluate parameters again, on folds that no search has seen.

    The best of many trials looks better than it is, because it was chosen for its
    values; this is the same measurement without the choice.

    Parameters
    ----------
    data : Workbench
        The training part, cut into other folds than those of the search.
    params : mapping
        All hyperparameters of the model.
    seed : int
        Seed of the models.
    n_folds : int
        Number of folds.

    Returns
    -------
    float
        Mean over the folds of the objective.
    """
    results = [
        data.run(FoldTask(params=params, seed=seed, fold=fold))
        for fold in range(n_folds)
    ]
    return float(np.mean([result.metrics[OBJECTIVE.name][-1] for result in results]))
