"""Scores of ratings that share users and titles: how uncertain they are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings
from harness.evaluation.clusters import Clusters, Groups
from harness.evaluation.statistics import (
    Estimate,
    Uncertainty,
    around,
    satterthwaite,
    seed_spread,
)

__all__ = [
    "LOSS",
    "SCORES",
    "Score",
    "ScoreIntervals",
    "ScoreSums",
    "Sums",
    "Uncertain",
    "VarianceParts",
]

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Influence: TypeAlias = Callable[[Floats, Floats, Codes], Floats]
"""True ratings, errors and users of some ratings, to what each adds to the score."""

_CHUNK_CELLS = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A score, and what each rating adds to it.

    Parameters
    ----------
    label : str
        Name for people.
    fit : callable
        True ratings, errors and users of all ratings, to the score and its influence.
    ends : callable
        Score and half the width of its interval, to the ends.
    per_user : bool, default False
        Whether all users count the same, instead of all ratings.
    """

    label: str
    fit: Callable[[Floats, Floats, Clusters], tuple[float, Influence]]
    ends: Callable[[float, float], tuple[float, float]] = around
    per_user: bool = False


def _mean_of(
    loss: Callable[[Floats], Floats], *, root: bool = False
) -> Callable[[Floats, Floats, Clusters], tuple[float, Influence]]:
    """Score by the mean of a loss, or by its square root."""

    def fit(_: Floats, errors: Floats, __: Clusters) -> tuple[float, Influence]:
        mean = float(loss(errors).mean())
        score = float(np.sqrt(mean)) if root else mean
        slope = 1 / len(errors)
        if root:
            slope *= 0.5 / score if score else 0.0
        return score, lambda _, errors, __: (loss(errors) - mean) * slope

    return fit


def _within(stars: float) -> Callable[[Floats], Floats]:
    # A rounding error must not turn a hit into a miss.
    return lambda errors: (np.abs(errors) <= stars + 1e-6).astype(np.float64)


def _explained(truth: Floats, errors: Floats, _: Clusters) -> tuple[float, Influence]:
    n, mean, variance = len(truth), float(truth.mean()), float(truth.var())
    mse = float(np.square(errors).mean())
    if variance <= 1e-12:
        return np.nan, lambda truth, _, __: np.zeros_like(truth)
    unexplained = mse / variance

    def influence(truth: Floats, errors: Floats, _: Codes) -> Floats:
        found: Floats = unexplained * np.square(truth - mean) - np.square(errors)
        return found / (n * variance)

    return 1 - unexplained, influence


def _by_user(_: Floats, errors: Floats, users: Clusters) -> tuple[float, Influence]:
    squares = users.sums(np.square(errors)) / users.sizes
    roots = np.sqrt(squares)
    mean, shares = float(roots.mean()), 1 / (users.sizes * len(users))
    slopes = np.divide(0.5, roots, out=np.zeros_like(roots), where=roots > 0)

    def influence(_: Floats, errors: Floats, codes: Codes) -> Floats:
        within = (np.square(errors) - squares[codes]) * slopes[codes]
        found: Floats = shares[codes] * (within + roots[codes] - mean)
        return found

    return mean, influence


def _share_ends(value: float, half: float) -> tuple[float, float]:
    return max(0.0, value - half), min(1.0, value + half)


def _explained_ends(value: float, half: float) -> tuple[float, float]:
    low, high = around(1 - value, half)
    return 1 - high, 1 - low


SCORES: Mapping[str, Score] = MappingProxyType(
    {
        "rmse": Score(label="RMSE", fit=_mean_of(np.square, root=True)),
        "mae": Score(label="MAE", fit=_mean_of(np.abs)),
        "r2": Score(label="R2", fit=_explained, ends=_explained_ends),
        "within_half_star": Score(
            label="within half a star", fit=_mean_of(_within(0.5)), ends=_share_ends
        ),
        "within_one_star": Score(
            label="within one star", fit=_mean_of(_within(1.0)), ends=_share_ends
        ),
        "user_rmse": Score(label="mean RMSE of users", fit=_by_user, per_user=True),
    }
)


LOSS = Score(label="mean loss", fit=_mean_of(lambda losses: losses))
"""Of losses in place of predictions, and a truth of 0."""


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


class Sums(Protocol):
    """Scores of several models, with what the variances of differences are made of."""

    @property
    def scores(self) -> Floats:
        """Score of each model, the mean over its seeds."""

    def estimate(self, model: int, *, minus: int | None = None) -> Uncertain:
        """Estimate the score of a model, or the difference to another one."""

    def covariance(self, models: Sequence[int]) -> Floats:
        """Covariance of the scores of several models."""


