"""Files that appear complete or not at all, and where the shipped ones are."""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import ExperimentError, UnknownNameError

__all__ = ["create_file", "find_experiment", "scratch_beside", "shipped_folders"]

_STALE_SECONDS = 60.0


def shipped_folders(kind: str) -> list[Path]:
    """Name the folders where shipped ``studies`` or ``experiments`` may be."""
    package = Path(__file__).parent
    # In a wheel the files lie inside the package, in a checkout beside it.
    return [package / "shipped" / kind, package.parent / kind]


def find_experiment(name: str) -> Path:
    """Look up an experiment: a path, then ``./experiments``, then the shipped ones."""
    if Path(name).is_file():
        return Path(name)
    stem = name.removeprefix("experiments/").removesuffix(".toml")
    folders = [Path("experiments"), *shipped_folders("experiments")]
    for folder in folders:
        if "/" not in stem and (folder / f"{stem}.toml").is_file():
            return folder / f"{stem}.toml"
    known = {path.stem for folder in folders for path in folder.glob("*.toml")}
    unknown = UnknownNameError("experiment", stem, known)
    if name == stem and "/" not in stem:
        raise unknown
    raise ExperimentError(f"{name}: there is no such file. {unknown}")


@contextmanager
def scratch_beside(target: Path) -> Iterator[Path]:
    """Lend an empty folder beside a target, from which to move what is complete.

    Afterwards it is gone, and so are parents of the target that were made for nothing.
    """
    made = [parent for parent in target.absolute().parents if not parent.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target: a move within one file system cannot stop half-way.
        scratch = tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent)
        try:
            yield Path(scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    finally:
        for parent in made:
            with suppress(OSError):  # not empty: the target is there
                parent.rmdir()


def create_file(path: Path, write: Callable[[Path], None]) -> None:
    """Create a file with its content, unless there is one.

    If two processes do it at once, one file remains, and it is whole.
    """
    if path.exists():
        return
    _remove_stale(path)
    # Of this process and thread; a name that tells which file it was to be, so that
    # what a killed process left is found the next time.
    mine = f"{os.getpid()}-{threading.get_ident()}"
    scratch = path.with_name(f"{path.name}.{mine}.new")
    try:
        write(scratch)
        try:
            # Unlike a renaming, a link never replaces what another process has made.
            path.hardlink_to(scratch)
        except FileExistsError:
            return
        except OSError:  # a file system without links
            scratch.rename(path)
    finally:
        scratch.unlink(missing_ok=True)


def _remove_stale(path: Path) -> None:
    for scratch in path.parent.glob(f"{path.name}.*.new"):
        try:
            if time.time() - scratch.stat().st_mtime > _STALE_SECONDS:
                scratch.unlink()
        except FileNotFoundError:  # its own process was faster
            continue
