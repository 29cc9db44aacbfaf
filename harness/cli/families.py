"""``harness families``: what can be tuned."""

import typer

__all__ = ["families"]


def families() -> None:
    """List the families of models that `harness study` can tune."""
    from harness.errors import HarnessError
    from harness.models.families import family_names, load_family

    for name in family_names():
        try:
            summary = ((load_family(name).__doc__ or "").strip() or "-").splitlines()[0]
        except HarnessError as error:
            summary = f"({error})"
        typer.echo(f"{name:12} {summary}")
