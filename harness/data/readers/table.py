"""Tables of ratings: the file formats, which column plays which part, and the cells."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from harness.data.options import ReadOptions
from harness.data.readers.checks import RatingTable
from harness.data.readers.columns import (
    USUAL_NAMES,
    clean_id,
    encode_ids,
    look_like_times,
    plain_word,
    to_numbers,
    to_seconds,
)
from harness.data.readers.delimited import NUMBER, open_delimited
from harness.data.readers.files import open_plain, read_head, reading
from harness.data.wording import Places, counted, listed
from harness.errors import DataError, UnknownNameError

__all__ = ["FORMATS", "Format", "OpenTable", "open_table", "read_table"]


class OpenTable(Protocol):
    """A file of rows and columns whose form is known, but not read yet."""

    @property
    def form(self) -> str:
        """Name the kind of file."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Name the columns; by number where the file does not."""

    @property
    def has_header(self) -> bool:
        """Say whether the file names its columns."""

    @property
    def sample(self) -> tuple[tuple[str, ...], ...]:
        """Show the first rows as text; empty where the types of columns are known."""

    @property
    def times(self) -> tuple[str, ...]:
        """Name the columns that can be times, whatever they are called."""

    def read(self, types: Mapping[str, object]) -> Any:
        """Read columns into an Arrow table, as these types where the file has none."""

    def of(self, row: int) -> str:
        """Name the place of a row."""


@dataclass(frozen=True)
class ArrowTable:
    """A file whose columns have types: parquet, Arrow, or JSON once it is parsed."""

    path: Path
    form: str
    columns: tuple[str, ...]
    load: Callable[[list[str]], Any]
    has_header: bool = True
    sample: tuple[tuple[str, ...], ...] = ()
    times: tuple[str, ...] = ()
    row_word: str = "row"

    def read(self, types: Mapping[str, object]) -> Any:
        """Read columns, in the types that they have."""
        table = self.load([*types])
        if not len(table):
            raise DataError(
                f"{self.path}: has no rows; at least two ratings are needed."
            )
        return table

    def of(self, row: int) -> str:
        """Name the place of a row."""
        return f"{self.path}, {self.row_word} {row + 1}"


FORM = b"harness.form"
"""Metadata of a parquet file that holds what was no file: what to call it."""


def _open_parquet(path: Path, _encoding: str | None) -> ArrowTable:
    import pyarrow as pa
    from pyarrow import parquet

    def load(names: list[str]) -> Any:
        try:
            with reading(path), open_plain(path) as file:
                return parquet.read_table(file, columns=names)
        except pa.ArrowException as error:
            raise _broken(path, "parquet", error) from error

    try:
        with reading(path), open_plain(path) as file:
            schema = parquet.read_schema(file)
    except pa.ArrowException as error:
        raise _broken(path, "parquet", error) from error
    form = (schema.metadata or {}).get(FORM, b"parquet").decode()
    return ArrowTable(path, form, tuple(schema.names), load, times=_times_of(schema))


def _times_of(schema: Any) -> tuple[str, ...]:
    import pyarrow as pa

    of_time = (pa.types.is_timestamp, pa.types.is_date)
    return tuple(f.name for f in schema if any(each(f.type) for each in of_time))


def _open_arrow(path: Path, _encoding: str | None) -> ArrowTable:
    import pyarrow as pa
    from pyarrow import feather

    try:
        with reading(path), open_plain(path) as file:
            table = feather.read_table(file)
    except pa.ArrowException as error:
        raise _broken(path, "Arrow", error) from error
    names, times = tuple(table.column_names), _times_of(table.schema)
    return ArrowTable(path, "Arrow", names, table.select, times=times)


def _broken(path: Path, what: str, error: Exception) -> DataError:
    reason = str(error).splitlines()[0][:200]
    return DataError(f"{path}: is not a {what} file that can be read: {reason}")


def _open_json(path: Path, encoding: str | None) -> ArrowTable:
    """Open JSON: one object a line, or one array of objects."""
    import pyarrow as pa

    head = read_head(path).lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"["):
        rows, word = _json_array(path, encoding), "entry"
    else:
        rows, word = _json_lines(path, encoding), "line"
    rows = _from_columns(rows)
    names = list(dict.fromkeys(name for row in rows[:1000] for name in row))

    def load(wanted: list[str]) -> Any:
        columns = {}
        for name in wanted:
            cells = [row.get(name) for row in rows]
            try:
                columns[name] = pa.array(cells)
            except pa.ArrowException:  # numbers and text in one column
                columns[name] = pa.array(
                    [None if cell is None else str(cell) for cell in cells]
                )
        return pa.table(columns)

    first = {name: [str(row.get(name)) for row in rows[:100]] for name in names}
    times = tuple(name for name in names if look_like_times(first[name]))
    return ArrowTable(path, "JSON", tuple(names), load, times=times, row_word=word)


