"""Delimited text files, their encodings, and whether their first line is a header."""

import codecs
import csv
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from harness.data.readers.columns import clean_id, look_like_times, part_of
from harness.data.readers.files import (
    is_packed,
    open_plain,
    open_text,
    read_head,
    reading,
)
from harness.data.wording import shorten
from harness.errors import DataError

__all__ = ["TextTable", "open_delimited"]


DELIMITERS = ",\t;|"
BLOCK_BYTES = 8 * 2**20
MOST_THREADS = 4
"""More would take memory, some 60 MB each, and wait for the one that reads."""

LONGEST_HEADER = 2**20

_Kinds = Mapping[str, Any]
"""Arrow's type of each column, or None where it is to be found; Arrow has no stubs."""
_Block = dict[str, Any]
"""Arrow's columns of some lines."""

N_SAMPLED = 20
N_TRIED = 1000
WIDE = 8
"""So many different numbers behind a word name the columns of a matrix."""

NUMBER = re.compile(r"\s*[-+]?\d+([.,]\d*)?([eE][-+]?\d+)?\s*")
SEPARATOR_LINE = re.compile(r"sep=(.)\s*")
"""First line that spreadsheets write for other spreadsheets."""

COMMENT = re.compile(r"\s*[#%]")
"""Start of a line that says what the file is; only at the top of a file."""


