"""The MLflow store: made as a whole, opened quietly, with its faults in one sentence each."""

import math
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import unquote

from harness.errors import HarnessError, TrackingError
from harness.files import create_file
from harness.tracking.location import Location, hide_password
from harness.tracking.run_image import RunImage, dataset_input
from harness.tracking.views import TRIALS_VIEW, View, merge_trials_view

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run
    from sqlalchemy.engine import URL

__all__ = [
    "Outcome",
    "RunStore",
    "SyncCounts",
    "can_become",
    "check_database",
    "connect",
    "create_database",
    "open_store",
    "quieten",
    "reason",
    "require_apart",
    "unusable",
]


def create_database(path: Path) -> None:
    """Create a database with all its tables, unless there is one.

    MLflow makes its tables one by one; a process killed in between leaves a file that
    no MLflow opens again.
    """
    create_file(path, _make_tables)


def _make_tables(path: Path) -> None:
    from mlflow import MlflowClient
    from sqlalchemy import event
    from sqlalchemy.pool import Pool

    def switch_syncing_off(connection: object, _: object) -> None:
        if not isinstance(connection, sqlite3.Connection):
            return
        [(_, _, file), *_others] = connection.execute("PRAGMA database_list")
        if Path(file).name == path.name:  # there is no other one of this name
            connection.execute("PRAGMA synchronous = OFF")

    # MLflow writes its tables in hundreds of steps: 1,084 times it would wait for the disk,
    # for several seconds, on a file that nobody has until it is complete.
    event.listen(Pool, "connect", switch_syncing_off)
    try:
        MlflowClient(f"sqlite:///{path}").search_experiments(max_results=1)
    finally:
        event.remove(Pool, "connect", switch_syncing_off)
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def unusable(location: Location, error: Exception) -> TrackingError:
    """Say that a store cannot be used."""
    if _has_other_layout(location):
        return _other_layout(location)
    return TrackingError(
        f"The MLflow store {location.shown} must be reachable and writable, but: "
        f"{reason(error)} Start it, or choose another with --tracking-uri."
    )


def _other_layout(location: Location) -> TrackingError:
    return TrackingError(
        f"The MLflow store {location.shown} is that of another version of MLflow. If that is "
        "older, keep a copy and run `mlflow db upgrade` on it; if it is newer, install it; or "
        "choose another store with --tracking-uri."
    )


def _has_other_layout(location: Location) -> bool:
    """Say whether a database lacks what this MLflow expects, or has more."""
    if not location.is_database or (
        location.database and not location.database.exists()
    ):
        return False
    from mlflow.store.db.utils import _get_latest_schema_revision, _get_schema_version
    from sqlalchemy import create_engine

    engine = create_engine(location.tracking_uri)
    try:
        there = _get_schema_version(engine)  # type: ignore[no-untyped-call]
        latest = _get_latest_schema_revision()  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 - then that is not what is wrong
        return False
    finally:
        engine.dispose()
    return there is not None and there != latest


def reason(error: BaseException) -> str:
    """Say in one line what was wrong."""
    inner = error
    cause: BaseException | None = error
    while cause is not None and not isinstance(inner, HarnessError):
        inner = cause if str(cause).strip() else inner
        cause = cause.__cause__ or cause.__context__
    lines = str(inner).strip().splitlines() or [type(inner).__name__]
    return shorten(hide_password(lines[0]), 240, placeholder=" ...").rstrip(". ") + "."


def check_database(path: Path) -> None:
    """Say at once what MLflow would find out after minutes of repetition."""
    if unquote(str(path.absolute())) != str(path.absolute()):
        raise TrackingError(
            f"{path.absolute()}: MLflow cannot keep a database where a path has a % before "
            "two hexadecimal digits, for it reads them as one character. Rename the "
            "folder, or choose another with --tracking-uri."
        )
    if not path.parent.is_dir():
        raise TrackingError(
            f"{path}: the folder of the MLflow database must exist. Create it first."
        )
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise TrackingError(
            f"{path}: the MLflow database must be writable. Change its permissions, or "
            "choose another with --tracking-uri."
        )
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"{path}: the MLflow database must be an SQLite file, but SQLite says: "
            f"{error}. Move it away, or choose another with --tracking-uri."
        ) from error
    _require_not_of_optuna(f"sqlite:///{path}", str(path))


def _require_not_of_optuna(url: str, shown: str) -> None:
    """Refuse a database of studies: both keep their version in a table of one name."""
    from harness.search.storage import owner_of_tables

    if owner_of_tables(url) == "Optuna":
        raise TrackingError(
            f"{shown} is a database of Optuna's, which MLflow cannot share: choose another "
            "with --tracking-uri."
        )


