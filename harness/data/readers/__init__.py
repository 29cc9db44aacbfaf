"""Readers of sources: what a folder or file is, and its ratings and titles.

To add a kind of file, add an entry to `FORMATS`; to add a layout of a folder, one to
`READERS`. Nothing else knows them by name.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.options import ReadOptions, Sidecar, read_sidecar
from harness.data.readers.checks import RatingTable, stack
from harness.data.readers.files import plain_name, read_head
from harness.data.readers.movielens import find_layout
from harness.data.readers.streaming import Titles
from harness.data.readers.table import FORMATS, Format, read_table
from harness.data.wording import listed
from harness.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["READERS", "Content", "Reader", "read_source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What was found at a source, before it is put together."""

    table: RatingTable
    options: ReadOptions
    name: str
    sidecar: Sidecar
    titles: Titles | None = None
    users: "pd.DataFrame | None" = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reader:
    """A kind of source: how it is recognised by its content, and how it is read."""

    name: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, ReadOptions], Content]


def read_source(path: Path, options: ReadOptions) -> Content:
    """Read a folder or file with the first reader that recognises it."""
    found = next((each for each in READERS if each.recognises(path)), None)
    if found is None:
        there = listed(sorted(p.name for p in path.iterdir()))
        raise DataError(
            f"{path}: no ratings found: neither a MovieLens layout (u.data, ratings.dat, "
            f"ratings.csv) nor train.csv with test.csv nor a single table; it holds "
            f"{there}. Name the file itself."
        )
    return found.read(path, options)


def _is_format(wanted: Format, path: Path) -> bool:
    if not path.is_file():
        return False
    head = read_head(path)
    return next(each for each in FORMATS if each.recognises(head)) is wanted


def _read_file(path: Path, options: ReadOptions) -> Content:
    sidecar = read_sidecar(path)
    options = options.over(sidecar.options)
    table = read_table(path, options)
    return Content(table=table, options=options, name=plain_name(path), sidecar=sidecar)


def _read_movielens(folder: Path, options: ReadOptions) -> Content:
    layout = find_layout(folder)
    assert layout is not None, "recognised before"
    sidecar = read_sidecar(layout.ratings)
    options = options.over(sidecar.options)
    table = layout.read_ratings(options)
    films, notes = layout.read_films()
    return Content(
        table=table,
        options=replace(options, scale=options.scale or layout.scale_of(table)),
        name=folder.resolve().name,
        sidecar=sidecar,
        titles=None
        if films is None
        else Titles(frame=films, notes=notes, source=str(layout.films)),
        users=layout.read_users(),
        notes=tuple(notes) if films is None else (),
    )


ENDINGS = {
    "csv", "tsv", "txt", "dat", "data", "parquet", "pq", "feather", "arrow", "json",
    "jsonl", "ndjson",
}  # fmt: skip
"""Endings of files in a folder that may be tables: only which to open, not what they are."""


def _tables_in(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    paths = [folder / p.name for p in sorted(folder.iterdir()) if p.is_file()]
    return {
        plain_name(p).lower(): p
        for p in paths
        if p.name.lower().split(".")[1:2] and p.name.lower().split(".")[1] in ENDINGS
    }


def _has_parts(folder: Path) -> bool:
    return {"train", "test"} <= _tables_in(folder).keys()


def _read_parts(folder: Path, options: ReadOptions) -> Content:
    files = _tables_in(folder)
    train, test = (_read_file(files[part], options) for part in ("train", "test"))
    note = (
        f"{files['train'].name} and {files['test'].name} were put together: --split "
        "predefined tests on the latter, any other split draws anew over both."
    )
    content = replace(train, name=folder.resolve().name, notes=(note,))
    return _with_catalogue(
        replace(content, table=stack(train.table, test.table)), files
    )


def _ratings_in(folder: Path) -> Path | None:
    files = {k: p for k, p in _tables_in(folder).items() if k != "catalogue"}
    only = next(iter(files.values())) if len(files) == 1 else None
    return files.get("ratings", only)


def _read_single(folder: Path, options: ReadOptions) -> Content:
    chosen = _ratings_in(folder)
    assert chosen is not None, "recognised before"
    content = replace(_read_file(chosen, options), name=folder.resolve().name)
    return _with_catalogue(content, _tables_in(folder))


def _with_catalogue(content: Content, files: dict[str, Path]) -> Content:
    if "catalogue" not in files or content.options.catalogue:
        return content
    beside = replace(content.options, catalogue=(str(files["catalogue"]),))
    return replace(content, options=beside)


READERS = (
    Reader("MovieLens folder", lambda p: find_layout(p) is not None, _read_movielens),
    Reader("folder of train and test", _has_parts, _read_parts),
    Reader("folder of one table", lambda p: _ratings_in(p) is not None, _read_single),
    *(Reader(each.name, partial(_is_format, each), _read_file) for each in FORMATS),
)
"""All kinds of sources; the first that recognises one reads it."""
