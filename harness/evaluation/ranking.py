"""How good the lists are that a model recommends to the users of the test part."""

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.evaluation.beyond_accuracy import (
    catalogue_coverage,
    intra_list_diversity,
    novelty,
    serendipity,
    title_traits,
)
from harness.evaluation.top_lists import recommend_to
from harness.models.base import Recommender

__all__ = ["ndcg", "rank_test_users", "recall"]

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]

_RELEVANT_SHARE = 0.75
_ROUNDING = 1e-6


def rank_test_users(
    model: Recommender,
    train: Ratings,
    test: Ratings,
    catalogue: Catalogue,
    *,
    n: int = 10,
    relevant_from: float | None = None,
) -> dict[str, Any]:
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
    dict
        JSON-like. Means over the `n_users` users with a relevant title, None where there
        are none: ``ndcg_at_10``, ``recall_at_10`` (named for `n`), ``serendipity``; see
        `ndcg`, `recall` and `harness.evaluation.beyond_accuracy`. Over all users of the
        test part: ``catalogue_coverage``, ``intra_list_diversity`` (by genre and decade;
        None without a catalogue that has them), ``novelty`` in bits.

    References
    ----------
    .. [1] W. Krichene and S. Rendle, "On sampled metrics for item recommendation", KDD
       2020.
    """
    low, high = test.scale.low, test.scale.high
    if relevant_from is None:
        relevant_from = low + _RELEVANT_SHARE * (high - low)
    liked = test.take(test.values >= relevant_from - _ROUNDING)
    lists = recommend_to(model, np.unique(test.users), n)
    hits = lists.found_in(liked)
    n_relevant = np.bincount(liked.users, minlength=test.n_users)[lists.users]
    asked = n_relevant > 0
    gains = ndcg(hits[asked], n_relevant[asked])
    return {
        f"ndcg_at_{n}": _mean(gains),
        "ndcg_error": _standard_error(gains),
        f"recall_at_{n}": _mean(recall(hits[asked], n_relevant[asked])),
        "catalogue_coverage": catalogue_coverage(lists),
        "intra_list_diversity": (
            intra_list_diversity(lists, title_traits(catalogue))
            if len(catalogue)
            else None
        ),
        "novelty": novelty(lists, train),
        "serendipity": _mean(serendipity(lists, hits, train)[asked]),
        "n_users": int(asked.sum()),
    }


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


def _mean(values: Doubles) -> float | None:
    return float(values.mean()) if len(values) else None


def _standard_error(values: Doubles) -> float | None:
    if len(values) < 2:
        return None
    return float(values.std(ddof=1) / np.sqrt(len(values)))
