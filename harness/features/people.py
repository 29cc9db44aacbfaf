"""The people block: who made a title, and who plays in it.

Companies count as people: who has made a title is a director, and a studio.
"""

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.features.embedding import embed
from harness.features.membership import Membership, read_membership
from harness.features.parts import Part, scale_part

__all__ = ["PEOPLE_COLUMNS", "director_encoding", "director_part", "people_parts"]

PEOPLE_COLUMNS = ("director", "cast", "production_company")

_LABELS = {"production_company": "studio"}
_NEVER = 1e-12


def people_parts(catalogue: Catalogue) -> tuple[Part, ...]:
    """Build those parts of the people block that do not depend on ratings.

    People of at least two titles, embedded by who occurs together with whom: two titles
    with the same people are close, and so are two whose people have worked together.
    Rare people count more (inverse document frequency). `director_part` adds what ratings
    say of directors. Production companies are treated alike, where a catalogue has them.

    Parameters
    ----------
    catalogue : Catalogue
        Its columns ``director``, ``cast`` and ``production_company``, if it has them.

    Returns
    -------
    tuple of Part
        Embeddings of directors, of actors and of companies, the most telling direction
        first; may be empty.
    """
    parts = (
        _embedding(read_membership(catalogue, column, min_titles=2), column)
        for column in PEOPLE_COLUMNS
    )
    return tuple(part for part in parts if part is not None)


def _embedding(people: Membership, column: str) -> Part | None:
    if not people.names:
        return None
    from sklearn.feature_extraction.text import TfidfTransformer

    coordinates = embed(TfidfTransformer().fit_transform(people.table))
    label = _LABELS.get(column, column)
    names = [f"{label} group {k + 1}" for k in range(coordinates.shape[1])]
    return scale_part(names, coordinates, people.known, ranked=True)


def director_encoding(
    ratings: Ratings, directors: Membership, *, smoothing: float = 10.0
) -> npt.NDArray[np.float64]:
    r"""Encode directors by how their other titles are rated.

    .. math:: d_{ik} = \frac{\sum_{j \ne i} \sum_u (r_{uj} - \mu)}
              {\sum_{j \ne i} n_j + \lambda}

    over the other titles :math:`j` of director :math:`k`, averaged over the directors of
    title :math:`i`. A title's own ratings are left out: else the feature would hold the
    answer for titles with ratings, and mean something else for those without.

    Parameters
    ----------
    ratings : Ratings
        The training part, and nothing else.
    directors : Membership
        Directors of the titles, as `read_membership` gives them.
    smoothing : float, default 10
        :math:`\lambda`, in ratings: pulls directors with few ratings towards 0.

    Returns
    -------
    ndarray of float64, shape (n_items,)
        In stars above or below the mean; 0 where nothing is known of the director.

    References
    ----------
    D. Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes",
    ACM SIGKDD Explorations 3(1), 2001.
    """
    n_items = directors.table.shape[0]
    counts = np.bincount(ratings.items, minlength=n_items).astype(np.float64)
    deviations = ratings.values.astype(np.float64) - ratings.mean
    sums = np.bincount(ratings.items, weights=deviations, minlength=n_items)
    of_title = np.repeat(np.arange(n_items), np.diff(directors.table.indptr))
    of_director = directors.table.indices
    other_sums = (directors.table.T @ sums)[of_director] - sums[of_title]
    other_counts = (directors.table.T @ counts)[of_director] - counts[of_title]
    scores = other_sums / np.maximum(other_counts + smoothing, _NEVER)
    scores[other_counts <= 0] = 0.0
    total = np.bincount(of_title, weights=scores, minlength=n_items)
    mean: npt.NDArray[np.float64] = total / np.maximum(
        np.diff(directors.table.indptr), 1
    )
    return mean


def director_part(ratings: Ratings, directors: Membership) -> Part | None:
    """Make a part of `director_encoding`.

    Parameters
    ----------
    ratings : Ratings
        The training part, and nothing else.
    directors : Membership
        Directors of the titles.

    Returns
    -------
    Part or None
        One column; None where no director has two titles with ratings.
    """
    encoded = director_encoding(ratings, directors)
    return scale_part(["ratings of its director"], encoded[:, None], directors.known)
