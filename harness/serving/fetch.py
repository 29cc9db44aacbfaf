"""Where a packaged model is: a folder, a run, or an alias of the registry."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from harness.errors import DataError, HarnessError, TrackingError, UnknownNameError
from harness.serving.folder import PackagedModel, read_logged, require_logged
from harness.tracking.location import Location
from harness.tracking.store import check_database, quieten, reason, unusable

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

__all__ = [
    "CHAMPION",
    "FetchedFolder",
    "FetchedModel",
    "fetch_folder",
    "fetch_model",
    "find_champion",
    "open_client",
    "registered_models",
]


CHAMPION = "champion"
_MODELS = "models:/"
_RUNS = "runs:/"
_MISSING = "RESOURCE_DOES_NOT_EXIST"


@dataclass(frozen=True, kw_only=True)
class FetchedFolder:
    """An MLflow model, on this machine for a while."""

    # What it is, for people: "models:/ml-100k@champion, version 3".
    name: str
    uri: str
    folder: Path


@dataclass(frozen=True, kw_only=True)
class FetchedModel:
    """A packaged model."""

    # What it is, for people, as of FetchedFolder.
    name: str
    packaged: PackagedModel


def find_champion(location: Location) -> str | None:
    """Find the only registered model that has a champion."""
    if location.database is not None and not location.database.exists():
        return None
    try:
        found = [
            f"{_MODELS}{model.name}@{CHAMPION}"
            for model in registered_models(open_client(location))
            if CHAMPION in model.aliases
        ]
    except HarnessError:
        raise
    except Exception as error:
        raise unusable(location, error) from error
    if len(found) > 1:
        raise TrackingError(
            f"{location.shown} has {len(found)} champions: name one of "
            f"{', '.join(found)} with --model."
        )
    return found[0] if found else None


def registered_models(client: "MlflowClient") -> "Iterator[RegisteredModel]":
    """List the registered models, page by page: MLflow gives 100 at a time."""
    token = None
    while True:
        page = client.search_registered_models(page_token=token)
        yield from page
        token = page.token
        if not token:
            return


@contextmanager
def fetch_folder(location: Location, uri: str) -> Iterator[FetchedFolder]:
    """Bring a model to this machine until the context is left."""
    with tempfile.TemporaryDirectory(prefix="harness-model-") as beside:
        name, folder = _fetch(location, uri, Path(beside))
        require_logged(folder, uri)
        yield FetchedFolder(name=name, uri=uri, folder=folder)


def fetch_model(location: Location, uri: str) -> FetchedModel:
    """Read a model from where it is, and check it."""
    with fetch_folder(location, uri) as found:
        packaged = read_logged(found.folder, uri)
    return FetchedModel(name=found.name, packaged=packaged)


def _fetch(location: Location, uri: str, beside: Path) -> tuple[str, Path]:
    if not re.match(r"\w+:/", uri):
        if not Path(uri).is_dir():
            raise DataError(
                f"{uri}: there is no such folder; choose another model with --model, such as "
                "models:/NAME@champion."
            )
        return uri, Path(uri)
    if not uri.startswith((_MODELS, _RUNS)):
        raise DataError(
            f"The model must be a folder, {_MODELS}NAME@ALIAS, {_MODELS}NAME/VERSION, "
            f"{_MODELS}m-ID or {_RUNS}ID/PATH, but got {uri!r}."
        )
    from mlflow.exceptions import MlflowException

    try:
        name, source = _resolve(open_client(location), location, uri)
        return name, _download(location, source, beside)
    except HarnessError:
        raise
    except Exception as error:
        if isinstance(error, MlflowException) and error.error_code == _MISSING:
            raise TrackingError(
                f"{uri} cannot be taken from {location.shown}: {reason(error)} Choose another "
                "with --model."
            ) from error
        raise unusable(location, error) from error


def _download(location: Location, source: str, beside: Path) -> Path:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    parts = urlsplit(source)
    if parts.scheme == "file" and not Path(url2pathname(parts.path)).is_dir():
        raise _lost(source, "the folder does not exist.")
    try:
        folder = download_artifacts(
            artifact_uri=source,
            dst_path=str(beside),
            tracking_uri=location.tracking_uri,
        )
    except (OSError, MlflowException) as error:
        raise _lost(source, reason(error)) from error
    return Path(folder)


def _lost(source: str, why: str) -> DataError:
    return DataError(
        f"{source}: the files of the model must be there, but: {why} Log the model again, "
        "or choose another with --model."
    )


def open_client(location: Location) -> "MlflowClient":
    """Connect to a store and its registry, without creating anything."""
    quieten()
    database = location.database
    if database is not None:
        if not database.exists():
            raise TrackingError(
                f"{database}: there is no such MLflow database. Run a study or an experiment "
                "first, or choose another with --tracking-uri."
            )
        check_database(database)
    from mlflow import MlflowClient

    try:
        return MlflowClient(location.tracking_uri, registry_uri=location.tracking_uri)
    except Exception as error:
        # The tables of a database are looked at already here.
        raise unusable(location, error) from error


def _resolve(client: "MlflowClient", location: Location, uri: str) -> tuple[str, str]:
    """Name a model and say where its files are.

    MLflow itself would ask the registry that is active in the whole process.
    """
    if not uri.startswith(_MODELS):
        client.get_run(uri.removeprefix(_RUNS).partition("/")[0])
        return uri, uri
    wanted = uri.removeprefix(_MODELS)
    if re.fullmatch(r"m-[0-9a-f]{32}", wanted):
        return uri, client.get_logged_model(wanted).artifact_location
    found = _find_version(client, wanted)
    if found is None:
        raise _nothing_there(client, location, uri)
    source = client.get_model_version_download_uri(found.name, found.version)
    return f"{uri}, version {found.version}", source


def _find_version(client: "MlflowClient", wanted: str) -> "ModelVersion | None":
    from mlflow.exceptions import MlflowException

    name, at, alias = wanted.rpartition("@")
    try:
        if at:
            return client.get_model_version_by_alias(name, alias)
        name, _, version = wanted.rpartition("/")
        return client.get_model_version(name, version) if name else None
    except MlflowException as error:
        if error.error_code in {_MISSING, "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def _nothing_there(
    client: "MlflowClient", location: Location, uri: str
) -> HarnessError:
    known = [
        f"{_MODELS}{model.name}@{alias}"
        for model in registered_models(client)
        for alias in model.aliases
    ]
    if known:
        return UnknownNameError(f"model in {location.shown}", uri, known)
    return TrackingError(
        f"There is no model {uri} in {location.shown}, and no model has an alias yet: "
        "promote one with `harness promote`, or choose another with --model."
    )
