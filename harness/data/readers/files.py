"""Files as they come: packed or plain, told by their first bytes, never by their names."""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from harness.data.wording import listed
from harness.errors import DataError

__all__ = ["is_packed", "open_plain", "open_text", "plain_name", "read_head", "reading"]


HEAD_BYTES = 4096

FOREIGN = {
    b"SQLite format 3\x00": "an SQLite database",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of old Excel (.xls)",
    b"\x28\xb5\x2f\xfd": "packed with zstd",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
    b"%PDF": "a PDF document",
    b"\x80\x04\x95": "a Python pickle",
    b"\x80\x05\x95": "a Python pickle",
    b"<!DOCTYPE": "a web page",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"<?xml": "an XML document",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file with `git lfs pull`",
}
"""What people name that is no table, by its first bytes."""

BESIDE = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")
"""What operating systems put into archives."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Name the file in errors of the system and of broken archives."""
    try:
        yield
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read: {error}.") from error


@contextmanager
def open_plain(path: Path) -> Iterator[BinaryIO]:
    """Open a file, unpacking what is packed, however often."""
    with ExitStack() as opened:
        file: BinaryIO = opened.enter_context(path.open("rb"))
        while unpack := _unpacker(path, file):
            file = opened.enter_context(cast("BinaryIO", unpack))
        yield file


def _unpacker(path: Path, file: BinaryIO) -> Any:
    """Wrap a packed file by what unpacks it; None where nothing is packed."""
    start = file.read(8)
    file.seek(0)
    for sign, unpack in PACKED.items():
        if start.startswith(sign):
            return unpack(path, file)
    return None


def _only_member(path: Path, file: BinaryIO) -> IO[bytes]:
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{path}: is a damaged archive or spreadsheet, not a text file: export it as CSV."
        ) from error
    names = [
        each.filename
        for each in archive.infolist()
        if not each.is_dir() and not any(name in each.filename for name in BESIDE)
    ]
    if "[Content_Types].xml" in names:
        raise DataError(
            f"{path}: is a spreadsheet (.xlsx), not a text file: export it as CSV."
        )
    if len(names) != 1:
        raise DataError(
            f"{path}: is an archive of {len(names)} files {listed(names)}, and only one "
            "of a single file can be read; unpack it, and name the file with the ratings."
        )
    try:
        return archive.open(names[0])
    except RuntimeError as error:  # zipfile: encrypted
        raise DataError(f"{path}: is an archive with a password; unpack it.") from error


def read_head(path: Path) -> bytes:
    """Read the first bytes of the unpacked file; refuse what is no table."""
    with reading(path), open_plain(path) as file:
        head = file.read(HEAD_BYTES)
    if head[257:262] == b"ustar":
        raise DataError(f"{path}: is a tar archive; unpack it, and name the file.")
    for start, what in FOREIGN.items():
        if head.startswith(start):
            raise DataError(
                f"{path}: is {what}, not a table; export the ratings as CSV or parquet."
            )
    return head


def plain_name(path: Path) -> str:
    """Tell the name of a data set from that of its file: without any ending."""
    return path.name.partition(".")[0]


PACKED: Mapping[bytes, Callable[[Path, BinaryIO], Any]] = {
    b"\x1f\x8b": lambda _, file: gzip.GzipFile(fileobj=file),
    b"BZh": lambda _, file: bz2.BZ2File(file),
    b"\xfd7zXZ\x00": lambda _, file: lzma.LZMAFile(file),  # noqa: SIM115 - closed by open_plain
    b"PK\x03\x04": _only_member,
}
"""What unpacks a file, by its first bytes."""


def is_packed(path: Path) -> bool:
    """Say whether a file begins like a packed one."""
    with path.open("rb") as file:
        return file.read(8).startswith(tuple(PACKED))


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[IO[str]]:
    """Open a text file, unpacking it, keeping its line ends."""
    encoding = "utf-8-sig" if encoding == "utf-8" else encoding
    with open_plain(path) as file:
        yield io.TextIOWrapper(file, encoding=encoding, newline="")
