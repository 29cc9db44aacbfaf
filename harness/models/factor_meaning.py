"""What a latent factor is about: the titles at its ends, and a genre or decade."""

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.features.membership import read_membership
from harness.features.titles import release_year

__all__ = ["FactorMeaning", "Traits", "interpret_factor", "read_traits"]

FEWEST_TITLES = 5
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Traits:
    """Genres and decades of titles.

    Parameters
    ----------
    names : tuple of str
        Of each trait: ``"Horror"``, ``"1990s"``.
    table : ndarray of float64, shape (n_items, n_traits)
        1 where a title has the trait, 0 where not, NaN where that is not known.
    """

    names: tuple[str, ...]
    table: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorMeaning:
    """What a factor is about.

    Parameters
    ----------
    positive, negative : tuple of int
        Codes of the titles furthest from 0 on either side, the furthest first.
    trait : str or None
        Genre or decade that goes with it most; None if none does beyond chance.
    correlation : float or None
        Of the factor with having that trait, from -1 to 1.
    """

    positive: tuple[int, ...]
    negative: tuple[int, ...]
    trait: str | None = None
    correlation: float | None = None


def read_traits(catalogue: Catalogue) -> Traits:
    """Read the genres and decades that at least five titles have.

    Parameters
    ----------
    catalogue : Catalogue
        Its columns ``listed_in`` and ``release_year``, if it has them.

    Returns
    -------
    Traits
        Without names where nothing is known.
    """
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
    """Find the titles at the ends of a factor, and the trait that goes with it.

    Parameters
    ----------
    places : ndarray of float, shape (n_items,)
        Where each title is on the factor; titles at 0 are left out.
    traits : Traits
        Of the titles.
    n_titles : int, default 3
        Most titles on either side.

    Returns
    -------
    FactorMeaning
        Its trait is that of the greatest correlation, if that is significant at 5 %
        after Bonferroni correction for the number of traits.
    """
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
