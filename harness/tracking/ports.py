"""Ports to listen on, and who listens there."""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeVar

from harness.errors import TrackingError

__all__ = ["HOST", "PortLostError", "choose_port", "is_free", "on_port"]

HOST = "127.0.0.1"
_N_PORTS = 50
_N_STARTS = 5

T = TypeVar("T")


class PortLostError(TrackingError):
    """A port that was free when it was chosen, and is another's by now."""


def choose_port(port: int | None = None, *, first: int, host: str = HOST) -> int:
    """Find a port to listen on.

    Parameters
    ----------
    port : int, optional
        The port to use; by default the first free one from `first`.
    first : int
        Where to look first.
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
        if not is_free(host, port):
            raise TrackingError(
                f"Port {port} of {host} must be free, but something uses it. Choose "
                "another with --port, or leave --port out."
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
    """Tell whether a server could listen on a port.

    Parameters
    ----------
    host : str
        Address to listen on.
    port : int
        The port.

    Returns
    -------
    bool
        False if something listens there already.

    Raises
    ------
    TrackingError
        If nobody could listen there, or this user may not.
    """
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

    Parameters
    ----------
    start : callable
        From a port to the server as a context manager; raises PortLostError.
    port : int, optional
        The port to use; by default the first free one from `first`.
    first : int
        Where to look first.
    host : str, default "127.0.0.1"
        Address to listen on.

    Yields
    ------
    T
        What the server's context manager gives.

    Raises
    ------
    TrackingError
        If the port is taken, or the server does not start.
    """
    with ExitStack() as stack:
        yield _start(stack, start, port, first=first, host=host)


def _start(
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
