"""``harness ui``: MLflow's web interface on the right store."""

import signal
from types import FrameType
from typing import Annotated, NoReturn

import typer

__all__ = ["ui"]


def ui(
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="MLflow store; else $MLFLOW_TRACKING_URI, else mlflow.db here.",
            show_default=False,
        ),
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="MLflow experiment; else harness.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Port to listen on; else the first free one from 5000.",
            show_default=False,
        ),
    ] = None,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the link in a browser.")
    ] = False,
) -> None:
    """Show studies and trials in MLflow's web interface, on this machine only."""
    from harness.tracking.location import locate
    from harness.tracking.server import experiment_link, serve

    location = locate(tracking_uri, experiment)
    if location.is_server:
        _show(experiment_link(location.tracking_uri, location.experiment), open_browser)
        return
    # A terminal that is closed, or `kill`, ends it as Ctrl-C does.
    before = signal.signal(signal.SIGTERM, _interrupt)
    typer.echo(f"Starting MLflow on {location.shown} ...")
    try:
        with serve(location, port) as interface:
            _show(interface.link, open_browser)
            typer.echo("Ctrl-C stops it.")
            interface.process.wait()
    except KeyboardInterrupt:
        typer.echo("Stopped.")
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _show(link: str, open_browser: bool) -> None:  # noqa: FBT001 - a flag of the command
    typer.echo(link)
    if open_browser:
        typer.launch(link)
