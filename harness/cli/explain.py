"""``harness explain``: why a model predicts what it predicts."""

import json
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.completion import complete_names
from harness.cli.options import StorageOption
from harness.cli.terminal import plain, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from harness.serving.explain import (
        ExplainedPair,
        FactorInWords,
        Named,
    )

__all__ = ["explain"]


MOST_ROWS = 10


class Format(StrEnum):
    """How to print it."""

    TABLE = "table"
    JSON = "json"


def explain(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|EXPERIMENT",
            help="Name of the study, or of the experiment.",
            autocompletion=complete_names,
        ),
    ],
    *,
    user: Annotated[
        str, typer.Option(metavar="ID", help="User, by the id in the ratings.")
    ],
    item: Annotated[
        str, typer.Option(metavar="ID", help="Title, by the id in the ratings.")
    ],
    output: Annotated[
        Format, typer.Option("--format", help="Tables to read, or everything as JSON.")
    ] = Format.TABLE,
    storage: StorageOption = "optuna.log",
) -> None:
    """Explain one prediction: of the best model of a study, or of an experiment's winner.

    The best settings are fitted again on the training part of the same data, split in
    the same way; the test set stays sealed. The parts add up to the prediction before it
    is clipped to the scale.
    """
    from rich.console import Console

    from harness.data.load import load_again
    from harness.experiment.store import read_study_or_winner
    from harness.serving.explain import explain_pair

    record = read_study_or_winner(storage, study)
    load = partial(load_again, record.dataset)
    with Console(stderr=True).status("fitting the best settings again"):
        pair = explain_pair(record, load, user=user, item=item)
    if output is Format.JSON:
        typer.echo(json.dumps(asdict(pair), indent=2))
    else:
        # Titles come from anywhere: nothing in them is markup, an emoji code or a link.
        _print(pair, Console(markup=False, emoji=False, highlight=False))


def _print(pair: "ExplainedPair", console: "Console") -> None:
    console.print(
        f"{plain(pair.study)}: settings of trial {pair.trial}, fitted again on the "
        f"{pair.n_train:,} training ratings"
    )
    if pair.simulated:
        console.print("The ratings are simulated.")
    for note in pair.notes:
        console.print(plain(note, len(note)))
    given = (
        ""
        if pair.rated is None
        else f", which this user gave {pair.rated:g} {pair.unit}"
    )
    console.print(
        f"User {plain(pair.user.id)} ({pair.user.n_ratings:,} ratings), title "
        f"{_name(pair.title)} ({pair.title.n_ratings:,} ratings){given}"
    )
    console.print(f"Prediction: {pair.prediction:.2f} {pair.unit}")
    total = ("sum, before clipping", _signed(pair.before_clipping), "")
    rows = [(part.label, _signed(part.stars), part.detail) for part in pair.parts]
    print_table(console, ("part", pair.unit, "what it is"), [*rows, total])
    if pair.user_parts:
        console.print(
            "Level of the user and features of the title together, divided the other way:"
        )
        rows = [(p.label, _signed(p.stars), p.detail) for p in pair.user_parts]
        print_table(console, ("part", pair.unit, "what it is"), rows)
    for factor in pair.factors:
        _print_factor(console, factor)
    if pair.neighbors:
        _print_neighbors(console, pair)


def _print_factor(console: "Console", factor: "FactorInWords") -> None:
    goes_with = "goes with no genre or decade beyond chance"
    if factor.trait is not None:
        goes_with = f"goes with {plain(factor.trait)} (r = {factor.correlation:+.2f})"
    console.print(f"{factor.label}: {goes_with}")
    for side, titles in (("+", factor.positive), ("-", factor.negative)):
        if titles:
            console.print(f"  {side} {'; '.join(map(_name, titles))}")


def _print_neighbors(console: "Console", pair: "ExplainedPair") -> None:
    neighbors, kind = pair.neighbors, pair.neighbors_are
    shown = neighbors[:MOST_ROWS]
    rows: list[tuple[str, ...]] = [
        (_name(n.who), f"{n.rating:g}", _signed(n.stars)) for n in shown
    ]
    head: tuple[str, ...] = (kind, "rating", pair.unit)
    which = "most influential"
    similarities = [n.similarity for n in shown if n.similarity is not None]
    if similarities:
        which = "most similar"
        head = (*head, "similarity")
        rows = [(*r, f"{s:.3f}") for r, s in zip(rows, similarities, strict=True)]
    whose = "titles the user has rated" if kind == "titles" else "users of this title"
    console.print(f"The {len(shown)} {which} {whose} (of {len(neighbors)}):")
    print_table(console, head, rows)


def _name(who: "Named") -> str:
    if who.name == who.id:
        return plain(who.id)
    return f"{plain(who.name)} [{plain(who.id)}]"


def _signed(stars: float) -> str:
    return f"{stars:+.3f}"
