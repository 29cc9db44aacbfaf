"""How the error depends on what is known of the user and of the title."""

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings
from harness.evaluation.intervals import UserBootstrap

__all__ = ["DEPTHS", "Predictions", "depths_of_pairs", "known_share", "rmse_by_depth"]

DEPTHS = ("0", "1-5", "6-20", ">20")
"""Numbers of training ratings that count as equally deep, from cold to warm."""

_FIRST_OF_NEXT = (1, 6, 21)

Predictions = list[npt.NDArray[Any]]


def rmse_by_depth(
    train: Ratings, test: Ratings, predictions: Predictions
) -> dict[str, list[dict[str, Any]]]:
    """Measure the RMSE of test pairs by the training ratings of their user and title.

    Parameters
    ----------
    train, test : Ratings
        The two parts, with the same codes.
    predictions : list of ndarray of float, shape (n_test,)
        One for each seed; values are means over the seeds.

    Returns
    -------
    dict of str to list of dict
        JSON-like: ``users`` and ``items``, each one entry for every one of `DEPTHS` with
        ``depth``, ``n_pairs``, ``value`` (RMSE in stars; None without pairs), ``low`` and
        ``high`` (bootstrap over users; None where the pairs are of one user, who alone
        does not tell how users differ).
    """
    return {
        side: [
            {"depth": depth, **_rmse_within(depth_of == depth, test, predictions)}
            for depth in DEPTHS
        ]
        for side, depth_of in depths_of_pairs(train, test).items()
    }


def depths_of_pairs(train: Ratings, test: Ratings) -> dict[str, npt.NDArray[np.str_]]:
    """Tell how much is known of the user, and of the title, of each test pair.

    Parameters
    ----------
    train, test : Ratings
        The two parts, with the same codes.

    Returns
    -------
    dict of str to ndarray of str, shape (n_test,)
        ``users`` and ``items``: for each pair one of `DEPTHS`.
    """
    of_user, of_item = _counts(train)
    depths = np.array(DEPTHS)
    return {
        side: depths[np.searchsorted(_FIRST_OF_NEXT, n_ratings, side="right")]
        for side, n_ratings in (
            ("users", of_user[test.users]),
            ("items", of_item[test.items]),
        )
    }


def known_share(train: Ratings, test: Ratings) -> float:
    """Measure how many test pairs are of a known user and a known title.

    Parameters
    ----------
    train, test : Ratings
        The two parts, with the same codes.

    Returns
    -------
    float
        Share of the test pairs whose user and title both have training ratings.
    """
    of_user, of_item = _counts(train)
    known = (of_user[test.users] > 0) & (of_item[test.items] > 0)
    return float(known.mean())


def _counts(train: Ratings) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    return (
        np.bincount(train.users, minlength=train.n_users),
        np.bincount(train.items, minlength=train.n_items),
    )


def _rmse_within(
    chosen: npt.NDArray[np.bool_], test: Ratings, predictions: Predictions
) -> dict[str, Any]:
    n_pairs = int(chosen.sum())
    if not n_pairs:
        return {"n_pairs": 0, "value": None, "low": None, "high": None}
    part = test.take(chosen)
    estimate = UserBootstrap(part).metrics([p[chosen] for p in predictions])["rmse"]
    one_user = part.users[0] == part.users[-1]
    return {
        "n_pairs": n_pairs,
        "value": estimate.value,
        "low": None if one_user else estimate.low,
        "high": None if one_user else estimate.high,
    }
