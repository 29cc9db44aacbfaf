"""Delimited text files and their encodings."""

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from harness.data.wording import shorten
from harness.errors import DataError

__all__ = ["TextTable", "open_text", "sniff"]


def open_text(path: Path, encoding: str) -> TextIO:
    """Open a text file, unpacking ``.gz``, keeping its line ends."""
    encoding = "utf-8-sig" if encoding == "utf-8" else encoding
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open(encoding=encoding, newline="")


def refuse_undecodable(path: Path, encoding: str) -> None:
    """Name the first line that is not in the encoding, and an encoding that helps."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
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


DELIMITERS = ",\t;|"
BLOCK_BYTES = 8 * 2**20
LONGEST_HEADER = 2**20
NUMBER = re.compile(r"\s*[-+]?\d+(\.\d*)?\s*")


@dataclass(frozen=True, slots=True)
class TextTable:
    """A delimited text file whose form is known.

    Parameters
    ----------
    path : Path
        The file; ``.gz`` is unpacked on the way.
    encoding : str
        Text encoding.
    delimiter : str
        One character, or ``"::"``.
    columns : tuple of str
        Names in the header; numbers (``"1"``, ``"2"`` ...) where there is none.
    has_header : bool
        Whether the first line names the columns.
    """

    path: Path
    encoding: str
    delimiter: str
    columns: tuple[str, ...]
    has_header: bool

    def read(self, types: Mapping[str, Any]) -> Any:
        """Read some columns."""
        import pyarrow as pa

        try:
            table = self._read(types)
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error}.") from error
        except (pa.ArrowInvalid, UnicodeError) as error:
            self.refuse_broken_text()
            if "Empty CSV" in str(error):
                raise self._no_rows() from error
            if isinstance(error, pa.ArrowInvalid) and "conversion" in str(error):
                raise
            raise DataError(f"{self.path}: is not a table of text: {error}") from error
        if not len(table):
            raise self._no_rows()
        return table.unify_dictionaries()

    def _no_rows(self) -> DataError:
        return DataError(
            f"{self.path}: has a header but no rows; at least two are needed."
        )

    def _read(self, types: Mapping[str, Any]) -> Any:
        from pyarrow import csv as fast

        names = None if self.has_header else [*self.columns]
        if self.delimiter == "::":  # read as ":" with empty columns between
            names = [part for c in self.columns for part in (c, f"{c}:")][:-1]
        # The streaming reader: read_csv reads ahead of its parser, at three times the
        # memory for 20 million ratings.
        reader = fast.open_csv(
            self.path,
            read_options=fast.ReadOptions(
                block_size=BLOCK_BYTES, column_names=names, encoding=self.encoding
            ),
            parse_options=fast.ParseOptions(
                delimiter=self.delimiter[0], newlines_in_values=True
            ),
            convert_options=fast.ConvertOptions(
                include_columns=list(types),
                column_types={k: t for k, t in types.items() if t is not None},
                # "None" and "NA" are names of people and films, not missing values.
                null_values=[""],
                strings_can_be_null=False,
            ),
        )
        with reader:
            return reader.read_all()

    def of(self, row: int) -> str:
        """Name the place of a row; see `harness.data.wording.Places`."""
        wanted = row + self.has_header
        for number, (line, _) in enumerate(self._records()):
            if number == wanted:
                return f"{self.path}, line {line}"
        return f"{self.path}, row {row + 1}"

    def refuse_broken_text(self) -> None:
        """Find the first line that is no text in this encoding, or no row."""
        refuse_undecodable(self.path, self.encoding)
        width = len(self.columns) * len(self.delimiter) - (len(self.delimiter) - 1)
        for line, record in self._records():
            if len(record) != width:
                raise DataError(
                    f"{self.path}, line {line}: a row must have {len(self.columns)} "
                    f"cells like the first, separated by {self.delimiter!r}, but this "
                    f"has {1 + (len(record) - 1) // len(self.delimiter)}: "
                    f"{shorten(self.delimiter[0].join(record))}."
                )

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the line on which each record starts, and its cells; no blank lines."""
        with open_text(self.path, self.encoding) as file, _long_fields():
            reader = csv.reader(file, delimiter=self.delimiter[0])
            start = 1
            for record in reader:
                if record:
                    yield start, record
                start = reader.line_num + 1


@contextmanager
def _long_fields() -> Iterator[None]:
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def sniff(path: Path, encoding: str | None = None) -> TextTable:
    """Find out the form of a delimited text file from its first line."""
    encoding = encoding or "utf-8"
    try:
        first = _first_line(path, encoding)
    except LookupError as error:
        raise DataError(
            f"{path}: there is no text encoding named {encoding!r}; "
            "usual ones are utf-8, latin-1, cp1252 and utf-16."
        ) from error
    except UnicodeError:
        refuse_undecodable(path, encoding)
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}.") from error
    if not first.strip():
        raise DataError(
            f"{path}: is empty; a line with the names of the columns and rows are needed."
        )
    delimiter = _delimiter(first)
    if delimiter == "::":
        return _table(path, encoding, delimiter, first.strip().split("::"))
    cells = next(csv.reader([first.rstrip("\r\n")], delimiter=delimiter))
    return _table(path, encoding, delimiter, cells)


def _first_line(path: Path, encoding: str) -> str:
    with open_text(path, encoding) as file:
        for line in iter(lambda: file.readline(LONGEST_HEADER), ""):
            if line.strip():
                return line
    return ""


def _delimiter(line: str) -> str:
    if "::" in line and not any(c in line for c in ",\t;"):
        return "::"
    unquoted = re.sub(r'"[^"]*"', "", line)
    return max(DELIMITERS, key=unquoted.count)


def _table(
    path: Path, encoding: str, delimiter: str, cells: Sequence[str]
) -> TextTable:
    if len(cells) < 2:
        raise DataError(
            f"{path}: the first line has a single column {shorten(cells[0])}; columns "
            "must be separated by comma, tab, semicolon or '|'."
        )
    has_header = not (len(cells) >= 3 and NUMBER.fullmatch(cells[2]))
    columns = tuple(cells if has_header else map(str, range(1, len(cells) + 1)))
    twice = [c for c in columns if columns.count(c) > 1]
    if twice:
        raise DataError(
            f"{path}, line 1: column names must differ, but {shorten(twice[0])} is "
            f"there {columns.count(twice[0])} times."
        )
    return TextTable(path, encoding, delimiter, columns, has_header)
