"""Text files and their encodings, with help where a file is in another one."""

import gzip
from pathlib import Path
from typing import TextIO

from harness.errors import DataError

__all__ = ["open_text", "refuse_undecodable"]


def open_text(path: Path, encoding: str) -> TextIO:
    """Open a text file, unpacking ``.gz``, keeping its line ends.

    Parameters
    ----------
    path : Path
        The file.
    encoding : str
        Text encoding; a byte order mark of UTF-8 is skipped.

    Returns
    -------
    file
        To be closed by the caller.
    """
    encoding = "utf-8-sig" if encoding == "utf-8" else encoding
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open(encoding=encoding, newline="")


def refuse_undecodable(path: Path, encoding: str) -> None:
    """Name the first line that is not in the encoding, and an encoding that helps.

    Parameters
    ----------
    path : Path
        The file.
    encoding : str
        Text encoding in which it should be.

    Raises
    ------
    DataError
        Naming the line; returns if all lines can be decoded.
    """
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
