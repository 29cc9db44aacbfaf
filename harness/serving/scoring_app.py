"""MLflow's scoring app, and before it what it would stumble over: started as a program."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

__all__ = ["MOST_BYTES", "Doorkeeper"]


MOST_BYTES = 10_000_000
"""Of one question: some 300,000 pairs of a user and a title."""

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
App = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]


class Doorkeeper:
    """An ASGI app that refuses some questions, and hands all others to another.

    MLflow's app answers 500 to a body without a type, and reads one of any length.

    Parameters
    ----------
    app : callable
        The other app.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(
        self, scope: Mapping[str, Any], receive: Receive, send: Send
    ) -> None:
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


def _refuse(scope: Mapping[str, Any]) -> tuple[int, str] | None:
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


def _end_with(parent: int) -> None:
    """End this process when its parent has: a killed one cannot stop its server."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _main(folder: str, host: str, port: str) -> None:
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    import mlflow.pyfunc
    import uvicorn
    from mlflow.pyfunc import scoring_server

    app = Doorkeeper(scoring_server.init(mlflow.pyfunc.load_model(folder)))
    # A line for every question would fill the disk.
    uvicorn.run(app, host=host, port=int(port), access_log=False)


if __name__ == "__main__":
    _main(*sys.argv[1:])
