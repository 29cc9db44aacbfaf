"""Tables of ratings: any CSV or parquet file with columns for user, item and rating."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.options import ReadOptions
from harness.data.readers.checks import RatingTable
from harness.data.readers.columns import encode_ids, to_numbers, to_seconds
from harness.data.readers.text import TextTable, sniff
from harness.data.wording import ParquetPlaces, Places
from harness.errors import DataError, UnknownNameError

__all__ = ["USUAL_NAMES", "RatingColumns", "read_table"]


USUAL_NAMES = {
    "user": ("user", "userid", "uid", "customer", "customerid", "reviewerid", "profileid"),
    "item": (
        "item", "itemid", "iid", "movie", "movieid", "titleid", "showid", "uniqueid",
        "productid", "product", "asin", "isbn", "bookid", "contentid",
    ),
    "rating": ("rating", "ratings", "stars", "score", "userrating", "overall"),
    "timestamp": (
        "timestamp", "ts", "time", "date", "datetime", "ratedat", "createdat",
        "unixreviewtime",
    ),
}  # fmt: skip
"""Names that are recognised, in lower case, without spaces, hyphens and underscores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingColumns:
    """Which column of a table plays which part.

    Parameters
    ----------
    user, item, rating : str
        Names of columns.
    timestamp, watch_minutes, split : str, optional
        Names of columns that need not be there.
    split_is_asked_for : bool, default False
        Whether the user named the column `split`, so that it has to make sense.
    """

    user: str
    item: str
    rating: str
    timestamp: str | None = None
    watch_minutes: str | None = None
    split: str | None = None
    split_is_asked_for: bool = False


def read_table(path: Path, options: ReadOptions) -> RatingTable:
    """Read ratings from a CSV (comma, tab, semicolon, ``|`` or ``::``) or parquet file."""
    if path.suffix == ".parquet":
        return _read_parquet(path, options)
    text = sniff(path, options.encoding)
    find = _find_columns if text.has_header else _count_columns
    columns = find(path, text.columns, options)
    return _assemble(_read_text(text, columns), columns, text, path)


def _count_columns(
    path: Path, names: Sequence[str], options: ReadOptions
) -> RatingColumns:
    """Tell the parts by position, where there is no header."""
    times = options.timestamp_column
    named = [options.user_column, options.item_column, options.rating_column]
    named += [options.predefined, None if times == "none" else times]
    if any(named):
        raise DataError(
            f"{path}: has no header, so that no column can be called "
            f"{next(filter(None, named))!r}; its columns are taken as user, item, "
            "rating and time, or add a header line."
        )
    has_times = len(names) > 3 and times != "none"
    return RatingColumns(
        user=names[0],
        item=names[1],
        rating=names[2],
        timestamp=names[3] if has_times else None,
    )


def _find_columns(
    path: Path, names: Sequence[str], options: ReadOptions
) -> RatingColumns:
    times = options.timestamp_column
    split = options.predefined
    if split and split not in names:
        raise DataError(
            f"{path}: has no column {split!r} that says 'train' or 'test'; its columns "
            f"are {list(names)}."
        )
    return RatingColumns(
        user=_required(path, names, "user", options.user_column),
        item=_required(path, names, "item", options.item_column),
        rating=_required(path, names, "rating", options.rating_column),
        timestamp=None if times == "none" else _find(path, names, "timestamp", times),
        watch_minutes="watch_minutes" if "watch_minutes" in names else None,
        split=split or ("split" if "split" in names else None),
        split_is_asked_for=split is not None,
    )


def _required(path: Path, names: Sequence[str], part: str, named: str | None) -> str:
    found = _find(path, names, part, named)
    if found is None:
        raise DataError(
            f"{path}: no column looks like the {part}s' (its columns are "
            f"{[*names]}); name it with --{part}-column."
        )
    return found


def _find(path: Path, names: Sequence[str], part: str, named: str | None) -> str | None:
    if named is not None:
        if named not in names:
            raise DataError(f"{path}: {UnknownNameError('column', named, names)}")
        return named
    plain = [
        n.strip().lower().replace("_", "").replace("-", "").replace(" ", "")
        for n in names
    ]
    matches = [n for n, p in zip(names, plain, strict=True) if p in USUAL_NAMES[part]]
    if len(matches) > 1:
        raise DataError(
            f"{path}: the columns {matches} could all be the {part}s'; name the right "
            f"one with --{part}-column."
        )
    return matches[0] if matches else None


def _read_text(text: TextTable, columns: RatingColumns) -> Any:
    import pyarrow as pa

    numbered = pa.dictionary(pa.int32(), pa.string())
    types: dict[str, Any] = {columns.user: numbered, columns.item: numbered}
    types[columns.rating] = pa.float64()
    if columns.timestamp:
        types[columns.timestamp] = None
    if columns.split:
        types[columns.split] = numbered
    if columns.watch_minutes:
        types[columns.watch_minutes] = pa.float64()
    try:
        return text.read(types)
    except pa.ArrowInvalid:
        # Some number or time is none: read all as text, and look which.
        slow = {k: numbered if t == numbered else pa.string() for k, t in types.items()}
        return text.read(slow)


def _read_parquet(path: Path, options: ReadOptions) -> RatingTable:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            columns = _find_columns(path, file.schema_arrow.names, options)
            wanted = [
                columns.user, columns.item, columns.rating,
                columns.timestamp, columns.watch_minutes, columns.split,
            ]  # fmt: skip
            table = file.read([name for name in wanted if name])
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path}: is not a parquet file that can be read: {error}"
        ) from error
    if not len(table):
        raise DataError(f"{path}: has no rows; at least two ratings are needed.")
    return _assemble(table, columns, ParquetPlaces(path), path)


def _assemble(
    table: Any, columns: RatingColumns, places: Places, path: Path
) -> RatingTable:
    users, user_notes = encode_ids(table[columns.user], columns.user, places)
    items, item_notes = encode_ids(table[columns.item], columns.item, places)
    stars = to_numbers(table[columns.rating], columns.rating, places)
    times, time_notes = None, list[str]()
    if columns.timestamp:
        times, time_notes = to_seconds(
            table[columns.timestamp], columns.timestamp, places
        )
    watched = None
    if columns.watch_minutes:
        name = columns.watch_minutes
        watched = to_numbers(table[name], name, places).astype(np.float32)
    return RatingTable(
        users=users,
        items=items,
        stars=stars,
        timestamps=times,
        in_test=_test_part(table, columns, places),
        watch_minutes=watched,
        rating_column=columns.rating,
        source=str(path),
        places=places,
        notes=(*user_notes, *item_notes, *time_notes),
    )


def _test_part(
    table: Any, columns: RatingColumns, places: Places
) -> npt.NDArray[np.bool_] | None:
    if columns.split is None:
        return None
    column, _ = encode_ids(table[columns.split], columns.split, places)
    if set(column.ids) != {"train", "test"}:
        if not columns.split_is_asked_for:
            return None  # any column may happen to be called "split"
        wrong = [i for i in column.ids if i not in ("train", "test")]
        row = (
            int(np.argmax(column.codes == list(column.ids).index(wrong[0])))
            if wrong
            else 0
        )
        raise DataError(
            f"{places.of(row)}, column {columns.split!r}: must say 'train' or 'test' "
            f"in each row, both at least once, but the values are {[*column.ids][:5]}."
        )
    in_test: npt.NDArray[np.bool_] = (column.ids == "test")[column.codes]
    return in_test
