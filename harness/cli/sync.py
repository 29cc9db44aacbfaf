"""``harness sync``: bring into MLflow what is missing there."""

from typing import Annotated

import typer

from harness.cli.options import StoreOptions, spread_options

__all__ = ["sync"]


@spread_options
def sync(
    *,
    study: Annotated[
        str | None,
        typer.Argument(
            help="Name of the study; else all in the storage.", show_default=False
        ),
    ] = None,
    stores: StoreOptions,
) -> None:
    """Make the runs in MLflow equal to the trials in the Optuna storage.

    A study logs its trials while it runs; this is for what could not be logged then.
    """
    from harness import tracking
    from harness.search.storage import list_studies, read_study
    from harness.tracking.location import locate

    location = locate(stores.tracking_uri, stores.experiment)
    names = [study] if study is not None else list_studies(stores.storage)
    if not names:
        typer.echo(f"{stores.storage} has no studies.")
    for name in names:
        record = read_study(stores.storage, name)
        counts = tracking.sync(record, stores.tracking_uri, stores.experiment)
        typer.echo(
            f"{name}: {counts.created} runs created, {counts.repaired} repaired, "
            f"{counts.unchanged} unchanged in {location.shown}"
        )
