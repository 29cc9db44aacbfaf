"""Imports point one way: down this list."""

import ast
from pathlib import Path

import pytest

LAYERS = [
    "__main__",
    "cli",
    "doctor",
    "api",
    "carry_out",
    "objects",
    "progress",
    "report",
    "serving",
    "tracking",
    "experiment",
    "search",
    "evaluation",
    "models",
    "features",
    "data",
    "files",
    "formatting",
    "plain",
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


def name_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


NAMES = {name_of(path) for path in modules}


def layer_of(module):
    floor = module.split(".")[1]
    return LAYERS.index(floor) if floor in LAYERS else None


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in NAMES or node.module == "harness" else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def relative(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", modules, ids=relative)
def test_a_module_imports_only_from_its_own_layer_or_below(path):
    own = LAYERS.index(path.relative_to(PACKAGE).parts[0].removesuffix(".py"))
    for module in imported(ast.parse(path.read_text())):
        if module.startswith("harness.") and layer_of(module) is not None:
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


USED_LATE = {"matplotlib", "mlflow", "pandas", "pyarrow", "sklearn", "surprise"}
WRAPPERS = {  # imported by whoever uses the library, and no sooner
    *("models/cf/surprise_knn.py", "models/surprise/engine.py"),
    *("serving/mlflow_model.py", "serving/model_script.py"),
}


@pytest.mark.parametrize("path", modules, ids=relative)
def test_heavy_libraries_are_imported_where_they_are_used(path):
    # Together they take two seconds of a core, in each process that imports them.
    names = {
        name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in imported(ast.Module([node], []))
    }
    found = {name for name in names if name.split(".")[0] in USED_LATE}
    assert not found or relative(path) in WRAPPERS


def test_nothing_imports_model_selection_of_scikit_learn():
    # 900 modules with scipy.stats, for a permutation that NumPy draws as well.
    for path in modules:
        names = set(imported(ast.parse(path.read_text())))
        assert not any(name.startswith("sklearn.model_selection") for name in names)


def test_nothing_that_searches_takes_test_ratings():
    for path in (PACKAGE / "search").rglob("*.py"):
        assert "SealedTest" not in path.read_text(), path
        assert "split_off_test" not in path.read_text(), path


def test_no_two_modules_import_each_other():
    imports = {
        name_of(path): set(imported(ast.parse(path.read_text()))) for path in modules
    }
    pairs = {(a, b) for a, names in imports.items() for b in names if b in imports}
    assert not {(a, b) for a, b in pairs if (b, a) in pairs}
