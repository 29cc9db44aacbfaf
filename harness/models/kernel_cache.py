"""A place for compiled kernels, where the package itself cannot be written."""

import os
import sys
import tempfile
from pathlib import Path

__all__ = ["find_place_for_kernels"]


# Processes that are started later need not say it again.
_SAID = "HARNESS_KERNELS_UNCACHED"


def find_place_for_kernels() -> None:
    """Let Numba cache kernels where that is possible, and compile without a cache if not.

    Numba looks beside the source, then in the user's cache, and fails where neither can be
    written: in a container, packages are often read-only and there is no home directory.
    Must run before the first kernel is imported; processes started later inherit it.
    """
    if "NUMBA_CACHE_DIR" in os.environ:
        places = [Path(os.environ["NUMBA_CACHE_DIR"])]
    else:
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
        # Both are where Numba looks by itself.
        if any(map(_can_be_written, (Path(__file__).parent, Path(cache)))):
            return
        places = _temporary_places()
    for place in places:
        if _can_be_written(place):
            os.environ["NUMBA_CACHE_DIR"] = str(place)
            return
    _compile_without_cache()


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
