"""What the Tab key completes: names of studies, experiments, families, measures, files.

Each key press starts a process, so that nothing heavy is imported, no server is asked, and
what cannot be read at once is not completed.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from importlib.metadata import entry_points
from pathlib import Path

import typer

from harness.files import shipped_folders

__all__ = [
    "complete_experiment_files",
    "complete_families",
    "complete_metrics",
    "complete_names",
    "complete_spaces",
    "complete_studied_families",
]

_MARK = "harness_experiment"  # as harness.search.storage.MARK, which needs Optuna
_SQLITE = "sqlite:///"


def complete_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete names of studies and experiments in the storage."""
    storage = ctx.params.get("storage") or "optuna.log"
    try:
        if storage.startswith(_SQLITE):
            names = list(_names_in_database(Path(storage.removeprefix(_SQLITE))))
        elif "://" in storage:
            names = []
        else:
            names = list(_names_in_journal(Path(storage)))
    except (OSError, ValueError, sqlite3.Error):
        names = []
    return _starting(names, incomplete)


def _names_in_journal(path: Path) -> Iterator[str]:
    with path.open("rb") as journal:
        for line in journal:
            # Parsing is for the few lines of a study, not for those of its trials.
            if line.startswith(b'{"op_code":0,'):
                yield json.loads(line)["study_name"]
            elif b'"' + _MARK.encode() + b'":{' in line[:300]:
                yield from _name_of(json.loads(line)["user_attr"][_MARK])


def _names_in_database(path: Path) -> Iterator[str]:
    address = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=0.2)) as database:
        yield from (n for (n,) in database.execute("SELECT study_name FROM studies"))
        marks = database.execute(
            "SELECT value_json FROM study_user_attributes WHERE key = ?", (_MARK,)
        )
        for (text,) in marks:
            yield from _name_of(json.loads(text))


def _name_of(mark: dict[str, str]) -> Iterator[str]:
    if "name" in mark:  # else it is kept in pieces
        yield mark["name"]


def complete_families(incomplete: str) -> list[str]:
    """Complete names of families."""
    # As harness.models.families.GROUP, whose module needs NumPy.
    entries = entry_points(group="harness.families")
    return _starting((entry.name for entry in entries), incomplete)


def complete_studied_families(incomplete: str) -> list[str]:
    """Complete names of families that can be a study of their own."""
    return [name for name in complete_families(incomplete) if name != "blend"]


def complete_metrics(incomplete: str) -> list[str]:
    """Complete measures that a search can optimise."""
    # It takes a tenth of a second, for NumPy: the table of measures has no names alone.
    from harness.evaluation.objectives import OBJECTIVES

    if "," not in incomplete:
        return _starting(OBJECTIVES, incomplete)
    from harness.evaluation.requirements import MEASURED_IN_A_TRIAL

    given, _, begun = incomplete.rpartition(",")
    others = (name for name in MEASURED_IN_A_TRIAL if name not in given.split(","))
    return [f"{given},{name}" for name in _starting(others, begun)]


def complete_spaces(incomplete: str) -> list[str]:
    """Complete search spaces: names, and files."""
    return _complete_files("studies", incomplete)


def complete_experiment_files(incomplete: str) -> list[str]:
    """Complete experiments: names, and files."""
    return _complete_files("experiments", incomplete)


def _complete_files(kind: str, incomplete: str) -> list[str]:
    folders = [Path(kind), *shipped_folders(kind)]
    names = [path.stem for folder in folders for path in folder.glob("*.toml")]
    head, _, start = incomplete.rpartition("/")
    for path in Path(head or ("/" if incomplete.startswith("/") else ".")).glob("*"):
        written = f"{incomplete.removesuffix(start)}{path.name}"
        if path.is_dir() and not path.name.startswith("."):
            names.append(f"{written}/")
        elif path.suffix == ".toml":
            names.append(written)
    return _starting(names, incomplete)


def _starting(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})
