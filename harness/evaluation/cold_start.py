"""The error by how much is known of the user and of the title, and which models differ there."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings, distinct
from harness.evaluation.dependence import ScoreIntervals, Uncertain
from harness.evaluation.equivalence import answer_pairs
from harness.evaluation.results import (
    DepthDifference,
    DepthError,
    Side,
    without_interval,
)

__all__ = [
    "COLD",
    "DEPTHS",
    "POOLED_DEPTHS",
    "compare_by_depth",
    "known_share",
    "rmse_by_depth",
]


DEPTHS = ("0", "1-5", "6-20", ">20")
"""Numbers of training ratings that count as equally deep, from cold to warm."""

_FIRST_OF_NEXT = (1, 6, 21)

Predictions = list[npt.NDArray[Any]]


def rmse_by_depth(
    train: Ratings, test: Ratings, predictions: Predictions
) -> dict[Side, tuple[DepthError, ...]]:
    """Measure the RMSE of test pairs by the training ratings of their user and title."""
    return {
        side: tuple(
            _rmse_within(depth, depth_of == depth, test, predictions)
            for depth in DEPTHS
        )
        for side, depth_of in depths_of_pairs(train, test).items()
    }


def depths_of_pairs(train: Ratings, test: Ratings) -> dict[Side, npt.NDArray[np.str_]]:
    """Tell how much is known of the user, and of the title, of each test pair."""
    return depths_of(train, test.users, test.items)


def depths_of(
    train: Ratings, users: npt.NDArray[np.int32], items: npt.NDArray[np.int32]
) -> dict[Side, npt.NDArray[np.str_]]:
    """Tell the same of pairs by their codes."""
    of_user, of_item = _counts(train)
    n_ratings: dict[Side, npt.NDArray[np.int64]] = {
        "users": of_user[users],
        "items": of_item[items],
    }
    depths = np.array(DEPTHS)
    return {
        side: depths[np.searchsorted(_FIRST_OF_NEXT, n, side="right")]
        for side, n in n_ratings.items()
    }


def known_share(train: Ratings, test: Ratings) -> float:
    """Measure how many test pairs are of a known user and a known title."""
    of_user, of_item = _counts(train)
    known = (of_user[test.users] > 0) & (of_item[test.items] > 0)
    return float(known.mean())


def _counts(train: Ratings) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    return (
        np.bincount(train.users, minlength=train.n_users),
        np.bincount(train.items, minlength=train.n_items),
    )


def _rmse_within(
    depth: str, chosen: npt.NDArray[np.bool_], test: Ratings, predictions: Predictions
) -> DepthError:
    n_pairs = int(chosen.sum())
    if not n_pairs:
        return DepthError(depth=depth, n_pairs=0, rmse=None)
    part = test.take(chosen)
    estimate = ScoreIntervals(part).score("rmse", [p[chosen] for p in predictions])
    if part.users[0] == part.users[-1]:  # of one user: nothing to estimate it from
        estimate = without_interval(estimate.value)
    return DepthError(depth=depth, n_pairs=n_pairs, rmse=estimate)


COLD = "0-5"
"""Name of the pairs that have at most five training ratings, those without any included."""

POOLED_DEPTHS: Mapping[str, tuple[str, ...]] = {
    "0": ("0",),
    "1-5": ("1-5",),
    COLD: ("0", "1-5"),
    "6-20": ("6-20",),
}


def compare_by_depth(
    train: Ratings,
    test: Ratings,
    predictions: Mapping[str, Predictions],
    *,
    margin: float = 0.0,
    confidence: float = 0.95,
) -> tuple[DepthDifference, ...]:
    """Compare models pairwise on the test pairs of each depth.

    Intervals of two models may overlap widely where their difference on the same pairs is
    beyond chance, and a difference of a hundredth of a star on a few hundred pairs may be
    chance: so it is tested before anybody is called best or worst on cold titles.
    """
    return tuple(
        DepthDifference.of("depth", pair, n_users, side=side, depth=depth)
        for side, depth_of in depths_of_pairs(train, test).items()
        for depth, depths in POOLED_DEPTHS.items()
        for n_users, found in _within(test, np.isin(depth_of, depths), predictions)
        for pair in answer_pairs(found, margin=margin, confidence=confidence)
    )


def _within(
    test: Ratings, chosen: npt.NDArray[np.bool_], predictions: Mapping[str, Predictions]
) -> Iterator[tuple[int, list[tuple[str, str, Uncertain]]]]:
    """Compare all pairs on some of the ratings; nothing where they are of one user."""
    if len(distinct(test.users[chosen])) < 2:
        return
    intervals = ScoreIntervals(test.take(chosen))
    part = {name: [p[chosen] for p in each] for name, each in predictions.items()}
    yield (
        intervals.n_users,
        intervals.differences(part, list(combinations(part, 2))),
    )
