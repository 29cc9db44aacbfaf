"""What `harness doctor` looks at: versions, cores, caches, stores, and extras."""

import os
import platform
import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from packaging.requirements import Requirement

from harness.data.cache import cache_folder
from harness.errors import HarnessError, TrackingError
from harness.evaluation.worker_process import (
    THREAD_VARIABLES,
    available_bytes,
    n_cores,
)
from harness.models.kernel_cache import folder_for_kernels
from harness.search.storage import list_experiments, without_password
from harness.serving.fetch import open_client
from harness.tracking.location import Location, hide_password
from harness.tracking.store import reason
from harness.version import DISTRIBUTION, code_version, installed_version

__all__ = ["Check", "examine"]

State = Literal["ok", "note", "problem"]

_FOR_DEVELOPERS = frozenset({"dev", "docs"})
_PATIENCE_SECONDS = 5.0
_GIGABYTE = 1e9


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    topic: str
    name: str
    state: State
    found: str
    # What to do about it; None where it is as it should be.
    remedy: str | None = None


def examine(storage: str, find_location: Callable[[], Location]) -> Iterator[Check]:
    """Look at the installation, the machine, and the stores, one after the other."""
    yield from _versions()
    yield from _machine()
    yield from _folders()
    yield _storage(storage)
    yield _tracking(find_location)
    yield from _extras()


def _versions() -> Iterator[Check]:
    yield _ok("versions", "python", platform.python_version())
    yield _ok("versions", "harness", code_version())
    for package in _required(None):
        found = installed_version(package.name)
        if found is not None and package.specifier.contains(found, prereleases=True):
            yield _ok("versions", package.name, found)
            continue
        yield Check(
            topic="versions",
            name=package.name,
            state="problem",
            found=f"{found}, but harness needs {package.specifier}"
            if found
            else "is missing",
            remedy=f"pip install '{package.name}{package.specifier}'",
        )


def _required(extra: str | None) -> list[Requirement]:
    """Name the packages that harness needs, or that one of its extras needs."""
    return [
        package
        for package in map(Requirement, requires(DISTRIBUTION) or [])
        if ("extra ==" in str(package.marker)) == (extra is not None)
        and (package.marker is None or package.marker.evaluate({"extra": extra or ""}))
    ]


def _machine() -> Iterator[Check]:
    import psutil

    usable, there = n_cores(), os.cpu_count() or 1
    of_all = "" if usable == there else f" of {there}, as this process may use"
    yield _ok("machine", "cores", f"{usable}{of_all}")
    free = available_bytes() / _GIGABYTE
    total = psutil.virtual_memory().total / _GIGABYTE
    yield _ok("machine", "memory", f"{free:.1f} of {total:.1f} GB available")
    for name in THREAD_VARIABLES:
        threads = os.environ.get(name, "one for each core")
        if threads == "1":
            yield _ok("machine", name, threads)
            continue
        yield Check(
            topic="machine",
            name=name,
            state="note",
            found=f"{threads}; workers of a search have one thread each",
            remedy=f"export {name}=1, so that training times mean the same for all",
        )


def _folders() -> Iterator[Check]:
    here = Path.cwd()
    error = _write_error(here)
    if error is None:
        yield _ok("folders", "working folder", f"{here} can be written")
    else:
        yield Check(
            topic="folders",
            name="working folder",
            state="problem",
            found=f"{here} cannot be written ({error})",
            remedy="work in another folder: reports and stores are written there",
        )
    kernels = folder_for_kernels()
    if kernels is not None:
        yield _ok("folders", "compiled kernels", f"cached in {kernels}")
    else:
        place = os.environ.get("NUMBA_CACHE_DIR", "no folder")
        is_named = "NUMBA_CACHE_DIR" in os.environ
        yield Check(
            topic="folders",
            name="compiled kernels",
            state="note",
            found=f"{place} {'cannot' if is_named else 'can'} be written: they are compiled at "
            "each start",
            remedy="set NUMBA_CACHE_DIR to a folder that can be written",
        )
    data = cache_folder()
    if _write_error(data) is None:
        yield _ok("folders", "large data", f"kept in {data}")
        return
    yield Check(
        topic="folders",
        name="large data",
        state="note",
        found=f"{data} cannot be written: files of 64 MB or more are read at each start",
        remedy="set XDG_CACHE_HOME to a folder that can be written",
    )


