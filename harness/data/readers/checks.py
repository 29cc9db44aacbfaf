"""Ratings as a table has them, and what must hold before a model may see them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.options import DuplicateRule
from harness.data.ratings import Ratings, RatingScale
from harness.data.readers.columns import IdColumn, join_ids, take_ids
from harness.data.wording import Places, counted, shorten
from harness.errors import DataError
from harness.formatting import percent

__all__ = ["RatingTable", "build_ratings", "stack"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RatingTable:
    """Ratings in the order of their file, checked one by one but not together.

    All arrays have a row for each rating; times are seconds since 1970-01-01 UTC, and
    `in_test` is true for the test part of a split that the source defines.
    """

    users: IdColumn
    items: IdColumn
    stars: npt.NDArray[np.float64]
    timestamps: npt.NDArray[np.int64] | None = None
    in_test: npt.NDArray[np.bool_] | None = None
    watch_minutes: npt.NDArray[np.float32] | None = None
    item_column: str
    rating_column: str
    source: str
    places: Places
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.stars)


def build_ratings(
    table: RatingTable,
    *,
    scale: tuple[float, float] | None,
    duplicates: DuplicateRule | None = None,
    unrated_items: Sequence[str] = (),
) -> tuple[Ratings, RatingTable]:
    """Turn a table into ratings, if it can be learnt from."""
    table, bounds = _scaled(table, scale)
    table = _without_duplicates(table, duplicates or "error")
    _refuse_nothing_to_learn(table)
    ratings = Ratings.from_codes(
        (table.users.codes, table.users.ids),
        (table.items.codes, table.items.ids),
        table.stars,
        scale=bounds,
        timestamps=table.timestamps,
        unrated_items=unrated_items,
    )
    return ratings, table


def _scaled(
    table: RatingTable, scale: tuple[float, float] | None
) -> tuple[RatingTable, RatingScale]:
    if scale is None:
        low, high = float(table.stars.min()), float(table.stars.max())
        if low == high:
            raise DataError(
                f"{table.source}: ratings must differ for a model to learn from them, "
                f"but all {len(table):,} are {low:g}."
            )
        notes = [f"The rating scale was taken from the values: {low:g} to {high:g}."]
        notes += _about_codes(table.stars)
        return replace(table, notes=(*table.notes, *notes)), RatingScale(low, high)
    table, scale = _with_ends(table, scale)
    allowed = RatingScale(*scale)
    outside = np.flatnonzero((table.stars < allowed.low) | (table.stars > allowed.high))
    if len(outside):
        row = int(outside[0])
        raise DataError(
            f"{table.places.of(row)}, column {table.rating_column!r}: a rating must be "
            f"from {allowed.low:g} to {allowed.high:g}, but got {table.stars[row]:g} "
            f"({counted(len(outside), 'such row')}); correct it or give another --scale."
        )
    return table, allowed


def _with_ends(
    table: RatingTable, scale: tuple[float, float]
) -> tuple[RatingTable, tuple[float, float]]:
    """Close a scale that is open, such as 0:inf for counts, by the ratings that are there.

    A model of stars needs a unit and ends to keep its predictions between.
    """
    low, high = scale
    found = float(table.stars.min()), float(table.stars.max())
    closed = (low if low > -np.inf else found[0], high if high < np.inf else found[1])
    if closed == scale:
        return table, scale
    note = (
        f"The scale has an open end: {closed[0]:g} to {closed[1]:g} are taken, and "
        "predictions stay between."
    )
    return replace(table, notes=(*table.notes, note)), closed


LEAST_SHARE = 0.05
"""A code for "not rated" is frequent; a rare outlier is something else."""

FAR = 1.5
"""An end value stands apart if its gap is so many usual steps between the others."""

MANY = 3
"""A zero may be a code without a gap: where it is so many times as frequent as the next."""


def _about_codes(stars: npt.NDArray[np.float64]) -> list[str]:
    """Hint at an end of the scale that is probably a code for "not rated"."""
    values, counts = _different(stars)
    if len(values) < 5:
        return []
    steps, shares = np.diff(values), counts / len(stars)
    notes = []
    for end, others, gap in ((0, steps[1:], steps[0]), (-1, steps[:-1], steps[-1])):
        usual = np.median(others)
        is_even = others.max() <= max(2 * FAR * usual, 1)  # counts have a long tail
        is_far = is_even and gap >= 1 and gap > FAR * usual
        is_below_zero = end == 0 and values[0] < 0 <= values[1]
        apart = (is_far or is_below_zero) and shares[end] >= LEAST_SHARE
        is_zero = end == 0 and values[0] == 0 and counts[0] >= MANY * counts[1]
        if apart or (is_zero and shares[0] >= 4 * LEAST_SHARE):
            notes.append(
                f"{percent(shares[end])} of the ratings are {values[end]:g}, apart from the "
                f"others: is it a code for 'not rated'? --missing {values[end]:g} leaves "
                "them out."
            )
    return notes


def _different(
    stars: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Count each value, in ascending order, without sorting all ratings."""
    import pandas as pd

    codes, values = pd.factorize(stars)
    order = np.argsort(values)
    return np.asarray(values)[order], np.bincount(codes)[order]


