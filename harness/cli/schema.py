"""``harness schema``: JSON schemas of the files that users write."""

from enum import StrEnum
from typing import Annotated

import typer

__all__ = ["schema"]


class Kind(StrEnum):
    """Which file."""

    STUDY = "study"
    EXPERIMENT = "experiment"
    DATA = "data"


def schema(
    kind: Annotated[
        Kind,
        typer.Argument(
            metavar="KIND",
            help="study: a search space; experiment: an experiment; data: the TOML "
            "beside a ratings file.",
        ),
    ],
) -> None:
    """Print the JSON schema of a TOML file, for editors that complete and check it.

    The first line of the file names it: `#:schema ./schema.json`.

    Examples
    --------
      harness schema study > studies/schema.json
    """
    from harness.experiment.schema import schema_text

    typer.echo(schema_text(kind), nl=False)
