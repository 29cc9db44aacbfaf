"""Columns of ids, numbers and times, each cell checked, and the usual names of columns."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import renumber
from harness.data.wording import Places, counted, shorten
from harness.errors import DataError

__all__ = [
    "USUAL_NAMES",
    "IdColumn",
    "clean_id",
    "clean_ids",
    "encode_ids",
    "join_ids",
    "look_like_times",
    "part_of",
    "plain_word",
    "take_ids",
    "to_numbers",
    "to_seconds",
]


USUAL_NAMES = {
    "user": (
        "user", "userid", "uid", "username", "customer", "customerid", "reviewerid",
        "reviewer", "profileid", "visitorid", "memberid",
    ),
    "item": (
        "item", "itemid", "iid", "movie", "movieid", "film", "filmid", "titleid",
        "showid", "uniqueid", "productid", "product", "asin", "isbn", "book", "bookid",
        "animeid", "gameid", "songid", "artistid", "businessid", "contentid",
    ),
    "rating": (
        "rating", "ratings", "stars", "score", "userrating", "bookrating", "overall",
    ),
    "timestamp": (
        "timestamp", "ts", "time", "date", "datetime", "ratedat", "createdat",
        "unixreviewtime", "reviewdate",
    ),
}  # fmt: skip
"""Names that are recognised, in lower case, without spaces, hyphens and underscores."""


def plain_word(name: str) -> str:
    """Write a column's name as `USUAL_NAMES` does."""
    return re.sub(r"\(.*\)|[\s_-]", "", name).lower()


def part_of(name: str) -> str | None:
    """Tell which part a column of this name usually plays."""
    plain = plain_word(name)
    return next((part for part, names in USUAL_NAMES.items() if plain in names), None)


LONGEST_ID = 256
"""Characters an id may have; more is a description, or a broken file."""

WHOLE_FLOAT = re.compile(r"-?\d+\.0+")
WHOLE = re.compile(r"-?\d+")
QUOTES = ('""', "''", "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, eq=False)
class IdColumn:
    """A column of ids: int32 positions (n_rows,) in the different ids (n_ids,)."""

    codes: npt.NDArray[np.int32]
    ids: npt.NDArray[np.object_]


def clean_id(text: str) -> str:
    """Write an id in the one way that ratings, catalogues and requests have in common.

    Blanks around it go, so do quotation marks and the ``="..."`` with which
    spreadsheets keep leading zeros.

    Examples
    --------
    >>> [clean_id(text) for text in ('="0042"', ' "m7" ', "m7", '"')]
    ['0042', 'm7', 'm7', '"']
    """
    if text.isascii() and text.isalnum():
        return text
    before = None
    while text != before:
        before, text = text, text.strip().strip("\ufeff\u200b")
        if text.startswith('="') and text.endswith('"') and len(text) > 3:
            text = text[2:-1]
        elif len(text) > 2 and text[0] + text[-1] in QUOTES:
            text = text[1:-1]
    return text


def clean_ids(values: Sequence[str], name: str) -> tuple[list[str], list[str]]:
    """Clean different ids of one column; note what was done, with an example."""
    notes = []
    clean = [clean_id(v) for v in values]
    changed = [k for k, v in enumerate(values) if clean[k] != v]
    if changed:
        first = changed[0]
        marks = any(clean[k] != values[k].strip() for k in changed)
        what = "Blanks or quotation marks" if marks else "Blanks"
        notes.append(
            f"{what} around {counted(len(changed), 'different id')} of column {name!r} "
            f"removed: {shorten(values[first])} is {shorten(clean[first])}."
        )
    floats = [k for k, v in enumerate(clean) if WHOLE_FLOAT.fullmatch(v)]
    if floats and not any(map(WHOLE.fullmatch, clean)):
        for k in floats:
            clean[k] = clean[k].partition(".")[0]
        notes.append(
            f"{counted(len(floats), 'different id')} of column {name!r} written as "
            "float (7.0) read as whole numbers."
        )
    by_letters: dict[str, str] = {}
    twins = [v for v in clean if by_letters.setdefault(v.casefold(), v) != v]
    if twins:
        notes.append(
            f"{counted(len(twins), 'id')} of column {name!r} differ from others only in "
            f"capital letters, such as {shorten(twins[0])} and "
            f"{shorten(by_letters[twins[0].casefold()])}: they are taken for different."
        )
    return clean, notes


def take_ids(column: IdColumn, kept: npt.NDArray[Any]) -> IdColumn:
    """Keep some rows."""
    return IdColumn(column.codes[kept], column.ids)


def encode_ids(column: Any, name: str, places: Places) -> tuple[IdColumn, list[str]]:
    """Encode a column of ids as numbers, and check them.

    See `clean_ids` for what is removed; whole numbers are equal to their text.
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

    types, column = pa.types, _in_plain_types(column)
    kind = column.type
    if types.is_integer(kind) and (found := _small_numbers(column)):
        return found
    if types.is_dictionary(kind):
        kind = kind.value_type
    elif types.is_nested(kind):
        raise _no_ids(kind, name, places)
    else:
        column = column.dictionary_encode()
    # As 32 bits with sign, whatever they were: -1 stands for what is missing.
    column = column.cast(pa.dictionary(pa.int32(), kind)).unify_dictionaries()
    array = column.combine_chunks()
    values = array.dictionary.to_pylist()
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    if None in values:
        codes = np.where(codes == values.index(None), -1, codes)
        values[values.index(None)] = ""
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
        raise _no_ids(kind, name, places)
    return codes.astype(np.int32, copy=False), [str(v) for v in values]


def _small_numbers(column: Any) -> tuple[npt.NDArray[np.int32], list[str]] | None:
    """Take whole numbers for codes, if there are more rows than numbers up to the highest."""
    from pyarrow import compute

    ends = compute.min_max(column).as_py()
    if column.null_count or ends["min"] < 0 or ends["max"] >= len(column):
        return None
    codes, order = renumber(column.to_numpy(), ends["max"] + 1)
    return codes, list(map(str, order.tolist()))


def _no_ids(kind: object, name: str, places: Places) -> DataError:
    return DataError(
        f"{places.of(0)}, column {name!r}: ids must be text or whole numbers, but this "
        f"column holds values of type {str(kind)[:60]}."
    )


def _in_plain_types(column: Any) -> Any:
    """Bring the many forms of Arrow's text to one; leave numbers as they are."""
    import pyarrow as pa

    types, kind = pa.types, column.type
    is_numbered = types.is_dictionary(kind)
    inner = kind.value_type if is_numbered else kind
    if types.is_string_view(inner) or types.is_large_string(inner):
        column = column.cast(
            pa.dictionary(kind.index_type, pa.string()) if is_numbered else pa.string()
        )
    elif types.is_decimal(inner) and not is_numbered:
        column = column.cast(pa.float64())
    return column


def _cleaned(
    codes: npt.NDArray[np.int32], values: list[str], name: str, places: Places
) -> tuple[IdColumn, list[str]]:
    clean, notes = clean_ids(values, name)
    floats = [k for k, v in enumerate(clean) if WHOLE_FLOAT.fullmatch(v)]
    if floats:
        whole = [k for k, v in enumerate(clean) if WHOLE.fullmatch(v)]
        raise _mixed(clean, floats[0], whole, (codes, name, places))
    if clean == values:
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

    column = _decoded(column)
    kind = column.type
    if pa.types.is_string(kind):
        return _parsed_numbers(column.to_pylist(), name, places)
    if not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    ):
        raise _no_number(
            0, name, places, f"this column holds values of type {str(kind)[:60]}"
        )
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise _no_number(row, name, places, "this cell is empty")
    values: npt.NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    if not (_fits(values.min()) and _fits(values.max())):  # NaN, too
        row = int(np.argmin(_fits(values)))
        raise _no_number(row, name, places, f"got {values[row]}")
    return values


