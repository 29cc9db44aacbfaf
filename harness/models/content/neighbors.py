"""Similar titles by their features: lists for each title, and averages over them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.models.content.kernels import average_pairs
from harness.models.kernels import group_by_code
from harness.models.rating_lists import RatingLists

__all__ = ["SimilarTitles", "unit_rows"]


Codes = npt.NDArray[np.int32]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

MAX_BYTES = 1 << 27
"""Size of all lists together, at 8 bytes a pair: room for all pairs of 4,096 titles, and
for the 621 most similar of each of 27,000."""
_BLOCK = 512


def unit_rows(features: Floats) -> Floats:
    """Scale rows to length 1, so that their products are cosines."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    scaled: Floats = np.divide(
        features, np.where(lengths > 0, lengths, 1.0), dtype=np.float32
    )
    return scaled


@dataclass(frozen=True, slots=True, eq=False)
class SimilarTitles:
    """For each title those that are similar to it."""

    # Where the list of each title begins.
    offsets: npt.NDArray[np.int64]
    # Similar titles, in ascending order; never the title itself.
    codes: Codes
    # Sharpened cosines, from above 0 to 1.
    similarities: Floats

    @classmethod
    def compare(
        cls, features: Floats, *, sharpness: float, max_bytes: int = MAX_BYTES
    ) -> "SimilarTitles":
        r"""Compare all titles.

        .. math:: s_{ij} = \max(0, \cos(x_i, x_j))^{\gamma}
        """
        rows = unit_rows(features)
        n = len(rows)
        n_kept = max(1, min(n, max_bytes // 8 // max(n, 1)))
        counts, codes, similarities = [], [], []
        for first in range(0, n, _BLOCK):
            cosines = rows[first : first + _BLOCK] @ rows.T
            own = np.arange(len(cosines))
            cosines[own, first + own] = 0.0
            if n_kept < n:
                _keep_largest(cosines, n_kept)
            of_row, found = np.nonzero(cosines > 0)
            counts.append(np.bincount(of_row, minlength=len(cosines)))
            codes.append(found.astype(np.int32))
            # Rounding makes the cosine of equal rows a little more than 1.
            values = np.minimum(cosines[of_row, found], np.float32(1.0))
            similarities.append(values ** np.float32(sharpness))
        if not n:
            return cls(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, "f4"))
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
        return cls(
            offsets.astype(np.int64),
            np.concatenate(codes),
            np.concatenate(similarities),
        )

    @property
    def _arrays(self) -> tuple[npt.NDArray[Any], ...]:
        return self.offsets, self.codes, self.similarities

    def between(self, rated: Codes, item: int) -> Floats:
        """Look up how similar rated titles are to one title."""
        found = np.zeros(len(rated), dtype=np.float32)
        for k, title in enumerate(rated):
            first, last = self.offsets[title : title + 2]
            p = first + np.searchsorted(self.codes[first:last], item)
            if p < last and self.codes[p] == item:
                found[k] = self.similarities[p]
        return found

    def average(
        self,
        users: Codes,
        items: Codes,
        by_user: RatingLists,
        *,
        n_neighbors: int,
        shrinkage: float,
    ) -> Doubles:
        r"""Average the residuals of a user over the titles most similar to another.

        .. math:: \frac{\sum_{j \in N} s_{ij} e_{uj}}{\sum_{j \in N} s_{ij} + \lambda}
        """
        out = np.zeros(len(users))
        if len(self.codes) and len(users):
            starts, order = group_by_code(users, len(by_user.offsets) - 1)
            average_pairs(
                (starts, order, items),
                self._arrays,
                by_user.arrays,
                n_neighbors,
                float(shrinkage),
                out,
            )
        return out


def _keep_largest(cosines: Floats, n_kept: int) -> None:
    """Set all but the largest values of each row to 0."""
    n_dropped = cosines.shape[1] - n_kept
    smallest = np.argpartition(cosines, n_dropped, axis=1)[:, :n_dropped]
    np.put_along_axis(cosines, smallest, 0.0, axis=1)
