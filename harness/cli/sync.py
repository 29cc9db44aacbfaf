"""``harness sync``: bring into MLflow what is missing there."""

from typing import Annotated

import typer

__all__ = ["sync"]


def sync(
    study: Annotated[
        str | None,
        typer.Argument(
            help="Name of the study [default: all in the storage].", show_default=False
        ),
    ] = None,
    storage: Annotated[
        str, typer.Option(metavar="URL", help="Optuna storage: a file or a URL.")
    ] = "optuna.log",
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="MLflow store [default: $MLFLOW_TRACKING_URI, else mlflow.db here].",
            show_default=False,
        ),
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="MLflow experiment [default: harness].",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make the runs in MLflow equal to the trials in the Optuna storage."""
    from harness import tracking
    from harness.search.storage import list_studies, read_study
    from harness.tracking.location import locate

    location = locate(tracking_uri, experiment)
    names = [study] if study is not None else list_studies(storage)
    if not names:
        typer.echo(f"{storage} has no studies.")
    for name in names:
        counts = tracking.sync(read_study(storage, name), tracking_uri, experiment)
        typer.echo(
            f"{name}: {counts.created} runs created, {counts.repaired} repaired, "
            f"{counts.unchanged} unchanged in {location.shown}"
        )
