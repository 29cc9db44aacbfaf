"""Folders that harness writes: ratings, their TOML and their catalogue."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tomli_w

from harness.data.catalogue import CATALOGUE_COLUMNS, DERIVED_COLUMNS, OPTIONAL_COLUMNS
from harness.data.dataset import Dataset
from harness.errors import DataError
from harness.files import scratch_beside

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["new_folder", "write_files"]


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Lend a folder to write data into; in the end it gets its name."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(
            f"{folder}: is there already and not empty; remove it or name another."
        )
    try:
        with scratch_beside(folder) as unfinished:
            yield unfinished
            unfinished.chmod(0o755)
            unfinished.replace(folder)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error}.") from error


def write_files(dataset: Dataset, folder: Path) -> None:
    """Write a data set into a folder that is there, for `load_dataset` to read it again.

    ``ratings.csv`` (``user_id``, ``item_id``, ``rating`` and, where known, ``timestamp``,
    ``watch_minutes`` and ``split``) in the order of the source, ``ratings.toml`` (name,
    scale, notes, whether simulated) and ``catalogue.csv`` (the 14 columns and the derived
    ones as far as known; ``unique_id`` is the item id).
    """
    _ratings_frame(dataset).to_csv(folder / "ratings.csv", index=False)
    text = tomli_w.dumps(_settings(dataset))
    (folder / "ratings.toml").write_text(text, encoding="utf-8")
    if len(dataset.catalogue):
        _catalogue_frame(dataset).to_csv(folder / "catalogue.csv", index=False)


def _ratings_frame(dataset: Dataset) -> "pd.DataFrame":
    import pandas as pd

    ratings = dataset.ratings
    columns = {
        "user_id": ratings.user_ids[ratings.users],
        "item_id": ratings.item_ids[ratings.items],
        "rating": ratings.values,
    }
    if ratings.timestamps is not None:
        columns["timestamp"] = ratings.timestamps
    if dataset.watch_minutes is not None:
        columns["watch_minutes"] = dataset.watch_minutes
    if dataset.predefined_test is not None:
        columns["split"] = np.where(dataset.predefined_test, "test", "train")
    return pd.DataFrame(columns).iloc[np.argsort(ratings.rows, kind="stable")]


def _catalogue_frame(dataset: Dataset) -> "pd.DataFrame":
    optional = filter(dataset.catalogue.has, OPTIONAL_COLUMNS)
    all_columns = [*CATALOGUE_COLUMNS, *optional, *DERIVED_COLUMNS]
    frame = dataset.catalogue.frame.reindex(columns=all_columns)
    frame["unique_id"] = dataset.ratings.item_ids
    for column in ("release_year", *DERIVED_COLUMNS):
        number = frame[column].astype("float64")
        # 1995, not 1995.0; but a film of 92.5 minutes stays what it is
        whole = (number.dropna() % 1 == 0).all()
        frame[column] = number.astype("Int64") if whole else number
    return frame


def _settings(dataset: Dataset) -> dict[str, object]:
    scale = dataset.ratings.scale
    return {
        "name": dataset.name,
        "simulated": dataset.simulated,
        "scale": [scale.low, scale.high],
        "notes": list(dataset.notes),
    }
