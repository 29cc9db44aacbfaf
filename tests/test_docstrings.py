"""Public names document exactly the parameters they have.

The static ``numpydoc lint`` cannot see that a dataclass has an ``__init__``,
so the docstrings are checked on the imported objects.
"""

import importlib
import inspect
import pkgutil

import pytest
from numpydoc.validate import validate

import harness

CHECKS = {"GL08", "PR01", "PR02", "PR03", "PR10", "RT01", "SS03", "YD01"}


def public_names():
    for info in pkgutil.walk_packages(harness.__path__, "harness."):
        # Commands are documented by their --help, kernels by what calls them.
        if ".cli" in info.name or ".shipped" in info.name:
            continue
        module = importlib.import_module(info.name)
        for name in getattr(module, "__all__", ()):
            member = getattr(module, name)
            documented = inspect.isfunction(member) or inspect.isclass(member)
            at_home = getattr(member, "__module__", None) == info.name
            if documented and at_home and not getattr(member, "_is_protocol", False):
                yield f"{info.name}.{name}"


@pytest.mark.parametrize("name", sorted(public_names()))
def test_docstring_matches_signature(name):
    assert not [e for e in validate(name)["errors"] if e[0] in CHECKS]
