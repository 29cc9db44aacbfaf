"""Splits: the test set that is sealed, and the folds that a search sees."""

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from harness.data.dataset import Dataset
from harness.data.ratings import Ratings
from harness.errors import DataError, UnknownNameError
from harness.evaluation.seal import SealedTest

__all__ = ["SPLIT_METHODS", "Split", "SplitMethod", "split_off_test"]

SplitMethod = Literal[
    "random",
    "temporal",
    "user-temporal",
    "cold-items",
    "cold-users",
    "predefined",
    "none",
]
SPLIT_METHODS: tuple[str, ...] = get_args(SplitMethod)
# Each trial trains so many models; the numbers of the folds are int16.


@dataclass(frozen=True, eq=False)
class Split:
    """The training part, the sealed test part, and how they came about.

    Parameters
    ----------
    train : Ratings
        What searches and models may see.
    test : SealedTest or None
        None where there is no test set (method ``none``).
    facts : dict
        JSON-like: ``method``, ``seed``, ``test_share``, ``fingerprint``, ``n_train``,
        ``n_test``.
    """

    train: Ratings
    test: SealedTest | None
    facts: dict[str, Any]


def split_off_test(
    dataset: Dataset,
    *,
    method: str = "random",
    test_share: float = 0.2,
    seed: int = 0,
) -> Split:
    """Split the test part off, and seal it.

    Parameters
    ----------
    dataset : Dataset
        All ratings.
    method : str, default "random"
        ``random``: ratings at random; ``temporal``: the latest ratings;
        ``user-temporal``: the latest ratings of each user; ``cold-items`` and
        ``cold-users``: all ratings of some items or users; ``predefined``: as the
        source says; ``none``: no test part.
    test_share : float, default 0.2
        Share of the ratings, items or users that is split off.
    seed : int, default 0
        Seed of the random methods.

    Returns
    -------
    Split
        Training part and sealed test part.

    Raises
    ------
    UnknownNameError
        If there is no such method.
    DataError
        If the ratings do not allow the method, or one part would be empty.
    """
    if method not in SPLIT_METHODS:
        raise UnknownNameError("split", method, SPLIT_METHODS)
    if not 0 < test_share < 1:
        raise DataError(
            f"The test share must lie between 0 and 1, but is {test_share:g}."
        )
    ratings = dataset.ratings
    in_test = _choose_test(dataset, method, test_share, seed)
    n_test = int(in_test.sum())
    if method != "none" and not 0 < n_test < len(ratings):
        raise DataError(
            f"The split {method!r} of {dataset.name} leaves {len(ratings) - n_test} "
            f"training and {n_test} test ratings: both parts need at least one."
        )
    facts = {
        "method": method,
        "seed": seed,
        "test_share": test_share,
        "fingerprint": hashlib.sha256(in_test.tobytes()).hexdigest()[:16],
        "n_train": len(ratings) - n_test,
        "n_test": n_test,
    }
    test = None if method == "none" else SealedTest(ratings.take(in_test))
    return Split(ratings.take(~in_test), test, facts)


def _choose_test(
    dataset: Dataset, method: str, test_share: float, seed: int
) -> npt.NDArray[np.bool_]:
    ratings = dataset.ratings
    if method == "none":
        return np.zeros(len(ratings), dtype=bool)
    if method == "predefined":
        if dataset.predefined_test is None:
            raise DataError(
                f"{dataset.name} defines no test part of its own: "
                "choose another split, such as 'random'."
            )
        return dataset.predefined_test
    if method == "random":
        return _random_positions(ratings, test_share, seed)
    if method in {"cold-items", "cold-users"}:
        codes = ratings.items if method == "cold-items" else ratings.users
        return _random_group(codes, test_share, seed)
    return _choose_latest(dataset, method, test_share)


def _choose_latest(
    dataset: Dataset, method: str, test_share: float
) -> npt.NDArray[np.bool_]:
    ratings = dataset.ratings
    if ratings.timestamps is None:
        raise DataError(
            f"The split {method!r} needs timestamps, and {dataset.name} has none: "
            "name their column, or choose another split, such as 'random'."
        )
    if method == "temporal":
        return _latest(ratings, ratings.timestamps, test_share)
    return _latest_of_each_user(ratings, ratings.timestamps, test_share)


def _random_positions(
    ratings: Ratings, test_share: float, seed: int
) -> npt.NDArray[np.bool_]:
    from sklearn.model_selection import train_test_split

    chosen = np.zeros(len(ratings), dtype=bool)
    # As scikit-learn rounds it, which refuses to take everything.
    if math.ceil(test_share * len(ratings)) >= len(ratings):
        return ~chosen
    _, test_rows = train_test_split(
        np.arange(len(ratings)), test_size=test_share, random_state=seed
    )
    chosen[_in_source_order(ratings)[test_rows]] = True
    return chosen


def _in_source_order(ratings: Ratings) -> npt.NDArray[np.intp]:
    return np.argsort(ratings.rows, kind="stable")


def _random_group(
    codes: npt.NDArray[np.int32], test_share: float, seed: int
) -> npt.NDArray[np.bool_]:
    groups = np.unique(codes)
    rng = np.random.default_rng(seed)
    n_chosen = max(1, round(test_share * len(groups)))
    return np.isin(codes, rng.choice(groups, size=n_chosen, replace=False))


def _latest(
    ratings: Ratings, timestamps: npt.NDArray[np.int64], test_share: float
) -> npt.NDArray[np.bool_]:
    by_time = np.lexsort((ratings.rows, timestamps))
    chosen = np.zeros(len(ratings), dtype=bool)
    chosen[by_time[len(ratings) - round(test_share * len(ratings)) :]] = True
    return chosen


def _latest_of_each_user(
    ratings: Ratings, timestamps: npt.NDArray[np.int64], test_share: float
) -> npt.NDArray[np.bool_]:
    order = np.lexsort((ratings.rows, timestamps, ratings.users))
    counts = np.bincount(ratings.users, minlength=ratings.n_users)
    first = np.cumsum(counts) - counts
    rank = np.arange(len(ratings)) - np.repeat(first, counts)
    # Rounded down: whoever has few ratings keeps them all for training.
    n_train = counts - np.floor(test_share * counts).astype(int)
    chosen = np.zeros(len(ratings), dtype=bool)
    chosen[order] = rank >= np.repeat(n_train, counts)
    return chosen
