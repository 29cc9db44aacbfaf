"""One way in: a name, a folder or a file becomes a data set."""

import tempfile
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.cache import through_cache
from harness.data.catalogue import Catalogue, align_catalogue
from harness.data.dataset import Dataset, DatasetFacts
from harness.data.download import DOWNLOAD_FOLDER
from harness.data.options import ReadOptions
from harness.data.readers.table import FORM
from harness.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "EMBEDDED",
    "FRAME",
    "load_again",
    "load_dataset",
    "load_frame",
    "load_source",
]


EMBEDDED = "ott"
"""Name of the simulated data set that ships with the package."""

FRAME = "<data frame>"
"""Source of data that were given as a table."""


def load_dataset(source: str, options: ReadOptions | None = None) -> Dataset:
    """Load ratings and their catalogue."""
    options = options or ReadOptions()
    if source == EMBEDDED:
        return _embedded(options)
    path = _find(source)
    dataset = through_cache(path, source, options, lambda: _read(path, source, options))
    if options.link:
        from harness.data.linking.link import link
        from harness.data.readers.streaming import read_streaming_catalogue

        catalogue, _ = read_streaming_catalogue(options.link)
        return link(dataset, catalogue).dataset
    return dataset


def load_source(source: str, given: Mapping[str, object]) -> Dataset:
    """Load a data set with options as a command line or a file has them."""
    return load_dataset(source, ReadOptions.of(given))


def load_again(facts: DatasetFacts) -> Dataset:
    """Load the data set of a study or an experiment again."""
    return load_source(facts.source, facts.options)


def load_frame(frame: "pd.DataFrame", options: ReadOptions) -> Dataset:
    """Load a table as a file of it would be loaded, with all the same checks.

    Its name is that of ``frame.attrs["name"]``, if there is one.
    """
    import pyarrow as pa
    from pyarrow import parquet

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data-frame.parquet"
        try:
            table = pa.Table.from_pandas(frame, preserve_index=False)
            form = {**(table.schema.metadata or {}), FORM: b"data frame"}
            parquet.write_table(table.replace_schema_metadata(form), path)
        except (TypeError, ValueError) as error:  # Arrow's are both
            reason = str(error).splitlines()[0]
            raise DataError(
                f"{FRAME}: every column needs a name of its own and one type: {reason}"
            ) from error
        try:
            dataset = load_dataset(str(path), options)
        except DataError as error:
            # The file is none of the user's, and gone.
            raise DataError(str(error).replace(str(path), FRAME)) from error
        name = str(frame.attrs.get("name") or "frame")
        return replace(dataset, name=name, source=FRAME)


def _embedded(options: ReadOptions) -> Dataset:
    for field in fields(ReadOptions):
        value = getattr(options, field.name)
        if value != field.default:
            raise DataError(
                f"The embedded data set {EMBEDDED!r} takes no option {field.name} "
                f"({value!r}); name a folder or file of your own to use it."
            )
    from harness.data.ott import generate_ott

    return generate_ott()


def _find(source: str) -> Path:
    if not source.strip():
        raise DataError("The source of the data is empty; give 'ott' or a path.")
    path = Path(source).expanduser()
    for found in (path, Path(DOWNLOAD_FOLDER) / source):
        if found.exists():
            return found
    hint = (
        f"fetch it with `harness data get {source}`"
        if source.startswith("ml-")
        else "give a folder, a CSV or parquet file, or 'ott'"
    )
    raise DataError(f"There is no file or folder {source!r}; {hint}.")


def _read(path: Path, source: str, given: ReadOptions) -> Dataset:
    from harness.data.readers import read_source
    from harness.data.readers.checks import build_ratings
    from harness.data.readers.streaming import read_catalogues

    content = read_source(path, given)
    options, titles, table = content.options, content.titles, content.table
    if options.catalogue:
        titles = read_catalogues(
            options.catalogue,
            columns=options.catalogue_column,
            item_column=table.item_column,
        )
    ids, notes = titles.keyed(table.items.ids) if titles else ([], [])
    ratings, table = build_ratings(
        table,
        scale=options.scale,
        duplicates=options.duplicates,
        unrated_items=[i for i in ids if i],
    )
    catalogue = Catalogue.empty()
    if titles is not None:
        catalogue = align_catalogue(titles.frame, ids, ratings.item_ids)
        notes = [*titles.notes, *notes]
    if content.users is not None:
        users = content.users.reindex(ratings.user_ids).reset_index(drop=True)
        catalogue = replace(catalogue, users=users)
    tested, watched = table.in_test, table.watch_minutes
    return Dataset(
        name=content.sidecar.name or content.name,
        ratings=ratings,
        catalogue=catalogue,
        source=source,
        simulated=content.sidecar.simulated,
        notes=tuple(
            dict.fromkeys(
                [*content.sidecar.notes, *table.notes, *content.notes, *notes]
            )
        ),
        predefined_test=None if tested is None else tested[ratings.rows],
        watch_minutes=None if watched is None else watched[ratings.rows],
        options=given.given(),
    )
