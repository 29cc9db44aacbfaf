"""The registry of model families: an entry-point group, the built-in ones included."""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from harness.errors import MissingExtraError, UnknownNameError, UnsupportedError
from harness.models.base import Recommender

__all__ = ["GROUP", "family_names", "load_family"]


GROUP = "harness.families"
"""Entry-point group; each entry names a `Recommender` class."""


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def family_names() -> list[str]:
    """List the registered families."""
    return sorted(_entries())


def load_family(name: str) -> type[Recommender]:
    """Import a family."""
    entries = _entries()
    if name not in entries:
        raise UnknownNameError("family", name, entries)
    try:
        family: Any = entries[name].load()
    except MissingExtraError:
        raise
    except ImportError as error:
        raise MissingExtraError(
            f"The family {name!r} needs {error.name!r}, which is not installed."
        ) from error
    except Exception as error:
        # A plug-in can raise anything when it is imported.
        raise UnsupportedError(
            f"The family {name!r} must be a class that can be imported, but "
            f"{_source(entries[name])} raised {type(error).__name__}: {error}."
        ) from error
    if not (isinstance(family, type) and issubclass(family, Recommender)):
        raise UnsupportedError(
            f"The family {name!r} must be a Recommender, but "
            f"{_source(entries[name])} is not one."
        )
    return family


def _source(entry: EntryPoint) -> str:
    """Name what provides a family, so that it can be fixed or uninstalled."""
    package = f" of {entry.dist.name}" if entry.dist is not None else ""
    return f"{entry.value}{package}"
