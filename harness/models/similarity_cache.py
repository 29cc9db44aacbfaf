"""Similarities shared between the trials of a search: a cache that forgets."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
import numpy.typing as npt

__all__ = ["SHARED", "ArrayCache", "Arrays"]

Arrays = tuple[npt.NDArray[np.generic], ...]


class ArrayCache:
    """Keeps what was computed, and drops what was not used for the longest time.

    Parameters
    ----------
    max_bytes : int
        Size of all arrays together that is not exceeded; 0 keeps nothing. What does
        not fit alone is computed each time.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, Arrays] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def n_bytes(self) -> int:
        """Size of all arrays kept."""
        return sum(_size(arrays) for arrays in self._kept.values())

    def get(self, key: Hashable, compute: Callable[[], Arrays]) -> Arrays:
        """Look up arrays, or compute and keep them.

        Parameters
        ----------
        key : hashable
            Names everything that the arrays depend on.
        compute : callable
            Makes the arrays, where they are not there.

        Returns
        -------
        tuple of ndarray
            Shared: not to be modified.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        arrays = compute()
        if _size(arrays) <= self.max_bytes:
            with self._lock:
                self._kept[key] = arrays
                while self.n_bytes > self.max_bytes:
                    self._kept.popitem(last=False)
        return arrays

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()


def _size(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays)


SHARED = ArrayCache(max_bytes=1 << 30)
"""What the trials in one process share: at most 1 GiB."""
