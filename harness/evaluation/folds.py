"""Folds of the training part: they ask of a model what the test set will ask."""

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings
from harness.errors import DataError

__all__ = ["TIMED", "assign_folds", "cut_fold"]

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

    Parameters
    ----------
    train : Ratings
        The training part.
    n_folds : int, default 5
        Number of folds; at least 2.
    seed : int, default 0
        Seed of the shuffling.
    method : str, default "random"
        Name of the split.

    Returns
    -------
    ndarray of int16, shape (n_ratings,)
        For each rating the fold in which it is held out; -1 if in none.

    Raises
    ------
    DataError
        If there are fewer than two folds, more than 1000, or too little for so many.
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
    """Tell what is learnt from and what is held out in one fold.

    Parameters
    ----------
    fold_of : ndarray of int16, shape (n_ratings,)
        As `assign_folds` returns it.
    fold : int
        Number of the fold.

    Returns
    -------
    learnt, held_out : ndarray of bool, shape (n_ratings,)
        Where folds follow each other in time, later ones are in neither.
    """
    held_out = fold_of == fold
    in_time = bool((fold_of == PAST).any())
    return fold_of < fold if in_time else ~held_out, held_out
