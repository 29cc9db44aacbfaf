"""``harness data describe``: what a data set is like, in tables and figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import DataOptions, spread_options

if TYPE_CHECKING:
    from harness.report.data import DataTable

__all__ = ["describe"]


@spread_options
def describe(
    *,
    data: DataOptions,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the report.", show_default="reports/data-<name of the data>"
        ),
    ] = None,
    published: Annotated[
        bool | None,
        typer.Option(
            help="Compare with what the published study prints of its data.",
            show_default="only for ott",
        ),
    ] = None,
) -> None:
    """Describe ratings and titles.

    Writes tables and figures to describe.md, and prints the tables.
    """
    from harness.data.load import EMBEDDED
    from harness.data.profile import profile
    from harness.features.pairs import summarize_features
    from harness.report.data import (
        SIMULATED,
        data_tables,
        feature_tables,
        write_data_report,
    )

    dataset = data.load()
    features = summarize_features(dataset.ratings, dataset.catalogue)
    beside = dataset.source == EMBEDDED if published is None else published
    measured = data_tables(profile(dataset), published=beside)
    tables = (*measured, *feature_tables(features))
    # Written first: whoever reads only the head of the output closes it early.
    folder = out or Path("reports") / f"data-{dataset.name}"
    report = write_data_report(dataset, tables, folder)
    if dataset.simulated:
        typer.echo(SIMULATED)
    for note in dataset.notes:
        typer.echo(note)
    for table in tables:
        _print(table)
    typer.echo(f"Report: {report}")


def _print(shown: "DataTable") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=shown.title, title_justify="left")
    for k, head in enumerate(shown.head):
        table.add_column(head, justify="left" if k < shown.n_words else "right")
    for row in shown.rows:
        table.add_row(*row)
    Console(markup=False, emoji=False).print(table)
