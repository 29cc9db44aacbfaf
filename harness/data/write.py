"""Folders that harness writes: ratings, their TOML and their catalogue."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.data.catalogue import CATALOGUE_COLUMNS, DERIVED_COLUMNS, OPTIONAL_COLUMNS
from harness.data.dataset import Dataset
from harness.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_dataset"]


def write_dataset(dataset: Dataset, folder: str | Path) -> None:
    """Write a data set so that `harness.data.load.load_dataset` reads it again.

    The folder holds ``ratings.csv`` (``user_id``, ``item_id``, ``rating`` and, where
    known, ``timestamp``, ``watch_minutes`` and ``split``) in the order of the source,
    ``ratings.toml`` (name, scale, notes, whether simulated) and ``catalogue.csv`` (the
    14 columns and the derived ones as far as known; ``unique_id`` is the item id).
    It appears complete or not at all.
    """
    folder = Path(folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(
            f"{folder}: is there already and not empty; remove it or name another."
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside its final place, so that the rename cannot cross file systems.
        unfinished = Path(
            tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent)
        )
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error}.") from error
    try:
        _write_into(dataset, unfinished)
        unfinished.chmod(0o755)
        unfinished.replace(folder)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_into(dataset: Dataset, folder: Path) -> None:
    _ratings_frame(dataset).to_csv(folder / "ratings.csv", index=False)
    (folder / "ratings.toml").write_text(_settings(dataset), encoding="utf-8")
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


def _settings(dataset: Dataset) -> str:
    # A JSON string, boolean, number or list of these is the same in TOML.
    scale = dataset.ratings.scale
    settings = {
        "name": dataset.name,
        "simulated": dataset.simulated,
        "scale": [scale.low, scale.high],
        "notes": list(dataset.notes),
    }
    lines = (
        f"{k} = {json.dumps(v, ensure_ascii=False)}\n" for k, v in settings.items()
    )
    # Except for one character that JSON allows and TOML does not.
    return "".join(lines).replace("\x7f", "\\u007f")
