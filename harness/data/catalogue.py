"""Titles and what is known about them, row k describing item code k."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.data.wording import shorten
from harness.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CATALOGUE_COLUMNS",
    "DERIVED_COLUMNS",
    "LIST_COLUMNS",
    "OPTIONAL_COLUMNS",
    "Catalogue",
    "align_catalogue",
    "find_key",
]


CATALOGUE_COLUMNS = (
    "unique_id",
    "source",
    "show_id",
    "type",
    "title",
    "director",
    "cast",
    "country",
    "date_added",
    "release_year",
    "rating",
    "duration",
    "listed_in",
    "description",
)
"""The published 14-column form of a streaming catalogue."""

OPTIONAL_COLUMNS = ("production_company",)
"""Columns that are used where a catalogue has them; the published ones have not."""

LIST_COLUMNS = ("director", "cast", "country", "listed_in", "production_company")
"""Columns whose cells are lists, comma-separated."""

DERIVED_COLUMNS = ("duration_minutes", "n_seasons", "maturity")
"""Columns that readers add: minutes of a film, seasons of a show, and the age from
which the content rating allows it (an ordered scale common to all rating systems)."""


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """One row a title, aligned with the item codes of some ratings.

    Parameters
    ----------
    frame : DataFrame, shape (n_items, n_columns) or (0, 0)
        Row ``k`` describes item code ``k``; index 0, 1, ... Columns are a subset of
        `CATALOGUE_COLUMNS`, `OPTIONAL_COLUMNS` and `DERIVED_COLUMNS`; those of
        `LIST_COLUMNS` are comma-separated text. What is unknown is missing (NaN / None /
        NaT). An item without any metadata is a row of missing values.
    """

    frame: "pd.DataFrame"

    @classmethod
    def empty(cls) -> "Catalogue":
        """Make a catalogue that knows nothing.

        Returns
        -------
        Catalogue
            With no row and no column.
        """
        import pandas as pd

        return cls(pd.DataFrame())

    def __len__(self) -> int:
        return len(self.frame)

    def has(self, *columns: str) -> bool:
        """Say whether all these columns are there with at least one value each.

        Parameters
        ----------
        *columns : str
            Names of columns.

        Returns
        -------
        bool
            True if each has a value somewhere.
        """
        return all(c in self.frame and self.frame[c].notna().any() for c in columns)

    def fingerprint(self) -> str:
        """Hash the content.

        Returns
        -------
        str
            16 hexadecimal digits (of SHA-256).
        """
        text = self.frame.to_csv(index=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


KEYS = ("unique_id", "show_id")


def find_key(
    frame: "pd.DataFrame", item_ids: npt.NDArray[np.object_], source: str
) -> str:
    """Find the column of a catalogue that holds the ids of the rated items.

    Parameters
    ----------
    frame : DataFrame
        A catalogue with a column ``unique_id`` or ``show_id``.
    item_ids : ndarray of str
        Ids of the rated items.
    source : str
        Name of the catalogue, for messages.

    Returns
    -------
    str
        The column that matches most items.

    Raises
    ------
    DataError
        If none matches any item, or the best has an id twice.
    """
    wanted = set(item_ids.tolist())
    matches = {k: int(frame[k].isin(wanted).sum()) for k in KEYS if k in frame}
    key = max(matches, key=lambda k: matches[k], default="unique_id")
    if not matches.get(key):
        raise DataError(
            f"{source}: none of the {len(wanted):,} rated items (such as "
            f"{shorten(str(item_ids[0]))}) is in its columns {list(matches)}; link "
            "ratings and catalogue by title with `harness data link`."
        )
    twice = frame[key][frame[key].duplicated() & frame[key].isin(wanted)]
    if len(twice):
        raise DataError(
            f"{source}: each title must be there once, but {key} "
            f"{shorten(str(twice.iloc[0]))} is there several times ({len(twice):,} rows "
            "too many); remove them."
        )
    return key


def align_catalogue(
    frame: "pd.DataFrame", key: Sequence[str], item_ids: npt.NDArray[np.object_]
) -> Catalogue:
    """Bring the rows of a catalogue into the order of item codes.

    Parameters
    ----------
    frame : DataFrame, n_titles rows
        The catalogue.
    key : sequence of str, length n_titles
        The id of each row among `item_ids`.
    item_ids : ndarray of str, shape (n_items,)
        Ids in the order of their codes.

    Returns
    -------
    Catalogue
        One row an item; what is not in `frame` is a row of missing values.
    """
    import pandas as pd

    known = (*CATALOGUE_COLUMNS, *OPTIONAL_COLUMNS, *DERIVED_COLUMNS)
    columns = [column for column in known if column in frame]
    keyed = frame[columns].set_axis(pd.Index(key, dtype=object), axis=0)
    keyed = keyed[~keyed.index.duplicated()]
    return Catalogue(keyed.reindex(item_ids).reset_index(drop=True))
