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
from harness.errors import StudyError
from harness.evaluation.folds import cut_fold
from harness.evaluation.metrics import OBJECTIVE, score
from harness.models.base import IterativeRecommender, Recommender

__all__ = [
    "FoldResult",
    "FoldTask",
    "Workbench",
    "best_position_in",
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
    prediction = model.predict(valid.users, valid.items)
    scores = score(valid.values, prediction)
    return scores | {"fit_seconds": fit_seconds}


def best_position_in(results: list[FoldResult]) -> int:
    """Find where in the curves the mean over the folds is best.

    Parameters
    ----------
    results : list of FoldResult
        Of the same parameters on different folds; folds may have stopped at different
        epochs, and only those that all of them have reached are considered.

    Returns
    -------
    int
        Position among the scored epochs, from 0.
    """
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

    Parameters
    ----------
    data : Workbench
        The training part, cut into folds.
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

    Raises
    ------
    StudyError
        If the model fails on one of the folds.
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
