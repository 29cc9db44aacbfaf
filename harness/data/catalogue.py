"""Titles and what is known about them, row k describing item code k."""

import hashlib
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CATALOGUE_COLUMNS",
    "DERIVED_COLUMNS",
    "LIST_COLUMNS",
    "OPTIONAL_COLUMNS",
    "Catalogue",
    "align_catalogue",
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


_Frames = tuple["pd.DataFrame", "pd.DataFrame | None"]


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
    users : DataFrame, shape (n_users, n_columns), optional
        What the source knows about the users: row ``k`` describes user code ``k``.
        Columns are numbers, or text with few values; their names are free.
    """

    frame: "pd.DataFrame"
    users: "pd.DataFrame | None" = None
    # Reads both, where nobody has asked for them yet.
    _load: Callable[[], _Frames] | None = field(init=False, repr=False, default=None)

    @classmethod
    def later(cls, load: Callable[[], _Frames]) -> "Catalogue":
        """Make a catalogue that is read when somebody asks for it.

        A worker whose family knows ratings only then needs no pandas, whose import takes
        0.4 s.

        Parameters
        ----------
        load : callable
            Gives `frame` and `users`.

        Returns
        -------
        Catalogue
            Like any other.
        """
        catalogue = object.__new__(cls)
        object.__setattr__(catalogue, "_load", load)
        return catalogue

    def __reduce__(self) -> tuple[Any, ...]:
        # What came packed, and was not read, is sent on as it came.
        packed = self._load
        if not isinstance(packed, partial):
            frames = pickle.dumps((self.frame, self.users), protocol=5)
            packed = partial(pickle.loads, frames)
        return Catalogue.later, (packed,)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Read what has no value yet."""
            if name not in {"frame", "users"}:
                raise AttributeError(name)
            load = self._load
            if load is not None:  # else another thread has just done so
                frame, users = load()
                object.__setattr__(self, "frame", frame)
                object.__setattr__(self, "users", users)
                object.__setattr__(self, "_load", None)
            return object.__getattribute__(self, name)

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
        if self.users is not None:
            text += self.users.to_csv(index=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def align_catalogue(
    frame: "pd.DataFrame", key: Sequence[str | None], item_ids: npt.NDArray[np.object_]
) -> Catalogue:
    """Bring the rows of a catalogue into the order of item codes.

    Parameters
    ----------
    frame : DataFrame, n_titles rows
        The catalogue.
    key : sequence of str or None, length n_titles
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
