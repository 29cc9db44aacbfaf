"""Recommender families.

To add one, write its module here, its search space in ``studies/`` and its test file,
and register it in the entry-point group ``harness.families``. The command line, the
documentation and the conformance tests read the registry.
"""

from harness.models.kernel_cache import find_place_for_kernels

find_place_for_kernels()
