"""Servers as child processes, and the ports they listen on."""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import IO, TypeVar
from urllib.parse import urlsplit

import psutil

from harness.errors import TrackingError

__all__ = ["DIRECT", "HOST", "PortLostError", "choose_port", "on_port", "run_server"]


HOST = "127.0.0.1"
_N_PORTS = 50
_N_STARTS = 5

T = TypeVar("T")


class PortLostError(TrackingError):
    """A port that was free when it was chosen, and is another's by now."""


def choose_port(port: int | None = None, *, first: int, host: str = HOST) -> int:
    """Find a port to listen on."""
    if port is not None:
        if not is_free(host, port):
            raise TrackingError(
                f"Port {port} of {host} is in use. Choose another with --port, or leave "
                "--port out."
            )
        return port
    for candidate in range(first, first + _N_PORTS):
        if is_free(host, candidate):
            return candidate
    raise TrackingError(
        f"None of the ports {first}-{first + _N_PORTS - 1} of {host} is free. Choose "
        "another with --port."
    )


def is_free(host: str, port: int) -> bool:
    """Tell whether a server could listen on a port."""
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
                f"Port {port} of {host} cannot be listened on: {error.strerror or error}. "
                "Choose another address or port."
            ) from error
    return True


@contextmanager
def on_port(
    start: Callable[[int], AbstractContextManager[T]],
    port: int | None = None,
    *,
    first: int,
    host: str = HOST,
) -> Iterator[T]:
    """Run a server on a port until the context is left.

    A server needs seconds from the choice of its port to listening there. One that
    loses its port in between is started again on the next.
    """
    with ExitStack() as stack:
        yield _start_on_port(stack, start, port, first=first, host=host)


def _start_on_port(
    stack: ExitStack,
    start: Callable[[int], AbstractContextManager[T]],
    port: int | None,
    *,
    first: int,
    host: str,
) -> T:
    for _ in range(_N_STARTS - 1):
        try:
            chosen = choose_port(port, first=first, host=host)
            return stack.enter_context(start(chosen))
        except PortLostError:
            continue
    return stack.enter_context(start(choose_port(port, first=first, host=host)))


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
    """Run a server until the context is left."""
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
        f"The {name} did not answer within {_SECONDS_TO_START:g} s. The last line of its "
        f"output: {_last_line(output)}"
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
