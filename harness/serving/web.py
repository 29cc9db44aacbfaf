"""The web interfaces of MLflow and Optuna on a store, for one person on this machine."""

import importlib.util
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from harness.errors import TrackingError
from harness.formatting import hide_password
from harness.serving.processes import DIRECT, HOST, on_port, run_server
from harness.tracking.location import Location, runs_url
from harness.tracking.views import views_in

__all__ = ["dashboard_is_installed", "experiment_links", "serve", "serve_dashboard"]


_FIRST_PORT = 5000


@dataclass(frozen=True, kw_only=True)
class Interface:
    """A running web interface."""

    # Address of the server: "http://127.0.0.1:5000".
    address: str
    # Name of a list of runs to the link to it, see experiment_links.
    links: Mapping[str, str]
    process: "subprocess.Popen[bytes]"


@contextmanager
def serve(location: Location, port: int | None = None) -> Iterator[Interface]:
    """Run the web interface on a store, until the context is left."""
    database = location.database
    if database is not None and not database.exists():
        raise TrackingError(
            f"{database}: there is no such MLflow database, so there is nothing to show. "
            "Run a study first, or choose another with --tracking-uri."
        )
    with on_port(partial(_start, location), port, first=_FIRST_PORT) as interface:
        yield interface


@contextmanager
def _start(location: Location, port: int) -> Iterator[Interface]:
    address = f"http://{HOST}:{port}"
    command = [sys.executable, "-m", "mlflow", "ui"]
    command += ["--backend-store-uri", location.tracking_uri]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    # Else seven processes that judge answers of language models in the background.
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    health = f"{address}/health"
    with run_server("MLflow interface", command, environment, health=health) as process:
        links = experiment_links(address, location.experiment)
        yield Interface(address=address, links=links, process=process)


def experiment_links(address: str, experiment: str) -> dict[str, str]:
    """Link to the runs of an experiment on a server."""
    query = urlencode({"experiment_name": experiment})
    url = f"{address}/api/2.0/mlflow/experiments/get-by-name?{query}"
    try:
        with DIRECT.open(url, timeout=10) as answer:
            found = json.load(answer)["experiment"]
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return {"MLflow": address}
        raise _silent(address, error) from error
    except (OSError, ValueError, KeyError) as error:
        raise _silent(address, error) from error
    tags = {tag["key"]: tag["value"] for tag in found.get("tags", [])}
    number = found["experiment_id"]
    links = {
        name: runs_url(address, number, view=key)
        for name, key in views_in(tags).items()
    }
    return links or {"runs": runs_url(address, number)}


def _silent(address: str, error: Exception) -> TrackingError:
    return TrackingError(
        f"{hide_password(address)}: an MLflow server must answer there, but: "
        f"{hide_password(str(error))}. Start it, or "
        "choose another with --tracking-uri."
    )


_FIRST_DASHBOARD_PORT = 8080
# Without optuna-dashboard's own script, which need not be on the search path.
_START = "from optuna_dashboard._cli import main; main()"


def dashboard_is_installed() -> bool:
    """Tell whether optuna-dashboard is there."""
    return importlib.util.find_spec("optuna_dashboard") is not None


@contextmanager
def serve_dashboard(storage: str) -> Iterator[str | None]:
    """Run optuna-dashboard until the context is left."""
    is_there = "://" in storage or Path(storage).exists()
    if not is_there or not dashboard_is_installed():
        yield None
        return
    with on_port(
        partial(_start_dashboard, storage), first=_FIRST_DASHBOARD_PORT
    ) as address:
        yield address


@contextmanager
def _start_dashboard(storage: str, port: int) -> Iterator[str]:
    address = f"http://{HOST}:{port}"
    command = [sys.executable, "-c", _START, storage, "--quiet"]
    command += ["--host", HOST, "--port", str(port)]
    with run_server("optuna-dashboard", command, {}, health=f"{address}/dashboard"):
        yield address
