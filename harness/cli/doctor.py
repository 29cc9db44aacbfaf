"""``harness doctor``: whether everything is there, and what to do where it is not."""

import json
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from harness.cli.options import StoreOptions, spread_options

__all__ = ["doctor"]


class Format(StrEnum):
    """How to print it."""

    TABLE = "table"
    JSON = "json"


_MARKS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


@spread_options
def doctor(
    *,
    output: Annotated[
        Format, typer.Option("--format", help="Lines to read, or everything as JSON.")
    ] = Format.TABLE,
    stores: StoreOptions,
) -> None:
    """Check the installation, the machine and the stores, and say what to do.

    Looks at versions, cores and threads, folders and caches, the Optuna storage and the
    MLflow store, and optional packages. Nothing is changed. The exit code is 1 if there
    is a problem; notes do not count.
    """
    from harness.doctor import examine

    checks = list(examine(stores.storage, stores.location))
    if output is Format.JSON:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        topic, width = "", max(len(check.name) for check in checks)
        for check in checks:
            if check.topic != topic:
                topic = check.topic
                typer.echo(topic)
            typer.echo(
                f"  {_MARKS[check.state]:7}  {check.name:{width}}  {check.found}"
            )
            if check.remedy is not None:
                typer.echo(f"  {'':7}  {'':{width}}  -> {check.remedy}")
    problems = sum(check.state == "problem" for check in checks)
    if output is Format.TABLE:
        typer.echo(f"Problems: {problems}." if problems else "No problems.")
    if problems:
        raise typer.Exit(1)
