"""``harness report``: write the report of a study or an experiment again."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY|EXPERIMENT",
            help="Name of the study or experiment.",
            show_default="the only one in the storage",
        ),
    ] = None,
    storage: Annotated[
        str,
        typer.Option(
            metavar="FILE|URL",
            help="Optuna storage: a journal file, or a URL such as sqlite:///study.db.",
        ),
    ] = "optuna.log",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the report goes.",
            show_default="reports/NAME",
        ),
    ] = None,
) -> None:
    """Write the report of a study or an experiment again, without training anything."""
    from harness.cli.compare import only_experiment
    from harness.experiment.store import read_named
    from harness.report.write import write_report

    name = name or only_experiment(storage)
    folder = out or Path("reports") / name
    typer.echo(write_report(read_named(storage, name), folder))
