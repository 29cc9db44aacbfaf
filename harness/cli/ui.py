"""``harness ui``: the web interfaces of MLflow and Optuna on the right stores."""

from collections.abc import Mapping
from typing import Annotated

import typer

from harness.cli.options import StoreOptions, spread_options
from harness.cli.terminal import until_stopped

__all__ = ["ui"]


@spread_options
def ui(
    *,
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Port of MLflow.",
            show_default="the first free one from 5000",
        ),
    ] = None,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the first link in a browser.")
    ] = False,
    stores: StoreOptions,
) -> None:
    r"""Show experiments, studies and models in MLflow, on this machine only.

    If optuna-dashboard is installed (`pip install recommender-harness\[dashboard]`), it is
    started on the Optuna storage as well.
    """
    from harness.serving.web import experiment_links, serve, serve_dashboard

    location = stores.location()
    with until_stopped():
        if location.is_server:
            links = experiment_links(location.tracking_uri, location.experiment)
            with serve_dashboard(stores.storage) as dashboard:
                _show(links, dashboard, open_browser)
                if dashboard is not None:
                    _wait()
            return
        typer.echo(f"Starting MLflow on {location.shown} ...")
        with (
            serve(location, port) as interface,
            serve_dashboard(stores.storage) as dashboard,
        ):
            _show(interface.links, dashboard, open_browser)
            typer.echo("Ctrl-C stops it.")
            interface.process.wait()


def _show(
    links: Mapping[str, str],
    dashboard: str | None,
    open_browser: bool,  # noqa: FBT001 - a flag of the command
) -> None:
    named = dict(links) | ({} if dashboard is None else {"optuna-dashboard": dashboard})
    width = max(map(len, named)) + 1
    for name, link in named.items():
        typer.echo(f"{name + ':':{width}} {link}")
    if open_browser:
        typer.launch(next(iter(links.values())))


def _wait() -> None:
    from threading import Event

    typer.echo("Ctrl-C stops it.")
    Event().wait()
