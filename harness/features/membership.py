"""Comma-separated lists (genres, countries, people) as a table of titles by names."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Membership", "read_membership", "split_names"]


@dataclass(frozen=True, slots=True, eq=False)
class Membership:
    """Which title has which name in a list.

    Parameters
    ----------
    names : tuple of str
        In alphabetical order.
    table : scipy.sparse.csr_matrix of float32, shape (n_items, n_names)
        1 where the title has the name, else 0.
    """

    names: tuple[str, ...]
    table: Any

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Whether a title has any name: bool, shape (n_items,)."""
        known: npt.NDArray[np.bool_] = np.diff(self.table.indptr) > 0
        return known

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Number of titles that have a name: int64, shape (n_names,)."""
        return np.bincount(self.table.indices, minlength=len(self.names))


def split_names(text: object) -> list[str]:
    """Split a comma-separated list.

    Parameters
    ----------
    text : str or missing value
        The list.

    Returns
    -------
    list of str
        Without spaces around, empty entries and repetitions; empty where text is missing.

    Examples
    --------
    >>> split_names("Drama, Comedy,, Drama")
    ['Drama', 'Comedy']
    """
    if not isinstance(text, str):
        return []
    names = (name.strip() for name in text.split(","))
    return list(dict.fromkeys(name for name in names if name))


def read_membership(
    catalogue: Catalogue,
    *columns: str,
    min_titles: int = 1,
    max_names: int | None = None,
) -> Membership:
    """Read who or what is in the lists of each title.

    Parameters
    ----------
    catalogue : Catalogue
        Its columns that are missing count as empty.
    *columns : str
        Columns of comma-separated lists, taken together.
    min_titles : int, default 1
        Leave out names that fewer titles have.
    max_names : int, optional
        Keep only so many, those that most titles have.

    Returns
    -------
    Membership
        With no name where there is none.
    """
    from scipy.sparse import csr_matrix

    texts = _joined(catalogue.frame, columns)
    if not any(split_names(text) for text in texts):
        return Membership((), csr_matrix((len(texts), 0), dtype=np.float32))
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(analyzer=split_names, dtype=np.float32)
    table = counter.fit_transform(texts)
    names = counter.get_feature_names_out()
    n_titles = np.bincount(table.indices, minlength=len(names))
    # Of equally frequent names those that come first in the alphabet.
    order = np.argsort(-n_titles, kind="stable")
    kept = np.sort(order[n_titles[order] >= min_titles][:max_names])
    return Membership(tuple(names[kept].tolist()), table[:, kept])


def _joined(frame: "pd.DataFrame", columns: tuple[str, ...]) -> list[str]:
    present = [
        frame[column].fillna("").tolist() for column in columns if column in frame
    ]
    if not present:
        return [""] * len(frame)
    return [",".join(map(str, row)) for row in zip(*present, strict=True)]
