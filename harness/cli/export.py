"""``harness export``: what an experiment was judged on, for other tools."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.compare import only_experiment
from harness.cli.options import NameArgument, StorageOption

__all__ = ["export"]


class Format(StrEnum):
    """How to write the tables."""

    CSV = "csv"
    PARQUET = "parquet"


def export(
    name: NameArgument = None,
    *,
    folder: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Folder to write; must not exist yet."),
    ],
    table_format: Annotated[
        Format, typer.Option("--format", help="Format of the tables.")
    ] = Format.CSV,
    storage: StorageOption = "optuna.log",
) -> None:
    """Write split, predictions and errors of a judged experiment, for other tools.

    All tuned models and baselines are fitted again with the same seeds. The folder gets
    split/train and split/test (the ratings), predictions (a row for each test rating, a
    column for each model and seed), user_errors, and export.json, which says what was
    fitted and compares its RMSE with the report. Writing the test ratings counts as an
    opening of the test set.

    Examples
    --------
      harness export quick --folder quick-export --format parquet
    """
    from rich.console import Console

    from harness.api import load

    done = load(name or only_experiment(storage), storage)
    with Console(stderr=True).status("loading the data") as status:
        written = done.export(
            folder, table_format=table_format.value, on_step=status.update
        )
    width = max(len(model.model) for model in written.models)
    for model in written.models:
        judged = "as in the report"
        if not model.is_as_judged:
            judged = f"the report says {model.judged_rmse:.6f}"
        typer.echo(f"{model.model:{width}}  RMSE {model.rmse:.6f}  {judged}")
    typer.echo(
        f"The test ratings were opened for it: opening {written.opening} of this test set."
    )
    typer.echo(f"Written to {folder}; export.json describes the tables.")
