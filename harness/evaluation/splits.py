"""Splits: the sealed test set, and the folds of the training part."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from harness.data.dataset import Dataset
from harness.data.ratings import Ratings, distinct, sort_stably
from harness.errors import DataError, UnknownNameError

__all__ = [
    "CAVEATS",
    "DRAWN",
    "SPLIT_METHODS",
    "TIMED",
    "SealedTest",
    "Split",
    "SplitFacts",
    "assign_folds",
    "cut_fold",
    "split_off_test",
]


class SealedTest:
    """Test ratings that nobody sees who selects: a type that `search` does not take.

    Openings are counted where they are kept, by `harness.search.openings`.
    """

    def __init__(self, ratings: Ratings) -> None:
        self._ratings = ratings

    def __len__(self) -> int:
        return len(self._ratings)

    @property
    def pairs(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Codes of users and titles: who has rated what, but not how."""
        return self._ratings.users, self._ratings.items

    def open(self) -> Ratings:
        """Break the seal: for judging, after the search, and only there."""
        return self._ratings


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
DRAWN = ("random", "cold-items", "cold-users")
"""Methods by which another seed gives another test set."""


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """How a data set was split into a training and a test part."""

    method: SplitMethod
    seed: int
    test_share: float
    # Of the choice of the test ratings.
    fingerprint: str
    n_train: int
    n_test: int


@dataclass(frozen=True, eq=False)
class Split:
    """The training part, the sealed test part (None for method ``none``), and the facts."""

    train: Ratings
    test: SealedTest | None
    facts: SplitFacts


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
    facts = SplitFacts(
        method=cast("SplitMethod", method),
        seed=seed,
        test_share=test_share,
        fingerprint=hashlib.sha256(in_test.tobytes()).hexdigest()[:16],
        n_train=len(ratings) - n_test,
        n_test=n_test,
    )
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
    return _choose_latest_of(ratings, test_share, within_users=method != "temporal")


def _random_positions(
    ratings: Ratings, test_share: float, seed: int
) -> npt.NDArray[np.bool_]:
    """Choose what scikit-learn's ``train_test_split(random_state=seed)`` would."""
    n_test = math.ceil(test_share * len(ratings))
    chosen = np.zeros(len(ratings), dtype=bool)
    chosen[_shuffled_rows(ratings, seed)[:n_test]] = True
    return chosen


def _shuffled_rows(ratings: Ratings, seed: int) -> npt.NDArray[np.int32]:
    """Shuffle ratings that are in the order of the source, as scikit-learn does.

    Its `model_selection` does so in one line, and brings 900 modules, scipy.stats among
    them, into every process that splits.
    """
    _, positions = sort_stably(ratings.rows)
    np.random.RandomState(seed).shuffle(positions)  # the generator of scikit-learn
    return positions


def _random_group(
    codes: npt.NDArray[np.int32], test_share: float, seed: int
) -> npt.NDArray[np.bool_]:
    groups = distinct(codes)
    rng = np.random.default_rng(seed)
    n_chosen = max(1, round(test_share * len(groups)))
    return np.isin(codes, rng.choice(groups, size=n_chosen, replace=False))