def _write_error(folder: Path) -> str | None:
    """Try to write in a folder, or in the one that it would be made in."""
    there = next(each for each in (folder, *folder.parents) if each.is_dir())
    try:
        # Permissions do not tell of a read-only file system.
        with tempfile.TemporaryFile(dir=there):
            return None
    except OSError as error:
        return error.strerror


def _storage(storage: str) -> Check:
    shown = without_password(storage)
    is_file = storage.startswith("sqlite:///") or "://" not in storage
    path = Path(storage.removeprefix("sqlite:///")) if is_file else None
    if path is not None and not path.exists():
        return _new_file("storage", path, shown, "--storage")
    try:
        names = list_experiments(storage)
    except Exception as error:  # noqa: BLE001 - drivers raise what they like
        is_server = path is None
        remedy = "check the URL, start the server" if is_server else "restore the file"
        remedy += ", or name another with --storage"
        return _problem("storage", error, remedy)
    n = len(names)
    count = "1 study or experiment" if n == 1 else f"{n} studies and experiments"
    return _ok("stores", "storage", f"{shown}, {count}")


def _tracking(find_location: Callable[[], Location]) -> Check:
    try:
        location = find_location()
    except HarnessError as error:
        return _problem("MLflow", error, "name one with --tracking-uri")
    database = location.database
    if database is not None and not database.exists():
        return _new_file("MLflow", database, location.shown, "--tracking-uri")
    try:
        if location.is_server:
            _require_listener(location)
        client = open_client(location)
        client.search_experiments(max_results=1)
    except _NoAnswerError as error:
        remedy = "start it, or name another with --tracking-uri"
        return _problem("MLflow", error, remedy)
    except HarnessError as error:
        return _problem("MLflow", error, "name another with --tracking-uri")
    except Exception as error:  # noqa: BLE001 - MLflow passes on what its parts raise
        remedy = "check address, user and password, or name another with --tracking-uri"
        text = f"{location.shown} cannot be read: {reason(error)}"
        return _problem("MLflow", TrackingError(text), remedy)
    return _ok("stores", "MLflow", location.shown)


def _new_file(name: str, path: Path, shown: str, option: str) -> Check:
    """Say whether a study could make a store that is not there yet."""
    folder = path.absolute().parent
    if folder.is_dir() and _write_error(folder) is None:
        return _ok("stores", name, f"{shown}, made by the first study")
    why = "cannot be written" if folder.is_dir() else "does not exist"
    found = f"{shown} cannot be made: the folder {folder} {why}"
    return Check(
        topic="stores",
        name=name,
        state="problem",
        found=found,
        remedy=f"make the folder, or name another store with {option}",
    )


class _NoAnswerError(TrackingError):
    """Nobody listens at the address of a server."""


def _require_listener(location: Location) -> None:
    """Find out in seconds what MLflow's client would find out in minutes."""
    parts = urlsplit(location.tracking_uri)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    try:
        with socket.create_connection((parts.hostname or "", port), _PATIENCE_SECONDS):
            return
    except OSError as error:
        why = error.strerror or str(error)
        raise _NoAnswerError(f"{location.shown} does not answer: {why}") from error


def _problem(name: str, error: Exception, remedy: str) -> Check:
    text = hide_password(str(error).strip().partition("\n")[0])
    return Check(topic="stores", name=name, state="problem", found=text, remedy=remedy)


def _extras() -> Iterator[Check]:
    lines = "\n".join(requires(DISTRIBUTION) or [])
    extras = set(re.findall(r"extra == ['\"](\w+)['\"]", lines))
    for extra in sorted(extras - _FOR_DEVELOPERS):
        names = [package.name for package in _required(extra)]
        missing = [name for name in names if installed_version(name) is None]
        if not missing:
            yield _ok("extras", extra, "installed")
            continue
        yield Check(
            topic="extras",
            name=extra,
            state="note",
            found=f"not installed ({', '.join(missing)})",
            remedy=f"pip install '{DISTRIBUTION}[{extra}]', if you need it",
        )


def _ok(topic: str, name: str, found: str) -> Check:
    return Check(topic=topic, name=name, state="ok", found=found)
