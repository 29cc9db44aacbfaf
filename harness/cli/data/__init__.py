"""``harness data``: fetch, link and describe ratings and catalogues."""

import typer

from harness.cli.data.describe import describe
from harness.cli.data.get import get
from harness.cli.data.link import link
from harness.cli.terminal import help_of

__all__ = ["app"]


app = typer.Typer(no_args_is_help=True, help="Fetch, link and describe data.")


@app.callback()
def _data() -> None:
    """Fetch, link and describe ratings and catalogues."""


for command in (describe, get, link):
    app.command(help=help_of(command))(command)
