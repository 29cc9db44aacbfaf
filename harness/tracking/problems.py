"""What can be wrong with a store, in one sentence each."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from harness.errors import HarnessError, TrackingError
from harness.tracking.location import Location, hide_password

__all__ = ["check_database", "reason", "unusable"]


def unusable(location: Location, error: Exception) -> TrackingError:
    """Say that a store cannot be used.

    Parameters
    ----------
    location : Location
        Where it is.
    error : Exception
        What MLflow, its database or its server raised.

    Returns
    -------
    TrackingError
        To be raised.
    """
    return TrackingError(
        f"The MLflow store {location.shown} must be reachable and writable, but: "
        f"{reason(error)} Start it, or choose another with --tracking-uri."
    )


def reason(error: BaseException) -> str:
    """Say in one line what was wrong.

    Parameters
    ----------
    error : BaseException
        What MLflow, its database or its server raised.

    Returns
    -------
    str
        The first line of the message, at most 200 characters, with a full stop: of the
        innermost cause that has one, because MLflow wraps "connection refused" four
        times, and all of it may happen while a wordless ``queue.Empty`` is handled.
    """
    inner = error
    cause: BaseException | None = error
    while cause is not None and not isinstance(inner, HarnessError):
        inner = cause if str(cause).strip() else inner
        cause = cause.__cause__ or cause.__context__
    lines = str(inner).strip().splitlines() or [type(inner).__name__]
    return hide_password(lines[0])[:200].rstrip(". ") + "."


def check_database(path: Path) -> None:
    """Say at once what MLflow would find out after minutes of repetition.

    Parameters
    ----------
    path : Path
        File of an SQLite database, there or not.

    Raises
    ------
    TrackingError
        If it is not a database, or cannot be written.
    """
    if not path.parent.is_dir():
        raise TrackingError(
            f"{path}: the folder of the MLflow database must exist. Create it first."
        )
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise TrackingError(
            f"{path}: the MLflow database must be writable. Change its permissions, or "
            "choose another with --tracking-uri."
        )
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"{path}: the MLflow database must be an SQLite file, but SQLite says: "
            f"{error}. Move it away, or choose another with --tracking-uri."
        ) from error
