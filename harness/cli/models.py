"""``harness models``: what is registered, how good it is, and what it is in use as."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from harness.search.openings import SealedRatings
    from harness.serving.registry import RegisteredVersion

__all__ = ["models"]


LONGEST_LINE = 300


class Format(StrEnum):
    """How to print it."""

    TABLE = "table"
    JSON = "json"


def models(
    model: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Registered model.", show_default="all"),
    ] = None,
    output: Annotated[
        Format, typer.Option("--format", help="A table to read, or everything as JSON.")
    ] = Format.TABLE,
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="MLflow store; else $MLFLOW_TRACKING_URI, else mlflow.db here.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List the registered models: versions, aliases, RMSE, and where they come from.

    The RMSE is in stars, with its 95 % interval, on the sealed test set that the version
    was judged on. Only figures of the same test set can be compared. The last column
    names the experiment, or the study, whose report tells more: `harness ui` shows it among
    the artifacts of its run, and `mlflow artifacts download --artifact-uri` fetches it.
    """
    from harness.errors import UnknownNameError
    from harness.serving.registry import Registry
    from harness.tracking.location import locate

    location = locate(tracking_uri)
    registry = Registry(location)
    names = registry.names()
    if model is not None and model not in names:
        raise UnknownNameError("registered model", model, names)
    found = [
        version
        for name in ([model] if model else names)
        for version in registry.versions(name)
    ]
    if output is Format.JSON:
        told = [_facts(version, registry.report_of(version)) for version in found]
        typer.echo(json.dumps(told, indent=2))
        return
    if not found:
        typer.echo(f"No models in {location.shown}: `harness promote` registers them.")
        return
    reports: dict[str, str | None] = {}
    for version in found:  # the newest first
        name = _source(version)
        if name != "-" and name not in reports:
            reports[name] = registry.report_of(version)
    _print(found, reports)


def _facts(version: "RegisteredVersion", report: str | None) -> dict[str, object]:
    return asdict(version) | {
        "created": version.created.isoformat(timespec="seconds"),
        "uri": version.uri,
        "report": report,
    }


def _print(
    versions: "Sequence[RegisteredVersion]", reports: Mapping[str, str | None]
) -> None:
    from rich.console import Console

    from harness.cli.terminal import plain

    letters = _letters(versions)
    # Names come from anywhere: nothing in them is markup, an emoji code or a link.
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    console.print(_table(versions, letters))
    first = {letters[version.test_set]: version for version in reversed(versions)}
    for letter, version in sorted(first.items()):
        description = plain(_describe(version), LONGEST_LINE)
        console.print(f"Test set {letter}: {description}")
    for name, report in reports.items():
        if report is not None:
            console.print(f"Report of {plain(name)}: {report}")
    names = {version.name for version in versions}
    several = [
        name
        for name in names
        if len({letters[v.test_set] for v in versions if v.name == name}) > 1
    ]
    if several:
        console.print(
            "Figures of different test sets cannot be compared. `harness promote "
            "--rejudge` judges a newcomer and the champion on one."
        )


def _table(
    versions: "Sequence[RegisteredVersion]",
    letters: "Mapping[SealedRatings, str]",
) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from harness.cli.terminal import plain

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0))
    for name in ("model", "alias", "family", "RMSE [95 %]", "test", "date", "from"):
        table.add_column(name, no_wrap=name != "from", overflow="fold")
    for version in versions:
        cells = _cells(version, letters[version.test_set])
        table.add_row(*(Text(plain(cell)) for cell in cells))
    return table


def _letters(versions: "Sequence[RegisteredVersion]") -> "dict[SealedRatings, str]":
    """Give each test set a letter; the same one with another catalogue has the same."""
    letters: dict[SealedRatings, str] = {}
    for version in versions:
        same = [known for known in letters if known.are(version.test_set)]
        new = _letter(len(set(letters.values())))
        letters[version.test_set] = letters[same[0]] if same else new
    return letters


def _letter(place: int) -> str:
    return chr(ord("A") + place) if place < 26 else str(place + 1)


def _cells(version: "RegisteredVersion", test_set: str) -> tuple[str, ...]:
    value, low, high = (
        version.figure(f"test_rmse{end}") for end in ("", "_low", "_high")
    )
    rmse = "-"
    if value is not None and low is not None and high is not None:
        rmse = f"{value:.4f} [{low:.4f}, {high:.4f}]"
    tags = version.tags
    return (
        f"{version.name} {version.version}",
        " ".join(f"@{alias}" for alias in version.aliases),
        tags.get("family", "-"),
        rmse,
        test_set,
        tags.get("test_opened", version.created.isoformat())[:10],
        _source(version),
    )


def _source(version: "RegisteredVersion") -> str:
    """Name the experiment or the study that a version comes from."""
    return version.tags.get("experiment", version.tags.get("study", "-"))


def _describe(version: "RegisteredVersion") -> str:
    tags = version.tags
    simulated = " (simulated)" if tags.get("simulated") == "True" else ""
    n_test = version.figure("n_test")
    size = "" if n_test is None else f", {n_test:,.0f} ratings"
    return (
        f"{tags.get('dataset', '-')}{simulated} {version.test_set.dataset}, split "
        f"{tags.get('split', '-')} {version.test_set.split}{size}"
    )
