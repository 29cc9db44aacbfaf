"""The error by how much is known of the user and of the title, and which models differ there."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings
from harness.evaluation.dependence import ScoreIntervals
from harness.evaluation.statistics import holm

__all__ = ["COLD", "DEPTHS", "compare_by_depth", "known_share", "rmse_by_depth"]


DEPTHS = ("0", "1-5", "6-20", ">20")
"""Numbers of training ratings that count as equally deep, from cold to warm."""

_FIRST_OF_NEXT = (1, 6, 21)

Predictions = list[npt.NDArray[Any]]


def rmse_by_depth(
    train: Ratings, test: Ratings, predictions: Predictions
) -> dict[str, list[dict[str, Any]]]:
    """Measure the RMSE of test pairs by the training ratings of their user and title."""
    return {
        side: [
            {"depth": depth, **_rmse_within(depth_of == depth, test, predictions)}
            for depth in DEPTHS
        ]
        for side, depth_of in depths_of_pairs(train, test).items()
    }


def depths_of_pairs(train: Ratings, test: Ratings) -> dict[str, npt.NDArray[np.str_]]:
    """Tell how much is known of the user, and of the title, of each test pair."""
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
    chosen: npt.NDArray[np.bool_], test: Ratings, predictions: Predictions
) -> dict[str, Any]:
    n_pairs = int(chosen.sum())
    if not n_pairs:
        return {"n_pairs": 0, "value": None, "low": None, "high": None}
    part = test.take(chosen)
    estimate = ScoreIntervals(part).score("rmse", [p[chosen] for p in predictions])
    one_user = part.users[0] == part.users[-1]
    return {
        "n_pairs": n_pairs,
        "value": estimate.value,
        "low": None if one_user else estimate.low,
        "high": None if one_user else estimate.high,
    }


COLD = "0-5"
"""Name of the pairs that have at most five training ratings, those without any included."""

_GROUPS: Mapping[str, tuple[str, ...]] = {
    "0": ("0",),
    "1-5": ("1-5",),
    COLD: ("0", "1-5"),
    "6-20": ("6-20",),
}


def compare_by_depth(
    train: Ratings, test: Ratings, predictions: Mapping[str, Predictions]
) -> list[dict[str, Any]]:
    """Compare models pairwise on the test pairs of each depth.

    Intervals of two models may overlap widely where their difference on the same pairs is
    beyond chance, and a difference of a hundredth of a star on a few hundred pairs may be
    chance: so it is tested before anybody is called best or worst on cold titles.
    """
    found = list[dict[str, Any]]()
    for side, depth_of in depths_of_pairs(train, test).items():
        for group, depths in _GROUPS.items():
            chosen = np.isin(depth_of, depths)
            place = {"side": side, "depth": group}
            found += [place | each for each in _compare(test, chosen, predictions)]
    return found


def _compare(
    test: Ratings,
    chosen: npt.NDArray[np.bool_],
    predictions: Mapping[str, Predictions],
) -> Iterator[dict[str, Any]]:
    if len(np.unique(test.users[chosen])) < 2:
        return
    intervals = ScoreIntervals(test.take(chosen))
    part = {name: [p[chosen] for p in each] for name, each in predictions.items()}
    pairs = list(combinations(part, 2))
    compared = [intervals.difference(part[one], part[other]) for one, other in pairs]
    adjusted = holm([p_value for _, p_value in compared])
    for (one, other), (estimate, p_value), p in zip(
        pairs, compared, adjusted, strict=True
    ):
        yield {
            "one": one,
            "other": other,
            **asdict(estimate),
            "p_value": p_value,
            "p_holm": p,
        }
