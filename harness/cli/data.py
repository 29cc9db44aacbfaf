"""``harness data``: fetch, link and describe ratings and catalogues."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import DataOptions, spread_options
from harness.cli.terminal import help_of
from harness.data.download import (
    BASE_URL,
    DOWNLOAD_FOLDER,
    DOWNLOADS,
    Download,
    find_download,
)
from harness.data.options import OptionHelp

if TYPE_CHECKING:
    from harness.report.data import DataTable

__all__ = ["app"]


app = typer.Typer(no_args_is_help=True, help="Fetch, link and describe data.")


@app.callback()
def _data() -> None:
    """Fetch, link and describe ratings and catalogues."""


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
            help="Compare with the figures of the published study.",
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


def get(
    name: Annotated[
        str, typer.Argument(help=f"One of {', '.join(DOWNLOADS)}.", metavar="NAME")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write.", show_default=f"{DOWNLOAD_FOLDER}/NAME"),
    ] = None,
    url: Annotated[
        str,
        typer.Option(
            envvar="HARNESS_DATA_URL", help="Address of a mirror to download from."
        ),
    ] = BASE_URL,
) -> None:
    """Download a data set, check it and unpack it; its terms of use are shown first."""
    from harness.data.download import fetch, is_fetched

    download = find_download(name)
    folder = out or Path(DOWNLOAD_FOLDER) / name
    if is_fetched(download, folder):
        typer.echo(f"{name} is in {folder} already: nothing to do.")
    else:
        megabytes = download.n_bytes / 1e6
        typer.echo(f"{download.about} ({megabytes:,.1f} MB).\n")
        typer.echo(f"Terms of use: {download.terms}\n")
        with _progress_bar(download) as advance:
            fetch(download, folder, base_url=url, progress=advance)
        typer.echo(f"{name} is in {folder} now.")
    typer.echo(f"Next: harness study svd --data {quote(str(folder))}")


@contextmanager
def _progress_bar(download: Download) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar, unless there is no terminal to show it on."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        "{task.description}",
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(download.name, total=download.n_bytes)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


@dataclass(frozen=True, kw_only=True)
class LinkOptions(DataOptions):
    """The ratings; the catalogues are those to which their titles are linked."""

    catalogue: tuple[str, ...] = field(
        metadata={
            "option": OptionHelp(
                "Streaming catalogue of 12 columns. Repeatable.", "[PLATFORM=]FILE"
            )
        }
    )
    # What the command is for has another name here.
    link: tuple[str, ...] = field(default=(), init=False)


@spread_options
def link(
    *,
    data: LinkOptions,
    out: Annotated[Path, typer.Option(help="Folder to write; must not exist yet.")],
) -> None:
    """Link ratings to streaming catalogues by title and year.

    Writes the linked titles with their ratings and metadata, to be loaded with
    --data, and links.csv, which says what was linked to what and why.
    """
    from harness.data.linking.link import link as link_titles
    from harness.data.linking.link import write_linked
    from harness.data.readers.streaming import read_streaming_catalogue

    dataset = replace(data, catalogue=()).load()
    catalogue, repairs = read_streaming_catalogue(data.catalogue)
    typer.echo(f"{len(catalogue):,} titles in the catalogue. Repaired in it:")
    for note in repairs:
        typer.echo(f"  {note}")
    result = link_titles(dataset, catalogue)
    typer.echo("")
    for sentence in result.counts.sentences():
        typer.echo(sentence)
    linked = result.dataset.ratings
    typer.echo(
        f"Linked: {linked.n_items:,} titles, {len(linked):,} ratings by "
        f"{linked.n_users:,} users, mean {linked.mean:.3f}."
    )
    write_linked(result, out)
    typer.echo(f"Written to {out}; links.csv in it shows every link.")
    typer.echo(f"Next: harness study svd --data {quote(str(out))}")


def cache(
    *,
    clear: Annotated[bool, typer.Option("--clear", help="Delete all of them.")] = False,
) -> None:
    """List the large data sets that are kept, so that they need not be read again.

    They are in the user's cache folder (XDG_CACHE_HOME), by the content of their files.
    """
    from harness.data.cache import cache_folder, cached_data, clear_cache
    from harness.formatting import size

    if clear:
        typer.echo(f"{cache_folder()}: {size(clear_cache())} deleted.")
        return
    for each in cached_data():
        typer.echo(f"{each.source}: {each.n_ratings:,} ratings, {size(each.n_bytes)}")
    typer.echo(f"In {cache_folder()}; --clear deletes it.")


for command in (describe, get, link, cache):
    app.command(help=help_of(command))(command)
