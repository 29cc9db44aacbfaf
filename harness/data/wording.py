"""Wording of notes about what a reader did, and of places in a file."""

from collections.abc import Iterable, Mapping
from typing import Protocol

__all__ = ["Places", "by_name", "counted", "listed", "shorten"]


LONGEST_QUOTE = 40
MOST_LISTED = 10


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
    named = [f"{name} {count:,}" for name, count in counts.items() if count]
    more = len(named) - MOST_LISTED
    return ", ".join(named[:MOST_LISTED]) + (f" and {more:,} more" if more > 0 else "")


def listed(names: Iterable[object]) -> str:
    """List names, but not thousands of them, and no megabyte of one.

    Examples
    --------
    >>> listed(["user", "item"])
    "['user', 'item']"
    >>> listed(range(5000))[-25:]
    ', 7, 8, 9] and 4,990 more'
    """
    names = list(names)
    more = len(names) - MOST_LISTED
    shown = f"[{', '.join(shorten(name) for name in names[:MOST_LISTED])}]"
    return shown + (f" and {more:,} more" if more > 0 else "")


class Places(Protocol):
    """Names the places of a table's rows."""

    def of(self, row: int) -> str:
        """Name the place of a row, counted from 0: ``"ratings.csv, line 7"``."""
        ...


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
