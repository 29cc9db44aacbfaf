"""One owner for each study: a second process that wants to run it is refused."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from harness.errors import HarnessError, StudyError
from harness.search.storage import storage_errors

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection

__all__ = ["Ownership", "own_file", "own_study"]


@dataclass(frozen=True)
class Ownership:
    """The right to write to a study, as long as it lasts."""

    require: Callable[[], None]
    """Raises StudyError if it was lost: a lock in a database dies with its connection."""


@contextmanager
def own_study(storage: str, name: str) -> Iterator[Ownership]:
    """Be the only process that writes to a study, wherever the storage is reached from.

    A second owner would take the trials of the first for leftovers of a killed process.
    The lock is a file beside a storage that is a file, and an advisory lock inside a
    database server. Both are released when their holder dies, however that happens.
    """

    def refusal(owner: str) -> StudyError:
        return StudyError(
            f"The study {name!r} is being run by another process ({owner}): "
            "wait until it ends, or give this one a name of its own with --name."
        )

    url = _server_of(storage)
    if url is not None:
        with _own_in_database(url, name, refusal) as ownership:
            yield ownership
        return
    with own_file(_lock_path(storage, name), refusal):
        yield Ownership(lambda: None)


@contextmanager
def own_file(path: Path, refusal: Callable[[str], HarnessError]) -> Iterator[None]:
    """Be the only process that holds a lock file, which is there while it is held."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        owner = "unknown"
        with suppress(OSError):
            owner = path.read_text().strip() or owner
        raise refusal(owner) from None
    try:
        if os.name == "posix":
            path.write_text(str(os.getpid()))
        yield
    finally:
        if os.name == "posix":
            # Removed while it is held: whoever waits for it sees that it is gone.
            path.unlink(missing_ok=True)
        lock.release()


def _lock_path(storage: str, name: str) -> Path:
    # Not of the path as typed: there are many ways to write the same one.
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    file = _file_of(storage)
    return file.with_name(f"{file.name}.{digest}.owner")


def _file_of(storage: str) -> Path:
    if "://" not in storage:
        return Path(storage)
    from sqlalchemy.engine import make_url

    return Path(str(make_url(storage).database))


def _server_of(storage: str) -> "URL | None":
    if "://" not in storage:
        return None
    from sqlalchemy.engine import make_url

    url = make_url(storage)
    return None if url.get_backend_name() == "sqlite" else url


def _postgresql(name: str) -> tuple[str, Mapping[str, int | str]]:
    # 64 bits of the name: PostgreSQL's advisory locks have numbers.
    key = int.from_bytes(hashlib.sha256(f"harness {name}".encode()).digest()[:8], "big")
    return "SELECT pg_try_advisory_lock(:key)", {"key": key - 2**63}


def _mysql(name: str) -> tuple[str, Mapping[str, int | str]]:
    # MySQL's have names, of at most 64 characters, for the whole server.
    digest = hashlib.sha256(f"harness {name}".encode()).hexdigest()
    return "SELECT GET_LOCK(MD5(CONCAT(DATABASE(), ' ', :key)), 0)", {"key": digest}


_ADVISORY_LOCKS: dict[str, Callable[[str], tuple[str, Mapping[str, int | str]]]] = {
    "postgresql": _postgresql,
    "mysql": _mysql,
    "mariadb": _mysql,
}


# The longest that MySQL takes on every system: 24 days.
_IDLE_SECONDS = 2_147_483


@contextmanager
def _own_in_database(
    url: "URL", name: str, refusal: Callable[[str], HarnessError]
) -> Iterator[Ownership]:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    if url.get_backend_name() not in _ADVISORY_LOCKS:
        raise StudyError(
            f"A study cannot be locked in {url.get_backend_name()}: name a file, SQLite, "
            "PostgreSQL or MySQL with --storage."
        )
    query, values = _ADVISORY_LOCKS[url.get_backend_name()](name)
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with storage_errors(str(url)):
        connection = engine.connect()
    with connection:
        if url.get_backend_name() != "postgresql":
            # MySQL ends connections that are idle, as this one is during a long fold.
            connection.execute(text(f"SET SESSION wait_timeout = {_IDLE_SECONDS}"))
        if not connection.execute(text(query), values).scalar():
            raise refusal("through the same database")
        try:
            yield Ownership(lambda: _require(connection, name))
        finally:
            # The lock goes with its connection, which may be gone already.
            with suppress(SQLAlchemyError):
                connection.invalidate()


def _require(connection: "Connection", name: str) -> None:
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        raise StudyError(
            f"The connection that locks the study {name!r} was lost: somebody else could "
            "run it now. What was told is kept: the same command goes on from there."
        ) from error
