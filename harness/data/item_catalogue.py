"""Catalogues laid beside ratings: row k describes item code k."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import (
    CATALOGUE_COLUMNS,
    DERIVED_COLUMNS,
    OPTIONAL_COLUMNS,
    Catalogue,
)
from harness.data.places import shorten
from harness.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["align_catalogue", "find_key"]

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
