"""Where runs are kept: the tracking URI, the experiment, and the links to them."""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from harness.errors import TrackingError
from harness.formatting import hide_password

__all__ = [
    "DEFAULT_EXPERIMENT",
    "DEFAULT_STORE",
    "Location",
    "hide_password",
    "locate",
    "runs_url",
    "with_project_run",
]


DEFAULT_STORE = "sqlite:///mlflow.db"
DEFAULT_EXPERIMENT = "harness"

_SQLITE = "sqlite:///"
_SERVERS = ("http", "https")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_OTHERS = ("databricks", "databricks-uc", "uc")


@dataclass(frozen=True, kw_only=True)
class Location:
    """An experiment in an MLflow store."""

    # URI of the store; a local one holds an absolute path.
    tracking_uri: str
    experiment: str
    # MLFLOW_EXPERIMENT_ID, which `mlflow run` sets; it stands where no name is given.
    experiment_id: str | None = None
    # The run that `mlflow run` has made; it becomes the first one that is above all others.
    project_run: str | None = None

    @property
    def shown(self) -> str:
        """The URI without a password, and short where it is the default store."""
        default = _SQLITE + str(Path.cwd() / "mlflow.db")
        if self.tracking_uri == default:
            return DEFAULT_STORE
        return hide_password(self.tracking_uri)

    @property
    def options(self) -> list[str]:
        """The options of the command line that lead here; none for the defaults."""
        found = []
        if self.shown != DEFAULT_STORE:
            found += ["--tracking-uri", self.shown]
        if self.experiment != DEFAULT_EXPERIMENT:
            found += ["--experiment", self.experiment]
        return found

    @property
    def is_server(self) -> bool:
        """Whether the store is behind HTTP."""
        return urlsplit(self.tracking_uri).scheme in _SERVERS

    @property
    def is_database(self) -> bool:
        """Whether the store is a database that this process opens itself."""
        return urlsplit(self.tracking_uri).scheme.split("+")[0] in _DATABASES

    @property
    def database(self) -> Path | None:
        """The file that holds the store, where it is one."""
        if not self.tracking_uri.startswith(_SQLITE):
            return None
        return Path(self.tracking_uri.removeprefix(_SQLITE))

    @property
    def artifacts(self) -> str | None:
        """URI of the folder for artifacts beside the database file.

        It is the folder that ``mlflow ui`` would use when started beside the database;
        None leaves the choice to the server. MLflow's own default, ``mlruns``, would
        make a later ``mlflow ui`` in that folder overlook the database.
        """
        if self.database is None:
            return None
        folder = re.sub(r"[^\w.-]+", "-", self.experiment).strip("-.") or "experiment"
        return (self.database.parent / "mlartifacts" / folder).as_uri()


def locate(tracking_uri: str | None = None, experiment: str | None = None) -> Location:
    """Say where runs are kept."""
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_STORE
    parts = urlsplit(uri)
    # "postgresql+psycopg2://..." names the driver after the database.
    scheme = parts.scheme.split("+")[0]
    known = scheme in _DATABASES + _OTHERS or (scheme in _SERVERS and parts.hostname)
    if not known and uri not in _OTHERS:
        raise TrackingError(
            "The tracking URI must be a database or a server, such as "
            f"{DEFAULT_STORE} or http://127.0.0.1:5000, but got {hide_password(uri)!r}."
        )
    if uri.startswith(_SQLITE):
        path = Path(uri.removeprefix(_SQLITE))
        uri = _SQLITE + str(Path.cwd() / path)
    named = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
    # An id, such as `mlflow.set_experiment` leaves, means an experiment of MLflow's own
    # store; in another one it would be a stranger's.
    elsewhere = tracking_uri not in (None, os.environ.get("MLFLOW_TRACKING_URI"))
    given = None if named or elsewhere else os.environ.get("MLFLOW_EXPERIMENT_ID")
    return Location(
        tracking_uri=uri,
        experiment=named or DEFAULT_EXPERIMENT,
        experiment_id=given or None,
    )


def with_project_run(location: Location) -> Location:
    """Let the run that `mlflow run` has made for this process be that of what it does."""
    return replace(location, project_run=os.environ.get("MLFLOW_RUN_ID") or None)


def runs_url(address: str, experiment_id: str, *, view: str | None = None) -> str:
    """Link to the runs of an experiment.

    Examples
    --------
    >>> runs_url("http://127.0.0.1:5000/", "1")
    'http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning'
    """
    link = (
        f"{address.rstrip('/')}/#/experiments/{experiment_id}/runs"
        "?workflowType=machine_learning"
    )
    return link if view is None else f"{link}&viewStateShareKey={view}"
