"""``harness data``: fetch, link and describe ratings and catalogues."""

import typer

from harness.cli.data.describe import describe
from harness.cli.data.get import get
from harness.cli.data.link import link

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Fetch, link and describe data.")


@app.callback()
def _data() -> None:
    """Fetch, link and describe ratings and catalogues."""


app.command("describe")(describe)
app.command("get")(get)
app.command("link")(link)