@dataclass(frozen=True, eq=False)
class _InTime:
    """Ratings sorted by time within groups: the users, or all ratings as one group.

    Ratings of one time stay together, so that the order of the rows changes nothing:
    what was rated in one evening, or has only a date, is no past of one another.
    """

    order: npt.NDArray[np.intp]
    rank: npt.NDArray[np.intp]
    first_tied: npt.NDArray[np.intp]
    last_tied: npt.NDArray[np.intp]
    counts: npt.NDArray[np.intp]

    @classmethod
    def of(cls, ratings: Ratings, *, within_users: bool) -> "_InTime":
        times = ratings.timestamps
        assert times is not None, "the split itself needs them"
        groups = ratings.users if within_users else np.zeros_like(ratings.users)
        order = np.lexsort((times, groups))
        counts = np.bincount(groups)
        start = np.cumsum(counts) - counts
        rank = np.arange(len(order)) - np.repeat(start, counts)
        is_first = (rank == 0) | np.r_[True, np.diff(times[order]) != 0]
        tie = np.cumsum(is_first) - 1
        sizes = np.bincount(tie)
        first = rank[is_first][tie]
        return cls(
            order, rank, first, first + sizes[tie] - 1, np.repeat(counts, counts)
        )

    def latest(
        self, n_wanted: npt.NDArray[np.intp], *, may_be_none: bool
    ) -> npt.NDArray[np.bool_]:
        """Choose the latest of each group, as near as may be to the wanted numbers.

        `n_wanted` has a number for each sorted rating: that of its group.
        """
        n_taken = self.counts - self.first_tied  # if the cut were before this rating
        miss = np.abs(n_taken - n_wanted)
        none = 2 * n_wanted if may_be_none else np.full(len(miss), 2 * len(miss) + 2)
        # In doubt the smaller test part.
        key = np.where(self.first_tied > 0, 2 * miss + (n_taken > n_wanted), none)
        starts = np.flatnonzero(self.rank == 0)
        best = np.minimum.reduceat(key, starts)
        group = np.cumsum(self.rank == 0) - 1
        cut = np.where(
            (key == best[group]) & (self.first_tied > 0), self.rank, len(key)
        )
        chosen = np.zeros(len(key), dtype=bool)
        chosen[self.order] = self.rank >= np.minimum.reduceat(cut, starts)[group]
        return chosen


def _choose_latest_of(
    ratings: Ratings, test_share: float, *, within_users: bool
) -> npt.NDArray[np.bool_]:
    in_time = _InTime.of(ratings, within_users=within_users)
    # Rounded down: whoever has few ratings keeps them all for training.
    rounding = np.floor if within_users else np.round
    wanted = rounding(test_share * in_time.counts).astype(int)
    return in_time.latest(wanted, may_be_none=within_users or not wanted.any())


TIMED = frozenset({"temporal", "user-temporal"})
"""Methods whose folds are in the order of time: nothing in them is random."""

# Each trial trains so many models; the numbers of the folds are int16.
MAX_FOLDS = 1000
PAST = -1

CAVEATS: Mapping[str, str] = {
    "user-temporal": (
        "Each user's latest ratings are the test set, whenever they were given: models "
        "have seen later ratings by other users, which a service in operation has not."
    )
}
"""By method: what a reader of the results has to know about the split."""


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
    n_units = len(train) if groups is None else len(distinct(groups))
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
    fold_of = np.empty(len(train), dtype=np.int16)
    # The first folds have one rating more where they cannot all be of one size.
    parts = np.array_split(_shuffled_rows(train, seed), n_folds)
    for fold, held_out in enumerate(parts):
        fold_of[held_out] = fold
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
    in_time = _InTime.of(train, within_users=within_users)
    middle = in_time.first_tied + in_time.last_tied  # twice, to stay whole
    block = middle * (n_folds + 1) // (2 * in_time.counts)
    fold_of = np.empty(len(train), dtype=np.int16)
    # The earliest are the past of all folds, however many they are.
    fold_of[in_time.order] = np.where(in_time.first_tied == 0, PAST, block + PAST)
    _refuse_empty_folds(fold_of, n_folds, within_users=within_users)
    return fold_of


def _refuse_empty_folds(
    fold_of: npt.NDArray[np.int16], n_folds: int, *, within_users: bool
) -> None:
    sizes = np.bincount(fold_of - PAST, minlength=n_folds + 1)
    n_empty = int((sizes[1:] == 0).sum())
    if not n_empty:
        return
    method, of_whom = (
        ("user-temporal", " of a user") if within_users else ("temporal", "")
    )
    raise DataError(
        f"{n_empty} of the {n_folds} folds of the split {method!r} would have no ratings: "
        f"the {len(fold_of):,} training ratings{of_whom} must lie at more than {n_folds} "
        "different times; ask for fewer folds, a smaller test share, or another split, "
        "such as 'random'."
    )


def cut_fold(
    fold_of: npt.NDArray[np.int16], fold: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Tell what is learnt from and what is held out in one fold."""
    held_out = fold_of == fold
    in_time = bool((fold_of == PAST).any())
    return fold_of < fold if in_time else ~held_out, held_out
