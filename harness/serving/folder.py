"""A packaged model on disk: arrays and JSON without pickle, checked when it is read."""

import hashlib
import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

from harness.data.dataset import DatasetFacts
from harness.errors import DataError, HarnessError, StudyError
from harness.evaluation.splits import SplitFacts
from harness.evaluation.statistics import Estimate
from harness.models.base import Recommender
from harness.models.families import CODE, family_in_file, file_of, load_family
from harness.plain import from_json

__all__ = [
    "FORMAT",
    "Manifest",
    "ModelFacts",
    "PackagedModel",
    "read_logged",
    "read_model",
    "require_logged",
    "write_model",
]


FORMAT = 1
"""Counts the changes of what is in the folder; a reader knows this one and those before."""

FACTS = "facts.json"
TITLES = "titles.json"
_DIGITS = 16


TrainedOn = Literal["training part", "all ratings"]


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """Where a packaged model comes from, and how it was judged."""

    family: str
    study: str
    dataset: DatasetFacts
    split: SplitFacts
    # Number of ratings it was fitted to.
    n_train: int
    # Version of harness that has packaged it, alone and with the commit.
    harness_version: str
    code_version: str
    experiment: str | None = None
    # Number of the trial; None for settings that no trial has found.
    trial: int | None = None
    # What the test set says of the settings, by name of the measure.
    measures: Mapping[str, Estimate] = field(default_factory=dict)
    seed: int | None = None
    # Number of seeds that the measures are means over; 0 where none was judged.
    n_seeds: int = 0
    # What the experiment's verdict on the settings is.
    verdict: str = ""
    trained_on: TrainedOn = "training part"

    @property
    def simulated(self) -> bool:
        """Whether a program made the ratings."""
        return self.dataset.simulated

    @property
    def data_name(self) -> str:
        """Name of the data set."""
        return self.dataset.name

    def as_json(self) -> dict[str, object]:
        """Convert to plain data; JSON has no NaN."""
        measures = {
            name: {k: None if math.isnan(v) else v for k, v in asdict(found).items()}
            for name, found in self.measures.items()
        }
        return {**asdict(self), "measures": measures}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Make them of plain data; more than the facts may be there."""
        known = {f.name: kept[f.name] for f in fields(cls) if f.name in kept}
        measures = {
            name: Estimate(**{k: math.nan if v is None else v for k, v in each.items()})
            for name, each in known.pop("measures", {}).items()
        }
        parts = {
            "dataset": from_json(DatasetFacts, known.pop("dataset")),
            "split": from_json(SplitFacts, known.pop("split")),
        }
        return cls(**known, **parts, measures=measures)


@dataclass(frozen=True, kw_only=True)
class FileDigest:
    """Size and SHA-256 of a file."""

    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a packaged model on disk consists of."""

    format: int
    files: Mapping[str, FileDigest]
    fingerprint: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True, eq=False)
class PackagedModel:
    """A fitted model with all that is needed to answer in the words of its data."""

    # Fitted; it knows the ids of users and items.
    model: Recommender
    # Title of each item code; None where the catalogue has none.
    titles: tuple[str | None, ...]
    facts: ModelFacts
    # What is on disk; None before it was written.
    manifest: Manifest | None = None
    # Folder of the report that the model comes with, until it is logged.
    report: Path | None = None


def write_model(packaged: PackagedModel, folder: Path) -> Manifest:
    """Write a packaged model."""
    packaged.model.save(folder)
    (folder / TITLES).write_text(json.dumps(packaged.titles), encoding="utf-8")
    source = file_of(type(packaged.model))
    if source is not None:
        shutil.copyfile(source, folder / CODE)
    # A blend has a folder for each of its parts.
    files = {
        path.relative_to(folder).as_posix(): _digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / FACTS
    }
    lines = "".join(f"{name} {file.sha256}\n" for name, file in files.items())
    manifest = Manifest(
        format=FORMAT,
        files=files,
        fingerprint=hashlib.sha256(lines.encode()).hexdigest()[:_DIGITS],
        size_bytes=sum(file.bytes for file in files.values()),
    )
    text = json.dumps({**packaged.facts.as_json(), **asdict(manifest)}, indent=2)
    (folder / FACTS).write_text(text, encoding="utf-8")
    return manifest


