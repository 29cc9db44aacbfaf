"""Runs MLflow's web interface on a store, for one person on this machine."""

import errno
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

from harness.errors import TrackingError
from harness.tracking.child_server import DIRECT, run_server
from harness.tracking.location import Location, runs_url
from harness.tracking.view import VIEWS

__all__ = ["Interface", "choose_port", "experiment_links", "serve"]

HOST = "127.0.0.1"
_FIRST_PORT = 5000
_N_PORTS = 50


@dataclass(frozen=True, kw_only=True)
class Interface:
    """A running web interface.

    Parameters
    ----------
    address : str
        Address of the server: ``"http://127.0.0.1:5000"``.
    links : mapping of str to str
        Name of a list of runs to the link to it, see `experiment_links`.
    process : subprocess.Popen
        The server.
    """

    address: str
    links: Mapping[str, str]
    process: "subprocess.Popen[bytes]"


def choose_port(
    port: int | None = None, *, first: int | None = None, host: str = HOST
) -> int:
    """Find a port to listen on.

    Parameters
    ----------
    port : int, optional
        The port to use; by default the first free one from `first`.
    first : int, optional
        Where to look first; by default 5000.
    host : str, default "127.0.0.1"
        Address to listen on.

    Returns
    -------
    int
        A port that is free at this moment.

    Raises
    ------
    TrackingError
        If the port is taken, or none of those tried is free.
    """
    if port is not None:
        if not _is_free(host, port):
            raise TrackingError(
                f"Port {port} of {host} must be free, but something uses it. Choose "
                "another with --port, or leave --port out."
            )
        return port
    first = _FIRST_PORT if first is None else first
    for candidate in range(first, first + _N_PORTS):
        if _is_free(host, candidate):
            return candidate
    raise TrackingError(
        f"None of the ports {first}-{first + _N_PORTS - 1} of {host} is free. Choose "
        "another with --port."
    )


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the server does it: a port of a connection just closed is free.
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise TrackingError(
                f"Port {port} of {host} must be one to listen on, but: "
                f"{error.strerror or error}. Choose another address or port."
            ) from error
    return True


@contextmanager
def serve(location: Location, port: int | None = None) -> Iterator[Interface]:
    """Run the web interface on a store, until the context is left.

    Parameters
    ----------
    location : Location
        The store and the experiment to show; not a server.
    port : int, optional
        The port to use; by default the first free one from 5000.

    Yields
    ------
    Interface
        Ready to be opened in a browser.

    Raises
    ------
    TrackingError
        If there is nothing to show, the port is taken, or the server does not start.
    """
    database = location.database
    if database is not None and not database.exists():
        raise TrackingError(
            f"{database}: the MLflow database does not exist, so there is nothing to "
            "show. Run a study first, or choose another with --tracking-uri."
        )
    port = choose_port(port)
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
    """Link to the runs of an experiment on a server.

    Parameters
    ----------
    address : str
        Address of the server.
    experiment : str
        Name of the experiment.

    Returns
    -------
    dict of str to str
        Name of each list of runs that the experiment has (see `harness.tracking.view`)
        to the link to it, the most interesting one first; ``"runs"`` where it has none;
        ``"MLflow"``, the server, where there is no such experiment.

    Raises
    ------
    TrackingError
        If the server does not answer.
    """
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
    tags = {tag["key"] for tag in found.get("tags", [])}
    number = found["experiment_id"]
    links = {
        view.name: runs_url(address, number, view=view.key)
        for view in VIEWS
        if view.tag in tags
    }
    return links or {"runs": runs_url(address, number)}


def _silent(address: str, error: Exception) -> TrackingError:
    return TrackingError(
        f"{address}: an MLflow server must answer there, but: {error}. Start it, or "
        "choose another with --tracking-uri."
    )
