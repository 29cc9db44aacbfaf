"""Values as MLflow keeps them: text of limited length, JSON, milliseconds."""

import functools
import getpass
import json
from datetime import datetime

__all__ = [
    "LONGEST_VALUE",
    "as_json",
    "as_milliseconds",
    "as_text",
    "current_user",
    "shorten",
]

LONGEST_VALUE = 5000
"""Characters of a tag; MLflow cuts it at 8000, older servers at 5000."""


def as_text(value: object) -> str:
    """Write a value as a parameter or a tag.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    str
        At most `LONGEST_VALUE` characters.
    """
    return str(value)[:LONGEST_VALUE]


def as_json(value: object) -> str:
    """Write a value as JSON; what JSON does not know, as text.

    Parameters
    ----------
    value : object
        JSON-like.

    Returns
    -------
    str
        In full.
    """
    return json.dumps(value, default=str)


def as_milliseconds(moment: datetime) -> int:
    """Convert a time with zone.

    Parameters
    ----------
    moment : datetime
        The time.

    Returns
    -------
    int
        Milliseconds since 1970-01-01 UTC.
    """
    return int(moment.timestamp() * 1000)


def shorten(value: float) -> float:
    """Round a figure, because MLflow prints as many digits as there are.

    Parameters
    ----------
    value : float
        As the storage has it, where it stays exact.

    Returns
    -------
    float
        With 6 significant digits.

    Examples
    --------
    >>> shorten(0.5592452493)
    0.559245
    """
    return float(f"{value:.6g}")


@functools.cache
def current_user() -> str:
    """Name the user of this process, for MLflow's column of that name.

    Returns
    -------
    str
        The name; ``"unknown"`` in a container that runs under a number.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