def _from_columns(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Turn a single object of columns, as pandas writes it, into objects of rows."""
    if len(rows) != 1:
        return rows
    columns = {
        name: [*cells.values()] if isinstance(cells, dict) else cells
        for name, cells in rows[0].items()
    }
    if not all(isinstance(cells, list) for cells in columns.values()):
        return rows
    names, cells = [*columns], zip(*columns.values(), strict=False)
    return [dict(zip(names, row, strict=True)) for row in cells]


def _json_array(path: Path, encoding: str | None) -> list[dict[str, object]]:
    with reading(path), open_plain(path) as file:
        text = file.read()
    try:
        rows = json.loads(text.decode(encoding or "utf-8-sig"))
    except ValueError as error:
        raise DataError(f"{path}: is not valid JSON: {error}.") from error
    odd = next((k for k, row in enumerate(rows) if not isinstance(row, dict)), None)
    if odd is not None:
        raise DataError(
            f"{path}, entry {odd + 1}: each rating must be an object with named values, "
            'such as {"user": "a", "item": "x", "rating": 4}.'
        )
    return list(rows)


def _json_lines(path: Path, encoding: str | None) -> list[dict[str, object]]:
    rows = []
    with reading(path), open_plain(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                row = (
                    json.loads(line.decode(encoding or "utf-8-sig"))
                    if line.strip()
                    else {}
                )
            except ValueError as error:
                raise DataError(
                    f"{path}, line {number}: each line must be a JSON object, but this "
                    f"is none: {error}."
                ) from error
            rows.append(row if isinstance(row, dict) else {})
    while rows and not rows[-1]:
        rows.pop()
    return rows


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file: how it is told by its first bytes, and how it is opened."""

    name: str
    recognises: Callable[[bytes], bool]
    open: Callable[[Path, str | None], OpenTable]


FORMATS = (
    Format("parquet", lambda head: head.startswith(b"PAR1"), _open_parquet),
    Format("arrow", lambda head: head.startswith(b"ARROW1"), _open_arrow),
    Format(
        "json",
        lambda head: head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(
            (b"{", b"[{", b"[\n")
        ),
        _open_json,
    ),
    Format("text", lambda _: True, open_delimited),
)
"""All kinds of files of ratings and titles; the first that recognises one opens it."""


def open_table(path: Path, encoding: str | None = None) -> OpenTable:
    """Find out what a file is, and open it."""
    head = read_head(path)
    return next(each for each in FORMATS if each.recognises(head)).open(path, encoding)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingColumns:
    """Which column of a table plays which part."""

    user: str
    item: str
    rating: str
    timestamp: str | None = None
    watch_minutes: str | None = None
    split: str | None = None
    split_is_asked_for: bool = False

    def describe(self, form: str) -> str:
        """Say it in words."""
        times = f"time {self.timestamp!r}" if self.timestamp else "no times"
        return (
            f"Columns taken: user {self.user!r}, item {self.item!r}, rating "
            f"{self.rating!r}, {times} ({form})."
        )


def read_table(path: Path, options: ReadOptions) -> RatingTable:
    """Read ratings from a file of any of the `FORMATS`."""
    table = open_table(path, options.encoding)
    finder = _ColumnFinder(path, table, options)
    columns = finder.find()
    notes = [columns.describe(table.form), *finder.notes]
    import pyarrow as pa

    cells, places = _read_cells(path, table, columns), cast("Places", table)
    kept, more = _chosen_rows(cells, columns, options.missing)
    if not kept.all():
        rows = np.flatnonzero(kept)
        if not len(rows):
            raise DataError(f"{path}: no row is left; see --missing.")
        cells, places = _take(cells, rows), _KeptPlaces(places, rows)
    table_of_ratings = _checked(cells, columns, places, (path, [*notes, *more]))
    del cells
    # Of 20 million ratings Arrow would keep half a gigabyte for the next file.
    pa.default_memory_pool().release_unused()
    return table_of_ratings


@dataclass(frozen=True)
class _ColumnFinder:
    """Finds the parts by the names that were given, by the usual ones, or by position."""

    path: Path
    table: OpenTable
    options: ReadOptions

    @cached_property
    def names(self) -> tuple[str, ...]:
        return self.table.columns

    def find(self) -> RatingColumns:
        if not self.table.has_header:
            self._refuse_matrix(by_values=True)
        split = self.options.predefined
        if split and split not in self.names:
            raise DataError(
                f"{self.path}: has no column {split!r} that says 'train' or 'test'; its "
                f"columns are {listed(self.names)}."
            )
        has_split = "split" in self.names
        return RatingColumns(
            user=self._required("user"),
            item=self._required("item"),
            rating=self._required("rating"),
            timestamp=self._times(),
            watch_minutes="watch_minutes" if "watch_minutes" in self.names else None,
            split=split or ("split" if has_split else None),
            split_is_asked_for=split is not None,
        )

    @property
    def notes(self) -> list[str]:
        if self.table.has_header:
            return self._about_times()
        taken = {self._found(part) for part in ("user", "item", "rating")}
        left = [n for n in self.names if n not in {*taken, self._times()}]
        note = (
            f"The file has no header, and its columns {listed(left)} are not used; "
            "options such as --timestamp-column take numbers."
        )
        return [note] if left else []

    def _about_times(self) -> list[str]:
        """Point to a column of times that has an unusual name, without a guess."""
        if self._times() or self._given("timestamp") == "none":
            return []
        taken = {self._found(part) for part in ("user", "item", "rating")}
        return [
            f"Column {name!r} looks like times, but is not used: --timestamp-column "
            f"{shlex.quote(name)} takes it, 'none' leaves it out."
            for name in self.table.times
            if name not in taken
        ][:1]

    def _given(self, part: str) -> str | None:
        given: str | None = getattr(self.options, f"{part}_column")
        return given

    def _times(self) -> str | None:
        named = self._given("timestamp")
        if named == "none":
            return None
        found = self._found("timestamp")
        if named is None and found and not self.table.has_header:
            at = self.names.index(found)
            cells = [row[at] for row in self.table.sample if len(row) > at]
            return found if look_like_times(cells) else None
        return found

    def _required(self, part: str) -> str:
        found = self._found(part)
        if found is None:
            self._refuse_matrix(by_values=False)
            # All that are missing, so that nobody has to come back for each.
            missing = [p for p in ("user", "item", "rating") if self._found(p) is None]
            whose = " or the ".join(f"{each}s'" for each in missing)
            options = " and ".join(f"--{each}-column" for each in missing)
            raise DataError(
                f"{self.path}: no column looks like the {whose} (its columns are "
                f"{listed(self.names)}); name {'it' if len(missing) == 1 else 'them'} "
                f"with {options}."
            )
        return found

    def _found(self, part: str) -> str | None:
        named = self._given(part)
        if named is not None:
            return self._named(named)
        if not self.table.has_header:
            return self._by_position(part)
        wanted = USUAL_NAMES[part]
        matches = [name for name in self.names if plain_word(name) in wanted]
        if len(matches) > 1:
            raise DataError(
                f"{self.path}: the columns {listed(matches)} could all be the {part}s'; "
                f"name the right one with --{part}-column."
            )
        return matches[0] if matches else None

    def _named(self, named: str) -> str:
        if named in self.names:
            return named
        if not self.table.has_header:
            raise DataError(
                f"{self.path}: has no header, so no column can be called {named!r}; "
                f"name columns by their numbers, 1 to {len(self.names)}, or add a header "
                "line."
            )
        raise DataError(f"{self.path}: {UnknownNameError('column', named, self.names)}")

    def _by_position(self, part: str) -> str | None:
        """Take the columns that are left over in the order user, item, rating, time."""
        parts = [*USUAL_NAMES]
        given = {each: self._given(each) for each in parts}
        taken = {name for name in given.values() if name}
        free = [name for name in self.names if name not in taken]
        if not any(given[each] for each in parts[:3]):
            free = [*self.names]  # nothing was moved: each at its own place
            place = parts.index(part)
        else:
            place = [each for each in parts if not given[each]].index(part)
        return free[place] if place < len(free) else None

    def _refuse_matrix(self, *, by_values: bool) -> None:
        """Recognise a row for each user and a column for each title."""
        rows, n_columns = self.table.sample, len(self.names)
        if n_columns < (9 if by_values else 5) or not rows:
            return
        cells = [cell.strip() for row in rows for cell in row[1:]]
        values = {cell for cell in cells if cell}
        values = {value for value in values if value.casefold() not in _GAPS}
        if not all(map(NUMBER.fullmatch, values)):
            return
        if by_values and len(values) > 12:
            return
        raise DataError(
            f"{self.path}: looks like a matrix of users and titles ({n_columns} columns "
            "of numbers), but one row for each rating is needed: user, item, rating "
            "(in pandas: frame.melt)."
        )


# What other programs write into a cell of a matrix that has no rating.
_GAPS = frozenset({"nan", "na", "n/a", "#n/a", "null", "none", "-", "?", "."})


def _read_cells(path: Path, table: OpenTable, columns: RatingColumns) -> Any:
    import pyarrow as pa

    numbered = pa.dictionary(pa.int32(), pa.string())
    types: dict[str, object] = {columns.user: numbered, columns.item: numbered}
    if len(types) < 2 or columns.rating in types:
        raise DataError(
            f"{path}: users, items and ratings need a column each, but one was named "
            f"twice: {columns.user!r}, {columns.item!r}, {columns.rating!r}."
        )
    types[columns.rating] = pa.float64()
    if columns.timestamp:
        types[columns.timestamp] = None
    if columns.split:
        types[columns.split] = numbered
    if columns.watch_minutes:
        types[columns.watch_minutes] = pa.float64()
    return table.read(types)


@dataclass(frozen=True)
class _KeptPlaces:
    """Names rows by where they were before others were left out."""

    places: Places
    kept: npt.NDArray[np.intp]

    def of(self, row: int) -> str:
        return self.places.of(int(self.kept[row]))


def _without_empty_rows(cells: Any, columns: RatingColumns) -> npt.NDArray[np.bool_]:
    """Say in which rows user, item and rating are not all empty."""
    import pyarrow as pa
    from pyarrow import compute

    n_rows = len(cells)
    empty = np.ones(n_rows, dtype=bool)
    for name in (columns.rating, columns.user, columns.item):
        column = cells[name]
        if pa.types.is_floating(column.type) and not column.null_count:
            return np.ones(n_rows, dtype=bool)
        blank = compute.is_null(column)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_string(column.type):
            blank = compute.or_(
                compute.fill_null(compute.equal(column, ""), fill_value=True), blank
            )
        empty &= blank.to_numpy()
        if not empty.any():
            break
    return ~empty


def _missing_rows(
    cells: Any, columns: RatingColumns, codes: Sequence[str]
) -> npt.NDArray[np.bool_]:
    """Say in which rows the rating is one of the codes for "not rated"."""
    import pyarrow as pa

    column = cells[columns.rating]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    numbers = [float(code) for code in codes if NUMBER.fullmatch(code)]
    has_nan = any(code.lower() in ("", "nan") for code in codes)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        text = {clean_id(code) for code in codes}
        values = column.to_pylist()
        found = np.array(
            [clean_id(str("" if v is None else v)) in text for v in values]
        )
        for row in np.flatnonzero(~found):
            value = values[row]
            if value and NUMBER.fullmatch(str(value)):
                found[row] = float(value) in numbers
        return found
    stars = column.to_numpy()
    found = np.isin(stars, numbers)
    return found | np.isnan(stars) if has_nan else found


def _take(cells: Any, rows: npt.NDArray[np.intp]) -> Any:
    """Keep some rows, and of the ids only those that are there."""
    import pyarrow as pa

    kept = cells.take(rows)
    return pa.table(
        {
            name: kept[name].cast(kept[name].type.value_type).dictionary_encode()
            if pa.types.is_dictionary(kept[name].type)
            else kept[name]
            for name in kept.column_names
        }
    )


def _chosen_rows(
    cells: Any, columns: RatingColumns, missing: Sequence[str]
) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """Choose the rows that hold a rating, and note the others."""
    notes = []
    kept = _without_empty_rows(cells, columns)
    if not kept.all():
        notes.append(f"{counted(int((~kept).sum()), 'empty row')} left out.")
    if missing:
        dropped = kept & _missing_rows(cells, columns, missing)
        kept &= ~dropped
        notes.append(
            f"{counted(int(dropped.sum()), 'row')} left out: the rating is "
            f"{' or '.join(map(repr, missing))}, which means 'not rated' (--missing)."
        )
    return kept, notes


def _checked(
    cells: Any,
    columns: RatingColumns,
    places: Places,
    about: tuple[Path, list[str]],
) -> RatingTable:
    path, notes = about
    users, more = encode_ids(cells[columns.user], columns.user, places)
    items, again = encode_ids(cells[columns.item], columns.item, places)
    notes += [*more, *again]
    times = None
    if columns.timestamp:
        times, more = to_seconds(cells[columns.timestamp], columns.timestamp, places)
        notes += more
    watched = None
    if name := columns.watch_minutes:
        watched = to_numbers(cells[name], name, places).astype(np.float32)
    in_test = _test_part(cells, columns, places)
    if in_test is not None:
        notes.append(
            f"Column {columns.split!r} says which rows are train and test: --split "
            "predefined keeps to it, any other split draws anew over both."
        )
    return RatingTable(
        users=users,
        items=items,
        stars=to_numbers(cells[columns.rating], columns.rating, places),
        timestamps=times,
        in_test=in_test,
        watch_minutes=watched,
        item_column=columns.item,
        rating_column=columns.rating,
        source=str(path),
        places=places,
        notes=tuple(notes),
    )


def _test_part(
    cells: Any, columns: RatingColumns, places: Places
) -> npt.NDArray[np.bool_] | None:
    if columns.split is None:
        return None
    column, _ = encode_ids(cells[columns.split], columns.split, places)
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
