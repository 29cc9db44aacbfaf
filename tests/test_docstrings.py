"""Public names document exactly the parameters they have.

The static ``numpydoc lint`` cannot see that a dataclass has an ``__init__``,
so the docstrings are checked on the imported objects.
"""

import importlib
import inspect

import pytest
from numpydoc.validate import validate

from harness.models.families import family_names, load_family

CHECKS = {"GL08", "PR01", "PR02", "PR03", "PR10", "RT01", "SS03", "YD01"}
MODULES = (
    "harness.data.catalogue",
    "harness.data.dataset",
    "harness.data.ratings",
    "harness.evaluation.comparison",
    "harness.evaluation.dependence",
    "harness.evaluation.equivalence",
    "harness.evaluation.metrics",
    "harness.evaluation.opening_budget",
    "harness.evaluation.ranking",
    "harness.evaluation.repeats",
    "harness.evaluation.statistics",
    "harness.models.base",
)
"""Where users of the library look; elsewhere a line is enough."""


def public_names():
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in module.__all__:
            member = getattr(module, name)
            documented = inspect.isfunction(member) or inspect.isclass(member)
            at_home = getattr(member, "__module__", None) == module_name
            if documented and at_home and not getattr(member, "_is_protocol", False):
                yield f"{module_name}.{name}"
    for family in map(load_family, family_names()):
        yield f"{family.__module__}.{family.__name__}"


@pytest.mark.parametrize("name", sorted(public_names()))
def test_docstring_matches_signature(name):
    assert not [e for e in validate(name)["errors"] if e[0] in CHECKS]
