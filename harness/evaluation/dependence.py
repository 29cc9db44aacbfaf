"""Variances of scores whose ratings share users and titles."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.evaluation.statistics import (
    Estimate,
    Uncertainty,
    _harmonic,
    _satterthwaite,
)

__all__ = ["LOSSES", "Clusters", "Loss", "ScoreSums", "Uncertain", "VarianceParts"]

Floats = npt.NDArray[np.float64]

_CHUNK_CELLS = 2_000_000


@dataclass(frozen=True, slots=True)
class Loss:
    """A score that is a smooth function of the mean of one loss per rating.

    Parameters
    ----------
    label : str
        Name for people.
    of : callable
        Errors in stars to losses, elementwise.
    score : callable
        Mean loss to score.
    slope : callable
        Derivative of `score` at a mean loss.
    """

    label: str
    of: Callable[[Floats], Floats]
    score: Callable[[float], float]
    slope: Callable[[float], float]


LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        "rmse": Loss(
            "RMSE",
            np.square,
            lambda mean: float(np.sqrt(mean)),
            lambda mean: 0.5 / float(np.sqrt(mean)) if mean > 0 else 0.0,
        ),
        "mae": Loss("MAE", np.abs, float, lambda _: 1.0),
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    r"""Groups of ratings that depend on each other: those of one user, or of one title.

    Parameters
    ----------
    codes : ndarray of int, shape (n_ratings,)
        Group of each rating, counted from 0.
    sizes : ndarray of float64, shape (n_clusters,)
        Number of ratings of each group.
    """

    codes: npt.NDArray[np.intp]
    sizes: Floats

    @classmethod
    def of(cls, ids: npt.NDArray[Any]) -> "Clusters":
        """Give each group a number.

        Parameters
        ----------
        ids : ndarray, shape (n_ratings,)
            Ids of users or titles, of any sortable type.

        Returns
        -------
        Clusters
            In the order of the ids.
        """
        present, codes = np.unique(ids, return_inverse=True)
        return cls(codes, np.bincount(codes, minlength=len(present)).astype(np.float64))

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def n_effective(self) -> float:
        """Number of equally large groups that would tell as much (Kish)."""
        return float(self.sizes.sum() ** 2 / (self.sizes**2).sum())

    @property
    def degrees_of_freedom(self) -> float:
        """Effective number of groups minus one; at least 1."""
        return max(1.0, self.n_effective - 1)

    @property
    def correction(self) -> float:
        r"""Factor by which a sum of squared group sums is too small.

        Residuals are measured from the sample's own mean, to which large groups
        contribute most. With weights :math:`w_g = n_g / n` and independent group means of
        equal variance, the expected sum of squares is too small by the factor
        :math:`1 - 2 \sum w_g^3 / \sum w_g^2 + \sum w_g^2`: :math:`1 - 1/G` for G groups of
        equal size.
        """
        weights = self.sizes / self.sizes.sum()
        squares = float((weights**2).sum())
        kept = 1 - 2 * float((weights**3).sum()) / squares + squares
        return 1 / kept if kept > 0 else np.inf

    def sums(self, column: Floats) -> Floats:
        """Add up a column within groups.

        Parameters
        ----------
        column : ndarray of float64, shape (n_ratings,)
            One number for each rating.

        Returns
        -------
        ndarray of float64, shape (n_clusters,)
            The sums.
        """
        totals = np.bincount(self.codes, weights=column, minlength=len(self))
        return totals.astype(np.float64, copy=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceParts:
    """Where the variance of an estimate comes from; the parts add up to it.

    Parameters
    ----------
    users : float
        Ratings of one user depend on each other, and each rating is noisy.
    titles : float
        What is added because ratings of one title depend on each other; 0 where the
        two-way variance is the smaller one.
    seeds : float
        What is added because other seeds could have been.
    splits : float, default 0
        All of it, where repeated splits tell and nothing else does.
    """

    users: float = 0.0
    titles: float = 0.0
    seeds: float = 0.0
    splits: float = 0.0

    @property
    def total(self) -> float:
        """Variance of the estimate."""
        return self.users + self.titles + self.seeds + self.splits


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertain:
    """An estimate with the parts of its variance.

    Parameters
    ----------
    value : float
        The estimate.
    parts : VarianceParts
        Of its variance.
    degrees_of_freedom : float
        Of its standard error.
    two_way_ratio : float or None
        Two-way standard error over that of users alone, before the wider is taken and
        seeds are added; None where titles are not known or users do not differ.
    """

    value: float
    parts: VarianceParts
    degrees_of_freedom: float
    two_way_ratio: float | None

    @property
    def uncertainty(self) -> Uncertainty:
        """As Student's t."""
        return Uncertainty(
            standard_error=float(np.sqrt(self.parts.total)),
            degrees_of_freedom=self.degrees_of_freedom,
        )

    def interval(self, confidence: float) -> Estimate:
        """Give the symmetric interval.

        Parameters
        ----------
        confidence : float
            Nominal coverage, between 0 and 1.

        Returns
        -------
        Estimate
            Value and ends.
        """
        half = self.uncertainty.half_width(confidence)
        return Estimate(value=self.value, low=self.value - half, high=self.value + half)


