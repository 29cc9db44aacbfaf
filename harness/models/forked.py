"""Numba made ready: in the process that workers are forked from, and before judging.

Its import, and what the first call of any compiled loop does (it imports 230 modules more,
SciPy's linear algebra among them, and registers all that Numba can compile), take 0.6 s of a
core: once here, instead of once in each worker and in each process that measures costs.
"""

import numpy as np

from harness.models.kernels import group_by_code

group_by_code(np.zeros(1, np.int32), 1)
