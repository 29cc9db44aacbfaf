"""Bootstrap over users: intervals of metrics, and of differences between models."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings
from harness.evaluation.seed_spread import Uncertainty, uncertainty
from harness.evaluation.user_draws import Scores, UserDraws

__all__ = ["FEWEST_USERS", "Estimate", "UserBootstrap"]

FEWEST_USERS = 100
"""With fewer test users, 95 % intervals cover the truth in about 93 % of cases only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its confidence interval.

    Parameters
    ----------
    value : float
        On the test ratings as they are.
    low, high : float
        Ends of the interval; NaN where a single user leaves nothing to estimate it from.
    """

    value: float
    low: float
    high: float


class UserBootstrap:
    r"""Draws users with replacement: ratings of one user are not independent.

    All models are judged on the same draws, so that differences are paired [1]_. The
    draws give the standard error; the spread between seeds is added to it (see
    `harness.evaluation.seed_spread`), because two refits of one family differ a little,
    and a test that takes fitted models as given calls that a difference [2]_. Intervals
    and p-values are those of Student's t, so they agree, and p is not bounded by the
    number of draws, which the correction for many comparisons needs.

    With few users the normal distribution is too narrow [3]_. The degrees of freedom are
    the effective number of users minus one,

    .. math:: n_\mathrm{eff} - 1 = \Bigl(\sum_u n_u\Bigr)^2 \Bigm/ \sum_u n_u^2 - 1,

    where user :math:`u` has :math:`n_u` test ratings ([4]_, section 8.2; [5]_); where all
    users count the same (``user_rmse``), their number minus one. Intervals of
    errors, and of the unexplained share of the variance :math:`1 - R^2`, are symmetric on
    the logarithmic scale; those of shares end at 0 and 1.

    By simulation with users who differ (``tests/benchmarks/bench_intervals.py``), 95 %
    intervals of the RMSE cover the truth in 93.0, 92.6, 93.3, 94.2 and 95.2 % of data
    sets with 20, 50, 100, 200 and 943 users: with fewer than `FEWEST_USERS` of them,
    reports should warn.

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
    .. [2] X. Bouthillier et al., "Accounting for variance in machine learning
       benchmarks", MLSys 2021.
    .. [3] A. C. Cameron, J. B. Gelbach and D. L. Miller, "Bootstrap-based improvements
       for inference with clustered errors", Review of Economics and Statistics 90(3),
       2008.
    .. [4] L. Kish, "Survey sampling", 1965.
    .. [5] A. V. Carter, K. T. Schnepel and D. G. Steigerwald, "Asymptotic behavior of a
       t-test robust to cluster heterogeneity", Review of Economics and Statistics 99(4),
       2017.
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
        self._test = test
        self._seed = seed
        self._draws = UserDraws(test, n_resamples=n_resamples, seed=seed)

    @property
    def n_users(self) -> int:
        """Number of users with test ratings."""
        return len(self._draws.counts)

    @property
    def n_effective_users(self) -> float:
        """Number of equally active users that would tell as much."""
        counts = self._draws.counts
        return float(counts.sum() ** 2 / (counts**2).sum())

    def subset(self, rows: npt.NDArray[np.bool_]) -> "UserBootstrap":
        """Restrict to some of the test ratings, and to the users they are of.

        Parameters
        ----------
        rows : ndarray of bool, shape (n_ratings,)
            Which ratings; at least one. Predictions for the subset are ``prediction[rows]``.

        Returns
        -------
        UserBootstrap
            With the same settings.
        """
        return UserBootstrap(
            self._test.take(rows),
            n_resamples=self.n_resamples,
            seed=self._seed,
            confidence=self.confidence,
        )

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
        return {
            name: self._estimate(name, scores)
            for name, scores in self._draws.score(predictions).items()
        }

    def difference(
        self, one: list[npt.NDArray[Any]], other: list[npt.NDArray[Any]]
    ) -> tuple[Estimate, float]:
        """Estimate by how many stars the RMSE of two models differs.

        Parameters
        ----------
        one, other : list of ndarray of float, shape (n_ratings,)
            Predictions, one for each seed. Seeds of the two are taken as independent.

        Returns
        -------
        difference : Estimate
            RMSE of `one` minus RMSE of `other`; negative if `one` is better.
        p_value : float
            Of no difference, two-sided; 1 with a single user.
        """
        scores = [
            self._draws.score(predictions)["rmse"] for predictions in (one, other)
        ]
        value = float(scores[0].values.mean() - scores[1].values.mean())
        found = self._uncertainty("rmse", *scores)
        half = found.half_width(self.confidence)
        estimate = Estimate(value=value, low=value - half, high=value + half)
        return estimate, found.p_value(value)

    def _uncertainty(self, name: str, *models: Scores) -> Uncertainty:
        equal = name == "user_rmse"
        informative = self.n_users if equal else self.n_effective_users
        return uncertainty(
            *models,
            n_users=self.n_users,
            user_degrees_of_freedom=max(1.0, informative - 1),
        )

    def _estimate(self, name: str, scores: Scores) -> Estimate:
        value = float(scores.values.mean())
        half = self._uncertainty(name, scores).half_width(self.confidence)
        low, high = _ends(name, value, half)
        return Estimate(value=value, low=low, high=high)


def _ends(name: str, value: float, half: float) -> tuple[float, float]:
    if name in {"within_half_star", "within_one_star"}:
        low, high = np.clip([value - half, value + half], 0, 1)
        return float(low), float(high)
    if name == "r2":
        low, high = _around(1 - value, half)
        return 1 - high, 1 - low
    return _around(value, half)


def _around(value: float, half: float) -> tuple[float, float]:
    """Reach to both sides by the same factor; of zero, which has none, as far as it is."""
    if value == 0:
        return value - half, value + half
    with np.errstate(over="ignore"):
        factor = float(np.exp(half / value))
    return value / factor, value * factor
