"""Imports point one way: down this list."""

import ast
import sys
from pathlib import Path

import pytest

LAYERS = [
    "cli",
    "report",
    "serving",
    "tracking",
    "experiment",
    "search",
    "evaluation",
    "models",
    "features",
    "data",
    "toml",
    "version",
    "errors",
]
PACKAGE = Path(__file__).parent.parent / "harness"
HEAVY = {
    "lightfm",
    "matplotlib",
    "mlflow",
    "numba",
    "numpy",
    "optuna",
    "pandas",
    "pyarrow",
    "scipy",
    "sklearn",
    "surprise",
}
modules = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def layer_of(module):
    return LAYERS.index(module.split(".")[1])


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "harness":
                yield from (f"harness.{alias.name}" for alias in node.names)
            else:
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def relative(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", modules, ids=relative)
def test_a_module_imports_only_from_its_own_layer_or_below(path):
    own = LAYERS.index(path.relative_to(PACKAGE).parts[0].removesuffix(".py"))
    for module in imported(ast.parse(path.read_text())):
        if module.startswith("harness.") and module != "harness.__version__":
            assert layer_of(module) >= own, module


@pytest.mark.parametrize("path", sorted((PACKAGE / "cli").rglob("*.py")), ids=relative)
def test_the_command_line_imports_nothing_heavy_before_it_must(path):
    at_the_top = {
        name.split(".")[0]
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in imported(ast.Module([node], []))
    }
    assert not at_the_top & HEAVY


def test_nothing_that_searches_takes_test_ratings():
    for path in (PACKAGE / "search").rglob("*.py"):
        assert "SealedTest" not in path.read_text(), path
        assert "split_off_test" not in path.read_text(), path


def test_no_module_is_named_like_one_of_the_standard_library():
    assert not {path.stem for path in modules} & sys.stdlib_module_names
