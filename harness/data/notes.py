"""Wording of the notes that readers leave about what they did."""

from collections.abc import Mapping

__all__ = ["by_name", "counted"]


def counted(count: int, noun: str) -> str:
    """Word a number of things.

    Parameters
    ----------
    count : int
        How many.
    noun : str
        Their name in the singular, with a regular plural.

    Returns
    -------
    str
        Number and noun.

    Examples
    --------
    >>> counted(1, "title"), counted(1200, "title")
    ('1 title', '1,200 titles')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def by_name(counts: Mapping[str, int]) -> str:
    """List counts that are not zero.

    Parameters
    ----------
    counts : mapping of str to int
        Names and counts.

    Returns
    -------
    str
        Names and counts, comma-separated.

    Examples
    --------
    >>> by_name({"title": 5, "cast": 0, "country": 1})
    'title 5, country 1'
    """
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
