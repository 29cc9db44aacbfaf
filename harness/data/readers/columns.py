"""Columns of ids, numbers and times, each cell checked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.wording import Places, counted, shorten
from harness.errors import DataError

__all__ = ["IdColumn", "encode_ids", "join_ids", "to_numbers", "to_seconds"]


LONGEST_ID = 256
"""Characters an id may have; more is a description, or a broken file."""

WHOLE_FLOAT = re.compile(r"-?\d+\.0+")
WHOLE = re.compile(r"-?\d+")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, eq=False)
class IdColumn:
    """A column of ids.

    Parameters
    ----------
    codes : ndarray of int32, shape (n_rows,)
        Positions in `ids`.
    ids : ndarray of str (object), shape (n_ids,)
        The ids, all different.
    """

    codes: npt.NDArray[np.int32]
    ids: npt.NDArray[np.object_]


def encode_ids(column: Any, name: str, places: Places) -> tuple[IdColumn, list[str]]:
    """Encode a column of ids as numbers, and check them.

    Spaces around an id are removed; ids that a program has turned into floats
    (``7.0``) become whole numbers again. Whole numbers are equal to their text.
    """
    codes, values = _numbered(column, name, places)
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        raise _missing(name, places, missing)
    column_of_ids, notes = _cleaned(codes, values, name, places)
    _check(column_of_ids, name, places)
    return column_of_ids, notes


def _numbered(
    column: Any, name: str, places: Places
) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Return codes (-1 where missing) and the text of each different value."""
    import pyarrow as pa

    types, kind = pa.types, column.type
    if types.is_dictionary(kind):
        kind = kind.value_type
    else:
        column = column.dictionary_encode()
    array = column.unify_dictionaries().combine_chunks()
    values = array.dictionary.to_pylist()
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    if types.is_floating(kind):
        whole = [v.is_integer() for v in values]
        if not all(whole):
            row = int(np.argmax(codes == whole.index(False)))
            raise DataError(
                f"{places.of(row)}, column {name!r}: ids must be text or whole "
                f"numbers, but got {values[whole.index(False)]!r}."
            )
        values = [f"{v:.0f}.0" for v in values]
    elif not (
        types.is_integer(kind)
        or types.is_string(kind)
        or types.is_null(kind)
        or types.is_large_string(kind)
    ):
        raise DataError(
            f"{places.of(0)}, column {name!r}: ids must be text or whole numbers, but "
            f"this column holds values of type {kind}."
        )
    return codes.astype(np.int32, copy=False), [str(v) for v in values]


def _cleaned(
    codes: npt.NDArray[np.int32], values: list[str], name: str, places: Places
) -> tuple[IdColumn, list[str]]:
    notes = []
    clean = [v.strip() for v in values]
    if clean != values:
        count = sum(a != b for a, b in zip(clean, values, strict=True))
        notes.append(
            f"Spaces around {counted(count, 'different id')} of column {name!r} removed."
        )
    floats = [k for k, v in enumerate(clean) if WHOLE_FLOAT.fullmatch(v)]
    if floats:
        whole = [k for k, v in enumerate(clean) if WHOLE.fullmatch(v)]
        if whole:
            raise _mixed(clean, floats[0], whole, (codes, name, places))
        for k in floats:
            clean[k] = clean[k].partition(".")[0]
        notes.append(
            f"{counted(len(floats), 'different id')} of column {name!r} written as "
            "float (7.0) read as whole numbers."
        )
    if not notes:
        return IdColumn(codes, _objects(values)), notes
    position = {v: k for k, v in enumerate(dict.fromkeys(clean))}
    renumber = np.array([position[v] for v in clean], dtype=np.int32)
    return IdColumn(renumber[codes], _objects(list(position))), notes


