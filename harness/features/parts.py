"""Feature blocks: parts of one size each, so that weights mean what they say."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Block", "Part", "scale_part"]

Floats = npt.NDArray[np.float32]

_TINY = 1e-9
"""A size below this is the rounding of a feature that is the same for all titles."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """Features of one kind, centred and scaled: the genres, the decade, the duration.

    Parameters
    ----------
    names : tuple of str, length n_columns
        What each column says, in words for a reader: ``"genre: Drama"``.
    values : ndarray of float32, shape (n_items, n_columns)
        Of mean 0 and mean squared row norm 1 over the titles that have the feature;
        rows of 0, which is the mean, for the others.
    ranked : bool, default False
        Whether the first columns explain most, so that the last ones may be left out.
    """

    names: tuple[str, ...]
    values: Floats
    ranked: bool = False

    def leading(self, n_columns: int) -> "Part":
        """Leave out the last columns of a ranked part, and scale it again.

        Parameters
        ----------
        n_columns : int
            How many to keep; a part that is not ranked keeps all.

        Returns
        -------
        Part
            Of the same size as before.
        """
        if not self.ranked or len(self.names) <= n_columns:
            return self
        known: npt.NDArray[np.bool_] = (self.values != 0).any(axis=1)
        kept = scale_part(self.names[:n_columns], self.values[:, :n_columns], known)
        return self if kept is None else replace(kept, ranked=True)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """Parts that belong together and share one weight.

    Parameters
    ----------
    name : str
        ``"metadata"``, ``"genre"``, ``"text"`` or ``"people"``.
    parts : tuple of Part
        At least one.
    """

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
        """Add a part.

        Parameters
        ----------
        part : Part
            Of the same titles.

        Returns
        -------
        Block
            A new block; the old one is unchanged.
        """
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

    Parameters
    ----------
    names : sequence of str, length n_columns
        What each column says.
    values : ndarray, shape (n_items, n_columns)
        Features as they are.
    known : ndarray of bool, shape (n_items,), optional
        For which titles something is known; else for all.
    weights : ndarray, shape (n_items,), optional
        How much each title counts in means, at least 0; else all alike. Titles that do
        not count are not known.
    ranked : bool, default False
        Whether the first columns explain most.

    Returns
    -------
    Part or None
        None where there is nothing to tell titles apart by.

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
