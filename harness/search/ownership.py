"""One owner for each study: a second process that wants to run it is refused."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import HarnessError, StudyError

__all__ = ["own_file", "own_study"]


@contextmanager
def own_study(storage: str, name: str) -> Iterator[None]:
    """Be the only process that writes to a study.

    A second owner would take the trials of the first for leftovers of a killed process,
    and mark them as failed. The operating system releases the lock when its holder
    dies, however that happens. It is a file beside the storage; for a database server
    it is in the folder for temporary files, and holds on one machine only.
    """

    def refusal(owner: str) -> StudyError:
        return StudyError(
            f"The study {name!r} is being run by another process ({owner}): "
            "wait until it ends, or give this one a name of its own with --name."
        )

    with own_file(_lock_path(storage, name), refusal):
        yield


@contextmanager
def own_file(path: Path, refusal: Callable[[str], HarnessError]) -> Iterator[None]:
    """Be the only process that holds a lock file, which is there while it is held."""
    if os.name != "posix":
        yield
        return
    handle = _acquire(path, refusal)
    try:
        yield
    finally:
        # Removed while it is held: whoever waits for it sees that it is gone.
        path.unlink(missing_ok=True)
        os.close(handle)


def _lock_path(storage: str, name: str) -> Path:
    digest = hashlib.sha256(f"{storage}\n{name}".encode()).hexdigest()[:8]
    file = _file_of(storage)
    if file is None:
        return Path(tempfile.gettempdir()) / f"harness-{os.getuid()}-{digest}.owner"
    # Not of the path as typed: there are many ways to write the same one.
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return file.with_name(f"{file.name}.{digest}.owner")


def _file_of(storage: str) -> Path | None:
    if "://" not in storage:
        return Path(storage)
    from sqlalchemy.engine import make_url

    url = make_url(storage)
    in_file = url.get_backend_name() == "sqlite" and url.database
    return Path(str(url.database)) if in_file and Path(in_file).is_file() else None


def _acquire(path: Path, refusal: Callable[[str], HarnessError]) -> int:
    import fcntl

    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(handle, 20).decode()
            os.close(handle)
            raise refusal(owner) from None
        if _is_there(path, handle):
            os.ftruncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())
            return handle
        os.close(handle)


def _is_there(path: Path, handle: int) -> bool:
    """Whether the file that is locked still has its name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
