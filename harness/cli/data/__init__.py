"""``harness data``: fetch, link and describe ratings and catalogues."""

import typer

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Fetch, link and describe data.")


@app.callback()
def _data() -> None:
    """Fetch, link and describe ratings and catalogues."""
