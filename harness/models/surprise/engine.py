"""scikit-surprise as an engine: the reference implementation on the same codes."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from surprise import NMF, SVD, CoClustering, SlopeOne, SVDpp, Trainset

from harness.data.ratings import Ratings

__all__ = [
    "RatedOnly",
    "fit_reference_co_clustering",
    "fit_reference_factors",
    "fit_reference_slope_one",
    "fit_reference_svd",
    "make_trainset",
]


_FINEST = 2.0**24
"""The largest rating, where whole numbers, halves, thirds ... do not do: as fine as float32."""


def make_trainset(ratings: Ratings) -> Trainset:
    """Present ratings to scikit-surprise with codes as its inner ids.

    Users and items without a rating have inner ids too: random factors are then drawn
    for the same rows as here.
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
    """Train scikit-surprise's ``SVD``."""
    model = SVD(**arguments).fit(make_trainset(ratings))
    return {name: getattr(model, name) for name in ("bu", "bi", "pu", "qi")}


@dataclass(frozen=True, slots=True, eq=False)
class RatedOnly:
    """Ratings without the users and items that have none.

    scikit-surprise never gets to see these: some of its algorithms divide by their
    number of ratings.
    """

    ratings: Ratings
    users: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]

    @classmethod
    def of(cls, ratings: Ratings) -> "RatedOnly":
        """Leave out users and items without ratings."""
        users, user_codes = np.unique(ratings.users, return_inverse=True)
        items, item_codes = np.unique(ratings.items, return_inverse=True)
        compact = replace(
            ratings,
            users=user_codes.astype(np.int32),
            items=item_codes.astype(np.int32),
            user_ids=ratings.user_ids[users],
            item_ids=ratings.item_ids[items],
        )
        return cls(compact, users.astype(np.int64), items.astype(np.int64))


def fit_reference_factors(
    name: Literal["svdpp", "nmf"], ratings: Ratings, **arguments: Any
) -> dict[str, npt.NDArray[np.float64]]:
    r"""Train scikit-surprise's ``SVDpp`` or ``NMF``; 0 for those without ratings."""
    rated = RatedOnly.of(ratings)
    if name == "svdpp":
        # Without the cache it collects each user's titles anew for every rating.
        model = SVDpp(cache_ratings=True, **arguments)
    else:
        model = NMF(**arguments)
    model.fit(make_trainset(rated.ratings))
    keys = (
        ("bu", "bi", "pu", "qi", "yj") if name == "svdpp" else ("bu", "bi", "pu", "qi")
    )
    return {
        key: _spread(np.asarray(getattr(model, key)), rated.items, ratings.n_items)
        if key in {"bi", "qi", "yj"}
        else _spread(np.asarray(getattr(model, key)), rated.users, ratings.n_users)
        for key in keys
    }


def _spread(
    values: npt.NDArray[Any], codes: npt.NDArray[np.int64], n_rows: int
) -> npt.NDArray[Any]:
    """Bring rows of the rated ones to their codes; 0 elsewhere."""
    spread = np.zeros((n_rows, *values.shape[1:]), dtype=values.dtype)
    spread[codes] = values
    return spread


def _in_whole_numbers(ratings: Ratings) -> tuple[Ratings, float]:
    """Scale ratings so that none has a fraction: these algorithms cut fractions off.

    Both are linear in the ratings, so that dividing what they learn undoes it.
    """
    values = ratings.values.astype(np.float64)
    noise = 1e-6 * float(np.ptp(values)) if len(values) else 0.0
    steps = next(
        (
            float(k)
            for k in range(1, 13)
            if np.allclose(values * k, np.round(values * k), rtol=1e-7, atol=noise)
        ),
        _FINEST / float(np.abs(values).max(initial=1e-300)),
    )
    whole = np.round(values * steps).astype(np.float32)
    return replace(ratings, values=whole), steps


def fit_reference_slope_one(
    ratings: Ratings,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Train scikit-surprise's ``SlopeOne``, which alone would cut half stars off."""
    rated = RatedOnly.of(ratings)
    whole, steps = _in_whole_numbers(rated.ratings)
    model = SlopeOne().fit(make_trainset(whole))
    common = model.freq > 0
    difference = np.where(common, model.dev / steps, 0.0).astype(np.float32)
    return difference, common, rated.items


def fit_reference_co_clustering(
    ratings: Ratings, **arguments: Any
) -> dict[str, npt.NDArray[Any]]:
    """Train scikit-surprise's ``CoClustering``, which alone would cut half stars off."""
    rated = RatedOnly.of(ratings)
    whole, steps = _in_whole_numbers(rated.ratings)
    model = CoClustering(**arguments).fit(make_trainset(whole))
    n_users, n_items = ratings.n_users, ratings.n_items
    return {
        "user_cluster": _spread(model.cltr_u, rated.users, n_users),
        "item_cluster": _spread(model.cltr_i, rated.items, n_items),
        "user_mean": _spread(model.user_mean, rated.users, n_users) / steps,
        "item_mean": _spread(model.item_mean, rated.items, n_items) / steps,
        "user_cluster_mean": model.avg_cltr_u / steps,
        "item_cluster_mean": model.avg_cltr_i / steps,
        "block_mean": model.avg_cocltr / steps,
    }