def _refuse_nothing_to_learn(table: RatingTable) -> None:
    for what, codes in (("user", table.users.codes), ("item", table.items.codes)):
        if (codes == codes[0]).all():
            ids = table.users.ids if what == "user" else table.items.ids
            raise DataError(
                f"{table.source}: at least two {what}s are needed, but all "
                f"{len(table):,} ratings are of {what} {str(ids[codes[0]])!r}."
            )
    if (table.stars == table.stars[0]).all():
        raise DataError(
            f"{table.source}: ratings must differ for a model to learn from them, but "
            f"all {len(table):,} are {table.stars[0]:g}."
        )


def _without_duplicates(table: RatingTable, rule: DuplicateRule) -> RatingTable:
    pairs = _pair_numbers(table)
    pairs.sort()  # in place: 20 million ratings are 160 MB
    if not (pairs[1:] == pairs[:-1]).any():
        return table
    _, group, count = np.unique(
        _pair_numbers(table), return_inverse=True, return_counts=True
    )
    if rule == "error":
        raise _duplicate(table, group, count > 1)
    if table.in_test is not None:
        tested = np.bincount(group, weights=table.in_test)
        crossing = (tested > 0) & (tested < count)
        if crossing.any():
            raise _duplicate(table, group, crossing)
    return _merged(table, group, count, rule)


def _pair_numbers(table: RatingTable) -> npt.NDArray[np.int64]:
    pairs = table.users.codes.astype(np.int64)
    pairs *= len(table.items.ids)
    pairs += table.items.codes
    return pairs


def _merged(
    table: RatingTable,
    group: npt.NDArray[np.intp],
    count: npt.NDArray[np.intp],
    rule: DuplicateRule,
) -> RatingTable:
    times = table.timestamps
    by_time = np.lexsort((group,) if times is None else (times, group))
    kept = np.sort(by_time[np.cumsum(count) - 1])  # the latest of each group
    stars = table.stars
    if rule == "mean":
        stars = (np.bincount(group, weights=stars) / count)[group]
    n_dropped = len(table) - len(kept)
    latest = "latest" if times is not None else "last in the file (there are no times)"
    verb = "became their mean" if rule == "mean" else f"kept only the {latest}"
    note = (
        f"{counted(int((count > 1).sum()), 'pair')} of user and item rated more than "
        f"once {verb}: {counted(n_dropped, 'rating')} fewer."
    )
    return replace(
        table,
        users=take_ids(table.users, kept),
        items=take_ids(table.items, kept),
        stars=stars[kept],
        timestamps=_take(table.timestamps, kept),
        in_test=_take(table.in_test, kept),
        watch_minutes=_take(table.watch_minutes, kept),
        notes=(*table.notes, note),
    )


def _take(array: npt.NDArray[Any] | None, kept: npt.NDArray[np.intp]) -> Any:
    return None if array is None else array[kept]


def _duplicate(
    table: RatingTable, group: npt.NDArray[np.intp], wrong: npt.NDArray[np.bool_]
) -> DataError:
    """Word the error about the first of the wrong groups of equal pairs."""
    rows = np.flatnonzero(group == group[np.argmax(wrong[group])])
    first, second = int(rows[0]), int(rows[1])
    remedy = (
        "keep the latest with --duplicates last, or the mean with --duplicates mean"
    )
    if table.in_test is not None and len(set(table.in_test[rows])) > 1:
        second = int(rows[np.argmax(table.in_test[rows] != table.in_test[first])])
        remedy = "remove it from the training or from the test part"
    user = str(table.users.ids[table.users.codes[first]])
    item = str(table.items.ids[table.items.codes[first]])
    return DataError(
        f"{table.places.of(second)}: each pair may be rated once, but user "
        f"{shorten(user)} and item {shorten(item)} are there already "
        f"({table.places.of(first)}; {counted(int(wrong.sum()), 'such pair')}); {remedy}."
    )


@dataclass(frozen=True, slots=True)
class _StackedPlaces:
    first: Places
    n_first: int
    second: Places

    def of(self, row: int) -> str:
        if row < self.n_first:
            return self.first.of(row)
        return self.second.of(row - self.n_first)


def stack(train: RatingTable, test: RatingTable) -> RatingTable:
    """Put the two parts of a split into one table."""
    times, notes = None, (*train.notes, *test.notes)
    if train.timestamps is not None and test.timestamps is not None:
        times = np.concatenate([train.timestamps, test.timestamps])
    elif train.timestamps is not None or test.timestamps is not None:
        notes += ("Times are left out: only one part of the split has them.",)
    return replace(
        train,
        users=join_ids(train.users, test.users),
        items=join_ids(train.items, test.items),
        stars=np.concatenate([train.stars, test.stars]),
        timestamps=times,
        in_test=np.arange(len(train) + len(test)) >= len(train),
        watch_minutes=None,
        source=f"{train.source} and {test.source}",
        places=_StackedPlaces(train.places, len(train), test.places),
        notes=notes,
    )
