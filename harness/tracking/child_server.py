"""Runs a web server as a child process, and stops it with all of its own children."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO
from urllib.parse import urlsplit

import psutil

from harness.errors import TrackingError
from harness.tracking.ports import PortLostError, is_free

__all__ = ["DIRECT", "run_server"]

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens addresses on this machine, or named by the user: never through a proxy."""

_SECONDS_TO_START = 90.0
_SECONDS_TO_STOP = 10.0


@contextmanager
def run_server(
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    health: str,
) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a server until the context is left.

    Parameters
    ----------
    name : str
        What it is, for messages: ``"MLflow interface"``.
    command : sequence of str
        Program and arguments; no shell.
    environment : mapping of str to str
        Is added to that of this process.
    health : str
        URL that answers once the server is ready.

    Yields
    ------
    subprocess.Popen
        The server, ready.

    Raises
    ------
    TrackingError
        If it does not start; says its last words.
    """
    with tempfile.TemporaryFile() as output:
        process = _start(command, environment, output)
        try:
            _wait_until_ready(process, name, health, output)
            yield process
        finally:
            _stop(process)


def _start(
    command: Sequence[str], environment: Mapping[str, str], output: IO[bytes]
) -> "subprocess.Popen[bytes]":
    # In a session of its own, Ctrl-C reaches us alone, and we stop it with its children.
    return subprocess.Popen(  # noqa: S603 - no shell, and the program is our own Python
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={
            **os.environ,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # A file called mlflow.py in the working folder is not what should start.
            "PYTHONSAFEPATH": "1",
            **environment,
        },
        start_new_session=True,
    )


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", name: str, health: str, output: IO[bytes]
) -> None:
    url = urlsplit(health)
    host, port = str(url.hostname), int(url.port or 80)
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            # Where it is not free, another took it after it was chosen.
            kind = TrackingError if is_free(host, port) else PortLostError
            raise kind(
                f"The {name} must start, but it ended with: {_last_line(output)}"
            )
        if _answers(health) and _listens(process, port):
            return
        time.sleep(0.1)
    raise TrackingError(
        f"The {name} must answer within {_SECONDS_TO_START:g} s, but it did not. Its "
        f"last words: {_last_line(output)}"
    )


def _answers(url: str) -> bool:
    try:
        DIRECT.open(url, timeout=5).close()
    except OSError:
        return False
    return True


def _listens(process: "subprocess.Popen[bytes]", port: int) -> bool:
    """Tell whether it is this server that answers there, not another."""
    try:
        own = psutil.Process(process.pid)
        return any(
            connection.laddr.port == port
            for member in (own, *own.children(recursive=True))
            for connection in member.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        )
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # some systems tell nobody: then the answer must do
        return True


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
    # macOS answers that it is not permitted where all of the group are dead already.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.Signals[name])
