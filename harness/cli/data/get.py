"""``harness data get``: download a data set."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from harness.data.download import BASE_URL, DOWNLOADS, Download, find_download
from harness.data.load import DOWNLOAD_FOLDER

__all__ = ["get"]


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
