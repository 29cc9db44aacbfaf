"""``harness recommend``: the best titles for one user, and why."""

import csv
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import StoreOptions, spread_options
from harness.cli.serve import named_or_champion
from harness.cli.terminal import plain, print_table
from harness.errors import StudyError

if TYPE_CHECKING:
    from harness.serving.recommend import RecommendedTitles

__all__ = ["recommend"]


COLUMNS = ("rank", "item", "title", "stars", "score", "why")


class Format(StrEnum):
    """How to print it."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


@spread_options
def recommend(  # noqa: PLR0913 - one argument for each option
    *,
    user: Annotated[
        str,
        typer.Argument(metavar="USER", help="Id in the ratings; others are welcome."),
    ],
    top: Annotated[int, typer.Option("--top", min=1, help="How many titles.")] = 10,
    study: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Fit the best settings of this study again, and ask that model.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="URI|FOLDER",
            help="The model to ask, as for `harness serve`.",
            show_default="the only champion in the registry",
        ),
    ] = None,
    when: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="When they would be watched (UTC), for families that know time.",
            show_default="a usual time of the user",
        ),
    ] = None,
    output: Annotated[
        Format, typer.Option("--format", help="A table to read, or JSON or CSV.")
    ] = Format.TABLE,
    stores: StoreOptions,
) -> None:
    """Recommend titles to a user: the champion's, those of a model, or of a study.

    Titles that the user has rated in the training part are left out. A user without
    training ratings gets what the model recommends to strangers.

    Examples
    --------
      harness recommend 196 --top 5

      harness recommend 196 --study svd-ml-100k --format json
    """
    if study is not None and model is not None:
        raise StudyError(
            "The titles come from one model: give --study or --model, not both."
        )
    if not user:
        raise StudyError("USER must be the id of a user, but is empty.")
    seconds = None if when is None else when.replace(tzinfo=UTC).timestamp()
    asked = {"user": user, "n": top, "when": seconds}
    if study is not None:
        found = _ask_study(stores, study, asked)
    else:
        found = _ask_model(stores, model, asked)
    if output is Format.JSON:
        told = asdict(found) | {"cold_start": found.is_cold_start}
        typer.echo(json.dumps(told, indent=2))
    elif output is Format.CSV:
        _print_csv(found)
    else:
        _print(found)


def _ask_study(
    stores: StoreOptions, study: str, asked: dict[str, Any]
) -> "RecommendedTitles":
    from rich.console import Console

    from harness.data.load import load_again
    from harness.experiment.store import read_study_or_winner
    from harness.serving.recommend import package_best, recommend_titles

    record = read_study_or_winner(stores.storage, study)
    load = partial(load_again, record.dataset)
    with Console(stderr=True).status("fitting the best settings again"):
        packaged = package_best(record, load)
    name = f"{study}, settings of trial {packaged.facts.trial} fitted again"
    return recommend_titles(packaged, model=name, **asked)


def _ask_model(
    stores: StoreOptions, model: str | None, asked: dict[str, Any]
) -> "RecommendedTitles":
    from harness.serving.fetch import fetch_model
    from harness.serving.recommend import recommend_titles

    location = stores.location()
    uri = named_or_champion(model, location, others="--model or --study")
    fetched = fetch_model(location, uri)
    return recommend_titles(fetched.packaged, model=fetched.name, **asked)


def _print_csv(found: "RecommendedTitles") -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(COLUMNS)
    for title in found.titles:
        row = asdict(title)
        writer.writerow(row[name] for name in COLUMNS)


def _print(found: "RecommendedTitles") -> None:
    from rich.console import Console

    # Titles come from anywhere: nothing in them is markup, an emoji code or a link.
    console = Console(markup=False, emoji=False, highlight=False)
    console.print(
        f"{plain(found.model, 100)}: {found.family} on {plain(found.dataset)}"
    )
    if found.simulated:
        console.print("The ratings are simulated.")
    who = f"User {plain(found.user)}"
    if found.is_cold_start:
        console.print(
            f"{who} has no training ratings: this is what the model recommends to "
            "strangers (cold start)."
        )
    else:
        console.print(f"{who} ({found.n_ratings:,} training ratings)")
    rows = [
        (
            str(each.rank),
            each.item if each.title is None else f"{each.title} [{each.item}]",
            f"{each.stars:.2f}",
            each.why or "",
        )
        for each in found.titles
    ]
    if any(why for *_, why in rows):
        print_table(console, ("rank", "title", "stars", "why"), rows)
    else:
        print_table(console, ("rank", "title", "stars"), [row[:3] for row in rows])
