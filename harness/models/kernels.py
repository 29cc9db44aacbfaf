"""Compiled counting sort: codes into groups."""

import numba
import numpy as np

__all__ = ["group_by_code"]


@numba.njit(nogil=True, cache=True)
def group_by_code(codes, n_codes):
    """Sort positions by their code; positions of equal codes keep their order."""
    offsets = np.zeros(n_codes + 1, np.int64)
    for code in codes:
        offsets[code + 1] += 1
    for code in range(n_codes):
        offsets[code + 1] += offsets[code]
    order = np.empty(len(codes), np.int32)
    following = offsets[:-1].copy()
    for position in range(len(codes)):
        code = codes[position]
        order[following[code]] = position
        following[code] += 1
    return offsets, order
