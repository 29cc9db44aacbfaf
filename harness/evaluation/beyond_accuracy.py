"""What recommendations are worth beyond being right: coverage, diversity, novelty, luck.

RecTools has these measures, too, but needs NumPy 1 on Python 3.11 and 3.12, and pandas 2;
no other maintained library has them without PyTorch or the like. Where they are defined
alike, the tests hold them to the examples of its documentation.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.evaluation.top_lists import TopLists
from harness.features.genre import GENRE_COLUMNS
from harness.features.membership import read_membership
from harness.features.titles import release_year

__all__ = [
    "catalogue_coverage",
    "intra_list_diversity",
    "novelty",
    "serendipity",
    "title_traits",
]

Doubles = npt.NDArray[np.float64]


def catalogue_coverage(lists: TopLists) -> float:
    """Measure how much of the catalogue is recommended to anybody [1]_.

    Parameters
    ----------
    lists : TopLists
        What is recommended.

    Returns
    -------
    float
        Share of the titles that are in at least one list.

    References
    ----------
    .. [1] M. Ge, C. Delgado-Battenfeld and D. Jannach, "Beyond accuracy: evaluating
       recommender systems by coverage and serendipity", RecSys 2010 (catalog coverage).
    """
    return len(np.unique(lists.items[lists.filled])) / lists.n_items


def title_traits(catalogue: Catalogue) -> Any:
    """Describe titles by what a viewer would call alike: genres, and the decade.

    Parameters
    ----------
    catalogue : Catalogue
        Its columns ``listed_in`` and ``release_year``, where it has them.

    Returns
    -------
    scipy.sparse.csr_matrix of float64, shape (n_items, n_traits)
        One column a genre or decade; rows are of length 1, or 0 where nothing is known.
    """
    from scipy.sparse import csr_matrix, hstack

    genres = read_membership(catalogue, *GENRE_COLUMNS).table
    years = release_year(catalogue)
    known = np.flatnonzero(np.isfinite(years))
    _, decades = np.unique(years[known] // 10, return_inverse=True)
    cells = (np.ones(len(known)), (known, decades))
    n_decades = int(decades.max(initial=-1)) + 1
    of_decades = csr_matrix(cells, shape=(len(years), n_decades))
    traits = hstack([genres, of_decades], format="csr", dtype=np.float64)
    n_traits = np.diff(traits.indptr)
    # A row of k ones has the length of root k.
    traits.data /= np.sqrt(np.repeat(n_traits, n_traits))
    return traits


def intra_list_diversity(lists: TopLists, traits: Any) -> float | None:
    r"""Measure how unlike each other the titles of a list are [1]_, [2]_.

    .. math:: \frac{1}{|P_u|} \sum_{(i, j) \in P_u} (1 - \cos(x_i, x_j))

    where :math:`P_u` are the pairs of different titles in the list of user :math:`u` of
    which traits :math:`x` are known; averaged over users with such a pair. All pairs at
    once, because unit vectors have :math:`\sum_{i \ne j} x_i x_j = |\sum_i x_i|^2 - n`.

    Parameters
    ----------
    lists : TopLists
        What is recommended.
    traits : scipy.sparse.csr_matrix, shape (n_items, n_traits)
        As `title_traits` returns them: not negative, of length 1, or 0 where unknown.

    Returns
    -------
    float or None
        From 0 (all titles alike) to 1 (nothing in common); None where no list has two
        titles with traits.

    References
    ----------
    .. [1] C.-N. Ziegler, S. McNee, J. Konstan and G. Lausen, "Improving recommendation
       lists through topic diversification", WWW 2005, section 3.3.
    .. [2] RecTools, ``IntraListDiversity`` (there with any distance, and 0 for a list of
       one title).
    """
    from scipy.sparse import csr_matrix

    starts = np.concatenate([[0], np.cumsum(lists.lengths)])
    chosen = lists.items[lists.filled]
    shape = (len(lists.users), lists.n_items)
    shown = csr_matrix((np.ones(len(chosen)), chosen, starts), shape=shape)
    n_known = shown @ (np.diff(traits.indptr) > 0).astype(np.float64)
    sums = shown @ traits
    squares = np.asarray(sums.multiply(sums).sum(axis=1)).ravel()
    told = n_known > 1
    if not told.any():
        return None
    n, squares = n_known[told], squares[told]
    similarity = (squares - n) / (n * (n - 1))
    # Rounding must not make titles closer than alike, or further than unlike.
    return 1.0 - float(np.clip(similarity, 0.0, 1.0).mean())


def novelty(lists: TopLists, train: Ratings) -> float | None:
    r"""Measure how surprising it is that somebody knows the recommended titles [1]_, [2]_.

    .. math:: \frac{1}{|L_u|} \sum_{i \in L_u} -\log_2 \frac{n_i}{n}

    where :math:`n_i` of :math:`n` users have rated title :math:`i`; averaged over users.
    A title without ratings counts as if it had one.

    Parameters
    ----------
    lists : TopLists
        What is recommended.
    train : Ratings
        The training part.

    Returns
    -------
    float or None
        Mean self-information in bits: 0 for titles that everybody has rated, one more
        each time that half as many have. None where nothing is recommended.

    References
    ----------
    .. [1] T. Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender
       systems", PNAS 107(10), 2010 (surprisal).
    .. [2] RecTools, ``MeanInvUserFreq``.
    """
    n_raters = np.bincount(train.items, minlength=lists.n_items)
    bits = -np.log2(np.maximum(n_raters, 1) / len(np.unique(train.users)))
    some = lists.lengths > 0
    if not some.any():
        return None
    sums = np.where(lists.filled, bits[lists.items], 0.0).sum(axis=1)
    return float((sums[some] / lists.lengths[some]).mean())


def serendipity(
    lists: TopLists, hits: npt.NDArray[np.bool_], train: Ratings
) -> Doubles:
    r"""Measure how much that is right would not have been found in the charts [1]_.

    .. math:: \frac{|(L_u \setminus PM_u) \cap R_u|}{|L_u|}

    where :math:`L_u` is recommended to user :math:`u`, :math:`R_u` is relevant, and
    :math:`PM_u`, what a primitive model recommends, are as many titles, those with most
    training ratings among those that the user has not rated.

    Parameters
    ----------
    lists : TopLists
        What is recommended.
    hits : ndarray of bool, shape (n_users, n)
        Where it is relevant.
    train : Ratings
        The training part.

    Returns
    -------
    ndarray of float64, shape (n_users,)
        Share of each list that is relevant and unexpected; 0 for an empty list.

    References
    ----------
    .. [1] M. Ge, C. Delgado-Battenfeld and D. Jannach, "Beyond accuracy: evaluating
       recommender systems by coverage and serendipity", RecSys 2010 (as a share of the
       whole list, so that one lucky title among nine of the charts is not all luck).
    """
    unexpected = hits & ~_in_the_charts(lists, train)
    shares: Doubles = unexpected.sum(axis=1) / np.maximum(lists.lengths, 1)
    return shares


def _in_the_charts(lists: TopLists, train: Ratings) -> npt.NDArray[np.bool_]:
    """Tell which recommendations are among the most rated ones that are unseen."""
    n_raters = np.bincount(train.items, minlength=lists.n_items)
    rank = np.empty(lists.n_items, dtype=np.int64)
    rank[np.argsort(-n_raters, kind="stable")] = np.arange(lists.n_items)
    seen = np.sort(train.users.astype(np.int64) * lists.n_items + rank[train.items])
    # A title moves up by one place for each more popular one that the user has rated.
    before = np.searchsorted(seen, lists.places(rank))
    first = np.searchsorted(seen, lists.users.astype(np.int64) * lists.n_items)
    place = rank[lists.items] - (before - first[:, None])
    found: npt.NDArray[np.bool_] = lists.filled & (place < lists.items.shape[1])
    return found