def _digest(path: Path) -> FileDigest:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileDigest(bytes=path.stat().st_size, sha256=digest)


def read_model(folder: Path) -> PackagedModel:
    """Read what `write_model` has written, and check that it is intact."""
    facts, manifest = _read_facts(folder)
    for name, file in manifest.files.items():
        _check(folder / name, file)
    try:
        model = _family(folder, facts).load(folder)
    except HarnessError:
        raise
    except Exception as error:
        # Intact, but what this version of the family restores is not what was saved.
        raise DataError(
            f"{folder}: the model of family {facts.family!r}, written by harness "
            f"{facts.harness_version}, cannot be read by this version: {error!r}; "
            "use that version, or log the model again."
        ) from error
    titles = tuple(_read_json(folder / TITLES))
    return PackagedModel(model=model, titles=titles, facts=facts, manifest=manifest)


def _family(folder: Path, facts: ModelFacts) -> type[Recommender]:
    code = folder / CODE
    if code.exists():
        return family_in_file(code, facts.family)
    return load_family(facts.family)


def _read_facts(folder: Path) -> tuple[ModelFacts, Manifest]:
    kept = _read_json(folder / FACTS)
    incomplete = DataError(
        f"{folder / FACTS}: must hold the facts of a packaged model, but does not; "
        "log the model again."
    )
    if not isinstance(kept, dict) or "files" not in kept:
        raise incomplete
    if kept.get("format") not in range(1, FORMAT + 1):
        raise DataError(
            f"{folder}: the format of a packaged model must be at most {FORMAT}, but is "
            f"{kept.get('format')!r}, written by harness "
            f"{kept.get('harness_version')}; use that version to read it."
        )
    try:
        manifest = Manifest(
            format=kept["format"],
            files={name: FileDigest(**each) for name, each in kept["files"].items()},
            fingerprint=kept["fingerprint"],
            size_bytes=kept["size_bytes"],
        )
        return ModelFacts.from_json(kept), manifest
    except (KeyError, TypeError, AttributeError, StudyError) as error:
        raise incomplete from error


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: is not the JSON file of a packaged model ({error}); log the model "
            "again."
        ) from error


def _check(path: Path, expected: FileDigest) -> None:
    if not path.is_file():
        raise DataError(
            f"{path}: is missing from the packaged model; log the model again."
        )
    if _digest(path) != expected:
        raise DataError(
            f"{path}: has changed since the model was packaged; log the model again."
        )


# As mlflow_model.ARTIFACT, which cannot be imported without MLflow and pandas.
_ARTIFACT = Path("artifacts") / "model"


def read_logged(folder: Path, uri: str) -> PackagedModel:
    """Read the packaged model in an MLflow model, and check both."""
    require_logged(folder, uri)
    try:
        return read_model(folder / _ARTIFACT)
    except DataError as error:
        raise DataError(str(error).replace(str(folder), uri)) from error


def require_logged(folder: Path, uri: str) -> None:
    """Check that a folder is an MLflow model that harness has logged."""
    artifact = folder / _ARTIFACT
    if not (folder / "MLmodel").is_file() or not artifact.is_dir():
        raise DataError(
            f"{uri}: is not a model that harness has logged, because it has no MLmodel or "
            f"no {_ARTIFACT.as_posix()}; choose another with --model."
        )
    from mlflow.models import Model

    try:
        Model.load(str(folder))
    except Exception as error:
        # MLflow passes on whatever its parser raises.
        raise DataError(
            f"{uri}/MLmodel: cannot be read; log the model again."
        ) from error
