"""One way in: a name, a folder or a file becomes a data set."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data.catalogue import Catalogue, align_catalogue, find_key
from harness.data.dataset import Dataset
from harness.data.options import ReadOptions, Sidecar, read_sidecar
from harness.data.readers.checks import RatingTable, build_ratings, stack
from harness.data.readers.movielens import Layout, find_layout
from harness.data.readers.table import read_table
from harness.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load_again", "load_dataset", "load_source"]


EMBEDDED = "ott"
"""Name of the simulated data set that ships with the package."""

TABLES = ("csv", "csv.gz", "tsv", "parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """What was found at a source, before it is put together."""

    table: RatingTable
    options: ReadOptions
    name: str
    sidecar: Sidecar
    films: "pd.DataFrame | None" = None
    notes: tuple[str, ...] = ()


def load_dataset(source: str, options: ReadOptions | None = None) -> Dataset:
    """Load ratings and their catalogue."""
    options = options or ReadOptions()
    if source == EMBEDDED:
        return _embedded(options)
    dataset = _put_together(_read(source, options), source)
    dataset = replace(dataset, options=options.given())
    if options.link:
        from harness.data.linking.link import link
        from harness.data.readers.streaming import read_streaming_catalogue

        catalogue, _ = read_streaming_catalogue(options.link)
        return link(dataset, catalogue).dataset
    return dataset


def _read(source: str, options: ReadOptions) -> _Content:
    path = Path(source).expanduser()
    if not source.strip():
        raise DataError(
            "The source of the data must not be empty; give 'ott' or a path."
        )
    if path.is_dir():
        return _read_folder(path, options)
    if path.is_file():
        return _read_file(path, options)
    hint = (
        f"fetch it with `harness data get {source}`"
        if source.startswith("ml-")
        else ("give a folder, a CSV or parquet file, or 'ott'")
    )
    raise DataError(f"There is no file or folder {source!r}; {hint}.")


def _embedded(options: ReadOptions) -> Dataset:
    for field in fields(options):
        value = getattr(options, field.name)
        if value != field.default:
            raise DataError(
                f"The embedded data set {EMBEDDED!r} takes no option {field.name} "
                f"({value!r}); name a folder or file of your own to use it."
            )
    from harness.data.ott import generate_ott

    return generate_ott()


def _read_file(path: Path, options: ReadOptions) -> _Content:
    sidecar = read_sidecar(path)
    options = options.over(sidecar.options)
    name = path.name.partition(".")[0]
    table = read_table(path, options)
    return _Content(table=table, options=options, name=name, sidecar=sidecar)


def _read_folder(folder: Path, options: ReadOptions) -> _Content:
    name = folder.resolve().name
    layout = find_layout(folder)
    if layout is not None:
        return _read_movielens(layout, options, name)
    files = _tables_in(folder)
    if "train" in files and "test" in files:
        train, test = (_read_file(files[k], options) for k in ("train", "test"))
        return replace(train, table=stack(train.table, test.table), name=name)
    candidates = {k: p for k, p in files.items() if k != "catalogue"}
    chosen = candidates.get("ratings") or (
        next(iter(candidates.values())) if len(candidates) == 1 else None
    )
    if chosen is None:
        there = sorted(p.name for p in folder.iterdir())[:10]
        raise DataError(
            f"{folder}: no ratings found: neither a MovieLens layout (u.data, "
            "ratings.dat, ratings.csv) nor train.csv with test.csv nor a single table; "
            f"it holds {there}. Name the file itself."
        )
    content = replace(_read_file(chosen, options), name=name)
    if "catalogue" in files and not content.options.catalogue:
        beside = replace(content.options, catalogue=(str(files["catalogue"]),))
        return replace(content, options=beside)
    return content


def _tables_in(folder: Path) -> dict[str, Path]:
    paths = [folder / p.name for p in sorted(folder.iterdir()) if p.is_file()]
    split = ((p.name.partition("."), p) for p in paths)
    return {stem: p for (stem, _, end), p in split if end in TABLES}


def _read_movielens(layout: Layout, options: ReadOptions, name: str) -> _Content:
    sidecar = read_sidecar(layout.ratings)
    options = options.over(sidecar.options)
    table = layout.read_ratings(options)
    films, notes = layout.read_films()
    scale = options.scale or layout.scale_of(table)
    return _Content(
        table=table,
        options=replace(options, scale=scale),
        name=name,
        sidecar=sidecar,
        films=films,
        notes=tuple(notes),
    )


def _put_together(content: _Content, source: str) -> Dataset:
    options, films, notes = content.options, content.films, list(content.notes)
    key = "unique_id"
    if options.catalogue:
        from harness.data.readers.streaming import read_catalogues

        films, more = read_catalogues(options.catalogue)
        key = find_key(films, content.table.items.ids, ", ".join(options.catalogue))
        notes = more
    ids = [] if films is None else films[key].tolist()
    ratings, table = build_ratings(
        content.table,
        scale=options.scale,
        duplicates=options.duplicates,
        unrated_items=[i for i in ids if isinstance(i, str)],
    )
    catalogue = Catalogue.empty()
    if films is not None:
        catalogue = align_catalogue(films, ids, ratings.item_ids)
    tested, watched = table.in_test, table.watch_minutes
    return Dataset(
        name=content.sidecar.name or content.name,
        ratings=ratings,
        catalogue=catalogue,
        source=source,
        simulated=content.sidecar.simulated,
        notes=(*content.sidecar.notes, *table.notes, *notes),
        predefined_test=None if tested is None else tested[ratings.rows],
        watch_minutes=None if watched is None else watched[ratings.rows],
    )


def load_source(source: str, given: Mapping[str, Any]) -> Dataset:
    """Load a data set with options as a command line or a file has them."""
    return load_dataset(source, ReadOptions.of(given))


def load_again(facts: Mapping[str, Any]) -> Dataset:
    """Load the data set of a study or an experiment again."""
    return load_source(facts["source"], facts.get("options", {}))