def require_apart(location: Location, storage: str) -> None:
    """Refuse one database for both, before either has made a table."""
    if "://" not in storage or not location.is_database:
        return
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        places = [_place(make_url(url)) for url in (location.tracking_uri, storage)]
    except ArgumentError:
        return  # said by whoever opens it
    if places[0] == places[1]:
        raise TrackingError(
            f"{hide_password(storage)} cannot hold both the studies and the runs of MLflow: "
            "choose another database with --storage or --tracking-uri."
        )


def _place(url: "URL") -> tuple[object, ...]:
    name = url.get_backend_name()
    if name == "sqlite":
        return name, Path(str(url.database)).resolve()
    return name, url.host, url.port, url.database


_PAGE = 1000
_SECONDS_PER_REQUEST = "10"


def quieten() -> None:
    """Set MLflow's documented switches for a library in the background.

    What the user has set in the environment stays, save for the repetition of requests:
    MLflow would send a request again that the server has already answered too late, and
    so create a run twice.
    """
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": _SECONDS_PER_REQUEST,
        "MLFLOW_LOGGING_LEVEL": "CRITICAL",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }.items():
        os.environ.setdefault(name, value)


def open_store(location: Location) -> "RunStore":
    """Open a store, creating the database and the experiment where there are none."""
    quieten()
    if location.database is not None:
        check_database(location.database)
        create_database(location.database)
    elif location.is_database:
        _require_not_of_optuna(location.tracking_uri, location.shown)
    client, experiment = connect(location)
    return RunStore(client, experiment, project_run=location.project_run)


def connect(location: Location) -> "tuple[MlflowClient, Experiment]":
    """Open a store that is there, and find the experiment of a location."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        client = MlflowClient(location.tracking_uri)
        return client, _find_experiment(client, location)
    except MlflowException as error:
        if _has_other_layout(location):
            raise _other_layout(location) from error
        raise


def _find_experiment(client: "MlflowClient", location: Location) -> "Experiment":
    """Find the experiment of a location, creating it where there is none."""
    from mlflow.exceptions import MlflowException

    name = location.experiment
    found: Experiment | None
    if location.experiment_id is not None:
        try:
            found = client.get_experiment(location.experiment_id)
        except MlflowException as error:
            raise TrackingError(
                "MLFLOW_EXPERIMENT_ID must be the id of an MLflow experiment in "
                f"{location.shown}, but is {location.experiment_id!r}."
            ) from error
        name = found.name
    else:
        found = client.get_experiment_by_name(name)
    if found is None:
        try:
            client.create_experiment(
                name,
                artifact_location=location.artifacts,
                tags={"mlflow.experimentKind": "custom_model_development"},
            )
        except MlflowException as error:
            # Another process may have created it since.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise TrackingError(
            f"The MLflow experiment {name!r} is deleted. Restore it with 'mlflow "
            "experiments restore', or choose another with --experiment."
        )
    return found


class RunStore:
    """Reads and writes the runs in one experiment of MLflow.

    Parameters
    ----------
    client : MlflowClient
        Client of the store.
    experiment : mlflow.entities.Experiment
        The experiment.
    project_run : str, optional
        Run that `mlflow run` has made, to be taken instead of creating one.
    """

    def __init__(
        self,
        client: "MlflowClient",
        experiment: "Experiment",
        *,
        project_run: str | None = None,
    ) -> None:
        self._client = client
        self._project_run = project_run
        self.experiment_id: str = experiment.experiment_id
        self._tags: dict[str, str] = dict(experiment.tags)

    def show_trials(self, params: Iterable[str], dataset: str) -> None:
        """Offer a list of the trials on a data set, with parameters as columns."""
        view = TRIALS_VIEW.of(dataset)
        self._set_tag(view.tag, merge_trials_view(self._tags, params, view))

    def offer(self, view: View) -> None:
        """Offer a list of runs."""
        self._set_tag(view.tag, view.as_json())

    def _set_tag(self, key: str, value: str) -> None:
        if self._tags.get(key) != value:
            self._client.set_experiment_tag(self.experiment_id, key, value)
            self._tags[key] = value

    def runs(self, tag: str, value: str) -> "list[Run]":
        """Read the runs that have a tag, oldest first."""
        found: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id],
                filter_string=f"tags.`{tag}` = '{value}'",
                max_results=_PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            found.extend(page)
            token = page.token
            if not token:
                return found

    def read(self, run_id: str) -> "Run":
        """Read one run."""
        return self._client.get_run(run_id)

    def create(self, image: RunImage, *, parent: str | None = None) -> str:
        """Create a run and complete it."""
        given = self._empty_project_run() if parent is None else None
        if given is not None:
            repair(self, given, image, parent=None)
            return str(given.info.run_id)
        tags = dict(image.tags)
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        # The tags that identify a run are written with it: were the process killed
        # after this line, the next one would find the run and complete it.
        run = self._client.create_run(
            self.experiment_id,
            start_time=image.started,
            tags=tags,
            run_name=image.name,
        )
        self.complete(run.info.run_id, image, params=image.params, tags={})
        return str(run.info.run_id)

    def _empty_project_run(self) -> "Run | None":
        """Read the run that `mlflow run` has made, unless something was logged to it."""
        from mlflow.exceptions import MlflowException

        if self._project_run is None:
            return None
        try:
            run = self._client.get_run(self._project_run)
        except MlflowException:  # that of another store
            return None
        is_here = run.info.experiment_id == self.experiment_id
        # Ours are "LOCAL": once it is taken, it is a run like others.
        is_empty = run.data.tags.get("mlflow.source.type") == "PROJECT"
        return run if is_here and is_empty else None

    def complete(
        self,
        run_id: str,
        image: RunImage,
        *,
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        """Write what a run lacks; its status comes last and says that all is there."""
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(p.key, p.value, p.timestamp, p.step) for p in image.points]
        self._client.log_batch(
            run_id,
            metrics=metrics,
            params=[Param(key, value) for key, value in params.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        self._client.log_inputs(run_id, [dataset_input(d) for d in image.datasets])
        if image.status == "RUNNING":
            self._client.update_run(run_id, status="RUNNING", name=image.name)
        else:
            self._client.set_terminated(run_id, image.status, image.ended)

    def rename(self, run_id: str, name: str) -> None:
        """Give a run another name."""
        self._client.update_run(run_id, name=name)

    def tag(self, run_id: str, key: str, value: str) -> None:
        """Set a tag of a run."""
        self._client.set_tag(run_id, key, value)

    def delete(self, run_id: str) -> None:
        """Delete a run, as the interface does: it can be restored."""
        self._client.delete_run(run_id)

    def attach(self, run_id: str, folder: Path, *, under: str) -> None:
        """Copy the files of a folder to a run's artifacts."""
        self._client.log_artifacts(run_id, str(folder), under)


