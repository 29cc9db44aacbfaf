"""Times of ratings, from whatever unit a file has them in, to seconds."""

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.places import Places, shorten
from harness.errors import DataError

__all__ = ["to_seconds"]

UNITS = (
    ("seconds", 1),
    ("milliseconds", 10**3),
    ("microseconds", 10**6),
    ("nanoseconds", 10**9),
)
BOUNDS = np.array([10**11, 10**14, 10**17])
"""Below 1e11 a number means seconds (until the year 5138), below 1e14 milliseconds
(from 1973 on), and so on: the ranges overlap for no time a rating can have."""


def to_seconds(
    column: Any, name: str, places: Places
) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Bring a column of times to seconds since 1970-01-01 UTC.

    Numbers are taken as seconds, milliseconds, microseconds or nanoseconds by their
    size; text must be ISO 8601. A time without zone is taken as UTC.

    Parameters
    ----------
    column : pyarrow.ChunkedArray, length n_rows
        Whole numbers, floats, times, dates or text.
    name : str
        Name of the column, for messages.
    places : Places
        Names the rows.

    Returns
    -------
    seconds : ndarray of int64, shape (n_rows,)
        Rounded down.
    notes : list of str
        How the column was read, unless it was seconds.

    Raises
    ------
    DataError
        If a time is missing or cannot be read, or if the units are mixed.
    """
    import pyarrow as pa

    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise _bad(row, name, places, "this cell is empty")
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _from_numbers(column.to_numpy(), name, places)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        times = column.cast(pa.timestamp("s", tz=getattr(kind, "tz", None)), safe=False)
        note = f"Column {name!r} holds times, taken as UTC where they name no zone."
        return times.cast(pa.int64()).to_numpy(), [note]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _from_text(column.to_pylist(), name, places)
    raise _bad(0, name, places, f"this column holds values of type {kind}")


def _from_numbers(
    values: npt.NDArray[Any], name: str, places: Places
) -> tuple[npt.NDArray[np.int64], list[str]]:
    if values.dtype.kind == "f":
        broken = np.flatnonzero(~np.isfinite(values))
        if len(broken):
            row = int(broken[0])
            raise _bad(row, name, places, f"got {float(values[row])!r}")
    unit = _unit_of_all(values, name, places)
    label, per_second = UNITS[unit]
    seconds = np.floor_divide(values, per_second) if per_second > 1 else values
    note = [f"Column {name!r} was read as {label}."] if unit else []
    return np.floor(seconds).astype(np.int64), note


def _unit_of_all(values: npt.NDArray[Any], name: str, places: Places) -> int:
    size = np.abs(values)
    biggest = int(np.searchsorted(BOUNDS, size.max(), side="right"))
    if biggest == 0:
        return 0
    # Zero is 1970 in every unit, and says nothing about the unit.
    small = np.flatnonzero((size < BOUNDS[biggest - 1]) & (size > 0))
    if len(small):
        row, other = int(small[0]), int(size.argmax())
        raise DataError(
            f"{places.of(row)}, column {name!r}: all times must be in one unit, but "
            f"{values[row]} and {values[other]} cannot both be {UNITS[biggest][0]}; "
            "convert the column to seconds."
        )
    return biggest


def _from_text(
    values: list[str], name: str, places: Places
) -> tuple[npt.NDArray[np.int64], list[str]]:
    import pandas as pd

    text = pd.Series(values, dtype="str")
    numbers = pd.to_numeric(text, errors="coerce")
    if numbers.notna().all():
        return _from_numbers(numbers.to_numpy(), name, places)
    times = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")
    # A bare year ("2020") parses as ISO; beside real times it is a number all the same.
    is_number = numbers.notna().to_numpy()
    odd = (times.isna() & numbers.isna()).to_numpy()
    if not odd.any() and is_number.any():
        odd = is_number if is_number.mean() < 1 / 2 else ~is_number
    if odd.any():
        row = int(odd.argmax())
        raise _bad(row, name, places, f"got {shorten(values[row])}")
    seconds: npt.NDArray[np.int64] = times.dt.as_unit("s").to_numpy(dtype=np.int64)
    return seconds, [
        f"Column {name!r} holds times, taken as UTC where they name no zone."
    ]


def _bad(row: int, name: str, places: Places, what: str) -> DataError:
    return DataError(
        f"{places.of(row)}, column {name!r}: a time must be seconds or milliseconds "
        f"since 1970, or ISO 8601 like 2024-05-01T20:15:00Z, in all rows alike, but "
        f"{what}; mend it, or leave times out with --timestamp-column none."
    )
