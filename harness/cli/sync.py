"""``harness sync``: bring into MLflow what is missing there."""

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import StoreOptions, spread_options

if TYPE_CHECKING:
    from harness.tracking import SyncCounts

__all__ = ["sync"]


@spread_options
def sync(
    *,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="EXPERIMENT|STUDY",
            help="Name of an experiment or a study; else all in the storage.",
            show_default=False,
        ),
    ] = None,
    stores: StoreOptions,
) -> None:
    """Make the runs in MLflow equal to the trials in the Optuna storage.

    Experiments and studies log their trials while they run; this is for what could not
    be logged then. With an experiment come its studies.
    """
    from harness.tracking.location import locate

    location = locate(stores.tracking_uri, stores.experiment)
    names = _names(stores.storage) if name is None else [name]
    if not names:
        typer.echo(f"{stores.storage} has no studies.")
    for each in names:
        counts = _sync(each, stores)
        typer.echo(
            f"{each}: {counts.created} runs created, {counts.repaired} repaired, "
            f"{counts.unchanged} unchanged in {location.shown}"
        )


def _names(storage: str) -> list[str]:
    """List experiments, and the studies that belong to none."""
    from harness.experiment.store import read_experiment
    from harness.search.storage import list_experiments, list_studies

    experiments = list_experiments(storage)
    theirs = {
        study.name
        for each in experiments
        for study in read_experiment(storage, each).studies.values()
    }
    return [*experiments, *(s for s in list_studies(storage) if s not in theirs)]


def _sync(name: str, stores: StoreOptions) -> "SyncCounts":
    from harness import tracking
    from harness.errors import UnknownNameError
    from harness.experiment.store import read_experiment
    from harness.search.storage import list_experiments, list_studies, read_study
    from harness.tracking.experiment_projection import sync_experiment

    where = (stores.tracking_uri, stores.experiment)
    if name in list_experiments(stores.storage):
        return sync_experiment(read_experiment(stores.storage, name), *where)
    known = list_studies(stores.storage)
    if name not in known:
        known += list_experiments(stores.storage)
        raise UnknownNameError("experiment or study", name, known)
    return tracking.sync(read_study(stores.storage, name), *where)
