"""``harness serve``: the champion, answering over HTTP."""

import json
import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.terminal import until_stopped
from harness.errors import TrackingError

if TYPE_CHECKING:
    from harness.serving.fetch import FetchedModel
    from harness.tracking.location import Location

__all__ = ["serve"]


def serve(
    *,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="URI|FOLDER",
            help="The model: models:/NAME@ALIAS, models:/NAME/VERSION, models:/m-ID, or "
            "the folder of an MLflow model.",
            show_default="the only champion in the registry",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on; the default lets this machine alone ask.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Port to listen on; else the first free one from 5001.",
            show_default=False,
        ),
    ] = None,
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="MLflow store; else $MLFLOW_TRACKING_URI, else mlflow.db here.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve a model over HTTP with MLflow's own scoring server.

    Questions go to /invocations as application/json: a user gets its best titles, a user
    and an item the predicted rating. Users and titles that the model does not know are
    answered too, with "known" false.

    Examples
    --------
      harness serve

      harness serve --model models:/ml-100k@challenger --port 5002
    """
    from harness.serving.fetch import fetch_model
    from harness.serving.http import FIRST_PORT, serve_model
    from harness.serving.processes import choose_port
    from harness.tracking.location import locate

    location = locate(tracking_uri)
    if port is not None:
        choose_port(
            port, first=FIRST_PORT, host=host
        )  # said at once, not after the model is fetched
    uri = named_or_champion(model, location)
    with until_stopped(), fetch_model(location, uri) as fetched:
        typer.echo(f"Starting the scoring server on {fetched.name} ...")
        with serve_model(fetched.folder, port=port, host=host) as server:
            _introduce(fetched, server.address)
            code = server.process.wait()
        raise TrackingError(
            f"The scoring server must go on, but it has ended by itself (code {code})."
        )


def named_or_champion(
    model: str | None, location: "Location", *, others: str = "--model"
) -> str:
    """Take the model that was named, else the only champion, or say that there is none."""
    from harness.serving.fetch import find_champion

    if model == "":
        raise TrackingError(
            "--model must name a model, but is empty: leave it out for the champion."
        )
    uri = model or find_champion(location)
    if uri is None:
        raise TrackingError(
            f"There is no champion in {location.shown} yet: promote a model with "
            f"`harness promote`, or name one with {others}."
        )
    return uri


def _introduce(fetched: "FetchedModel", address: str) -> None:
    facts = fetched.packaged.facts
    simulated = ", simulated" if facts["simulated"] else ""
    user = str(fetched.packaged.model.user_ids_[0])
    question = {"dataframe_records": [{"user": user}], "params": {"n": 10}}
    body = shlex.quote(json.dumps(question))
    typer.echo(f"{address}  {facts['family']} on {facts['dataset']['name']}{simulated}")
    typer.echo(
        f"  curl {address}/invocations -H 'Content-Type: application/json' \\\n"
        f"    -d {body}"
    )
    typer.echo("Ctrl-C stops it.")
