"""Metrics of predicted ratings, each with the direction that is better."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = [
    "METRICS",
    "OBJECTIVE",
    "Direction",
    "Metric",
    "mae",
    "r2",
    "rmse",
    "score",
    "user_rmse",
    "within",
]


Direction = Literal["minimize", "maximize"]
Floats = npt.NDArray[np.floating[Any]]

_ROUNDING = 1e-6
"""A rounding error must not turn a hit into a miss: 4.4f is not 3.9f + 0.5f."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that says how good predictions are, and which way is better.

    Parameters
    ----------
    name : str
        Name in files, MLflow and reports.
    label : str
        Name for people.
    direction : {"minimize", "maximize"}
        The direction of improvement, in Optuna's words.
    compute : callable
        Called as ``compute(truth, prediction)``.
    """

    name: str
    label: str
    direction: Direction
    compute: Callable[[Floats, Floats], float]


def _errors(truth: Floats, prediction: Floats) -> npt.NDArray[np.float64]:
    return prediction.astype(np.float64) - truth


def rmse(truth: Floats, prediction: Floats) -> float:
    r"""Root mean squared error over all pairs.

    .. math:: \sqrt{\frac{1}{n} \sum_{k=1}^{n} (r_k - \hat r_k)^2}

    Parameters
    ----------
    truth, prediction : ndarray of float, shape (n_ratings,)
        Ratings in stars.

    Returns
    -------
    float
        The error in stars.

    Examples
    --------
    >>> rmse(np.array([1.0, 5.0]), np.array([4.0, 1.0]))
    3.5355339059327378
    """
    # Not errors @ errors: BLAS starts threads for it, which takes longer than the sum.
    return float(np.sqrt(np.square(_errors(truth, prediction)).mean()))


def mae(truth: Floats, prediction: Floats) -> float:
    """Mean absolute error.

    Parameters
    ----------
    truth, prediction : ndarray of float, shape (n_ratings,)
        Ratings in stars.

    Returns
    -------
    float
        The error in stars.

    Examples
    --------
    >>> mae(np.array([1.0, 5.0]), np.array([4.0, 1.0]))
    3.5
    """
    return float(np.abs(_errors(truth, prediction)).mean())


def r2(truth: Floats, prediction: Floats) -> float:
    r"""Coefficient of determination.

    .. math:: 1 - \sum_k (r_k - \hat r_k)^2 / \sum_k (r_k - \bar r)^2

    Parameters
    ----------
    truth, prediction : ndarray of float, shape (n_ratings,)
        Ratings in stars.

    Returns
    -------
    float
        1 for perfect predictions, 0 for the mean of `truth`; NaN where all of `truth`
        are equal.

    Examples
    --------
    >>> r2(np.array([1.0, 3.0, 5.0]), np.array([2.0, 3.0, 4.0]))
    0.75
    """
    variance = float(truth.var(dtype=np.float64))
    mean_square = float(np.square(_errors(truth, prediction)).mean())
    return 1.0 - mean_square / variance if variance > 0 else float("nan")


def within(truth: Floats, prediction: Floats, stars: float) -> float:
    """Share of predictions that are off by at most so many stars.

    Parameters
    ----------
    truth, prediction : ndarray of float, shape (n_ratings,)
        Ratings in stars.
    stars : float
        The largest error that counts as a hit.

    Returns
    -------
    float
        Between 0 and 1.

    Examples
    --------
    >>> within(np.array([1.0, 5.0]), np.array([1.5, 4.0]), stars=0.5)
    0.5
    """
    return float((np.abs(_errors(truth, prediction)) <= stars + _ROUNDING).mean())


def user_rmse(
    users: npt.NDArray[np.integer[Any]], truth: Floats, prediction: Floats
) -> float:
    """Mean over the users of each user's own RMSE: every user counts the same.

    Parameters
    ----------
    users : ndarray of int, shape (n_ratings,)
        Codes of the users.
    truth, prediction : ndarray of float, shape (n_ratings,)
        Ratings in stars.

    Returns
    -------
    float
        The error in stars.
    """
    squares = np.bincount(users, weights=_errors(truth, prediction) ** 2)
    counts = np.bincount(users)
    rated = counts > 0
    return float(np.sqrt(squares[rated] / counts[rated]).mean())


def _within_half_star(truth: Floats, prediction: Floats) -> float:
    return within(truth, prediction, stars=0.5)


def _within_one_star(truth: Floats, prediction: Floats) -> float:
    return within(truth, prediction, stars=1.0)


def score(truth: Floats, prediction: Floats) -> dict[str, float]:
    """Compute all of `METRICS` at once, in a third of the time.

    Parameters
    ----------
    truth, prediction : ndarray of float, shape (n_ratings,)
        Ratings in stars.

    Returns
    -------
    dict of str to float
        By the name of the metric.
    """
    sizes = np.abs(_errors(truth, prediction))
    mean_square = float(np.square(sizes).mean())
    variance = float(truth.var(dtype=np.float64))
    return {
        "rmse": float(np.sqrt(mean_square)),
        "mae": float(sizes.mean()),
        "r2": 1.0 - mean_square / variance if variance > 0 else float("nan"),
        "within_half_star": float((sizes <= 0.5 + _ROUNDING).mean()),
        "within_one_star": float((sizes <= 1.0 + _ROUNDING).mean()),
    }


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("rmse", "RMSE", "minimize", rmse),
            Metric("mae", "MAE", "minimize", mae),
            Metric("r2", "R²", "maximize", r2),
            Metric("within_half_star", "within 0.5", "maximize", _within_half_star),
            Metric("within_one_star", "within 1.0", "maximize", _within_one_star),
        )
    }
)
"""All metrics of single predictions, by name."""

OBJECTIVE = METRICS["rmse"]
"""What every search improves."""