@dataclass(frozen=True, slots=True)
class TextTable:
    """A delimited text file whose form is known.

    Without header the columns are called ``"1"``, ``"2"`` ...; `written` are the names
    as they stand in the file, with their blanks and quotation marks.
    """

    path: Path
    encoding: str
    delimiter: str
    columns: tuple[str, ...]
    has_header: bool = False
    sample: tuple[tuple[str, ...], ...] = ()
    written: tuple[str, ...] = ()
    n_above: int = 0  # lines above the header or the first row

    @property
    def form(self) -> str:
        """Name the kind of file."""
        names = {"\t": "tab", " ": "blank"}
        return f"text, separated by {names.get(self.delimiter, self.delimiter)!r}"

    @property
    def times(self) -> tuple[str, ...]:
        """Name the columns whose first cells can be times."""
        return tuple(
            name
            for at, name in enumerate(self.columns)
            if look_like_times([row[at] for row in self.sample if len(row) > at])
        )

    def read(self, types: Mapping[str, object]) -> Any:
        """Read some columns; numbers that are none come as text, for all to be named."""
        import pyarrow as pa

        try:
            return self._checked(types)
        except pa.ArrowInvalid:
            slow = {
                k: t if t and pa.types.is_dictionary(t) else pa.string()
                for k, t in types.items()
            }
            return self._checked(slow)

    def _checked(self, types: Mapping[str, object]) -> Any:
        import pyarrow as pa

        try:
            with reading(self.path):
                table = self._read(types)
        except (pa.ArrowInvalid, UnicodeError) as error:
            self.refuse_broken_text()
            if "Empty CSV" in str(error):
                raise self._no_rows() from error
            if isinstance(error, pa.ArrowInvalid) and "conversion" in str(error):
                raise
            reason = str(error).splitlines()[0][:200]
            raise DataError(f"{self.path}: is not a table of text: {reason}") from error
        if not len(table):
            raise self._no_rows()
        return table.unify_dictionaries()

    def _no_rows(self) -> DataError:
        return DataError(
            f"{self.path}: has a header but no rows; at least two are needed."
        )

    def _read(self, types: Mapping[str, object]) -> Any:
        names = dict(zip(self.columns, self.written or self.columns, strict=True))
        wanted = {names[name]: kind for name, kind in types.items()}
        table = self._read_blocks(wanted)
        if table is None:
            with open_plain(self.path) as packed:
                file = packed if is_packed(self.path) else self.path
                with self._stream(file, wanted) as reader:
                    table = reader.read_all()
        return table.rename_columns([*types])

    def _stream(
        self, file: Any, wanted: _Kinds, names: Sequence[str] | None = None
    ) -> Any:
        """Open Arrow's reader of one thread; `names` are for a file that has no top."""
        from pyarrow import csv as fast

        n_above = 0 if names else self.n_above
        if not self.has_header:
            names = names or self.columns
        if self.delimiter == "::":  # read as ":" with empty columns between
            names = [part for c in self.columns for part in (c, f"{c}:")][:-1]
        # The streaming reader: read_csv reads ahead of its parser, at three times the
        # memory for 20 million ratings.
        return fast.open_csv(
            file,
            read_options=fast.ReadOptions(
                block_size=BLOCK_BYTES,
                column_names=names,
                encoding=self.encoding,
                skip_rows=n_above,
            ),
            parse_options=fast.ParseOptions(
                delimiter=self.delimiter[0], newlines_in_values=True
            ),
            convert_options=fast.ConvertOptions(
                include_columns=[*wanted],
                column_types={k: t for k, t in wanted.items() if t is not None},
                # "None" and "NA" are names of people and films, not missing values.
                null_values=[""],
                strings_can_be_null=False,
            ),
        )

    def _read_blocks(self, wanted: _Kinds) -> Any:
        """Read blocks of lines side by side, to the values that the stream would give.

        None for small files, for those that cannot be cut at their line ends, and for those
        with a mistake: the stream reads them, and comes to the first mistake first.
        """
        import pyarrow as pa

        if self.encoding != "utf-8" or self.path.stat().st_size <= BLOCK_BYTES:
            return None
        try:
            with open_plain(self.path) as file:
                blocks = _blocks(file)
                first = next(blocks)
                # What the stream takes from its first block: all names, and some types.
                with self._stream(pa.BufferReader(first), {}) as reader:
                    top = reader.schema
                wanted = {k: t or top.field(k).type for k, t in wanted.items()}
                parse = partial(self._parse, wanted=wanted, names=top.names)
                parts = [self._parse(first, wanted), *_side_by_side(parse, blocks)]
        except (pa.ArrowException, KeyError):
            return None
        return pa.table(
            {name: _joined([part[name] for part in parts]) for name in wanted}
        )

    def _parse(
        self,
        block: bytes,
        wanted: _Kinds,
        names: Sequence[str] | None = None,
    ) -> _Block:
        import pyarrow as pa

        ids = [name for name, kind in wanted.items() if pa.types.is_dictionary(kind)]
        text = {**wanted, **dict.fromkeys(ids, pa.string())}
        with self._stream(pa.BufferReader(block), text, names) as reader:
            table = reader.read_all().combine_chunks()
        return {k: _compact(table[k]) if k in ids else table[k] for k in wanted}

    def of(self, row: int) -> str:
        """Name the place of a row; see `harness.data.wording.Places`."""
        wanted = row + self.has_header
        for number, (line, _) in enumerate(self.records()):
            if number == wanted:
                return f"{self.path}, line {line}"
        return f"{self.path}, row {row + 1}"

    def refuse_broken_text(self) -> None:
        """Find the first line that is no text in this encoding, or no row."""
        refuse_undecodable(self.path, self.encoding)
        width = len(self.columns) * len(self.delimiter) - (len(self.delimiter) - 1)
        for line, record in self.records():
            if len(record) != width:
                raise DataError(
                    f"{self.path}, line {line}: a row must have {len(self.columns)} "
                    f"cells like the first, separated by {self.delimiter!r}, but this "
                    f"has {1 + (len(record) - 1) // len(self.delimiter)}: "
                    f"{shorten(self.delimiter[0].join(record))}."
                )

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the line on which each record starts, and its cells; no blank lines."""
        with open_text(self.path, self.encoding) as file, _long_fields():
            for _ in range(self.n_above):
                file.readline()
            start = self.n_above + 1
            reader = csv.reader(file, delimiter=self.delimiter[0])
            for record in reader:
                if record:
                    yield start, record
                start = self.n_above + reader.line_num + 1


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """Cut a file after ends of lines, as long as none can be a part of a cell."""
    import pyarrow as pa

    top, rest = b"", b""
    while block := file.read(BLOCK_BYTES):
        end = block.rfind(b"\n") + 1
        # Quotation marks of a header are no matter: those of a first line end there.
        quoted = block.find(b'"', 0 if top else block.find(b"\n")) >= 0
        if quoted or len(rest) > BLOCK_BYTES:
            raise pa.ArrowInvalid("a line end may be part of a cell, or be missing")
        if end:
            yield b"".join((top, rest, block[:end]))
            # A blank line, for Arrow drops a mark of UTF-8 at the start of each block.
            top, rest = b"\n", b""
        rest += block[end:]
    yield top + rest


def _side_by_side(
    parse: Callable[[bytes], _Block], blocks: Iterable[bytes]
) -> Iterator[_Block]:
    """Parse blocks in threads, and read hardly ahead of them."""
    import pyarrow as pa

    n_threads = min(pa.cpu_count(), MOST_THREADS)
    pending = deque[Future[_Block]]()
    with ThreadPoolExecutor(n_threads) as pool:
        for block in blocks:
            pending.append(pool.submit(parse, block))
            if len(pending) > n_threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _compact(column: Any) -> Any:
    """Turn text that is all whole numbers into these, and number other text."""
    import pyarrow as pa

    try:
        # Few first: of text Arrow words an error for each cell, at thrice the time of reading.
        for some in (column.slice(0, N_TRIED), column):
            numbers = some.cast(pa.int32())
    except pa.ArrowInvalid:
        return column.dictionary_encode()
    is_same = numbers.cast(pa.string()).equals(column)  # 007 is not 7
    return numbers if is_same else column.dictionary_encode()


def _joined(parts: Sequence[Any]) -> Any:
    """Put parts of a column together, as text if one of them is text."""
    import pyarrow as pa

    if len({part.type for part in parts}) > 1:
        parts = [
            part.cast(pa.string()).dictionary_encode()
            if pa.types.is_integer(part.type)
            else part
            for part in parts
        ]
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks])


@contextmanager
def _long_fields() -> Iterator[None]:
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def open_delimited(path: Path, encoding: str | None = None) -> TextTable:
    """Find out the form of a delimited text file from its first lines."""
    encoding = _known_encoding(path, encoding or _marked_encoding(path))
    try:
        with reading(path):
            first, separator, n_above = _first_line(path, encoding)
    except UnicodeError:
        refuse_undecodable(path, encoding)
        raise
    if not first.strip():
        raise DataError(
            f"{path}: is empty; a line with the names of the columns and rows are needed."
        )
    delimiter = separator or _delimiter(first)
    cells = (
        first.strip().split("::")
        if delimiter == "::"
        else next(csv.reader([first.rstrip("\r\n")], delimiter=delimiter))
    )
    if delimiter == " " and "" in cells:
        raise DataError(
            f"{path}: columns are aligned with blanks; separate them by comma or tab."
        )
    _refuse_single_column(path, cells)
    numbered = tuple(map(str, range(1, len(cells) + 1)))
    table = TextTable(path, encoding, delimiter, numbered, n_above=n_above)
    table = replace(table, sample=_sample(table))
    return _with_header(table, cells) if _is_header(cells) else table


def _known_encoding(path: Path, encoding: str) -> str:
    """Bring the many spellings of an encoding to one, so that each is treated alike."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError as error:
        raise DataError(
            f"{path}: there is no text encoding named {encoding!r}; "
            "usual ones are utf-8, latin-1, cp1252 and utf-16."
        ) from error
    # Without its mark: the reader of UTF-8 removes it wherever it is there.
    return "utf-8" if name == "utf-8-sig" else name


