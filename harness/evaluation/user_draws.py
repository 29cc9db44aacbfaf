"""Draws of users with replacement: every metric of a prediction, in every draw."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings

__all__ = ["Scores", "UserDraws"]

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.uint8]

_CHUNK_CELLS = 4_000_000
_KEPT_CELLS = 400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """A metric of one model, fitted with one or several seeds.

    Parameters
    ----------
    values : ndarray of float64, shape (n_seeds,)
        On the test ratings as they are.
    draws : ndarray of float64, shape (n_seeds, n_resamples)
        In every draw of users.
    """

    values: Floats
    draws: Floats


class UserDraws:
    """Draws users once, so that all models are judged on the same draws.

    A draw is a count of each user, and a metric a function of the users' sums weighted
    with these counts: a prediction costs one matrix product, and is remembered by its
    content. The counts take a byte each; above 400 million of them they are drawn anew,
    from the same seed, for every prediction.

    Parameters
    ----------
    test : Ratings
        The test part.
    n_resamples : int
        Number of draws.
    seed : int
        Seed of the draws.
    """

    def __init__(self, test: Ratings, *, n_resamples: int, seed: int) -> None:
        self._n_resamples = n_resamples
        self._seed = seed
        present, self._user = np.unique(test.users, return_inverse=True)
        self._n_users = len(present)
        self._truth = test.values.astype(np.float64)
        self._fixed = np.stack(
            [
                self._total(np.ones_like(self._truth)),
                self._total(self._truth),
                self._total(self._truth**2),
                np.ones(self._n_users),
            ],
            axis=1,
        )
        self._kept: list[Counts] | None = None
        self._scored: dict[bytes, dict[str, Floats]] = {}

    @property
    def counts(self) -> Floats:
        """Number of test ratings of each user."""
        return self._fixed[:, 0]

    def score(self, predictions: Sequence[npt.NDArray[Any]]) -> dict[str, Scores]:
        """Compute all metrics of a model.

        Parameters
        ----------
        predictions : sequence of ndarray of float, shape (n_ratings,)
            One for each seed.

        Returns
        -------
        dict of str to Scores
            ``rmse``, ``mae``, ``r2``, ``within_half_star``, ``within_one_star``,
            ``user_rmse``.
        """
        by_seed = [self._score(prediction) for prediction in predictions]
        tables = {name: np.stack([s[name] for s in by_seed]) for name in by_seed[0]}
        return {
            name: Scores(values=table[:, 0], draws=table[:, 1:])
            for name, table in tables.items()
        }

    def _score(self, prediction: npt.NDArray[Any]) -> dict[str, Floats]:
        """Compute each metric on all users once, and then in every draw."""
        content = np.ascontiguousarray(prediction)
        key = hashlib.blake2b(content.view(np.uint8), digest_size=16).digest()
        key += content.dtype.str.encode()
        if key not in self._scored:
            sums = np.hstack([self._fixed, self._sums(content)])
            totals = [sums.sum(axis=0, keepdims=True)]
            totals += [counts.astype(np.float64) @ sums for counts in self._counts()]
            self._scored[key] = _metrics_of(np.concatenate(totals))
        return self._scored[key]

    def _total(self, column: npt.NDArray[Any]) -> Floats:
        totals = np.bincount(self._user, weights=column, minlength=self._n_users)
        return totals.astype(np.float64)

    def _sums(self, prediction: npt.NDArray[Any]) -> Floats:
        errors = np.abs(prediction.astype(np.float64) - self._truth)
        columns = (errors**2, errors, errors <= 0.5 + 1e-6, errors <= 1.0 + 1e-6)
        totals = [self._total(column) for column in columns]
        return np.stack([*totals, np.sqrt(totals[0] / self.counts)], axis=1)

    def _counts(self) -> Iterator[Counts]:
        if self._kept is not None:
            yield from self._kept
        elif self._n_resamples * self._n_users > _KEPT_CELLS:
            yield from self._draw()
        else:
            self._kept = list(self._draw())
            yield from self._kept

    def _draw(self) -> Iterator[Counts]:
        n = self._n_users
        rng = np.random.default_rng(self._seed)
        chunk = max(1, _CHUNK_CELLS // n)
        for start in range(0, self._n_resamples, chunk):
            size = min(chunk, self._n_resamples - start)
            # Each draw counts in cells of its own. A user drawn 256 times, which a byte
            # could not hold, has a probability below 1e-500.
            cells = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
            counts = np.bincount(cells.ravel(), minlength=size * n)
            yield counts.reshape(size, n).astype(np.uint8)


def _metrics_of(totals: Floats) -> dict[str, Floats]:
    n, truth, truth_squares, users, squares, absolute, half, one, own = totals.T
    variance = truth_squares / n - (truth / n) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        explained = np.where(variance > 1e-12, 1 - squares / n / variance, np.nan)
    return {
        "rmse": np.sqrt(squares / n),
        "mae": absolute / n,
        "r2": explained,
        "within_half_star": half / n,
        "within_one_star": one / n,
        "user_rmse": own / users,
    }
