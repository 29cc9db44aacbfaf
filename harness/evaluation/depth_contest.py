"""Which models differ where little is known: pairs of models, by cold-start depth."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings
from harness.evaluation.depth import Predictions, depths_of_pairs
from harness.evaluation.holm import holm
from harness.evaluation.intervals import UserBootstrap

__all__ = ["COLD", "compare_by_depth"]

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

    Parameters
    ----------
    train, test : Ratings
        The two parts, with the same codes.
    predictions : mapping of str to list of ndarray of float, shape (n_test,)
        Name of a model to its predictions, one for each seed.

    Returns
    -------
    list of dict
        JSON-like: ``side`` ("users" or "items"), ``depth`` ("0", "1-5", "0-5", "6-20"),
        ``one``, ``other``, ``value``, ``low``, ``high`` (RMSE of one minus RMSE of the
        other, in stars), ``p_value``, and ``p_holm``, corrected within side and depth.
        Depths with pairs of fewer than two users are left out.
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
    bootstrap = UserBootstrap(test.take(chosen))
    part = {name: [p[chosen] for p in each] for name, each in predictions.items()}
    pairs = list(combinations(part, 2))
    compared = [bootstrap.difference(part[one], part[other]) for one, other in pairs]
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