def _marked_encoding(path: Path) -> str:
    """Take the encoding from the mark at the start, as spreadsheets write it."""
    head = read_head(path)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    # Some programs leave the mark out; but every second byte of a header is zero.
    first, second = head[0:40:2], head[1:40:2]
    if len(first) > 1 and all(first) and not any(second):
        return "utf-16-le"
    return (
        "utf-16-be" if len(second) > 1 and all(second) and not any(first) else "utf-8"
    )


def _first_line(path: Path, encoding: str) -> tuple[str, str | None, int]:
    """Return the first row or header, the separator that is named, and the lines above."""
    separator, n_above = None, 0
    with open_text(path, encoding) as file:
        lines = iter(lambda: file.readline(LONGEST_HEADER), "")
        for number, line in enumerate(lines, start=1):
            if separator is None and (found := SEPARATOR_LINE.fullmatch(line)):
                separator, n_above = found[1], number
            elif COMMENT.match(line) and not _names_columns(line):
                n_above = number
            elif line.strip():
                return line, separator, n_above
    return "", separator, n_above


def _names_columns(comment: str) -> bool:
    words = re.split(r"[,;|\t ]+", comment.strip(" #%\r\n"))
    return len({part_of(word) for word in words} - {None}) > 1


def _refuse_single_column(path: Path, cells: Sequence[str]) -> None:
    if len(cells) > 1:
        return
    whole = any(delimiter in cells[0] for delimiter in DELIMITERS)
    more = " (each line is quoted as a whole: export it again)" if whole else ""
    raise DataError(
        f"{path}: the first line has a single column {shorten(cells[0])}{more}; columns "
        "must be separated by comma, tab, semicolon or '|'."
    )