class ScoreSums:
    r"""Scores of predictions, with the sums that their variances are made of.

    To first order rating k changes a score by its influence :math:`\psi_k`, and a
    difference of scores by the difference of the influences; for the RMSE
    :math:`\psi_k = (e_k^2 - \mathrm{RMSE}^2) / (2 n\,\mathrm{RMSE})`. Three sums of squares
    follow,

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
    `harness.evaluation.statistics.seed_spread`).

    Time and memory are linear in the number of ratings: one pass over each prediction,
    and one over all of them in chunks for the pairs.

    Parameters
    ----------
    truth : ndarray of float, shape (n_ratings,)
        Ratings in stars.
    models : sequence of sequence of ndarray of float, shape (n_ratings,)
        Predictions of each model, one for each of its seeds.
    groups : Groups
        What the ratings share; at least two users.
    kind : Score
        The score.

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
        groups: Groups,
        kind: Score,
    ) -> None:
        self._truth = truth.astype(np.float64, copy=False)
        self._columns = [prediction for model in models for prediction in model]
        self._model_of = np.repeat(np.arange(len(models)), [len(m) for m in models])
        users = groups.users
        if kind.per_user:
            groups = groups.weighted(1 / users.sizes[users.codes])
        self._users, self._titles = groups.users, groups.titles
        fits = [
            kind.fit(self._truth, self._errors(k, slice(None)), users)
            for k in range(len(self._columns))
        ]
        self.by_seed = np.array([score for score, _ in fits])
        self._influences = [influence for _, influence in fits]
        self._by_user, self._by_title = self._sums()
        self._by_pair = self._cross_products(groups)

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
        contrast = self._seed_weights(model)
        value = float(self.scores[model])
        if minus is not None:
            contrast = contrast - self._seed_weights(minus)
            value -= float(self.scores[minus])
        if len(self._users) < 2:
            unknown = VarianceParts(users=np.nan)
            return Uncertain(
                value=value, parts=unknown, degrees_of_freedom=1.0, two_way_ratio=None
            )
        of_users, of_titles, of_pairs = self._squares(contrast)
        two_way = of_users + of_titles - of_pairs
        # Where each title has one rating the two are equal but for rounding.
        wider = two_way > of_users * (1 + 1e-9)
        base = two_way if wider else of_users
        base_freedom = self._users.degrees_of_freedom
        if wider and self._titles is not None:
            parts = [
                (of_users, base_freedom),
                (of_titles, self._titles.degrees_of_freedom),
            ]
            base_freedom = max(1.0, min(base_freedom, satterthwaite(base, parts)))
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
        means = np.stack([self._seed_weights(m) for m in models], axis=1)
        together = _gram(self._by_user @ means, self._users)
        if self._titles is not None:
            together += _gram(self._by_title @ means, self._titles)
            together -= means.T @ self._by_pair @ means
        seeds = [self.estimate(m).parts.seeds for m in models]
        values, vectors = np.linalg.eigh(together + np.diag(seeds))
        possible: Floats = (vectors * np.maximum(values, 0)) @ vectors.T
        return possible

    def _sums(self) -> tuple[Floats, Floats]:
        """Add up influences within users, and within titles."""
        titles = self._titles
        by_user, by_title = list[Floats](), list[Floats]()
        for k in range(len(self._columns)):
            influence = self._influence(k, slice(None))
            by_user.append(self._users.sums(influence))
            by_title.append(influence[:0] if titles is None else titles.sums(influence))
        return np.stack(by_user, axis=1), np.stack(by_title, axis=1)

    def _cross_products(self, groups: Groups) -> Floats:
        """Sum of products of influences over pairs of a user and a title."""
        n, n_columns = len(self._truth), len(self._columns)
        columns = range(n_columns)
        total = np.zeros((n_columns, n_columns))
        if groups.titles is None:
            return total
        if groups.pairs is not None:
            every = slice(None)
            sums = [groups.pairs.sums(self._influence(k, every)) for k in columns]
            return _gram(np.stack(sums, axis=1), groups.pairs)
        for rows in _chunks(n, n_columns):
            part = np.stack([self._influence(k, rows) for k in columns])
            total += part @ part.T
        return total * n / (n - 1)

    def _errors(self, k: int, rows: slice) -> Floats:
        errors: Floats = self._columns[k][rows].astype(np.float64) - self._truth[rows]
        return errors

    def _influence(self, k: int, rows: slice) -> Floats:
        codes = self._users.codes[rows]
        return self._influences[k](self._truth[rows], self._errors(k, rows), codes)

    def _seed_weights(self, model: int) -> Floats:
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
                deviation = -self._seed_weights(model)
                deviation[k] += 1
                of_users, of_titles, of_pairs = self._squares(deviation)
                part = of_users + wider * (of_titles - of_pairs)
                shared += part / (n_seeds - 1) / n_seeds
        return seed_spread(base, base_freedom, between, shared)


class ScoreIntervals:
    r"""Intervals of the scores of one test set, and of differences in RMSE.

    Standard errors count that ratings share users and titles and that other seeds could
    have been (see `ScoreSums`), because two refits of one family differ a little, and a
    test that takes fitted models as given calls that a difference [1]_. Intervals and
    p-values are those of Student's t, so they agree.

    With few users the normal distribution is too narrow [2]_. Degrees of freedom are the
    effective number of users minus one,

    .. math:: n_\mathrm{eff} - 1 = \Bigl(\sum_u n_u\Bigr)^2 \Bigm/ \sum_u n_u^2 - 1,

    where user :math:`u` has :math:`n_u` test ratings ([3]_, section 8.2; [4]_); where all
    users count the same (``user_rmse``), their number minus one; fewer where titles or
    seeds have a part in the variance. Intervals of errors, and of the unexplained share of
    the variance :math:`1 - R^2`, are symmetric on the logarithmic scale; those of shares
    end at 0 and 1.

    How often intervals cover the truth, with few users and few titles:
    ``tests/benchmarks/bench_intervals.py`` and ``bench_verdict.py``. With fewer than
    `FEWEST_USERS` users reports should warn.

    Parameters
    ----------
    test : Ratings
        The test part.
    confidence : float, default 0.95
        Nominal coverage of the intervals.

    References
    ----------
    .. [1] X. Bouthillier et al., "Accounting for variance in machine learning
       benchmarks", MLSys 2021.
    .. [2] A. C. Cameron, J. B. Gelbach and D. L. Miller, "Bootstrap-based improvements
       for inference with clustered errors", Review of Economics and Statistics 90(3),
       2008.
    .. [3] L. Kish, "Survey sampling", 1965.
    .. [4] A. V. Carter, K. T. Schnepel and D. G. Steigerwald, "Asymptotic behavior of a
       t-test robust to cluster heterogeneity", Review of Economics and Statistics 99(4),
       2017.
    """

    def __init__(self, test: Ratings, *, confidence: float = 0.95) -> None:
        self.confidence = confidence
        self._truth = test.values
        self._groups = Groups.of(test.users, test.items)

    @property
    def n_users(self) -> int:
        """Number of users with test ratings."""
        return len(self._groups.users)

    def metrics(self, predictions: Sequence[npt.NDArray[Any]]) -> dict[str, Estimate]:
        """Estimate the scores of one model.

        Parameters
        ----------
        predictions : sequence of ndarray of float, shape (n_ratings,)
            One for each seed; scores are means over the seeds.

        Returns
        -------
        dict of str to Estimate
            One for each of `SCORES`; ends are NaN with a single user.
        """
        return {name: self.score(name, predictions) for name in SCORES}

    def score(self, name: str, predictions: Sequence[npt.NDArray[Any]]) -> Estimate:
        """Estimate one score of one model.

        Parameters
        ----------
        name : str
            One of `SCORES`.
        predictions : sequence of ndarray of float, shape (n_ratings,)
            One for each seed; the score is a mean over the seeds.

        Returns
        -------
        Estimate
            Ends are NaN with a single user.
        """
        return self._estimate(SCORES[name], self._truth, predictions)

    def mean_loss(self, losses: Sequence[Floats]) -> Estimate:
        """Estimate the mean of what each rating costs, such as -ln p.

        Parameters
        ----------
        losses : sequence of ndarray of float64, shape (n_ratings,)
            One for each seed; the score is a mean over the seeds.

        Returns
        -------
        Estimate
            Ends are NaN with a single user.
        """
        return self._estimate(LOSS, np.zeros_like(losses[0]), losses)

    def _estimate(
        self, kind: Score, truth: npt.NDArray[Any], columns: Sequence[npt.NDArray[Any]]
    ) -> Estimate:
        found = ScoreSums(truth, [columns], self._groups, kind).estimate(0)
        half = found.uncertainty.half_width(self.confidence)
        low, high = kind.ends(found.value, half)
        return Estimate(value=found.value, low=low, high=high)

    def differences(
        self,
        predictions: Mapping[str, Sequence[npt.NDArray[Any]]],
        pairs: Sequence[tuple[str, str]],
    ) -> list[tuple[str, str, Uncertain]]:
        """Estimate differences in RMSE of many pairs, going over each model once.

        Parameters
        ----------
        predictions : mapping of str to sequence of ndarray of float, shape (n_ratings,)
            Predictions of each model, one for each of its seeds.
        pairs : sequence of tuple of str
            Names of the models to compare.

        Returns
        -------
        list of tuple of (str, str, Uncertain)
            Of each pair both names, and the RMSE of the first minus that of the second.
        """
        position = {name: k for k, name in enumerate(dict.fromkeys(chain(*pairs)))}
        if not position:
            return []
        sums = self.sums([predictions[name] for name in position])
        return [
            (one, other, sums.estimate(position[one], minus=position[other]))
            for one, other in pairs
        ]

    def sums(self, models: Sequence[Sequence[npt.NDArray[Any]]]) -> ScoreSums:
        """Score models by their RMSE, with the sums that its variance is made of.

        Parameters
        ----------
        models : sequence of sequence of ndarray of float, shape (n_ratings,)
            Predictions of each model, one for each of its seeds.

        Returns
        -------
        ScoreSums
            Of the RMSE.
        """
        return ScoreSums(self._truth, models, self._groups, SCORES["rmse"])


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
