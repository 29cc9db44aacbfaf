"""Feature blocks: parts of one size each, so that weights mean what they say."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "MAX_COMPONENTS",
    "Block",
    "Membership",
    "Part",
    "embed",
    "read_membership",
    "scale_part",
    "split_names",
]


Floats = npt.NDArray[np.float32]

_TINY = 1e-9
"""A size below this is the rounding of a feature that is the same for all titles."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """Features of one kind, centred and scaled: the genres, the decade, the duration."""

    # What each column says, in words for a reader: "genre: Drama".
    names: tuple[str, ...]
    values: Floats
    # Whether the first columns explain most, so that the last ones may be left out.
    ranked: bool = False

    def leading(self, n_columns: int) -> "Part":
        """Leave out the last columns of a ranked part, and scale it again."""
        if not self.ranked or len(self.names) <= n_columns:
            return self
        known: npt.NDArray[np.bool_] = (self.values != 0).any(axis=1)
        kept = scale_part(self.names[:n_columns], self.values[:, :n_columns], known)
        return self if kept is None else replace(kept, ranked=True)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """Parts that belong together and share one weight."""

    name: str
    parts: tuple[Part, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What each column says."""
        return tuple(name for part in self.parts for name in part.names)

    @property
    def values(self) -> Floats:
        """All parts side by side, float32, shape (n_items, n_columns).

        Divided by the root of their number: each part contributes alike, and blocks are
        of the same size, whatever their number of columns.
        """
        together = np.hstack([part.values for part in self.parts])
        scaled: Floats = together / np.float32(np.sqrt(len(self.parts)))
        return scaled

    def leading(self, n_columns: int) -> "Block":
        """Leave out the last columns of its ranked parts; see `Part.leading`."""
        parts = tuple(part.leading(n_columns) for part in self.parts)
        return Block(name=self.name, parts=parts)

    def with_part(self, part: Part) -> "Block":
        """Add a part."""
        return Block(name=self.name, parts=(*self.parts, part))


def scale_part(
    names: Sequence[str],
    values: npt.NDArray[Any],
    known: npt.NDArray[np.bool_] | None = None,
    *,
    weights: npt.NDArray[Any] | None = None,
    ranked: bool = False,
) -> Part | None:
    r"""Centre and scale features of one kind.

    .. math:: x_i \leftarrow \frac{x_i - \bar x}
              {\sqrt{\sum_j a_j \lVert x_j - \bar x \rVert^2}}, \qquad
              \bar x = \sum_j a_j x_j, \qquad \sum_j a_j = 1

    Means are over the titles for which something is known; the others become 0, so that
    a missing value pulls neither way and no title is dropped.

    Examples
    --------
    >>> scale_part(["age"], np.array([[7.0], [17.0]])).values.ravel().tolist()
    [-1.0, 1.0]
    """
    known = np.ones(len(values), dtype=bool) if known is None else known
    weights = np.ones(len(values)) if weights is None else weights
    known = known & (weights > 0)
    if not known.any() or not len(names):
        return None
    chosen = values[known].astype(np.float64)
    shares = weights[known] / weights[known].sum()
    chosen -= shares @ chosen
    size = float(np.sqrt(shares @ (chosen**2).sum(axis=1)))
    if size < _TINY:
        return None
    scaled = np.zeros(values.shape, dtype=np.float32)
    scaled[known] = chosen / size
    return Part(names=tuple(names), values=scaled, ranked=ranked)


@dataclass(frozen=True, slots=True, eq=False)
class Membership:
    """Which title has which name in a list."""

    names: tuple[str, ...]
    # 1 where the title has the name, else 0.
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
    """Read who or what is in the lists of each title."""
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


MAX_COMPONENTS = 64
"""Computed once; whoever wants fewer takes the first ones."""


def embed(table: Any) -> npt.NDArray[np.float32]:
    """Find the directions in which the rows of a table differ most.

    Two rows that share a column come close to each other, and so do two rows that share
    none but whose columns occur together elsewhere. For TF-IDF tables this is latent
    semantic analysis [1]_.

    References
    ----------
    .. [1] S. Deerwester et al., "Indexing by latent semantic analysis", Journal of the
       American Society for Information Science 41(6), 1990.
    """
    n_components = min(MAX_COMPONENTS, table.shape[0] - 1, table.shape[1] - 1)
    if n_components < 1:
        whole: npt.NDArray[np.float32] = table.toarray().astype(np.float32)
        return whole
    from sklearn.decomposition import TruncatedSVD

    svd = TruncatedSVD(n_components=n_components, n_iter=5, random_state=0)
    # Its share of explained variance is 0 / 0 where all rows are equal.
    with np.errstate(invalid="ignore", divide="ignore"):
        coordinates = svd.fit_transform(table.astype(np.float64))
    narrow: npt.NDArray[np.float32] = coordinates.astype(np.float32)
    return narrow
