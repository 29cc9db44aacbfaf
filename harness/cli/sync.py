"""``harness sync``: bring into MLflow what is missing there."""

from typing import Annotated

import typer

from harness.cli.completion import complete_names
from harness.cli.options import StoreOptions, spread_options

__all__ = ["sync"]


@spread_options
def sync(
    *,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="EXPERIMENT|STUDY",
            help="Name of the experiment or study.",
            show_default="all in the storage",
            autocompletion=complete_names,
        ),
    ] = None,
    stores: StoreOptions,
) -> None:
    """Make the runs in MLflow equal to the trials in the Optuna storage.

    Trials are logged while they run; this adds what could not be logged then. An experiment
    is synced together with its studies. Doing it twice changes nothing.
    """
    from harness.experiment.store import find_experiment_of, read_experiment
    from harness.search.storage import list_experiments
    from harness.tracking import runs

    location = stores.location()
    names = (
        list_experiments(stores.storage)
        if name is None
        else [find_experiment_of(stores.storage, name)]
    )
    if not names:
        typer.echo(f"{stores.storage} has no studies that harness has made.")
    for each in names:
        counts = runs.sync(read_experiment(stores.storage, each), location)
        typer.echo(
            f"{each}: {counts.created} runs created, {counts.repaired} repaired, "
            f"{counts.unchanged} unchanged in {location.shown}"
        )
