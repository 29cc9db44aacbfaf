"""Compiled loops of Slope One: differences of a user's titles, added up."""

import numba
import numpy as np

__all__ = ["add_up_differences"]


_AT_ONCE = 2_048


@numba.njit(nogil=True, cache=True)
def add_up_differences(rows, difference, common, sums, counts):
    """Add up what each title did better than the rated ones, and how many these are.

    Titles are taken 2,048 at a time: their sums stay in the processor's first cache.
    """
    sums[:], counts[:] = 0.0, 0
    for first in range(0, len(sums), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        total, n = sums[part], counts[part]
        for row in rows:
            # dev(i, j) = -dev(j, i): rows lie together in memory, columns do not.
            left, shared = difference[row, part], common[row, part]
            for p in range(len(total)):
                total[p] -= left[p]
                n[p] += np.int32(shared[p])
