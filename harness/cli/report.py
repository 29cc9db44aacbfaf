"""``harness report``: write the report of a study or an experiment again."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import NameArgument, StorageOption

__all__ = ["report"]


def report(
    name: NameArgument = None,
    storage: StorageOption = "optuna.log",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the report goes.",
            show_default="reports/NAME",
        ),
    ] = None,
) -> None:
    """Write the report of a study or an experiment again, without training anything.

    The folder gets report.md, report.html (one file, figures included) and report.json
    (everything that was measured, as data).
    """
    from harness.cli.compare import only_experiment
    from harness.experiment.store import read_named
    from harness.report.write import write_report

    name = name or only_experiment(storage)
    folder = out or Path("reports") / name
    typer.echo(write_report(read_named(storage, name), folder))
