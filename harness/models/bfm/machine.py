"""A factorisation machine over users, titles and moments, with few factors left."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.models.levels import level_probabilities

__all__ = ["Link", "Machine", "reduce_factors", "with_unknown"]

Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Codes = npt.NDArray[np.integer[Any]]

_POWER_ITERATIONS = 4
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    r"""From scores to stars.

    The expected rating of an ordered probit with levels :math:`y_0 < \dots < y_K`,
    cutpoints :math:`c_k` and variance :math:`v` of the score over the samples is
    :math:`y_0 + \sum_k (y_k - y_{k-1}) \Phi((s - c_k) / \sqrt{1 + v})`. One mean variance
    stands for that of each pair: on ml-100k that costs 0.0001 RMSE, and one score orders
    the titles. Without cutpoints, scores are stars on a scale of 1 to 5, and `unit` is
    what 1 means, and the length of a star.

    `noise` is the variance of a rating around its score: 1 of a probit.
    """

    unit: tuple[float, float]
    levels: Doubles
    cutpoints: Doubles
    spread: float
    noise: float

    def probabilities(self, scores: npt.NDArray[Any]) -> Doubles:
        """Say how probable each level is; of a regression, what rounds to each level."""
        cutpoints = self.cutpoints
        if not len(cutpoints):
            low, star = self.unit
            middles = (self.levels[1:] + self.levels[:-1]) / 2
            cutpoints = 1 + (middles - low) / star
        return level_probabilities(
            scores, cutpoints, float(np.sqrt(self.noise + self.spread))
        )

    def __call__(self, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Turn scores to stars."""
        if not len(self.cutpoints):
            low, star = self.unit
            stars: npt.NDArray[Any] = low + (scores - 1) * star
            return stars
        from scipy.special import ndtr

        scale = 1 / np.sqrt(1 + self.spread)
        stars = np.full(scores.shape, self.levels[0])
        for step, cutpoint in zip(np.diff(self.levels), self.cutpoints, strict=True):
            stars += step * ndtr((scores - cutpoint) * scale)
        return stars


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """Biases, and factors for each kind of pair of blocks.

    Rows of users and titles end with one for the unknown. Rows of moments are those of
    `Moments`.
    """

    level: float
    biases: tuple[Doubles, Doubles, Doubles]
    # Of users and titles for each other.
    factors: tuple[Singles, Singles]
    # Of users and moments for each other, and of titles and moments.
    user_moments: tuple[Singles, Singles]
    item_moments: tuple[Singles, Singles]
    # What a row of moments and a bin of the title's age add together.
    age_table: Singles
    first_age: int

    def score(
        self, users: Codes, items: Codes, moments: Mapping[str, Codes]
    ) -> Doubles:
        """Score pairs, given the rows of their users, titles and moments."""
        out = np.empty(len(users))
        for start in range(0, len(users), _CHUNK):
            part = slice(start, start + _CHUNK)
            rows = {name: moment[part] for name, moment in moments.items()}
            out[part] = self._score(users[part], items[part], rows)
        return out

    def _score(
        self, users: Codes, items: Codes, moments: Mapping[str, Codes]
    ) -> Doubles:
        score = self.level + self.biases[0][users] + self.biases[1][items]
        score += _products(self.factors[0][users], self.factors[1][items])
        if moments:
            rows = list(moments.values())
            score += sum(self.biases[2][row] for row in rows)
            for codes, (of_codes, of_moments) in (
                (users, self.user_moments),
                (items, self.item_moments),
            ):
                score += _products(of_codes[codes], sum_rows(of_moments, rows))
            score += self._with_age(moments)
        return score

    def _with_age(self, moments: Mapping[str, Codes]) -> npt.NDArray[Any]:
        if "age" not in moments:
            return np.zeros(1, dtype=np.float32)
        age = moments["age"] - self.first_age
        others = [row for name, row in moments.items() if name != "age"]
        return sum((self.age_table[row, age] for row in others), np.zeros(len(age)))

    def score_titles(self, user: int, moments: Mapping[str, Codes]) -> Doubles:
        """Score all titles for the row of one user; moments has a row for each title."""
        biases = self.biases[1][:-1] + (self.level + self.biases[0][user])
        score: Doubles = biases + self.factors[1][:-1] @ self.factors[0][user]
        if not moments:
            return score
        # Days are the same for all titles: one product instead of one a title.
        same = [row[:1] for name, row in moments.items() if name != "age"]
        if same:
            score += sum(self.biases[2][row] for row in same)
            of_moments = sum_rows(self.user_moments[1], same)[0]
            score += self.user_moments[0][user] @ of_moments
            of_moments = sum_rows(self.item_moments[1], same)[0]
            score += self.item_moments[0][:-1] @ of_moments
        if "age" in moments:
            age = moments["age"]
            score += self.biases[2][age]
            score += self.user_moments[1][age] @ self.user_moments[0][user]
            of_titles = self.item_moments[0][:-1]
            score += _products(of_titles, self.item_moments[1][age])
            score += self._with_age(moments)
        return score


def sum_rows(values: Singles, rows: Iterable[Codes]) -> Singles:
    """Add the rows that each pair has in each block."""
    total: Singles = sum(values[row] for row in rows)  # type: ignore[assignment]
    return total


def _products(one: Singles, other: Singles) -> Singles:
    products: Singles = np.einsum("ij,ij->i", one, other)
    return products


def with_unknown(
    values: npt.NDArray[Any], rated: npt.NDArray[np.bool_]
) -> npt.NDArray[Any]:
    """Append the mean of the rated rows, for the unknown."""
    mean = values[rated].mean(axis=0, keepdims=True)
    return np.concatenate([values, mean.astype(values.dtype)])


def reduce_factors(
    users: Singles, items: Singles, *, n: int
) -> tuple[Singles, Singles]:
    """Find fewer factors with almost the same products, by subspace iteration [1]_.

    References
    ----------
    .. [1] N. Halko, P. G. Martinsson and J. A. Tropp, "Finding structure with
       randomness", SIAM Review 53(2), 2011, algorithm 4.4.
    """
    n = min(n, *users.shape, *items.shape)
    if n == users.shape[1]:
        return users, items
    start = np.random.default_rng(0).normal(size=(len(items), n))
    basis = users @ (items.T @ start.astype(np.float32))
    for _ in range(_POWER_ITERATIONS):
        basis = np.linalg.qr(basis)[0]
        basis = users @ (items.T @ (items @ (users.T @ basis)))
    basis = np.linalg.qr(basis)[0]
    return basis, items @ (users.T @ basis)
