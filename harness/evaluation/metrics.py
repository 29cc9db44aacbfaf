"""Scores of predicted ratings, and the one that searches improve."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = [
    "OBJECTIVE",
    "Direction",
    "Metric",
    "log_losses",
    "rmse",
    "score",
    "user_rmse",
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
    direction : {"minimize", "maximize"}
        The direction of improvement, in Optuna's words.
    reference : str, optional
        ``my_metrics.py:hits`` of a function of the user's own.
    digest : str, optional
        SHA-256 of its file: a study is continued with the function it was begun with.
    """

    name: str
    direction: Direction
    # The same file may lie elsewhere.
    reference: str | None = field(default=None, compare=False)
    digest: str | None = None

    @property
    def sign(self) -> float:
        """What values are multiplied by, so that less is better: 1 or -1."""
        return 1.0 if self.direction == "minimize" else -1.0


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


def user_rmse(
    users: npt.NDArray[np.integer[Any]], truth: Floats, prediction: Floats
) -> float:
    """Mean over users of each user's own RMSE: every user counts the same.

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

    Examples
    --------
    One user is off by 1 and 1, the other by 4:

    >>> user_rmse(np.array([0, 0, 1]), np.array([1.0, 3, 5]), np.array([2.0, 2, 1]))
    2.5
    """
    _, own, counts = np.unique(users, return_inverse=True, return_counts=True)
    squares = np.bincount(own, weights=np.square(_errors(truth, prediction)))
    return float(np.sqrt(squares / counts).mean())


LEAST_PROBABILITY = 1e-6
"""What is thought less probable costs no more than this: 13.8."""


def log_losses(
    truth: Floats, levels: Floats, probabilities: Floats
) -> npt.NDArray[np.float64]:
    r"""Loss of each rating by how probable it was said to be: :math:`-\ln p(r)`.

    Parameters
    ----------
    truth : ndarray of float, shape (n_ratings,)
        Ratings in stars.
    levels : ndarray of float, shape (n_levels,)
        Different ratings, in ascending order.
    probabilities : ndarray of float, shape (n_ratings, n_levels)
        How probable each was said to be.

    Returns
    -------
    ndarray of float64, shape (n_ratings,)
        In nats, 0 for what was certain. Probabilities below 1e-6, and those of ratings
        that are none of the levels, count as 1e-6.

    Examples
    --------
    A rating that was said to be as probable as not, and one that was certain:

    >>> stars = np.array([1.0, 2.0])
    >>> log_losses(stars, stars, np.array([[0.5, 0.5], [0.0, 1.0]])).round(4).tolist()
    [0.6931, 0.0]
    """
    place = np.searchsorted(levels, truth).clip(max=len(levels) - 1)
    said = np.where(
        np.isclose(levels[place], truth), probabilities[np.arange(len(truth)), place], 0
    )
    losses: npt.NDArray[np.float64] = 0.0 - np.log(np.maximum(said, LEAST_PROBABILITY))
    return losses


def score(truth: Floats, prediction: Floats) -> dict[str, float]:
    """Score predictions in all ways that trials are told in.

    Parameters
    ----------
    truth, prediction : ndarray of float, shape (n_ratings,)
        Ratings in stars.

    Returns
    -------
    dict of str to float
        RMSE and mean absolute error in stars; the coefficient of determination, NaN where
        all of `truth` are equal; shares of predictions off by at most half a star and one.
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


OBJECTIVE = Metric("rmse", "minimize")
"""What a search improves, unless it is told otherwise."""
