"""Runs MLflow's web interface on a store, for one person on this machine."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO
from urllib.parse import urlencode

from harness.errors import TrackingError
from harness.tracking.location import Location, runs_url
from harness.tracking.view import VIEW_KEY, VIEW_TAG

__all__ = ["Interface", "choose_port", "experiment_link", "serve"]

HOST = "127.0.0.1"
_FIRST_PORT = 5000
_N_PORTS = 50
_SECONDS_TO_START = 90.0
_SECONDS_TO_STOP = 10.0
# The store is on this machine, or named by the user: never through a proxy.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, kw_only=True)
class Interface:
    """A running web interface.

    Parameters
    ----------
    link : str
        Link to the runs.
    process : subprocess.Popen
        The server.
    """

    link: str
    process: "subprocess.Popen[bytes]"


def choose_port(port: int | None = None) -> int:
    """Find a port to listen on.

    Parameters
    ----------
    port : int, optional
        The port to use; by default the first free one from 5000.

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
        if not _is_free(port):
            raise TrackingError(
                f"Port {port} of {HOST} must be free, but something uses it. Choose "
                "another with --port, or leave --port out."
            )
        return port
    for candidate in range(_FIRST_PORT, _FIRST_PORT + _N_PORTS):
        if _is_free(candidate):
            return candidate
    raise TrackingError(
        f"None of the ports {_FIRST_PORT}-{_FIRST_PORT + _N_PORTS - 1} of {HOST} is "
        "free. Choose another with --port."
    )


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the server does it: a port of a connection just closed is free.
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
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
    with tempfile.TemporaryFile() as output:
        process = _start(location, port, output)
        try:
            _wait_until_ready(process, address, output)
            link = experiment_link(address, location.experiment)
            yield Interface(link=link, process=process)
        finally:
            _stop(process)


def _start(
    location: Location, port: int, output: IO[bytes]
) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "mlflow", "ui"]
    command += ["--backend-store-uri", location.tracking_uri]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    environment = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Seven processes that judge answers of language models in the background.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # A file called mlflow.py in the working folder is not what should start.
        "PYTHONSAFEPATH": "1",
    }
    # In a session of its own, Ctrl-C reaches us alone, and we stop it with its children.
    return subprocess.Popen(  # noqa: S603 - no shell, and the program is our own Python
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", address: str, output: IO[bytes]
) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise TrackingError(
                "The MLflow interface must start, but it ended with: "
                f"{_last_line(output)}"
            )
        with contextlib.suppress(OSError), _direct.open(f"{address}/health", timeout=5):
            return
        time.sleep(0.1)
    raise TrackingError(
        f"The MLflow interface must answer within {_SECONDS_TO_START:g} s, but it did "
        f"not. Its last words: {_last_line(output)}"
    )


def _last_line(output: IO[bytes]) -> str:
    output.seek(0)
    lines = output.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "nothing."


def _stop(process: "subprocess.Popen[bytes]") -> None:
    for number in ("SIGTERM", "SIGKILL"):
        _signal(process, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_STOP)
            break
    if os.name == "posix":
        # The server's own children may outlive it by a moment, or for good.
        _signal(process, "SIGKILL")


def _signal(process: "subprocess.Popen[bytes]", name: str) -> None:
    if os.name != "posix":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.Signals[name])


def experiment_link(address: str, experiment: str) -> str:
    """Link to the runs of an experiment on a server.

    Parameters
    ----------
    address : str
        Address of the server.
    experiment : str
        Name of the experiment.

    Returns
    -------
    str
        Link to its runs; to the server where it has no such experiment.

    Raises
    ------
    TrackingError
        If the server does not answer.
    """
    query = urlencode({"experiment_name": experiment})
    url = f"{address}/api/2.0/mlflow/experiments/get-by-name?{query}"
    try:
        with _direct.open(url, timeout=10) as answer:
            found = json.load(answer)["experiment"]
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return address
        raise _silent(address, error) from error
    except (OSError, ValueError, KeyError) as error:
        raise _silent(address, error) from error
    has_view = any(tag["key"] == VIEW_TAG for tag in found.get("tags", []))
    view = VIEW_KEY if has_view else None
    return runs_url(address, found["experiment_id"], view=view)


def _silent(address: str, error: Exception) -> TrackingError:
    return TrackingError(
        f"{address}: an MLflow server must answer there, but: {error}. Start it, or "
        "choose another with --tracking-uri."
    )
