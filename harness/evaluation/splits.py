"""Splits: the sealed test set, and the folds of the training part."""

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from harness.data.dataset import Dataset
from harness.data.ratings import Ratings
from harness.errors import DataError, UnknownNameError
from harness.evaluation.cold_start import known_share

__all__ = [
    "SPLIT_METHODS",
    "TIMED",
    "SealedTest",
    "Split",
    "assign_folds",
    "cut_fold",
    "split_off_test",
]


class SealedTest:
    """Test ratings that count how often they have been looked at.

    Parameters
    ----------
    ratings : Ratings
        The test part.
    looks : int, default 0
        How often it was opened before, in earlier sessions of the same study.
    """

    def __init__(self, ratings: Ratings, looks: int = 0) -> None:
        self._ratings = ratings
        self.looks = looks

    def __len__(self) -> int:
        return len(self._ratings)

    def open(self) -> Ratings:
        """Break the seal: for the final evaluation, after the search, and only there."""
        self.looks += 1
        return self._ratings

    def coverage(self, train: Ratings) -> float:
        """Measure how many test pairs are of a known user and a known title.

        This is no look: it tells whom the test set asks, not what they have answered.
        """
        return known_share(train, self._ratings)


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
    """Split the test part off, and seal it."""
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


TIMED = frozenset({"temporal", "user-temporal"})
"""Methods whose folds are in the order of time: nothing in them is random."""

MAX_FOLDS = 1000
PAST = -1


def assign_folds(
    train: Ratings, *, n_folds: int = 5, seed: int = 0, method: str = "random"
) -> npt.NDArray[np.int16]:
    """Deal the ratings into folds, in the way in which the test set was split off.

    Otherwise a search would be asked an easier question than the test: on ml-100k,
    settings tuned on random folds predict later ratings worse than the defaults.

    - ``cold-items``, ``cold-users``: all ratings of an item, or user, are in one fold.
    - ``temporal``, ``user-temporal``: folds follow each other in time, over all ratings
      or within each user; each is predicted from what is earlier. The first of
      ``n_folds + 1`` equal blocks belongs to the past of all folds.
    - all others: at random. The folds are those that ``KFold(n_folds, shuffle=True,
      random_state=seed)`` of scikit-learn, or ``KFold(n_folds, random_state=seed)`` of
      scikit-surprise, draws over the ratings in the order of the source.
    """
    groups = {"cold-items": train.items, "cold-users": train.users}.get(method)
    n_units = len(train) if groups is None else len(np.unique(groups))
    if not 2 <= n_folds <= min(n_units, MAX_FOLDS):
        what = "ratings" if groups is None else method.removeprefix("cold-")
        raise DataError(
            f"The number of folds must lie between 2 and {MAX_FOLDS}, and not exceed that "
            f"of the training {what} ({n_units}), but is {n_folds}."
        )
    if method in TIMED:
        return _blocks_of_time(train, n_folds, within_users=method == "user-temporal")
    if groups is not None:
        return _deal_groups(groups, n_folds, seed)
    return _deal_ratings(train, n_folds, seed)


def _deal_ratings(train: Ratings, n_folds: int, seed: int) -> npt.NDArray[np.int16]:
    from sklearn.model_selection import KFold

    in_source_order = np.argsort(train.rows, kind="stable")
    fold_of = np.empty(len(train), dtype=np.int16)
    splitter = KFold(n_folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(in_source_order)):
        fold_of[in_source_order[held_out]] = fold
    return fold_of


def _deal_groups(
    codes: npt.NDArray[np.int32], n_folds: int, seed: int
) -> npt.NDArray[np.int16]:
    groups, position = np.unique(codes, return_inverse=True)
    hand = np.arange(len(groups)) % n_folds
    np.random.default_rng(seed).shuffle(hand)
    return hand[position].astype(np.int16)


def _blocks_of_time(
    train: Ratings, n_folds: int, *, within_users: bool
) -> npt.NDArray[np.int16]:
    assert train.timestamps is not None, "the split itself needs them"
    groups = train.users if within_users else np.zeros(len(train), dtype=np.int32)
    order = np.lexsort((train.rows, train.timestamps, groups))
    counts = np.bincount(groups)
    first = np.cumsum(counts) - counts
    rank = np.arange(len(train)) - np.repeat(first, counts)
    block = rank * (n_folds + 1) // np.repeat(counts, counts)
    fold_of = np.empty(len(train), dtype=np.int16)
    fold_of[order] = block + PAST
    return fold_of


def cut_fold(
    fold_of: npt.NDArray[np.int16], fold: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Tell what is learnt from and what is held out in one fold."""
    held_out = fold_of == fold
    in_time = bool((fold_of == PAST).any())
    return fold_of < fold if in_time else ~held_out, held_out
