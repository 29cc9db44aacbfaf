"""scikit-surprise as an engine: the reference implementation on the same codes."""

from typing import Any

import numpy as np
from surprise import SVD, Trainset

from harness.data.ratings import Ratings

__all__ = ["fit_reference_svd", "make_trainset"]


def make_trainset(ratings: Ratings) -> Trainset:
    """Present ratings to scikit-surprise with codes as its inner ids.

    Users and items without a rating have inner ids too: random factors are then drawn
    for the same rows as here.

    Parameters
    ----------
    ratings : Ratings
        What to learn from.

    Returns
    -------
    Trainset
        The same ratings in the same order.
    """
    by_user: dict[int, list[tuple[int, float]]] = {}
    by_item: dict[int, list[tuple[int, float]]] = {}
    triples = zip(
        ratings.users.tolist(),
        ratings.items.tolist(),
        ratings.values.tolist(),
        strict=True,
    )
    for user, item, value in triples:
        by_user.setdefault(user, []).append((item, value))
        by_item.setdefault(item, []).append((user, value))
    return Trainset(
        ur=by_user,
        ir=by_item,
        n_users=ratings.n_users,
        n_items=ratings.n_items,
        n_ratings=len(ratings),
        rating_scale=(ratings.scale.low, ratings.scale.high),
        raw2inner_id_users={code: code for code in range(ratings.n_users)},
        raw2inner_id_items={code: code for code in range(ratings.n_items)},
    )


def fit_reference_svd(ratings: Ratings, **arguments: Any) -> dict[str, np.ndarray]:
    """Train scikit-surprise's ``SVD``.

    Parameters
    ----------
    ratings : Ratings
        What to learn from.
    **arguments
        Arguments of ``surprise.SVD``.

    Returns
    -------
    dict of str to ndarray of float64
        ``bu`` (n_users,), ``bi`` (n_items,), ``pu`` (n_users, n_factors) and ``qi``
        (n_items, n_factors).
    """
    model = SVD(**arguments).fit(make_trainset(ratings))
    return {name: getattr(model, name) for name in ("bu", "bi", "pu", "qi")}
