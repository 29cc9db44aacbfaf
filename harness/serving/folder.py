"""A packaged model on disk: arrays and JSON without pickle, checked when it is read."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import DataError, HarnessError
from harness.models.base import Recommender
from harness.models.families import load_family

__all__ = ["FORMAT", "PackagedModel", "read_logged", "read_model", "write_model"]


FORMAT = 1
"""Counts the changes of what is in the folder; a reader knows this one and those before."""

FACTS = "facts.json"
TITLES = "titles.json"
_DIGITS = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class PackagedModel:
    """A fitted model with all that is needed to answer in the words of its data.

    Parameters
    ----------
    model : Recommender
        Fitted; it knows the ids of users and items.
    titles : tuple of str or None, length n_items
        Title of each item code; None where the catalogue has none.
    facts : mapping
        JSON-like: where the model comes from, see `harness.serving.package.package`.
        What was read has ``format``, ``files``, ``fingerprint`` and ``size_bytes`` too.
    report : Path or None
        Folder of the report that the model comes with, until it is logged.
    """

    model: Recommender
    titles: tuple[str | None, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    report: Path | None = None


def write_model(packaged: PackagedModel, folder: Path) -> dict[str, Any]:
    """Write a packaged model."""
    packaged.model.save(folder)
    (folder / TITLES).write_text(json.dumps(packaged.titles), encoding="utf-8")
    files = {p.name: _describe(p) for p in sorted(folder.iterdir()) if p.name != FACTS}
    lines = "".join(f"{name} {file['sha256']}\n" for name, file in files.items())
    facts = {
        **packaged.facts,
        "format": FORMAT,
        "files": files,
        "fingerprint": hashlib.sha256(lines.encode()).hexdigest()[:_DIGITS],
        "size_bytes": sum(file["bytes"] for file in files.values()),
    }
    (folder / FACTS).write_text(json.dumps(facts, indent=2), encoding="utf-8")
    return facts


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def read_model(folder: Path) -> PackagedModel:
    """Read what `write_model` has written, and check that it is intact."""
    facts = _read_json(folder / FACTS)
    if not isinstance(facts, dict) or "files" not in facts:
        raise DataError(
            f"{folder / FACTS}: must hold the facts of a packaged model, but does not; "
            "log the model again."
        )
    if facts.get("format") not in range(1, FORMAT + 1):
        raise DataError(
            f"{folder}: the format of a packaged model must be at most {FORMAT}, but is "
            f"{facts.get('format')!r}, written by harness "
            f"{facts.get('harness_version')}; use that version to read it."
        )
    for name, file in facts["files"].items():
        _check(folder / name, file)
    try:
        model = load_family(facts["family"]).load(folder)
    except HarnessError:
        raise
    except Exception as error:
        # Intact, but what this version of the family restores is not what was saved.
        raise DataError(
            f"{folder}: the model of family {facts['family']!r}, written by harness "
            f"{facts.get('harness_version')}, cannot be read by this version: {error!r}; "
            "use that version, or log the model again."
        ) from error
    titles = tuple(_read_json(folder / TITLES))
    return PackagedModel(model=model, titles=titles, facts=facts)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: must be a JSON file of a packaged model, but: {error}; log the "
            "model again."
        ) from error


def _check(path: Path, expected: Mapping[str, Any]) -> None:
    if not path.is_file():
        raise DataError(
            f"{path}: is missing from the packaged model; log the model again."
        )
    if _describe(path) != expected:
        raise DataError(
            f"{path}: must be as it was when the model was packaged, but it has changed "
            "since; log the model again."
        )


# As served_model.ARTIFACT, which cannot be imported without MLflow and pandas.
_ARTIFACT = Path("artifacts") / "model"


def read_logged(folder: Path, uri: str) -> PackagedModel:
    """Read the packaged model in an MLflow model, and check both."""
    artifact = folder / _ARTIFACT
    if not (folder / "MLmodel").is_file() or not artifact.is_dir():
        raise DataError(
            f"{uri}: must be a model that harness has logged, but there is no MLmodel "
            f"or no {_ARTIFACT.as_posix()} in it; choose another with --model."
        )
    _check_description(folder, uri)
    try:
        return read_model(artifact)
    except DataError as error:
        raise DataError(str(error).replace(str(folder), uri)) from error


def _check_description(folder: Path, uri: str) -> None:
    from mlflow.models import Model

    try:
        Model.load(str(folder))
    except Exception as error:
        # MLflow passes on whatever its parser raises.
        raise DataError(
            f"{uri}/MLmodel: must be as MLflow has written it, but cannot be read; log the "
            "model again."
        ) from error
