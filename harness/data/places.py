"""How error messages name a place in a file, or a value, without flooding the screen."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["ParquetPlaces", "Places", "shorten"]

LONGEST_QUOTE = 40


class Places(Protocol):
    """Names the places of a table's rows."""

    def of(self, row: int) -> str:
        """Name the place of a row, counted from 0: ``"ratings.csv, line 7"``."""
        ...


@dataclass(frozen=True, slots=True)
class ParquetPlaces:
    """Names the rows of a file that has no lines.

    Parameters
    ----------
    path : Path
        The file.
    """

    path: Path

    def of(self, row: int) -> str:
        """Name the place of a row.

        Parameters
        ----------
        row : int
            Number of the row, from 0.

        Returns
        -------
        str
            The file and the number of the row, from 1.
        """
        return f"{self.path}, row {row + 1}"


def shorten(value: object) -> str:
    """Quote a value, but not a megabyte of it.

    Parameters
    ----------
    value : object
        Any value from a file.

    Returns
    -------
    str
        Its representation, cut after 40 characters.

    Examples
    --------
    >>> shorten("abc")
    "'abc'"
    >>> shorten("a" * 1000)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...' (1,000 characters)"
    """
    if isinstance(value, str) and len(value) > LONGEST_QUOTE:
        return f"{value[:LONGEST_QUOTE] + '...'!r} ({len(value):,} characters)"
    return repr(value)
