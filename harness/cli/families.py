"""``harness families``: what can be tuned."""

import re

import typer

__all__ = ["families"]


def families() -> None:
    """List the families of models that `harness study` can tune."""
    from harness.errors import HarnessError
    from harness.models.families import family_names, load_family

    names = family_names()
    width = max(map(len, names))
    for name in names:
        try:
            summary = ((load_family(name).__doc__ or "").strip() or "-").splitlines()[0]
        except HarnessError as error:
            summary = f"({error})"
        # References belong to the documentation of the class.
        plain = re.sub(r"\s*\[\d+\]_", "", summary)
        typer.echo(f"{name:{width}}  {plain}")
