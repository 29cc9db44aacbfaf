import platform
from importlib.metadata import version

from harness.search.study import environment


def test_the_environment_names_python_and_what_harness_needs():
    found = environment()
    assert platform.python_version() in found.python
    for package in ("numpy", "optuna", "scikit-surprise", "numba"):
        assert found.packages[package] == version(package)


def test_tools_for_development_are_not_part_of_it():
    assert "pytest" not in environment().packages


def test_a_study_keeps_the_environment_it_was_started_in(run, plan_of):
    assert run(plan_of(), 1).settings.environment == environment()
