"""Wording of notes about what a reader did, and of places in a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["ParquetPlaces", "Places", "by_name", "counted", "shorten"]


def counted(count: int, noun: str) -> str:
    """Word a number of things.

    Examples
    --------
    >>> counted(1, "title"), counted(1200, "title")
    ('1 title', '1,200 titles')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def by_name(counts: Mapping[str, int]) -> str:
    """List counts that are not zero.

    Examples
    --------
    >>> by_name({"title": 5, "cast": 0, "country": 1})
    'title 5, country 1'
    """
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)


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
        """Name the place of a row."""
        return f"{self.path}, row {row + 1}"


def shorten(value: object) -> str:
    """Quote a value, but not a megabyte of it.

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