def _decoded(column: Any) -> Any:
    """Write out a column of categories, which may hold numbers or times as well."""
    import pyarrow as pa

    column = _in_plain_types(column)
    return (
        column.cast(column.type.value_type)
        if pa.types.is_dictionary(column.type)
        else column
    )


def _fits(values: Any) -> Any:
    """Say which values are finite, also as float32."""
    return np.abs(values) <= np.finfo(np.float32).max


def _parsed_numbers(
    cells: Sequence[str | None], name: str, places: Places
) -> npt.NDArray[np.float64]:
    values = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            values[row] = float(clean_id(cell or ""))
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
EARLIEST = 631_152_000
"""1990-01-01: nobody rated anything by computer before. Smaller numbers are ages, years,
counts: taken for times they would all be of 1970, and a split by time a split by age."""

ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
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

    column = _decoded(column)
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
    if pa.types.is_string(kind):
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
    if (days := _as_days(values)) is not None:
        return days, [f"Column {name!r} was read as days written like 20240501."]
    unit = _unit_of_all(values, name, places)
    label, per_second = UNITS[unit]
    seconds = np.floor_divide(values, per_second) if per_second > 1 else values
    if seconds.dtype.kind == "f":
        seconds = np.floor(seconds)
    seconds = seconds.astype(np.int64, copy=False)
    if seconds.min() < EARLIEST or seconds.max() > _tomorrow():
        row = int(np.argmax((seconds < EARLIEST) | (seconds > _tomorrow())))
        raise _bad(row, name, places, f"got {values[row]}, {_year_of(seconds[row])}")
    return seconds, [f"Column {name!r} was read as {label}."] if unit else []


def _tomorrow() -> float:
    return time.time() + 86_400


def _year_of(seconds: np.int64) -> str:
    year = 1970 + int(seconds) / 31_556_952
    return (
        f"which would be in {int(year // 1)}" if abs(year) < 10_000 else "no such year"
    )


def _as_days(values: npt.NDArray[Any]) -> npt.NDArray[np.int64] | None:
    """Read numbers like 20240501, if all are days of the calendar since 1990."""
    import pandas as pd

    if values.min() < 1990_01_01 or values.max() >= 2100_01_01:
        return None
    text = pd.Series(values.astype(np.int64)).astype("str")
    days = pd.to_datetime(text, format="%Y%m%d", utc=True, errors="coerce")
    if days.isna().any():
        return None
    seconds: npt.NDArray[np.int64] = days.dt.as_unit("s").to_numpy(dtype=np.int64)
    return seconds if (seconds <= _tomorrow()).all() else None


def look_like_times(cells: Sequence[str]) -> bool:
    """Say whether at least half of some cells can be times, whatever their unit."""
    good = 0
    for cell in map(clean_id, cells):
        try:
            size = float(cell)
        except ValueError:
            good += bool(ISO_DATE.match(cell))
            continue
        scaled = (size / per_second for _, per_second in UNITS)
        good += any(EARLIEST <= seconds <= _tomorrow() for seconds in scaled)
    return 2 * good >= len(cells) > 0


def _unit_of_all(values: npt.NDArray[Any], name: str, places: Places) -> int:
    biggest = int(
        np.searchsorted(BOUNDS, max(-values.min(), values.max()), side="right")
    )
    if biggest == 0:
        return 0
    size = np.abs(values)
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
        f"since 1970 (between 1990 and tomorrow), or ISO 8601 like 2024-05-01T20:15:00Z, "
        f"in all rows alike, but {what}; correct it, or leave times out with --timestamp-column none."
    )
