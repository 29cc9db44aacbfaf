"""The metadata block: duration, release year, content rating, type, platform, country."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.features.parts import Part, read_membership, scale_part

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["METADATA_COLUMNS", "metadata_parts", "scale_to_unit"]


METADATA_COLUMNS = (
    "duration_minutes",
    "n_seasons",
    "release_year",
    "rating",
    "maturity",
    "type",
    "source",
    "country",
)

MOST_CATEGORIES = 16
LONGEST_QUANTILE = 0.99


def metadata_parts(catalogue: Catalogue) -> tuple[Part, ...]:
    """Build the parts of the metadata block.

    Duration from 0 to 1 (minutes of films, seasons of shows, scaled each by itself),
    release year in years and by decade (one-hot), content rating as one-hot and as the
    age from which it allows a title, type (one-hot), platforms and countries of production
    (a title may have several). Of categories the most frequent are kept.
    """
    numbers = [
        _number(catalogue, "duration_minutes", "duration in minutes"),
        _number(catalogue, "n_seasons", "number of seasons"),
        _number(catalogue, "release_year", "release year"),
        _number(catalogue, "maturity", "age of the content rating"),
    ]
    categories = [
        _decades(catalogue),
        _categories(catalogue, "rating", "content rating"),
        _categories(catalogue, "type", "type"),
        _members(catalogue, "source", "platform"),
        _members(catalogue, "country", "country"),
    ]
    return tuple(part for part in (*numbers, *categories) if part is not None)


def scale_to_unit(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scale numbers to 0 .. 1, from the smallest to the 99th percentile.

    Few titles are ten times as long as all others; what is longer than the percentile
    counts as 1, so that they do not press the others together.

    Examples
    --------
    >>> scale_to_unit(np.array([60.0, 90.0, np.nan, 60.0])).tolist()
    [0.0, 1.0, nan, 0.0]
    """
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(values), np.nan)
    low = values[known].min()
    high = np.quantile(values[known], LONGEST_QUANTILE, method="higher")
    if high <= low:
        return np.where(known, 0.0, np.nan)
    scaled: npt.NDArray[np.float64] = np.clip((values - low) / (high - low), 0.0, 1.0)
    return scaled


def _numbers(catalogue: Catalogue, column: str) -> npt.NDArray[np.float64] | None:
    if not catalogue.has(column):
        return None
    values = catalogue.frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def _number(catalogue: Catalogue, column: str, name: str) -> Part | None:
    values = _numbers(catalogue, column)
    if values is None:
        return None
    scaled = scale_to_unit(values)[:, None]
    return scale_part([name], np.nan_to_num(scaled), np.isfinite(scaled[:, 0]))


def _decades(catalogue: Catalogue) -> Part | None:
    years = _numbers(catalogue, "release_year")
    if years is None:
        return None
    labels = np.array(
        [f"{int(year // 10 * 10)}s" if np.isfinite(year) else None for year in years],
        dtype=object,
    )
    return _one_hot(labels, "decade")


def _categories(catalogue: Catalogue, column: str, name: str) -> Part | None:
    if not catalogue.has(column):
        return None
    return _one_hot(_labels(catalogue.frame[column]), name)


def _labels(column: "pd.Series") -> npt.NDArray[np.object_]:
    known = column.notna().tolist()
    values = column.tolist()
    return np.array(
        [
            str(v) if is_known else None
            for v, is_known in zip(values, known, strict=True)
        ],
        dtype=object,
    )


def _one_hot(labels: npt.NDArray[np.object_], name: str) -> Part | None:
    from sklearn.preprocessing import OneHotEncoder

    known = np.array([label is not None for label in labels], dtype=bool)
    encoder = OneHotEncoder(
        sparse_output=False, dtype=np.float32, max_categories=MOST_CATEGORIES
    )
    encoded = encoder.fit_transform(labels[known][:, None])
    values = np.zeros((len(labels), encoded.shape[1]), dtype=np.float32)
    values[known] = encoded
    return scale_part(_column_names(encoder, name), values, known)


def _column_names(encoder: "object", name: str) -> Sequence[str]:
    found = encoder.get_feature_names_out([name])  # type: ignore[attr-defined]
    return [
        f"{name}: {column.removeprefix(f'{name}_').replace('infrequent_sklearn', 'other')}"
        for column in found
    ]


def _members(catalogue: Catalogue, column: str, name: str) -> Part | None:
    """Mark the most frequent entries of comma-separated lists."""
    entries = read_membership(catalogue, column, max_names=MOST_CATEGORIES)
    known = read_membership(catalogue, column).known
    names = [f"{name}: {entry}" for entry in entries.names]
    return scale_part(names, entries.table.toarray(), known)
