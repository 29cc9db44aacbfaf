"""How good the lists are that a model recommends, and what they are like."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, distinct
from harness.evaluation.results import without_interval
from harness.evaluation.statistics import Estimate, Uncertainty
from harness.features.genres_people import GENRE_COLUMNS
from harness.features.parts import read_membership
from harness.features.titles import release_year
from harness.models.base import Recommender

__all__ = [
    "LENGTH",
    "MEANS_OF_LISTS",
    "TopLists",
    "catalogue_coverage",
    "in_threads",
    "intra_list_diversity",
    "judge_users",
    "ndcg",
    "novelty",
    "rank_lists",
    "rank_test_users",
    "recall",
    "recommend_to",
    "serendipity",
    "title_traits",
]


NOTHING = -1
LENGTH = 10
"""Titles in a list that is judged: measures are named for it."""
MEANS_OF_LISTS = (
    f"ndcg_at_{LENGTH}",
    f"recall_at_{LENGTH}",
    "serendipity",
    "intra_list_diversity",
    "novelty",
)
"""Measures of lists that are means over users."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TopLists:
    """One list of titles for each user.

    Parameters
    ----------
    users : ndarray of int32, shape (n_users,)
        Codes of the users.
    items : ndarray of int32, shape (n_users, n)
        Codes of the titles, best first; -1 after the end of a list that is shorter.
    n_items : int
        How many titles there are to recommend.
    """

    users: npt.NDArray[np.int32]
    items: npt.NDArray[np.int32]
    n_items: int

    @property
    def filled(self) -> npt.NDArray[np.bool_]:
        """Where there is a title: bool, shape (n_users, n)."""
        filled: npt.NDArray[np.bool_] = self.items != NOTHING
        return filled

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of titles in each list: int64, shape (n_users,)."""
        lengths: npt.NDArray[np.int64] = self.filled.sum(axis=1)
        return lengths

    def places(self, of_items: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Give each pair of user and title a number that grows with the user first.

        Parameters
        ----------
        of_items : ndarray of int, shape (n_items,)
            What titles are ordered by within a user: their code, or a rank.

        Returns
        -------
        ndarray of int64, shape (n_users, n)
            ``user * n_items + of_items[item]``; -1 where there is no title.
        """
        # Wide integers: users times titles exceed 32 bits.
        numbers = self.users[:, None].astype(np.int64) * self.n_items
        return np.where(self.filled, numbers + of_items[self.items], NOTHING)

    def found_in(self, ratings: Ratings) -> npt.NDArray[np.bool_]:
        """Tell which recommendations are among some ratings.

        Parameters
        ----------
        ratings : Ratings
            Pairs to look for, with the same codes.

        Returns
        -------
        ndarray of bool, shape (n_users, n)
            True where the user has rated the title there.
        """
        own = self.own_among(ratings)
        pairs = ratings.users[own].astype(np.int64) * self.n_items + ratings.items[own]
        return np.isin(self.places(np.arange(self.n_items)), pairs)

    def own_among(self, ratings: Ratings) -> npt.NDArray[np.bool_]:
        """Tell which ratings are of users with a list: of a sample, few to sort."""
        has_list = np.zeros(ratings.n_users, dtype=bool)
        has_list[self.users] = True
        own: npt.NDArray[np.bool_] = has_list[ratings.users]
        return own


_USERS_AT_ONCE = 256
"""Whatever the number of threads, so that it changes no list of any family."""