def _objects(values: Sequence[str]) -> npt.NDArray[np.object_]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _check(column: IdColumn, name: str, places: Places) -> None:
    for code, value in enumerate(column.ids):
        if not value:
            raise _missing(name, places, np.flatnonzero(column.codes == code))
        if len(value) > LONGEST_ID:
            rule = f"ids must have at most {LONGEST_ID} characters"
        elif CONTROL.search(value):
            rule = "ids must not have line breaks or other control characters"
        else:
            continue
        row = int(np.argmax(column.codes == code))
        raise DataError(
            f"{places.of(row)}, column {name!r}: {rule}, but got {shorten(value)}."
        )


def _missing(name: str, places: Places, rows: npt.NDArray[np.intp]) -> DataError:
    more = f" ({counted(len(rows), 'such row')})" if len(rows) > 1 else ""
    return DataError(
        f"{places.of(int(rows[0]))}, column {name!r}: every row needs an id, but this "
        f"cell is empty{more}; fill it in or remove the row."
    )


def _mixed(
    clean: list[str],
    float_id: int,
    whole: list[int],
    where: tuple[npt.NDArray[np.int32], str, Places],
) -> DataError:
    codes, name, places = where
    same = [k for k in whole if clean[k] == clean[float_id].partition(".")[0]]
    other = (same or whole)[0]
    row = int(np.argmax(codes == float_id))
    return DataError(
        f"{places.of(row)}, column {name!r}: ids must be written in one way, but both "
        f"{shorten(clean[float_id])} and {shorten(clean[other])} are there; write all "
        "as whole numbers, or all as text."
    )


def join_ids(first: IdColumn, second: IdColumn) -> IdColumn:
    """Put one column of ids below another."""
    known = {v: k for k, v in enumerate(first.ids)}
    renumber = np.array(
        [known.setdefault(v, len(known)) for v in second.ids], dtype=np.int32
    )
    codes = np.concatenate([first.codes, renumber[second.codes]])
    return IdColumn(codes.astype(np.int32, copy=False), _objects(list(known)))


_DECIMAL_COMMA = re.compile(r"[+-]?\d{1,3},\d+", re.ASCII)


def to_numbers(column: Any, name: str, places: Places) -> npt.NDArray[np.float64]:
    """Read a column of numbers."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _parsed_numbers(column.to_pylist(), name, places)
    if not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    ):
        raise _no_number(0, name, places, f"this column holds values of type {kind}")
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise _no_number(row, name, places, "this cell is empty")
    values: npt.NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    broken = np.flatnonzero(~_fits(values))
    if len(broken):
        row = int(broken[0])
        raise _no_number(row, name, places, f"got {values[row]}")
    return values


def _fits(values: Any) -> Any:
    """Say which values are finite, also as float32."""
    return np.abs(values) <= np.finfo(np.float32).max


def _parsed_numbers(
    cells: Sequence[str | None], name: str, places: Places
) -> npt.NDArray[np.float64]:
    values = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            values[row] = float(cell or "")
        except ValueError:
            if cell and _DECIMAL_COMMA.fullmatch(cell):
                raise _decimal_comma(row, name, places, cell) from None
            what = f"got {shorten(cell)}" if cell else "this cell is empty"
            raise _no_number(row, name, places, what) from None
        if not _fits(values[row]):
            raise _no_number(row, name, places, f"got {cell!r}")
    return values


def _decimal_comma(row: int, name: str, places: Places, cell: str) -> DataError:
    # Not read as a number: 1,234 is more than a thousand in half of the world.
    return DataError(
        f"{places.of(row)}, column {name!r}: must be a finite number with a decimal "
        f"point, but got {cell!r} with a comma; write {cell.replace(',', '.')!r}, and "
        "likewise in the whole column (spreadsheets: export with English number format)."
    )


def _no_number(row: int, name: str, places: Places, what: str) -> DataError:
    return DataError(
        f"{places.of(row)}, column {name!r}: must be a finite number with a decimal "
        f"point, but {what}; correct it or remove the row."
    )


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
