"""The scoring server: MLflow's own app in this process, and limits on what it is asked."""

import json
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import DataError, TrackingError
from harness.serving.folder import PackagedModel
from harness.serving.processes import HOST, choose_port
from harness.tracking.store import quieten

__all__ = ["FIRST_PORT", "MOST_BYTES", "RequestLimits", "ScoringServer", "listen"]


FIRST_PORT = 5001
"""Next to the web interface, which starts at 5000."""

MOST_BYTES = 10_000_000
"""Of one question: some 300,000 pairs of a user and a title."""

_BACKLOG = 2048

# As ASGI names them.
Scope = Mapping[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class RequestLimits:
    """An ASGI app that refuses some questions, and hands all others to another.

    MLflow's app answers 500 to a body without a type, and reads one of any length.

    Parameters
    ----------
    app : callable
        The other app.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; uvicorn calls this."""
        refusal = _refuse(scope)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, message = refusal
        body = json.dumps({"error_code": "BAD_REQUEST", "message": message}).encode()
        headers = [(b"content-type", b"application/json")]
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": body})


def _refuse(scope: Scope) -> tuple[int, str] | None:
    """Say with which status and words a request is refused, if it is."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    headers = dict(scope["headers"])
    if not headers.get(b"content-type", b"").strip():
        return 415, (
            "A question must have a Content-Type, but this has none: send "
            "'Content-Type: application/json'."
        )
    length = headers.get(b"content-length")
    if length is None:
        return 411, (
            "A question must have a Content-Length, but this has none: send the body in "
            "one piece."
        )
    if int(length) > MOST_BYTES:
        return 413, (
            f"A question may have at most {MOST_BYTES:,} bytes, but this has "
            f"{int(length):,}: ask for fewer rows at once."
        )
    return None


@contextmanager
def listen(port: int | None = None, host: str = HOST) -> Iterator[socket.socket]:
    """Take a port before anything is loaded; who asks already waits for the server."""
    chosen = choose_port(port, first=FIRST_PORT, host=host)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, chosen))
            listener.listen(_BACKLOG)
        except OSError as error:
            raise TrackingError(
                f"Port {chosen} of {host} has just been taken by another process. Start "
                "again."
            ) from error
        yield listener


class ScoringServer:
    """MLflow's scoring app on one model, in this process.

    Parameters
    ----------
    folder : Path
        The MLflow model; it is read once.
    uri : str
        How the model was asked for, for errors.

    Raises
    ------
    DataError
        If the model is not as it was logged.
    TrackingError
        If MLflow is told to load no model that comes with code.
    """

    def __init__(self, folder: Path, uri: str) -> None:
        quieten()
        import mlflow.pyfunc
        import uvicorn
        from mlflow.exceptions import MlflowException
        from mlflow.pyfunc import scoring_server

        try:
            model = mlflow.pyfunc.load_model(str(folder))
        except DataError as error:
            raise DataError(str(error).replace(str(folder), uri)) from error
        except MlflowException as error:
            # As with MLFLOW_ALLOW_MODEL_CODE_EXECUTION=false from MLflow 3.18 on.
            raise TrackingError(f"{uri} cannot be served: {error}") from error
        served = model.unwrap_python_model()
        self.packaged: PackagedModel = served.answerer.packaged
        app = RequestLimits(scoring_server.init(model))
        # A line for every question would fill the disk.
        config = uvicorn.Config(app, access_log=False, log_level="warning")
        self._server: uvicorn.Server = uvicorn.Server(config)

    def run(self, listener: socket.socket) -> None:
        """Answer until a signal or `stop` ends it."""
        self._server.run(sockets=[listener])

    def stop(self) -> None:
        """End `run`, which is in another thread."""
        self._server.should_exit = True