class ScoreSums:
    r"""Scores of predictions, with the sums that their variances are made of.

    To first order a score changes by :math:`\psi_k = s'(\bar\ell) (\ell_k - \bar\ell) / n`
    through rating k with the loss :math:`\ell_k` (its influence; for the RMSE
    :math:`s' = 1 / (2\,\mathrm{RMSE})`), and a difference of scores by the difference of
    the influences. Three sums of squares follow,

    .. math:: V_U = c_U \sum_u \Bigl(\sum_{k \in u} \psi_k\Bigr)^2, \quad
              V_I = c_I \sum_i \Bigl(\sum_{k \in i} \psi_k\Bigr)^2, \quad
              V_P = c_P \sum_p \Bigl(\sum_{k \in p} \psi_k\Bigr)^2

    over users, titles and pairs, with `Clusters.correction` for few groups. The variance
    over users and titles is :math:`V_U + V_I - V_P` [1]_; :math:`V_U` is what a bootstrap
    over users estimates, without its draws. The larger of the two is used: a two-way
    variance below :math:`V_U` is a chance result, since titles cannot take dependence
    away that users have. (A bootstrap of users and titles at once [2]_ estimates
    :math:`V_U + V_I` or more, and is too wide where ratings are mostly noise.)

    Seeds are crossed with users and titles: the variance between the scores of S seeds,
    :math:`s^2 / S`, is added less the part that users and titles explain (see
    `harness.evaluation.statistics`).

    Time and memory are linear in the number of ratings: one pass over each prediction,
    and one over all of them in chunks for the pairs.

    Parameters
    ----------
    truth : ndarray of float, shape (n_ratings,)
        Ratings in stars.
    models : sequence of sequence of ndarray of float, shape (n_ratings,)
        Predictions of each model, one for each of its seeds.
    users : Clusters
        Users of the ratings.
    titles : Clusters or None
        Titles of the ratings; None to count dependence within users only.
    loss : Loss
        What is scored.

    References
    ----------
    .. [1] A. C. Cameron, J. B. Gelbach and D. L. Miller, "Robust inference with multiway
       clustering", Journal of Business & Economic Statistics 29(2), 2011.
    .. [2] A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2),
       2007.
    """

    def __init__(
        self,
        truth: npt.NDArray[Any],
        models: Sequence[Sequence[npt.NDArray[Any]]],
        users: Clusters,
        titles: Clusters | None,
        loss: Loss,
    ) -> None:
        self._truth = truth
        self._columns = [prediction for model in models for prediction in model]
        self._loss = loss
        self._users, self._titles = users, titles
        self._model_of = np.repeat(np.arange(len(models)), [len(m) for m in models])
        n_columns = len(self._columns)
        self._means, self._slopes = np.empty(n_columns), np.empty(n_columns)
        self._by_user = np.empty((len(users), n_columns))
        self._by_title = np.empty((0 if titles is None else len(titles), n_columns))
        for k in range(n_columns):
            self._add(k)
        self.by_seed = np.array([loss.score(float(mean)) for mean in self._means])
        self._by_pair = (
            np.zeros((n_columns, n_columns))
            if titles is None
            else self._cross_products(titles)
        )

    @property
    def scores(self) -> Floats:
        """Score of each model, the mean over its seeds."""
        n_models = int(self._model_of[-1]) + 1
        return np.array(
            [self.by_seed[self._model_of == m].mean() for m in range(n_models)]
        )

    def estimate(self, model: int, *, minus: int | None = None) -> Uncertain:
        """Estimate the score of a model, or the difference to another one.

        Parameters
        ----------
        model : int
            Position of the model.
        minus : int, optional
            Position of the model to subtract.

        Returns
        -------
        Uncertain
            Score of `model`, less that of `minus`.
        """
        of = [model] if minus is None else [model, minus]
        contrast = self._mean_of(model)
        value = float(self.scores[model])
        if minus is not None:
            contrast = contrast - self._mean_of(minus)
            value -= float(self.scores[minus])
        of_users, of_titles, of_pairs = self._squares(contrast)
        two_way = of_users + of_titles - of_pairs
        wider = two_way > of_users
        base = two_way if wider else of_users
        base_freedom = self._users.degrees_of_freedom
        if wider and self._titles is not None:
            parts = [
                (of_users, base_freedom),
                (of_titles, self._titles.degrees_of_freedom),
            ]
            base_freedom = max(1.0, min(base_freedom, _satterthwaite(base, parts)))
        seeds, freedom = self._seeds(of, base, base_freedom, wider=wider)
        return Uncertain(
            value=value,
            parts=VarianceParts(users=of_users, titles=base - of_users, seeds=seeds),
            degrees_of_freedom=freedom,
            two_way_ratio=None if self._titles is None else _ratio(two_way, of_users),
        )

    def covariance(self, models: Sequence[int]) -> Floats:
        """Covariance of the scores of several models, two-way and with their seeds.

        Parameters
        ----------
        models : sequence of int
            Positions of the models.

        Returns
        -------
        ndarray of float64, shape (n_models, n_models)
            Negative eigenvalues, which a difference of sums of squares can have, are
            set to 0.
        """
        means = np.stack([self._mean_of(m) for m in models], axis=1)
        together = _gram(self._by_user @ means, self._users)
        if self._titles is not None:
            together += _gram(self._by_title @ means, self._titles)
            together -= means.T @ self._by_pair @ means
        seeds = [self.estimate(m).parts.seeds for m in models]
        values, vectors = np.linalg.eigh(together + np.diag(seeds))
        possible: Floats = (vectors * np.maximum(values, 0)) @ vectors.T
        return possible

    def _add(self, k: int) -> None:
        every = slice(None)
        mean = float(self._losses(k, every).mean())
        self._means[k] = mean
        self._slopes[k] = self._loss.slope(mean) / len(self._truth)
        influence = self._influence(k, every)
        self._by_user[:, k] = self._users.sums(influence)
        if self._titles is not None:
            self._by_title[:, k] = self._titles.sums(influence)

    def _losses(self, k: int, rows: slice) -> Floats:
        prediction = self._columns[k][rows].astype(np.float64)
        return self._loss.of(prediction - self._truth[rows])

    def _cross_products(self, titles: Clusters) -> Floats:
        """Sum of products of influences over pairs of a user and a title."""
        n = len(self._truth)
        pairs = self._users.codes.astype(np.int64) * len(titles) + titles.codes
        found = np.unique(pairs)
        if len(found) < n:
            return self._repeated_pairs(Clusters.of(pairs))
        total = np.zeros((len(self._columns), len(self._columns)))
        for rows in _chunks(n, len(self._columns)):
            part = np.stack(
                [self._influence(k, rows) for k in range(len(self._columns))]
            )
            total += part @ part.T
        return total * n / max(1, n - 1)

    def _repeated_pairs(self, pairs: Clusters) -> Floats:
        every = slice(None)
        sums = [
            pairs.sums(self._influence(k, every)) for k in range(len(self._columns))
        ]
        return _gram(np.stack(sums, axis=1), pairs)

    def _influence(self, k: int, rows: slice) -> Floats:
        influence: Floats = (self._losses(k, rows) - self._means[k]) * self._slopes[k]
        return influence

    def _mean_of(self, model: int) -> Floats:
        """Weights of the columns that make the mean over a model's seeds."""
        own = (self._model_of == model).astype(np.float64)
        weights: Floats = own / own.sum()
        return weights

    def _squares(self, contrast: Floats) -> tuple[float, float, float]:
        """Variance of a contrast over users, over titles and over pairs."""
        of_users = _square(self._by_user @ contrast, self._users)
        if self._titles is None:
            return of_users, 0.0, 0.0
        of_titles = _square(self._by_title @ contrast, self._titles)
        of_pairs = float(contrast @ self._by_pair @ contrast)
        return of_users, of_titles, max(0.0, of_pairs)

    def _seeds(
        self, models: Sequence[int], base: float, base_freedom: float, *, wider: bool
    ) -> tuple[float, float]:
        """Find what seeds add to the variance, and the degrees of freedom of it all."""
        between, shared = list[tuple[float, float]](), 0.0
        for model in models:
            columns = np.flatnonzero(self._model_of == model)
            n_seeds = len(columns)
            if n_seeds < 2:
                continue
            spread = float(np.var(self.by_seed[columns], ddof=1))
            between.append((spread / n_seeds, n_seeds - 1))
            for k in columns:
                deviation = -self._mean_of(model)
                deviation[k] += 1
                of_users, of_titles, of_pairs = self._squares(deviation)
                part = of_users + wider * (of_titles - of_pairs)
                shared += part / (n_seeds - 1) / n_seeds
        added = max(0.0, sum(variance for variance, _ in between) - shared)
        total = base + added
        parts = [(base - shared, base_freedom), *between]
        freedom = min(
            base_freedom,
            _satterthwaite(total, parts),
            _harmonic(base_freedom, between, added / total if added else 0.0),
        )
        return added, max(1.0, freedom)


def _square(sums: Floats, clusters: Clusters) -> float:
    # Not sums @ sums: BLAS starts threads for it, which takes longer than the sum.
    return clusters.correction * float(np.square(sums).sum())


def _gram(sums: Floats, clusters: Clusters) -> Floats:
    products: Floats = clusters.correction * (sums.T @ sums)
    return products


def _ratio(two_way: float, of_users: float) -> float | None:
    return float(np.sqrt(max(0.0, two_way) / of_users)) if of_users > 0 else None


def _chunks(n: int, n_columns: int) -> Iterator[slice]:
    step = max(1, _CHUNK_CELLS // n_columns)
    for start in range(0, n, step):
        yield slice(start, start + step)
