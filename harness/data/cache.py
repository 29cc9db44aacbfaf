"""Large data sets, once read, as arrays that later starts map instead of reading again."""

import hashlib
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.dataset import Dataset
from harness.data.options import ReadOptions
from harness.files import scratch_beside
from harness.plain import to_json

__all__ = ["CachedData", "cache_folder", "cached_data", "clear_cache", "through_cache"]

FEWEST_BYTES = 64 * 2**20
"""Smaller sources are read about as fast as they are found here."""

_ARRAYS = ("users", "items", "values", "rows", "timestamps")
_REST = "rest.pickle"
_UNREADABLE = (OSError, ValueError, EOFError, AttributeError, pickle.UnpicklingError)


@dataclass(frozen=True)
class CachedData:
    """A data set in the cache."""

    source: str
    n_ratings: int
    n_bytes: int


def cache_folder() -> Path:
    """Name the folder of the cache: in the user's cache folder."""
    place = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(place) / "harness" / "data"


def through_cache(
    path: Path, source: str, options: ReadOptions, read: Callable[[], Dataset]
) -> Dataset:
    """Take a data set from the cache, or read it and keep it there."""
    files = _files_read(path, options)
    if files is None or sum(file.stat().st_size for file in files) < FEWEST_BYTES:
        return read()
    folder = cache_folder() / _key(files, source, options)
    if (folder / _REST).is_file() and _is_own(folder):
        try:
            return _load(folder)
        except _UNREADABLE:
            shutil.rmtree(folder, ignore_errors=True)
    dataset = read()
    try:
        _keep(dataset, folder)
    except OSError as error:
        print(  # noqa: T201 - a reader has no other way to say it
            f"{folder}: cannot be written ({error.strerror}): the data will be read "
            "again at the next start. Set XDG_CACHE_HOME to another folder.",
            file=sys.stderr,
        )
    return dataset


def cached_data() -> list[CachedData]:
    """List what is in the cache."""
    found = []
    for folder in sorted(cache_folder().glob("*/")):
        if (folder / _REST).is_file() and _is_own(folder):
            n_bytes = sum(file.stat().st_size for file in folder.iterdir())
            try:
                dataset = _load(folder)
            except _UNREADABLE:
                continue
            found.append(CachedData(dataset.source, len(dataset.ratings), n_bytes))
    return found


def clear_cache() -> int:
    """Delete what is in the cache, and tell the number of its bytes."""
    files = [file for file in cache_folder().rglob("*") if file.is_file()]
    n_bytes = sum(file.stat().st_size for file in files)
    shutil.rmtree(cache_folder(), ignore_errors=True)
    return n_bytes


def _files_read(path: Path, options: ReadOptions) -> list[Path] | None:
    """Name all files that a source may be read from; None where others may be, too."""
    if options.catalogue or options.link:
        return None
    beside = path.with_name(path.name.partition(".")[0] + ".toml")
    files = sorted(path.iterdir()) if path.is_dir() else [path, beside]
    files = [file for file in files if file.is_file()]
    # The TOML beside the ratings may name a catalogue that lies elsewhere.
    tomls = (file for file in files if file.suffix == ".toml")
    if any(b"catalogue" in file.read_bytes() for file in tomls):
        return None
    return files


def _key(files: list[Path], source: str, options: ReadOptions) -> str:
    """Hash what decides what comes out: content, options, and the code that reads."""
    digest = hashlib.blake2b(digest_size=16)
    # Pickled frames are for the version of pandas that wrote them.
    versions = np.__version__, version("pandas")
    digest.update(repr((source, to_json(options.given()), versions)).encode())
    for file in [*files, *_code()]:
        digest.update(f"\n{file.name} {file.stat().st_size}\n".encode())
        with file.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _code() -> Iterator[Path]:
    yield from sorted(Path(__file__).parent.rglob("*.py"))


def _is_own(folder: Path) -> bool:
    # A pickle is code: it must not be somebody else's.
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()


def _keep(dataset: Dataset, folder: Path) -> None:
    with scratch_beside(folder) as scratch:
        made = scratch / "made"
        made.mkdir(mode=0o700)
        arrays = {name: getattr(dataset.ratings, name) for name in _ARRAYS}
        for name, array in arrays.items():
            if array is not None:
                np.save(made / f"{name}.npy", array)
        empty: dict[str, Any] = dict.fromkeys(arrays)
        rest = replace(dataset, ratings=replace(dataset.ratings, **empty))
        with (made / _REST).open("wb") as file:
            pickle.dump(rest, file, protocol=5)
        if not folder.exists():  # somebody else may have been faster
            made.rename(folder)


def _load(folder: Path) -> Dataset:
    with (folder / _REST).open("rb") as file:
        rest: Dataset = pickle.load(file)  # noqa: S301 - this user's own, see _is_own
    arrays: dict[str, Any] = {
        file.stem: np.load(file, mmap_mode="r") for file in folder.glob("*.npy")
    }
    return replace(rest, ratings=replace(rest.ratings, **arrays))