Outcome = Literal["created", "repaired", "unchanged"]


@dataclass(frozen=True, kw_only=True)
class SyncCounts:
    """What a synchronisation did."""

    # Number of runs that were missing, that were not right, and that were right.
    created: int = 0
    repaired: int = 0
    unchanged: int = 0

    @classmethod
    def of(cls, outcomes: list[Outcome]) -> Self:
        """Count what had to be done."""
        return cls(
            created=outcomes.count("created"),
            repaired=outcomes.count("repaired"),
            unchanged=outcomes.count("unchanged"),
        )


def repair(store: RunStore, run: "Run", image: RunImage, *, parent: str | None) -> bool:
    """Write what differs."""
    wanted = dict(image.tags)
    if parent is not None:
        wanted["mlflow.parentRunId"] = parent
    params = {k: v for k, v in image.params.items() if k not in run.data.params}
    for key, value in image.params.items():
        # Of a study that is continued with other settings.
        if run.data.params.get(key, value) != value:
            wanted[f"resumed.{key}"] = value
    tags = {k: v for k, v in wanted.items() if run.data.tags.get(k) != v}
    named = run.info.run_name == image.name
    if not named:
        store.rename(run.info.run_id, image.name)
    if named and not params and not tags and _is_complete(run, image):
        return False
    store.complete(run.info.run_id, image, params=params, tags=tags)
    return True


def can_become(run: "Run", image: RunImage) -> bool:
    """Tell whether a run can be repaired: starts, parameters and values cannot change."""
    return bool(
        run.info.start_time == image.started
        and all(image.params.get(k) == v for k, v in run.data.params.items())
        and all(
            key in image.latest and _close(value, image.latest[key])
            for key, value in run.data.metrics.items()
        )
    )


def _is_complete(run: "Run", image: RunImage) -> bool:
    inputs = run.inputs.dataset_inputs if run.inputs is not None else []
    data = {(used.dataset.name, used.dataset.digest) for used in inputs}
    return (
        run.info.status == image.status
        and (image.ended is None or run.info.end_time == image.ended)
        and all(
            key in run.data.metrics and _close(run.data.metrics[key], value)
            for key, value in image.latest.items()
        )
        and data >= {(used.name, used.digest) for used in image.datasets}
    )


def _close(a: float, b: float) -> bool:
    # A store may keep decimals; figures are logged with 6 significant digits.
    return math.isclose(a, b, rel_tol=1e-7, abs_tol=1e-12)
