"""``harness data link``: give ratings the metadata of streaming catalogues."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from harness.cli.options import DataOptions, spread_options
from harness.data.options import OptionHelp

__all__ = ["link"]


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
