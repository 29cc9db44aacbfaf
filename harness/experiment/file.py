"""Experiment files: found, read, and checked before anything runs."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import ExperimentError, UnknownNameError
from harness.experiment.spec import ExperimentSpec
from harness.experiment.spec_checks import complaints
from harness.experiment.toml_lines import line_of
from harness.search.validation import broken_rule, first_problem

__all__ = ["complaint", "find_experiment", "load_experiment"]

EXTENDS = "extends"
MOST_STEPS = 10


def find_experiment(name: str) -> Path:
    """Look up an experiment: a path, then ``./experiments``, then the shipped ones.

    Parameters
    ----------
    name : str
        A path to a TOML file, or the name of one in ``experiments``, with or without
        the folder and the suffix: ``published``, ``experiments/published.toml``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ExperimentError
        If a path leads to no file.
    UnknownNameError
        If there is no such experiment.
    """
    if Path(name).is_file():
        return Path(name)
    stem = name.removeprefix("experiments/").removesuffix(".toml")
    folders = [Path("experiments"), *_shipped_folders()]
    for folder in folders:
        if "/" not in stem and (folder / f"{stem}.toml").is_file():
            return folder / f"{stem}.toml"
    known = {path.stem for folder in folders for path in folder.glob("*.toml")}
    unknown = UnknownNameError("experiment", stem, known)
    if name == stem and "/" not in stem:
        raise unknown
    raise ExperimentError(f"{name}: there is no such file. {unknown}")


def _shipped_folders() -> list[Path]:
    package = Path(str(files("harness")))
    # In a wheel the files lie inside the package, in a checkout beside it.
    return [package / "shipped" / "experiments", package.parent / "experiments"]


def load_experiment(
    path: Path, changes: Mapping[str, Any] | None = None
) -> ExperimentSpec:
    """Read an experiment file.

    ``extends = "other"`` takes over what another experiment says; tables are merged key
    by key, everything else is replaced.

    Parameters
    ----------
    path : Path
        A TOML file.
    changes : mapping, optional
        What the command line says otherwise, merged likewise.

    Returns
    -------
    ExperimentSpec
        Checked in itself. Families, spaces and data are looked up when it is run.

    Raises
    ------
    ExperimentError
        If anything in the file is not what it must be: names file, line and key.
    """
    content = _merge(_read(path, MOST_STEPS), changes or {})
    try:
        spec = ExperimentSpec.model_validate(content)
    except ValidationError as error:
        first = first_problem(error)
        rule = broken_rule(first, ExperimentSpec)
        raise complaint(path, _named(first["loc"]), rule) from error
    for key, rule in complaints(spec):
        raise complaint(path, key, rule)
    return spec


def _read(path: Path, steps: int) -> dict[str, Any]:
    if steps == 0:
        raise ExperimentError(f"{path}: {EXTENDS} must not lead back to the same file.")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path}: cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(f"{path}: is not valid TOML: {error}.") from error
    base = content.pop(EXTENDS, None)
    if base is None:
        return content
    if not isinstance(base, str):
        raise complaint(path, EXTENDS, "must name another experiment")
    beside = path.parent / f"{base.removesuffix('.toml')}.toml"
    found = beside if beside.is_file() else find_experiment(base)
    return _merge(_read(found, steps - 1), content)


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _named(location: tuple[int | str, ...]) -> str:
    """Write a place as people do, without the tags of unions that pydantic puts in."""
    parts = list(location)
    if parts[:1] == ["families"] and parts[2:3] == ["parameters"] and len(parts) > 4:
        del parts[4]
    if parts[:1] == ["families"] and parts[2:3] == ["initial"]:
        del parts[4:]
    return ".".join(map(str, parts))


def complaint(path: Path, key: str, rule: str) -> ExperimentError:
    """Make the error for a key that breaks a rule.

    Parameters
    ----------
    path : Path
        The file.
    key : str
        Path to the key, with dots; entries of arrays of tables are counted from 0.
    rule : str
        What is wrong, as a sentence.

    Returns
    -------
    ExperimentError
        Names file, line and key.
    """
    line = line_of(path.read_text(encoding="utf-8"), key)
    where = f"{path}:{line}" if line else str(path)
    end = "" if rule.endswith((".", "?")) else "."
    return ExperimentError(f"{where}: {key}: {rule}{end}")
