"""Predictions of factor models, factor by factor, and what a factor is about."""

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.features.parts import read_membership
from harness.features.titles import release_year
from harness.models.explanation import Axis, Explanation, Part

__all__ = [
    "explain_factors",
    "interpret_factor",
    "read_traits",
    "turn_to_principal_axes",
]


Doubles = npt.NDArray[np.float64]
Factors = tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]]

N_STRONGEST = 5


def turn_to_principal_axes(factors: Factors) -> tuple[Doubles, Doubles]:
    r"""Turn factors so that each of them means something, and the first one most.

    Any rotation of both sides leaves all products :math:`q_i^\top p_u`, and so all
    predictions, as they are: the axes on which a training happens to end are arbitrary.
    The singular value decomposition :math:`Q P^\top = U \Sigma V^\top` has axes that
    are not: orthogonal, ordered by how much of the products they carry.
    """
    (of_users, r_users), (of_items, r_items) = (
        np.linalg.qr(side.astype(np.float64)) for side in factors
    )
    left, strengths, right = np.linalg.svd(r_users @ r_items.T, full_matrices=False)
    users = of_users @ left * np.sqrt(strengths)
    items = of_items @ right.T * np.sqrt(strengths)
    furthest = items[np.abs(items).argmax(axis=0), np.arange(items.shape[1])]
    signs = np.where(furthest < 0, -1.0, 1.0)
    return users * signs, items * signs


# Factors as they were turned last, and what came of it.
_last: list[tuple[Factors, tuple[Doubles, Doubles]]] = []


def _turn_once(factors: Factors) -> tuple[Doubles, Doubles]:
    """Turn factors, unless they are those of the title before.

    An answer explains ten titles of one model. For 138,000 users a turn takes seconds, and
    a look whether the factors are the same ones milliseconds.
    """
    for before, turned in _last:
        if all(map(np.array_equal, before, factors)):
            return turned
    turned = turn_to_principal_axes(factors)
    users, items = factors
    # Copies: a model may go on learning in place.
    _last[:] = [((users.copy(), items.copy()), turned)]
    return turned


def explain_factors(
    pair: tuple[int, int],
    before: tuple[Part, ...],
    factors: Factors,
    *,
    n_strongest: int = N_STRONGEST,
    turn: bool = True,
) -> Explanation:
    """Take the prediction of a factor model apart, factor by factor."""
    (user, item), (of_users, of_items) = pair, factors
    if not (0 <= user < len(of_users) and 0 <= item < len(of_items)):
        return Explanation(parts=before)
    if turn:
        of_users, of_items = _turn_once(factors)
    each = of_users[user].astype(np.float64) * of_items[item]
    order = np.argsort(-np.abs(each), kind="stable")
    axes = tuple(
        Axis(
            label=f"factor {k + 1}",
            user=float(of_users[user, k]),
            title=float(of_items[item, k]),
            places=of_items[:, k],
        )
        for k in order[:n_strongest]
    )
    parts = tuple(
        Part(
            label=axis.label,
            stars=axis.user * axis.title,
            detail=_in_words(axis, signed=turn),
        )
        for axis in axes
    )
    others = order[n_strongest:]
    if len(others):
        rest = Part(
            label=f"{len(others)} more factors",
            stars=float(each[others].sum()),
            role="remainder",
        )
        parts = (*parts, rest)
    return Explanation(parts=(*before, *parts), axes=axes)


def _in_words(axis: Axis, *, signed: bool) -> str:
    if not signed:
        return f"user {axis.user:.2f} times title {axis.title:.2f}"
    user, title = ("+" if place >= 0 else "-" for place in (axis.user, axis.title))
    return f"user on its {user} side, title on its {title} side"


FEWEST_TITLES = 5
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Traits:
    """Genres and decades of titles."""

    names: tuple[str, ...]
    # 1 where a title has the trait, 0 where not, NaN where that is not known.
    table: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorMeaning:
    """What a factor is about."""

    # Codes of the titles furthest from 0 on either side, the furthest first.
    positive: tuple[int, ...]
    negative: tuple[int, ...]
    # Genre or decade that goes with it most; None if none does beyond chance.
    trait: str | None = None
    # Of the factor with having that trait, from -1 to 1.
    correlation: float | None = None


def read_traits(catalogue: Catalogue) -> Traits:
    """Read the genres and decades that at least five titles have."""
    genres = read_membership(catalogue, "listed_in", min_titles=FEWEST_TITLES)
    of_genres = genres.table.toarray().astype(np.float64)
    listed = read_membership(catalogue, "listed_in").known
    of_genres[~listed] = np.nan
    years = release_year(catalogue)
    decades = years // 10 * 10
    found, counts = np.unique(decades[np.isfinite(decades)], return_counts=True)
    found = found[counts >= FEWEST_TITLES]
    of_decades = (decades[:, None] == found).astype(np.float64)
    of_decades[~np.isfinite(years)] = np.nan
    names = (*genres.names, *(f"{decade:.0f}s" for decade in found))
    return Traits(names, np.hstack([of_genres, of_decades]))


def interpret_factor(
    places: npt.NDArray[np.floating[Any]], traits: Traits, *, n_titles: int = 3
) -> FactorMeaning:
    """Find the titles at the ends of a factor, and the trait that goes with it."""
    order = np.argsort(-places, kind="stable")
    positive = [int(k) for k in order[:n_titles] if places[k] > 0]
    negative = [int(k) for k in order[::-1][:n_titles] if places[k] < 0]
    ends = FactorMeaning(positive=tuple(positive), negative=tuple(negative))
    # Without a catalogue its table has no rows, and there are no names either.
    scores = [_correlate(places, column) for column in traits.table.T]
    if not scores:
        return ends
    limit = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / len(scores))
    correlations, weights = np.array(scores).T
    best = int(np.abs(correlations * weights).argmax())
    if abs(correlations[best]) * weights[best] < limit:
        return ends
    return replace(
        ends, trait=traits.names[best], correlation=float(correlations[best])
    )


def _correlate(
    places: npt.NDArray[np.floating[Any]], has_trait: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """Return Pearson's correlation, and the root of the number of titles.

    Without any correlation their product is about standard normal.
    """
    known = np.isfinite(has_trait) & (places != 0)
    x, y = places[known].astype(np.float64), has_trait[known]
    if len(x) < FEWEST_TITLES or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0, 0.0
    return float(np.corrcoef(x, y)[0, 1]), float(np.sqrt(len(x)))
