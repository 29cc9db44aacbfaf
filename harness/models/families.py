"""Finding model families: those registered as entry points, and classes in files.

Whether a name is one is known without NumPy: a misspelt one ends a command at once.
"""

import hashlib
import re
import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from harness.errors import MissingExtraError, UnknownNameError, UnsupportedError

if TYPE_CHECKING:
    from harness.models.base import Recommender
    from harness.plain import Params

__all__ = [
    "CODE",
    "GROUP",
    "family_in_file",
    "family_names",
    "file_of",
    "import_file",
    "is_in_file",
    "load_family",
    "make_model",
    "reference_of",
    "require_family",
]


GROUP = "harness.families"
"""Entry-point group; each entry names a `Recommender` class."""
CODE = "family.py"
"""File that a saved model takes along where its family is not registered."""

_REFERENCE = re.compile(r"(?P<file>.+\.py):(?P<name>\w*)")

# Families from files by what they were asked for as.
_references: "dict[type[Recommender], str]" = {}


def _entries() -> dict[str, EntryPoint]:
    return _entries_on(tuple(sys.path))


@cache
def _entries_on(path: tuple[str, ...]) -> dict[str, EntryPoint]:  # noqa: ARG001 - a key
    """Read what is registered: all packages are looked through, which takes 10 ms."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _entry(name: str) -> EntryPoint:
    if name not in _entries():
        _entries_on.cache_clear()  # it may have been installed since
    entries = _entries()
    if name not in entries:
        raise UnknownNameError("family", name, entries)
    return entries[name]


def family_names() -> list[str]:
    """List the registered families."""
    return sorted(_entries())


def require_family(reference: str) -> None:
    """Refuse a name that is not registered, before anything is imported."""
    if not is_in_file(reference):
        _entry(reference)


def load_family(reference: str) -> "type[Recommender]":
    """Import a family: a registered name, or ``my_model.py:MyModel``."""
    in_file = _REFERENCE.fullmatch(reference)
    if in_file:
        family = _from_file(reference, Path(in_file["file"]), in_file["name"])
        _references[family] = reference
        return family
    entry = _entry(reference)
    package = f" of {entry.dist.name}" if entry.dist is not None else ""
    try:
        found: Any = entry.load()
    except Exception as error:
        raise _not_importable(reference, f"{entry.value}{package}", error) from error
    return _checked(found, reference, f"{entry.value}{package}")


def make_model(
    family: "type[Recommender]", params: "Params", seed: int
) -> "Recommender":
    """Make a model that is not yet fitted; the seed is for families that take one."""
    seeded = "seed" in family.__dataclass_fields__
    return family(**{**params, **({"seed": seed} if seeded else {})})


def is_in_file(reference: str) -> bool:
    """Tell whether a reference to a family names a file."""
    return _REFERENCE.fullmatch(reference) is not None


def reference_of(family: "type[Recommender]") -> str:
    """Say what `load_family` takes to find a family again."""
    return _references.get(family, family.name)


def file_of(family: "type[Recommender]") -> Path | None:
    """Name the file that a family was loaded from; None where it is registered."""
    if family not in _references:
        return None
    return Path(str(sys.modules[family.__module__].__file__))


def family_in_file(path: Path, name: str) -> "type[Recommender]":
    """Find the class in a file, which came with a model, whose family has this name."""
    try:
        module = _import(path, name)
    except MissingExtraError as error:
        raise MissingExtraError(
            f"{error} A model takes the one file of its family along: put what it needs "
            "into that file, or install it as a package."
        ) from error
    for family in _families_in(module):
        if getattr(family, "name", None) == name:
            _references[family] = f"{path}:{family.__name__}"
            return family
    raise UnsupportedError(f"{path}: must define the family {name!r}, but does not.")


def _from_file(reference: str, path: Path, name: str) -> "type[Recommender]":
    if not path.is_file():
        raise UnsupportedError(f"{reference}: there is no file {str(path)!r}.")
    module = _import(path, reference)
    if not hasattr(module, name):
        known = [family.__name__ for family in _families_in(module)]
        raise UnknownNameError(f"family in {path}", name, known)
    family = _checked(getattr(module, name), reference, f"{name} in {path}")
    if not isinstance(getattr(family, "name", None), str):
        raise UnsupportedError(
            f"{reference}: a family must have a name, as in "
            f'name: ClassVar[str] = "{name.lower()}".'
        )
    if family.name in _entries():
        raise UnsupportedError(
            f"{reference}: the family must have a name of its own, but {family.name!r} "
            "is registered: choose another one."
        )
    return family


def _import(path: Path, reference: str) -> ModuleType:
    try:
        return import_file(path)
    except Exception as error:
        raise _not_importable(reference, path.name, error) from error


def import_file(path: Path) -> ModuleType:
    """Import a file, once for each content; what lies beside it can be imported."""
    path = path.resolve()
    content = hashlib.sha256(bytes(path) + path.read_bytes()).hexdigest()
    name = f"harness_family_{path.stem}_{content[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    if str(path.parent) not in sys.path:
        # Last, so that no file there hides a library.
        sys.path.append(str(path.parent))
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while it is imported
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _families_in(module: ModuleType) -> "list[type[Recommender]]":
    from harness.models.base import Recommender

    return [
        found
        for found in vars(module).values()
        if isinstance(found, type)
        and issubclass(found, Recommender)
        and found.__module__ == module.__name__
    ]


def _not_importable(
    reference: str, source: str, error: Exception
) -> MissingExtraError | UnsupportedError:
    if isinstance(error, MissingExtraError):
        return error
    if isinstance(error, ModuleNotFoundError):
        return MissingExtraError(
            f"The family {reference!r} needs {error.name!r}, which is not installed."
        )
    # A plug-in can raise anything when it is imported.
    return UnsupportedError(
        f"The family {reference!r} must be a class that can be imported, but "
        f"{source}{_line(error)} raised {type(error).__name__}: {error}."
    )


def _line(error: Exception) -> str:
    """Name the last line of the user's own code that an error came through."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}"
    trace, line = error.__traceback__, ""
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").startswith("harness_family_"):
            line = f":{trace.tb_lineno}"
        trace = trace.tb_next
    return line


def _checked(found: Any, reference: str, source: str) -> "type[Recommender]":
    from harness.models.base import Recommender

    if not (isinstance(found, type) and issubclass(found, Recommender)):
        raise UnsupportedError(
            f"The family {reference!r} must be a Recommender, but {source} is not one."
        )
    return found
