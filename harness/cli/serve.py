"""``harness serve``: the champion, answering over HTTP."""

import json
import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import TrackingOption
from harness.cli.terminal import until_stopped
from harness.errors import TrackingError

if TYPE_CHECKING:
    from harness.serving.folder import PackagedModel
    from harness.tracking.location import Location

__all__ = ["serve"]


def serve(
    *,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="URI|FOLDER",
            help="Model: models:/NAME@ALIAS, models:/NAME/VERSION, models:/m-ID, or "
            "the folder of an MLflow model.",
            show_default="the only champion in the registry",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on. The default is open to this machine only.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Port to listen on.",
            show_default="the first free one from 5001",
        ),
    ] = None,
    tracking_uri: TrackingOption = None,
) -> None:
    """Serve a model over HTTP with MLflow's own scoring server.

    POST JSON to /invocations: a user gives the best titles, a user and an item the predicted
    rating. Unknown users and titles are answered, too, with "known": false.

    Examples
    --------
      harness serve

      harness serve --model models:/ml-100k@challenger --port 5002
    """
    from harness.serving.fetch import fetch_folder
    from harness.serving.http import ScoringServer, listen
    from harness.tracking.location import locate

    location = locate(tracking_uri)
    # A port that is taken is said at once, not after the model is fetched.
    with until_stopped(), listen(port, host) as listener:
        uri = named_or_champion(model, location)
        with fetch_folder(location, uri) as fetched:
            typer.echo(f"Starting the scoring server on {fetched.name} ...")
            server = ScoringServer(fetched.folder, uri)
        _introduce(server.packaged, f"http://{host}:{listener.getsockname()[1]}")
        server.run(listener)
        # Ctrl-C and `kill` end it within: uvicorn takes them, and gives them back.
        raise TrackingError("The scoring server has ended by itself: start it again.")


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


def _introduce(packaged: "PackagedModel", address: str) -> None:
    facts = packaged.facts
    simulated = ", simulated" if facts.simulated else ""
    user = str(packaged.model.user_ids_[0])
    question = {"dataframe_records": [{"user": user}], "params": {"n": 10}}
    body = shlex.quote(json.dumps(question))
    typer.echo(
        f"{address}  {facts.family} on {facts.data_name}{simulated}, fitted to "
        f"{'all' if facts.trained_on == 'all ratings' else 'the'} {facts.n_train:,} "
        f"{'ratings' if facts.trained_on == 'all ratings' else 'training ratings'}"
    )
    typer.echo(
        f"  curl {address}/invocations -H 'Content-Type: application/json' \\\n"
        f"    -d {body}"
    )
    typer.echo("Ctrl-C stops it.")