def recommend_to(
    model: Recommender, users: Iterable[int], n: int, *, jobs: int = 1
) -> TopLists:
    """Let a model recommend titles that users have not seen in the training part.

    Parameters
    ----------
    model : Recommender
        Fitted.
    users : iterable of int
        Codes of the users.
    n : int
        How many titles each.
    jobs : int, default 1
        Threads that make lists. They share the model, of which a process would need a
        copy, and run side by side in compiled loops and in NumPy.

    Returns
    -------
    TopLists
        In the order of `users`.
    """
    codes = np.fromiter(users, dtype=np.int32)
    blocks = np.split(codes, range(_USERS_AT_ONCE, len(codes), _USERS_AT_ONCE))

    def list_titles(block: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        return model.recommend_to_many(block, n)[0]

    items = np.concatenate(in_threads(list_titles, blocks, jobs))
    return TopLists(users=codes, items=items, n_items=len(model.item_ids_))


T = TypeVar("T")
R = TypeVar("R")


def in_threads(call: Callable[[T], R], parts: Sequence[T], jobs: int) -> list[R]:
    """Call with each part, side by side: threads share what a process would copy.

    Parameters
    ----------
    call : callable
        Takes a part; compiled loops and NumPy let other threads run meanwhile.
    parts : sequence
        At least one.
    jobs : int
        Number of threads; 1 makes none.

    Returns
    -------
    list
        What was returned, in the order of the parts.
    """
    if min(jobs, len(parts)) == 1:
        return [call(part) for part in parts]
    with ThreadPoolExecutor(jobs) as threads:
        return list(threads.map(call, parts))


Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


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
    return len(distinct(lists.items[lists.filled])) / lists.n_items


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
    values, told = _diversity_of_each(lists, traits)
    return float(values.mean()) if told.any() else None


def _diversity_of_each(lists: TopLists, traits: Any) -> tuple[Doubles, Bools]:
    """Measure the lists that have two titles with traits, and say which these are."""
    from scipy.sparse import csr_matrix

    starts = np.concatenate([[0], np.cumsum(lists.lengths)])
    chosen = lists.items[lists.filled]
    shape = (len(lists.users), lists.n_items)
    shown = csr_matrix((np.ones(len(chosen)), chosen, starts), shape=shape)
    n_known = shown @ (np.diff(traits.indptr) > 0).astype(np.float64)
    sums = shown @ traits
    squares = np.asarray(sums.multiply(sums).sum(axis=1)).ravel()
    told = n_known > 1
    n, squares = n_known[told], squares[told]
    similarity = (squares - n) / (n * (n - 1))
    # Rounding must not make titles closer than alike, or further than unlike.
    return 1.0 - np.clip(similarity, 0.0, 1.0), told


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
    values, some = _novelty_of_each(lists, train)
    return float(values.mean()) if some.any() else None


def _novelty_of_each(lists: TopLists, train: Ratings) -> tuple[Doubles, Bools]:
    """Measure the lists that have titles, and say which these are."""
    n_raters = np.bincount(train.items, minlength=lists.n_items)
    bits = -np.log2(np.maximum(n_raters, 1) / len(distinct(train.users)))
    some = lists.lengths > 0
    sums = np.where(lists.filled, bits[lists.items], 0.0).sum(axis=1)
    return sums[some] / lists.lengths[some], some


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
    own = lists.own_among(train)
    users, places = train.users[own].astype(np.int64), rank[train.items[own]]
    seen = np.sort(users * lists.n_items + places)
    # A title moves up by one place for each more popular one that the user has rated.
    before = np.searchsorted(seen, lists.places(rank))
    first = np.searchsorted(seen, lists.users.astype(np.int64) * lists.n_items)
    place = rank[lists.items] - (before - first[:, None])
    found: npt.NDArray[np.bool_] = lists.filled & (place < lists.items.shape[1])
    return found


_RELEVANT_SHARE = 0.75
_ROUNDING = 1e-6


def liked_from(low: float, high: float) -> float:
    """Give the lowest rating that makes a title relevant: 4 on a scale from 1 to 5."""
    return low + _RELEVANT_SHARE * (high - low)


def rank_test_users(
    model: Recommender,
    train: Ratings,
    test: Ratings,
    catalogue: Catalogue,
    *,
    n: int = LENGTH,
    relevant_from: float | None = None,
) -> tuple[dict[str, Estimate], int]:
    """Recommend to every user of the test part, and judge the lists.

    Each list is the best `n` of the whole catalogue without the titles that the user has
    rated in the training part: a sample of titles would favour other models [1]_. A title
    that the user would have liked, but has not rated, counts as wrong; so figures are low,
    and compare models rather than say how content users are.

    Parameters
    ----------
    model : Recommender
        Fitted on `train`.
    train, test : Ratings
        The two parts, with the same codes.
    catalogue : Catalogue
        Of their titles; may be empty.
    n : int, default 10
        Length of the lists.
    relevant_from : float, optional
        The lowest rating in stars that makes a title of the test part relevant; by
        default three quarters up the scale, which is 4 of 1 to 5.

    Returns
    -------
    measures : dict of str to Estimate
        Means over the users with a relevant title: ``ndcg_at_10``, ``recall_at_10`` (named
        for `n`), ``serendipity``; see `ndcg`, `recall` and `serendipity`. Over all users
        of the test part: ``catalogue_coverage``, ``intra_list_diversity`` (by genre and
        decade; only with a catalogue that has them), ``novelty`` in bits. What is not
        defined is left out. The first three have an interval, of 95 % (Student's t).
    n_users : int
        Number of users with a relevant title.

    References
    ----------
    .. [1] W. Krichene and S. Rendle, "On sampled metrics for item recommendation", KDD
       2020.
    """
    lists = recommend_to(model, distinct(test.users), n)
    return rank_lists(lists, train, test, catalogue, relevant_from=relevant_from)


def rank_lists(
    lists: TopLists,
    train: Ratings,
    test: Ratings,
    catalogue: Catalogue,
    *,
    relevant_from: float | None = None,
) -> tuple[dict[str, Estimate], int]:
    """Judge lists that are there as `rank_test_users` does.

    Parameters
    ----------
    lists : TopLists
        For users of the test part.
    train, test : Ratings
        The two parts, with the same codes.
    catalogue : Catalogue
        Of their titles; may be empty.
    relevant_from : float, optional
        As for `rank_test_users`.

    Returns
    -------
    measures : dict of str to Estimate
        As of `rank_test_users`.
    n_users : int
        Number of users with a relevant title.
    """
    n = lists.items.shape[1]
    hits, n_relevant = _relevant(lists, test, relevant_from)
    asked = n_relevant > 0
    gains = ndcg(hits[asked], n_relevant[asked])
    means = {
        "catalogue_coverage": catalogue_coverage(lists),
        "intra_list_diversity": (
            intra_list_diversity(lists, title_traits(catalogue))
            if len(catalogue)
            else None
        ),
        "novelty": novelty(lists, train),
    }
    over_users = {
        f"ndcg_at_{n}": gains,
        f"recall_at_{n}": recall(hits[asked], n_relevant[asked]),
        "serendipity": serendipity(lists, hits, train)[asked],
    }
    found = {k: _with_error(of_each) for k, of_each in over_users.items() if len(gains)}
    found |= {k: without_interval(v) for k, v in means.items() if v is not None}
    return found, int(asked.sum())


def _relevant(
    lists: TopLists, test: Ratings, relevant_from: float | None = None
) -> tuple[Bools, npt.NDArray[np.int64]]:
    """Tell which titles of lists are relevant, and how many are to each user."""
    low, high = test.scale.low, test.scale.high
    if relevant_from is None:
        relevant_from = liked_from(low, high)
    liked = test.take(test.values >= relevant_from - _ROUNDING)
    n_relevant = np.bincount(liked.users, minlength=test.n_users)[lists.users]
    return lists.found_in(liked), n_relevant


def judge_users(
    name: str, lists: TopLists, train: Ratings, test: Ratings, catalogue: Catalogue
) -> tuple[float, Doubles]:
    """Measure lists by one measure, and say what each user adds to it.

    Parameters
    ----------
    name : str
        Name of a measure of lists.
    lists : TopLists
        For users of the test part.
    train, test : Ratings
        The two parts, with the same codes.
    catalogue : Catalogue
        Of their titles; may be empty.

    Returns
    -------
    value : float
        Of all lists; NaN where it is not defined.
    influence : ndarray of float64, shape (n_users,)
        Of a mean, the deviation of each user from it over their number; of the coverage
        of the catalogue, which is no mean, what it lacks without the user, from the mean
        of that. Users without a relevant title are left out where it takes one.
    """
    every = np.ones(len(lists.users), dtype=bool)
    if name == "catalogue_coverage":
        return catalogue_coverage(lists), _coverage_of_each(lists)
    if name == "novelty":
        return _about_mean(*_novelty_of_each(lists, train))
    if name == "intra_list_diversity":
        return _about_mean(*_diversity_of_each(lists, title_traits(catalogue)))
    hits, n_relevant = _relevant(lists, test)
    asked = n_relevant > 0
    if name == "serendipity":
        values = serendipity(lists, hits, train)[asked]
    else:
        gain = ndcg if name.startswith("ndcg") else recall
        values = gain(hits[asked], n_relevant[asked])
    return _about_mean(values, every[asked])


def _about_mean(values: Doubles, of: Bools) -> tuple[float, Doubles]:
    """Give a mean, and its deviations over their number; 0 of users it is not over."""
    mean = float(values.mean()) if len(values) else float("nan")
    # That a single user does not deviate from the mean is not to say that none would.
    if len(values) < 2:
        return mean, np.full(len(of), np.nan)
    deviations = np.zeros(len(of))
    deviations[of] = (values - mean) / len(values)
    return mean, deviations


def _coverage_of_each(lists: TopLists) -> Doubles:
    """Say what each user adds to the coverage: titles that are in no other list."""
    shown = lists.items[lists.filled]
    counts = np.bincount(shown, minlength=lists.n_items)
    alone = lists.filled & (counts[lists.items] == 1)
    own = alone.sum(axis=1) / lists.n_items
    n = len(own)
    influence: Doubles = (n - 1) / n * (own - own.mean())
    return influence


def ndcg(hits: Bools, n_relevant: npt.NDArray[np.integer[Any]]) -> Doubles:
    r"""Compute the normalised discounted cumulative gain of lists [1]_.

    .. math:: \frac{\sum_{k=1}^{n} h_k / \log_2(k + 1)}
              {\sum_{k=1}^{\min(n, r)} 1 / \log_2(k + 1)}

    where :math:`h_k` is 1 if the title in place :math:`k` is relevant, else 0, and
    :math:`r` titles are. As ``ndcg_score`` of scikit-learn, which wants a score for
    each user and title and is the reference of the tests; RecTools divides by the sum
    over :math:`n` places even where fewer titles are relevant.

    Parameters
    ----------
    hits : ndarray of bool, shape (n_users, n)
        Which titles of the lists are relevant, best first.
    n_relevant : ndarray of int, shape (n_users,)
        Number of titles relevant to each user; at least 1.

    Returns
    -------
    ndarray of float64, shape (n_users,)
        From 0 to 1, which is a list that starts with relevant titles only.

    References
    ----------
    .. [1] K. Järvelin and J. Kekäläinen, "Cumulated gain-based evaluation of IR
       techniques", ACM TOIS 20(4), 2002.

    Examples
    --------
    The only relevant title, in the third place of the list:

    >>> ndcg(np.array([[False, False, True]]), np.array([1])).tolist()
    [0.5]
    """
    n = hits.shape[1]
    discounts = 1 / np.log2(np.arange(2, n + 2))
    ideal = np.cumsum(discounts)[np.minimum(n_relevant, n) - 1]
    gains: Doubles = (hits * discounts).sum(axis=1) / ideal
    return gains


def recall(hits: Bools, n_relevant: npt.NDArray[np.integer[Any]]) -> Doubles:
    """Compute the share of the relevant titles that are in the lists.

    As ``Recall`` of RecTools. Whoever has more relevant titles than the list has places
    cannot reach 1.

    Parameters
    ----------
    hits : ndarray of bool, shape (n_users, n)
        Which titles of the lists are relevant.
    n_relevant : ndarray of int, shape (n_users,)
        Number of titles relevant to each user; at least 1.

    Returns
    -------
    ndarray of float64, shape (n_users,)
        From 0 to 1.

    Examples
    --------
    >>> recall(np.array([[True, False, True]]), np.array([8])).tolist()
    [0.25]
    """
    shares: Doubles = hits.sum(axis=1) / n_relevant
    return shares


def _with_error(values: Doubles) -> Estimate:
    """Estimate a mean from as many users as there are, with an interval of 95 %."""
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return without_interval(mean)
    error = float(values.std(ddof=1) / np.sqrt(n))
    known = Uncertainty(standard_error=error, degrees_of_freedom=n - 1)
    half = known.half_width(0.95)
    return Estimate(value=mean, low=mean - half, high=mean + half)
