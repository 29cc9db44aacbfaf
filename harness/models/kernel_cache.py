"""A place for compiled kernels, where the package itself cannot be written."""

import os
import sys
import tempfile
from pathlib import Path

__all__ = ["find_place_for_kernels", "folder_for_kernels"]


# Processes that are started later need not say it again.
_SAID = "HARNESS_KERNELS_UNCACHED"


def find_place_for_kernels() -> None:
    """Let Numba cache kernels where that is possible, and compile without a cache if not.

    Numba looks beside the source, then in the user's cache, and fails where neither can be
    written: in a container, packages are often read-only and there is no home directory.
    Must run before the first kernel is imported; processes started later inherit it.
    """
    place = folder_for_kernels()
    if place is None:
        _compile_without_cache()
    elif place not in _own_places():
        os.environ["NUMBA_CACHE_DIR"] = str(place)


def folder_for_kernels() -> Path | None:
    """Find the folder in which kernels are cached; None where none can be written."""
    found = next(filter(_can_be_written, _own_places()), None)
    if found is None and "NUMBA_CACHE_DIR" not in os.environ:
        found = next(filter(_can_be_written, _temporary_places()), None)
    return found


def _own_places() -> list[Path]:
    """Name the folders where Numba looks by itself."""
    if "NUMBA_CACHE_DIR" in os.environ:
        return [Path(os.environ["NUMBA_CACHE_DIR"])]
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return [Path(__file__).parent, Path(cache)]


def _can_be_written(folder: Path) -> bool:
    """Try it: permissions do not tell of a read-only file system."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _temporary_places() -> list[Path]:
    try:
        folder = Path(tempfile.gettempdir())
    except OSError:
        return []
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    place = folder / f"harness-kernels-{user}"
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        # Code is loaded from there: it must not be somebody else's.
        is_own = not hasattr(os, "getuid") or place.stat().st_uid == os.getuid()
    except OSError:
        return []
    return [place] if is_own and not place.is_symlink() else []


def _compile_without_cache() -> None:
    from numba.core.dispatcher import Dispatcher

    def leave_uncached(_dispatcher: object) -> None:
        """Do what ``cache=False`` does."""

    setattr(Dispatcher, "enable_caching", leave_uncached)  # noqa: B010 - mypy: a method
    if _SAID in os.environ:
        return
    os.environ[_SAID] = "1"
    print(  # noqa: T201 - once, before anybody could listen
        "No folder for compiled kernels can be written: they are compiled at each start. "
        "Set NUMBA_CACHE_DIR to keep them.",
        file=sys.stderr,
    )
