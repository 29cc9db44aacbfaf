"""Runs MLflow's own scoring server on a packaged model."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.serving.processes import HOST, on_port, run_server

__all__ = ["FIRST_PORT", "ScoringServer", "serve_model"]


FIRST_PORT = 5001
"""Next to the web interface, which starts at 5000."""


@dataclass(frozen=True, kw_only=True)
class ScoringServer:
    """A running scoring server.

    Parameters
    ----------
    address : str
        ``"http://127.0.0.1:5001"``; questions go to ``/invocations``.
    process : subprocess.Popen
        The server.
    """

    address: str
    process: "subprocess.Popen[bytes]"


@contextmanager
def serve_model(
    folder: Path, *, port: int | None = None, host: str = HOST
) -> Iterator[ScoringServer]:
    """Serve an MLflow model until the context is left."""
    start = partial(_start, folder, host)
    with on_port(start, port, first=FIRST_PORT, host=host) as server:
        yield server


@contextmanager
def _start(folder: Path, host: str, port: int) -> Iterator[ScoringServer]:
    program = [sys.executable, "-m", "harness.serving.scoring_app"]
    command = [*program, str(folder.absolute()), host, str(port)]
    address = f"http://{host}:{port}"
    with run_server("scoring server", command, {}, health=f"{address}/ping") as process:
        yield ScoringServer(address=address, process=process)
