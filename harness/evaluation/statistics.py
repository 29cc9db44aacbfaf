"""Intervals and tests over users and seeds, and Holm's correction."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings

__all__ = ["FEWEST_USERS", "Estimate", "Scores", "UserBootstrap", "holm", "uncertainty"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """The scale on which an estimate scatters around the truth, as Student's t.

    Parameters
    ----------
    standard_error : float
        In the unit of the estimate.
    degrees_of_freedom : float
        Of the standard error; at least 1.
    """

    standard_error: float
    degrees_of_freedom: float

    def half_width(self, confidence: float) -> float:
        """Compute how far an interval reaches to either side.

        Parameters
        ----------
        confidence : float
            Nominal coverage, between 0 and 1.

        Returns
        -------
        float
            In the unit of the estimate.
        """
        from scipy.special import stdtrit

        t = stdtrit(self.degrees_of_freedom, (1 + confidence) / 2)
        return float(t * self.standard_error)

    def p_value(self, value: float) -> float:
        """Compute how often chance alone deviates as much from zero, to either side.

        Parameters
        ----------
        value : float
            The estimate.

        Returns
        -------
        float
            Two-sided; below 0.05 exactly if the 95 % interval excludes zero.
        """
        from scipy.special import stdtr

        if np.isnan(self.standard_error) or value == 0:
            return 1.0
        with np.errstate(divide="ignore"):
            t = np.float64(abs(value)) / self.standard_error
        return float(2 * stdtr(self.degrees_of_freedom, -t))


def uncertainty(
    *models: Scores, n_users: int, user_degrees_of_freedom: float
) -> Uncertainty:
    r"""Combine the spread of users with that of seeds.

    Users and seeds are crossed: every seed's model is judged on the same users. A mean
    over :math:`S` seeds (or the difference of two such means) has the variance

    .. math:: V = U + \max\Bigl(0, \sum_m \frac{s_m^2 - I_m}{S_m}\Bigr),

    of which the draws of users, the models being as they are, know :math:`U`;
    :math:`s_m^2` is the variance between the seeds' scores of model :math:`m`. A part
    :math:`I_m` of it comes from seeds differing on these users more or less than on
    others; it is in :math:`U` already, is estimated by the draws of the seeds' deviations
    from their mean, and would otherwise be counted twice [1]_, [2]_.
    Variances of draws are multiplied by :math:`n / (n - 1)` for :math:`n` users.

    Degrees of freedom are Satterthwaite's [3]_, at most :math:`\nu_U`,

    .. math:: \nu = V^2 \Bigm/ \Bigl( \frac{(U - \sum_m I_m / S_m)^2}{\nu_U}
              + \sum_m \frac{(s_m^2 / S_m)^2}{S_m - 1} \Bigr),

    or, if that is less, the harmonic mean of those of users and of seeds, weighted with
    their parts of :math:`V` (as Cochran and Cox weight quantiles [4]_). With two or three
    seeds and many users Satterthwaite's alone are too many where the seeds' part is
    large, above all for the small p-values that a correction for many comparisons asks
    for: by simulation of two equal models with three seeds each, false alarms at the
    level 0.001 are up to 3.6 times too many, and up to 2.2 times with the harmonic mean.
    A model with seeds that differ far more than the draw of users explains, beside one
    without randomness, is still called different a little too often: 6 instead of 5 %.

    A model with one prediction is taken as given: without randomness it is; of a single
    seed, the spread of seeds is not known.

    Parameters
    ----------
    *models : Scores
        One model, or two of which the difference is meant.
    n_users : int
        Number of test users; of one, nothing can be said.
    user_degrees_of_freedom : float
        :math:`\nu_U`, those of the variance between users.

    Returns
    -------
    Uncertainty
        NaN with a single user.

    References
    ----------
    .. [1] S. R. Searle, G. Casella and C. E. McCulloch, "Variance components", 1992.
    .. [2] A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2),
       2007, on counting such a part twice.
    .. [3] F. E. Satterthwaite, "An approximate distribution of estimates of variance
       components", Biometrics Bulletin 2(6), 1946.
    .. [4] W. G. Cochran and G. M. Cox, "Experimental designs", 1950.
    """
    if n_users < 2:
        return Uncertainty(standard_error=np.nan, degrees_of_freedom=1.0)
    few = n_users / (n_users - 1)
    signs = (1, -1)[: len(models)]
    together = sum(
        sign * model.draws.mean(axis=0)
        for sign, model in zip(signs, models, strict=True)
    )
    of_users = few * float(np.var(together))
    of_seeds = [_between_seeds(model) for model in models if len(model.values) > 1]
    shared = sum(few * _shared(model) for model in models if len(model.values) > 1)
    more = max(0.0, sum(variance for variance, _ in of_seeds) - shared)
    total = of_users + more
    parts = [(of_users - shared, user_degrees_of_freedom), *of_seeds]
    freedom = min(
        user_degrees_of_freedom,
        _satterthwaite(total, parts),
        _harmonic(user_degrees_of_freedom, of_seeds, more / total if more else 0.0),
    )
    return Uncertainty(
        standard_error=float(np.sqrt(total)), degrees_of_freedom=max(1.0, freedom)
    )


def _satterthwaite(total: float, parts: list[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of variances, each given with its own."""
    scatter = sum(variance**2 / freedom for variance, freedom in parts)
    return total**2 / scatter if scatter > 0 else np.inf


def _harmonic(
    of_users: float, of_seeds: list[tuple[float, float]], share: float
) -> float:
    """Mean of the degrees of freedom of users and of seeds, the latter with a weight."""
    if not share:
        return of_users
    seeds = _satterthwaite(sum(variance for variance, _ in of_seeds), of_seeds)
    return 1 / ((1 - share) / of_users + share / seeds)


def _between_seeds(model: Scores) -> tuple[float, float]:
    """Variance of the mean over seeds, s^2 / S, and its degrees of freedom."""
    n_seeds = len(model.values)
    return float(np.var(model.values, ddof=1)) / n_seeds, n_seeds - 1


def _shared(model: Scores) -> float:
    """Part of s^2 / S that comes from the users, I / S."""
    n_seeds = len(model.values)
    deviations = model.draws - model.draws.mean(axis=0)
    return float(np.var(deviations, axis=1).sum()) / (n_seeds - 1) / n_seeds


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
    `harness.evaluation.statistics`), because two refits of one family differ a little,
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


def holm(p_values: Sequence[float]) -> list[float]:
    r"""Adjust p-values, so that the chance of any false alarm stays what it was for one.

    With the p-values in rising order, :math:`\tilde p_{(i)} = \max_{j \le i}
    \min(1, (m - j + 1) p_{(j)})` [1]_.

    Parameters
    ----------
    p_values : sequence of float, length m
        One for each comparison.

    Returns
    -------
    list of float, length m
        Adjusted, in the order given.

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure",
       Scandinavian Journal of Statistics 6(2), 1979.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    rising = sorted(range(len(p_values)), key=lambda k: p_values[k])
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, k in enumerate(rising):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[k]))
        adjusted[k] = least
    return adjusted
