"""Runs optuna-dashboard, where it is installed, on an Optuna storage."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from harness.tracking.child_server import run_server
from harness.tracking.ports import HOST, on_port

__all__ = ["dashboard_is_installed", "serve_dashboard"]

_FIRST_PORT = 8080
# Without optuna-dashboard's own script, which need not be on the search path.
_START = "from optuna_dashboard._cli import main; main()"


def dashboard_is_installed() -> bool:
    """Tell whether optuna-dashboard is there.

    Returns
    -------
    bool
        Whether it can be started.
    """
    return importlib.util.find_spec("optuna_dashboard") is not None


@contextmanager
def serve_dashboard(storage: str) -> Iterator[str | None]:
    """Run optuna-dashboard until the context is left.

    Parameters
    ----------
    storage : str
        URL of an Optuna storage, or path of its journal file.

    Yields
    ------
    str or None
        Its address, on the first free port from 8080; None where it is not installed,
        or the journal file does not exist: it would be made.

    Raises
    ------
    TrackingError
        If it does not start.
    """
    is_there = "://" in storage or Path(storage).exists()
    if not is_there or not dashboard_is_installed():
        yield None
        return
    with on_port(partial(_start, storage), first=_FIRST_PORT) as address:
        yield address


@contextmanager
def _start(storage: str, port: int) -> Iterator[str]:
    address = f"http://{HOST}:{port}"
    command = [sys.executable, "-c", _START, storage, "--quiet"]
    command += ["--host", HOST, "--port", str(port)]
    with run_server("optuna-dashboard", command, {}, health=f"{address}/dashboard"):
        yield address
