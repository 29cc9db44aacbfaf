"""Bootstrap over users: intervals of metrics, and of differences between models."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings

__all__ = ["Estimate", "UserBootstrap"]

Floats = npt.NDArray[np.float64]

_CHUNK_CELLS = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its confidence interval.

    Parameters
    ----------
    value : float
        On the test ratings as they are.
    low, high : float
        Ends of the interval.
    """

    value: float
    low: float
    high: float


class UserBootstrap:
    """Draws users with replacement: ratings of one user are not independent.

    All models are judged on the same draws, so that differences are paired. Percentile
    intervals of the cluster bootstrap [1]_, [2]_.

    Parameters
    ----------
    test : Ratings
        The test part.
    n_resamples : int, default 2000
        Number of draws.
    seed : int, default 0
        Seed of the draws.
    confidence : float, default 0.95
        Nominal coverage of the intervals.

    References
    ----------
    .. [1] C. A. Field and A. H. Welsh, "Bootstrapping clustered data", JRSS B 69(3),
       2007.
    .. [2] B. Efron and R. J. Tibshirani, "An introduction to the bootstrap", 1993,
       chapter 13 (percentile intervals) and section 16.2 (tests).
    """

    def __init__(
        self,
        test: Ratings,
        *,
        n_resamples: int = 2000,
        seed: int = 0,
        confidence: float = 0.95,
    ) -> None:
        self.n_resamples = n_resamples
        self.confidence = confidence
        self._seed = seed
        present, self._user = np.unique(test.users, return_inverse=True)
        self._n_users = len(present)
        self._truth = test.values.astype(np.float64)

    def metrics(self, predictions: list[npt.NDArray[Any]]) -> dict[str, Estimate]:
        """Estimate the metrics of one model.

        Parameters
        ----------
        predictions : list of ndarray of float, shape (n_ratings,)
            One for each seed; metrics are means over the seeds.

        Returns
        -------
        dict of str to Estimate
            ``rmse``, ``mae``, ``r2``, ``within_half_star``, ``within_one_star``,
            ``user_rmse``.
        """
        sums = [self._sums(prediction) for prediction in predictions]
        ones = np.ones((1, self._n_users))
        values = self._mean_metrics(ones, sums)
        draws = self._resample(lambda weights: self._mean_metrics(weights, sums))
        return {
            name: self._estimate(float(values[name][0]), draws[name]) for name in values
        }

    def difference(
        self, one: list[npt.NDArray[Any]], other: list[npt.NDArray[Any]]
    ) -> tuple[Estimate, float]:
        """Estimate by how many stars the RMSE of two models differs.

        Parameters
        ----------
        one, other : list of ndarray of float, shape (n_ratings,)
            Predictions, one for each seed.

        Returns
        -------
        difference : Estimate
            RMSE of `one` minus RMSE of `other`; negative if `one` is better.
        p_value : float
            Of no difference, two-sided.
        """
        sums = [[self._sums(p) for p in predictions] for predictions in (one, other)]

        def difference(weights: Floats) -> dict[str, Floats]:
            first, second = (self._mean_metrics(weights, s)["rmse"] for s in sums)
            return {"difference": first - second}

        value = float(difference(np.ones((1, self._n_users)))["difference"][0])
        draws = self._resample(difference)["difference"]
        tail = min((draws <= 0).sum(), (draws >= 0).sum())
        # Plus one: a finite number of draws cannot show that p is 0.
        p_value = min(1.0, 2 * (int(tail) + 1) / (self.n_resamples + 1))
        return self._estimate(value, draws), p_value

    def _estimate(self, value: float, draws: Floats) -> Estimate:
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(draws, [tail, 1 - tail])
        return Estimate(value=value, low=float(low), high=float(high))

    def _sums(self, prediction: npt.NDArray[Any]) -> Floats:
        """Sum up each user: a weighted total of these rows gives every metric."""
        errors = np.abs(prediction.astype(np.float64) - self._truth)
        columns = (
            np.ones_like(errors),
            errors**2,
            errors,
            errors <= 0.5 + 1e-6,
            errors <= 1.0 + 1e-6,
            self._truth,
            self._truth**2,
        )
        totals = [
            np.bincount(self._user, weights=column, minlength=self._n_users)
            for column in columns
        ]
        own_rmse = np.sqrt(totals[1] / totals[0])
        return np.stack([*totals, own_rmse, np.ones(self._n_users)], axis=1)

    def _mean_metrics(self, weights: Floats, sums: list[Floats]) -> dict[str, Floats]:
        by_seed = [_metrics_of(weights @ s) for s in sums]
        return {
            name: np.mean([metrics[name] for metrics in by_seed], axis=0)
            for name in by_seed[0]
        }

    def _resample(self, statistic: Any) -> dict[str, Floats]:
        # The same seed each time: all models and differences see the same draws.
        rng = np.random.default_rng(self._seed)
        chunk = max(1, _CHUNK_CELLS // self._n_users)
        even = np.full(self._n_users, 1 / self._n_users)
        parts: list[dict[str, Floats]] = []
        for start in range(0, self.n_resamples, chunk):
            size = min(chunk, self.n_resamples - start)
            weights = rng.multinomial(self._n_users, even, size=size)
            parts.append(statistic(weights.astype(np.float64)))
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def _metrics_of(totals: Floats) -> dict[str, Floats]:
    n, squares, absolute, half, one, truth, truth_squares, own, users = totals.T
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
