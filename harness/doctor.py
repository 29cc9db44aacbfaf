"""What `harness doctor` looks at: versions, cores, caches, stores, and extras."""

import os
import platform
import re
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from harness.errors import HarnessError
from harness.evaluation.worker_process import (
    THREAD_VARIABLES,
    available_bytes,
    n_cores,
)
from harness.models.kernel_cache import folder_for_kernels
from harness.search.storage import list_experiments, without_password
from harness.serving.fetch import open_client
from harness.tracking.location import Location, hide_password
from harness.tracking.store import unusable
from harness.version import DISTRIBUTION, code_version

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


def examine(storage: str, location: Location) -> Iterator[Check]:
    """Look at the installation, the machine, and the stores, one after the other."""
    yield from _versions()
    yield from _machine()
    yield from _folders()
    yield _storage(storage)
    yield _tracking(location)
    yield from _extras()


def _versions() -> Iterator[Check]:
    yield _ok("versions", "python", platform.python_version())
    yield _ok("versions", "harness", code_version())
    for name in _required(None):
        found = _version(name)
        if found is not None:
            yield _ok("versions", name, found)
            continue
        yield Check(
            topic="versions",
            name=name,
            state="problem",
            found="is missing",
            remedy=f"pip install {name}",
        )


def _required(extra: str | None) -> list[str]:
    """Name the packages that harness needs, or that one of its extras needs."""
    found = []
    for line in requires(DISTRIBUTION) or []:
        name, marker = re.split(r"[^\w.-]", line, maxsplit=1)[0], line.partition(";")[2]
        wanted = re.search(r"extra == ['\"](\w+)['\"]", marker)
        # Other markers are for single versions of Python: pip knows them.
        if (wanted[1] if wanted else None) == extra and (wanted or not marker):
            found.append(name)
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


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
    try:
        with tempfile.TemporaryFile(dir=here):
            yield _ok("folders", "working folder", f"{here} can be written")
    except OSError as error:
        yield Check(
            topic="folders",
            name="working folder",
            state="problem",
            found=f"{here} cannot be written ({error.strerror})",
            remedy="work in another folder: reports and stores are written there",
        )
    kernels = folder_for_kernels()
    if kernels is not None:
        yield _ok("folders", "compiled kernels", f"cached in {kernels}")
        return
    yield Check(
        topic="folders",
        name="compiled kernels",
        state="note",
        found="no folder can be written: they are compiled at each start",
        remedy="set NUMBA_CACHE_DIR to a folder that can be written",
    )


def _storage(storage: str) -> Check:
    shown = without_password(storage)
    path = Path(storage.removeprefix("sqlite:///"))
    is_file = storage.startswith("sqlite:///") or "://" not in storage
    if is_file and not path.exists() and path.absolute().parent.is_dir():
        return _ok("stores", "storage", f"{shown}, made by the first study")
    try:
        names = list_experiments(storage)
    except HarnessError as error:
        return _problem("storage", error, "start it, or name another with --storage")
    except Exception as error:  # noqa: BLE001 - drivers raise what they like
        return _problem("storage", error, "start it, or name another with --storage")
    n = len(names)
    count = "1 study or experiment" if n == 1 else f"{n} studies and experiments"
    return _ok("stores", "storage", f"{shown}, {count}")


def _tracking(location: Location) -> Check:
    database = location.database
    if database is not None and not database.exists() and database.parent.is_dir():
        return _ok("stores", "MLflow", f"{location.shown}, made by the first study")
    try:
        if location.is_server:
            _require_listener(location)
        client = open_client(location)
        client.search_experiments(max_results=1)
    except HarnessError as error:
        return _problem(
            "MLflow", error, "start it, or name another with --tracking-uri"
        )
    except Exception as error:  # noqa: BLE001 - MLflow passes on what its parts raise
        return _problem(
            "MLflow", unusable(location, error), "check address, user and password"
        )
    return _ok("stores", "MLflow", location.shown)


def _require_listener(location: Location) -> None:
    """Find out in seconds what MLflow's client would find out in minutes."""
    parts = urlsplit(location.tracking_uri)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    try:
        with socket.create_connection((parts.hostname or "", port), _PATIENCE_SECONDS):
            return
    except OSError as error:
        raise unusable(location, error) from error


def _problem(name: str, error: Exception, remedy: str) -> Check:
    text = hide_password(str(error).strip().partition("\n")[0])
    return Check(topic="stores", name=name, state="problem", found=text, remedy=remedy)


def _extras() -> Iterator[Check]:
    lines = "\n".join(requires(DISTRIBUTION) or [])
    extras = set(re.findall(r"extra == ['\"](\w+)['\"]", lines))
    for extra in sorted(extras - _FOR_DEVELOPERS):
        missing = [name for name in _required(extra) if _version(name) is None]
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
