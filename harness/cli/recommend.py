"""``harness recommend``: the best titles for one user, and why, or for all users."""

import csv
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from harness.cli.completion import complete_names
from harness.cli.options import JobsOption, StoreOptions, spread_options
from harness.cli.serve import named_or_champion
from harness.cli.terminal import plain, print_table
from harness.errors import StudyError

if TYPE_CHECKING:
    from harness.serving.folder import PackagedModel
    from harness.serving.recommend import RecommendedTitles

__all__ = ["recommend"]


COLUMNS = ("rank", "item", "title", "stars", "score", "why")


class Format(StrEnum):
    """How to print it."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class _Asked(TypedDict):
    """What is asked for, be it for one user or for all."""

    n: int
    when: float | None
    unrated: bool


@spread_options
def recommend(  # noqa: PLR0913 - one argument for each option
    *,
    user: Annotated[
        str | None,
        typer.Argument(
            metavar="USER",
            help="User id. Unknown users get cold-start recommendations.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Number of titles.")] = 10,
    everybody: Annotated[
        bool,
        typer.Option("--all", help="Recommend to all users of the data. Needs --out."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --all: .parquet or .csv file to write. Replaced if it exists.",
            show_default=False,
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Study whose best settings are fitted again and used.",
            show_default=False,
            autocompletion=complete_names,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="URI|FOLDER",
            help="Model to use, as for `harness serve`.",
            show_default="the only champion in the registry",
        ),
    ] = None,
    when: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="Time of watching (UTC), for families that use it.",
            show_default="a usual time of the user",
        ),
    ] = None,
    unrated: Annotated[
        bool,
        typer.Option(
            "--unrated", help="Include titles of the catalogue that nobody has rated."
        ),
    ] = False,
    jobs: JobsOption = None,
    output: Annotated[
        Format, typer.Option("--format", help="Format of the output.")
    ] = Format.TABLE,
    stores: StoreOptions,
) -> None:
    """Recommend titles to one user or to all, with the champion, another model or a study.

    Titles that the user has rated in the training part are left out, and so are those
    that nobody has rated, unless --unrated asks for them. A user without training ratings
    gets what the model recommends to somebody it does not know.

    Examples
    --------
      harness recommend 196 --top 5

      harness recommend 196 --study svd-ml-100k --format json

      harness recommend --all --out top10.parquet
    """
    _check_who(user, everybody=everybody, out=out, output=output)
    if study is not None and model is not None:
        raise StudyError(
            "Titles are recommended by one model: give --study or --model, not both."
        )
    seconds = None if when is None else when.replace(tzinfo=UTC).timestamp()
    asked = _Asked(n=top, when=seconds, unrated=unrated)
    if out is not None:
        from harness.serving.recommend import require_table_file

        require_table_file(out)
    name, packaged = (
        _fetch(stores, model) if study is None else _fit_again(stores, study)
    )
    if out is not None:
        from harness.evaluation.worker_process import n_cores

        _recommend_to_all(packaged, name, out, asked, jobs=jobs or n_cores())
        return
    from harness.serving.recommend import recommend_titles

    found = recommend_titles(packaged, model=name, user=str(user), **asked)
    if output is Format.JSON:
        told = asdict(found) | {"cold_start": found.is_cold_start}
        typer.echo(json.dumps(told, indent=2))
    elif output is Format.CSV:
        _print_csv(found)
    else:
        _print(found)


def _check_who(
    user: str | None, *, everybody: bool, out: Path | None, output: Format
) -> None:
    if user is not None and everybody:
        raise StudyError("Give USER or --all, not both.")
    if everybody and out is None:
        raise StudyError("--all needs a file to write: add --out top10.parquet.")
    if everybody and output is not Format.TABLE:
        raise StudyError(
            "With --all, the name of the file says the format: leave --format out."
        )
    if out is not None and not everybody:
        raise StudyError(
            "--out is for all users: add --all, or redirect the output of --format csv."
        )
    if user is None and not everybody:
        raise StudyError("Name a USER, or give --all and --out for all of them.")
    if user == "":
        raise StudyError("USER must be the id of a user, but is empty.")


def _recommend_to_all(
    packaged: "PackagedModel", name: str, out: Path, asked: _Asked, *, jobs: int
) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from harness.serving.recommend import recommend_to_all

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("users", total=None)
        written = recommend_to_all(
            packaged,
            out,
            jobs=jobs,
            on_progress=lambda done, n: bar.update(task, completed=done, total=n),
            **asked,
        )
    simulated = ", simulated ratings" if packaged.facts.simulated else ""
    typer.echo(
        f"{name}: {packaged.facts.family} on {packaged.facts.data_name}{simulated}"
    )
    typer.echo(
        f"{written.n_rows:,} titles for {written.n_users:,} users, {written.n_cold:,} of "
        "them without training ratings (cold start)."
    )
    typer.echo(f"Written to {out}")


def _fit_again(stores: StoreOptions, study: str) -> "tuple[str, PackagedModel]":
    from rich.console import Console

    from harness.data.load import load_again
    from harness.experiment.store import read_study_or_winner
    from harness.serving.recommend import package_best

    record = read_study_or_winner(stores.storage, study)
    load = partial(load_again, record.dataset)
    with Console(stderr=True).status("fitting the best settings again"):
        packaged = package_best(record, load)
    return f"{study}, settings of trial {packaged.facts.trial} fitted again", packaged


def _fetch(stores: StoreOptions, model: str | None) -> "tuple[str, PackagedModel]":
    from harness.serving.fetch import fetch_model

    location = stores.location()
    uri = named_or_champion(model, location, others="--model or --study")
    fetched = fetch_model(location, uri)
    return fetched.name, fetched.packaged


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
            f"{who} has no training ratings: this is what the model recommends to somebody "
            "it does not know (cold start)."
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
        print_table(console, ("rank", "title", found.unit, "why"), rows)
    else:
        print_table(console, ("rank", "title", found.unit), [row[:3] for row in rows])