def _delimiter(line: str) -> str:
    if "::" in line and not any(c in line for c in ",\t;"):
        return "::"
    unquoted = re.sub(r'"[^"]*"', "", line)
    best = max(DELIMITERS, key=unquoted.count)
    return best if unquoted.count(best) or " " not in unquoted.strip() else " "


def _sample(table: TextTable) -> tuple[tuple[str, ...], ...]:
    """Take the first rows, as far as they can be read."""
    step = len(table.delimiter)
    try:
        rows = [record[::step] for _, record in islice(table.records(), N_SAMPLED)]
    except (UnicodeError, csv.Error, OSError, EOFError):
        return ()  # the reader itself will say what is wrong
    return tuple(map(tuple, rows))


def _is_header(cells: Sequence[str]) -> bool:
    """Tell names of columns from a row: they are words, above numbers or not.

    The titles of a matrix of users and titles may be numbers, below an empty corner or
    a name such as "user".
    """
    cells = [clean_id(cell) for cell in cells]
    if not any(NUMBER.fullmatch(cell) for cell in cells):
        return True
    if sum(part_of(cell) is not None for cell in cells) > 1:
        return True
    corner, titles = cells[0], cells[1:]
    is_corner = not corner or part_of(corner) is not None or len(titles) >= WIDE
    return is_corner and corner not in titles and len({*titles}) == len(titles) > 2


def _with_header(table: TextTable, cells: Sequence[str]) -> TextTable:
    columns = tuple(clean_id(cell) for cell in cells)
    # A header may be written as a comment.
    columns = (columns[0].lstrip("#% "), *columns[1:])
    twice = [c for c in columns if columns.count(c) > 1]
    if twice:
        raise DataError(
            f"{table.path}, line 1: column names must differ, but {shorten(twice[0])} is "
            f"there {columns.count(twice[0])} times."
        )
    return replace(
        table,
        columns=columns,
        written=tuple(cells),
        has_header=True,
        sample=table.sample[1:],
    )


def refuse_undecodable(path: Path, encoding: str) -> None:
    """Name the first line that is not in the encoding, and an encoding that helps."""
    with reading(path), open_plain(path) as file:
        start = file.read(4)
        if start[:2] in (b"\xff\xfe", b"\xfe\xff") and "16" not in encoding:
            raise DataError(
                f"{path}, line 1: is not {encoding} but UTF-16; save the file as UTF-8 "
                "or give --encoding utf-16."
            )
        if "16" in encoding:  # lines of UTF-16 do not end at a byte
            return
        file.seek(0)
        for number, line in enumerate(file, start=1):
            try:
                line.decode(encoding)
            except UnicodeError as error:
                raise DataError(
                    f"{path}, line {number}: is not {encoding} "
                    f"({_offence(line, error)}); {_helping_encoding(line)}."
                ) from error


def _offence(line: bytes, error: UnicodeError) -> str:
    if not isinstance(error, UnicodeDecodeError):
        return str(error)
    near = line[max(error.start - 15, 0) : error.start + 15]
    return f"byte 0x{line[error.start]:02x} in {near.decode('latin-1')!r}"


def _helping_encoding(line: bytes) -> str:
    if b"\0" in line:
        return "it has zero bytes, so it is no text file: export it as CSV in UTF-8"
    try:
        line.decode("cp1252")
    except UnicodeError:
        name = "latin-1"
    else:
        name = "cp1252" if any(0x80 <= byte < 0xA0 for byte in line) else "latin-1"
    return (
        f"it reads as {name}: save the file as UTF-8 (for ratings, --encoding {name} "
        "will do as well)"
    )
