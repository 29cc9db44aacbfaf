"""``harness models``: what is registered, how good it is, and what it is in use as."""

import json
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import StorageOption, TrackingOption
from harness.cli.terminal import Column
from harness.formatting import in_words

if TYPE_CHECKING:
    from harness.evaluation.opening_budget import OpeningBudget
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
    storage: StorageOption = "optuna.log",
    tracking_uri: TrackingOption = None,
) -> None:
    """List the registered models: versions, aliases, scores, and where they come from.

    Models whose search was for another objective than RMSE are shown with that, too. The
    RMSE is in the unit of the ratings, with its 95 % interval, on the test set that the
    version was judged on. Only figures of the same test set can be compared. The column
    "from" names the experiment or study. Its report is among the artifacts of its run:
    `harness ui` shows it, `mlflow artifacts download --artifact-uri` fetches it.
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
        name = None if version.facts is None else version.facts.experiment
        if name is not None and name not in reports:
            reports[name] = registry.report_of(version)
    _print(found, reports, _budgets(found, storage))


def _facts(version: "RegisteredVersion", report: str | None) -> dict[str, object]:
    from harness.plain import to_json

    return {**to_json(version), "uri": version.uri, "report": report}


def _print(
    versions: "Sequence[RegisteredVersion]",
    reports: Mapping[str, str | None],
    budgets: "Mapping[SealedRatings, OpeningBudget]",
) -> None:
    from rich.console import Console

    from harness.cli.terminal import plain, print_columns

    letters = _letters(versions)
    # Names come from anywhere: nothing in them is markup, an emoji code or a link.
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    has_others = any(_objective(version) for version in versions)
    columns = [c for c in COLUMNS if has_others or c is not OBJECTIVE]
    cells = [_cells(v, letters[v.test_set], has_others=has_others) for v in versions]
    print_columns(console, columns, cells)
    for line in _about_test_sets(versions, letters, budgets):
        console.print(line)
    for line in _forced(versions):
        console.print(line)
    for name, report in reports.items():
        if report is not None:
            console.print(f"Report of {plain(name)}: {report}")
    if any(v.facts is not None and v.facts.judged_source for v in versions):
        console.print(
            "Fitted to all ratings is what is served; the figures are those of the same "
            "settings fitted to the training part."
        )
    judged_on = {(v.name, letters[v.test_set]) for v in versions}
    if len(judged_on) > len({name for name, _ in judged_on}):
        console.print(
            "Figures of different test sets cannot be compared. `harness promote "
            "--rejudge` judges a newcomer and the champion on one."
        )


def _about_test_sets(
    versions: "Sequence[RegisteredVersion]",
    letters: "Mapping[SealedRatings, str]",
    budgets: "Mapping[SealedRatings, OpeningBudget]",
) -> Iterator[str]:
    """Say what each test set is, and what is left of its error budget."""
    from harness.cli.terminal import plain

    first = {letters[version.test_set]: version for version in reversed(versions)}
    for letter, version in sorted(first.items()):
        yield f"Test set {letter}: {plain(_describe(version), LONGEST_LINE)}"
        budget = budgets.get(version.test_set)
        if budget is not None and budget.openings:
            yield (
                f"  decided {budget.openings} promotion"
                f"{'s' if budget.openings > 1 else ''}: {budget.left:.3g} of the error budget of "
                f"{budget.alpha:g} left, the next at level {budget.next_level:.2g}"
            )


def _forced(versions: "Sequence[RegisteredVersion]") -> Iterator[str]:
    """Say what was promoted in spite of what."""
    from harness.cli.terminal import plain

    for version in versions:
        if version.facts is not None and version.facts.forced:
            why = in_words([FORCED.get(word, word) for word in version.facts.forced])
            name = f"{plain(version.name)} {version.version}"
            yield f"{name} was promoted by force: {why}."


FORCED = {
    "floor": "it is not shown to beat the baselines",
    "undecided": "it is not shown not to be worse than the champion before it",
}
OBJECTIVE = Column(name="objective", importance=8)
COLUMNS = (
    Column(name="model", importance=9, wraps=True),
    Column(name="alias", importance=7, wraps=True),
    Column(name="family", importance=5),
    Column(name="RMSE", importance=8),
    Column(name="95 %", importance=4),
    OBJECTIVE,
    Column(name="test", importance=6),
    Column(name="fitted to", importance=3, wraps=True),
    Column(name="date", importance=1),
    Column(name="from", importance=2, wraps=True),
)


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


def _cells(
    version: "RegisteredVersion", test_set: str, *, has_others: bool
) -> tuple[str, ...]:
    facts = version.facts
    aliases = " ".join(f"@{alias}" for alias in version.aliases)
    name = f"{version.name} {version.version}"
    objective = [_objective(version) or "RMSE"] if has_others else []
    if facts is None:
        date = version.created.isoformat()[:10]
        unknown = ["-"] * len(objective)
        return (name, aliases, "-", "-", "-", *unknown, test_set, "-", date, "-")
    return (
        name,
        aliases,
        facts.family,
        f"{facts.rmse:.4f}",
        f"[{facts.rmse_low:.4f}, {facts.rmse_high:.4f}]",
        *objective,
        test_set,
        facts.trained_on,
        facts.opened.isoformat()[:10],
        facts.experiment,
    )


def _objective(version: "RegisteredVersion") -> str | None:
    """Name what a version was searched for, with its score; None where it is RMSE."""
    from harness.evaluation.measures import MEASURES

    facts = version.facts
    if facts is None or facts.score is None or facts.objective == "rmse":
        return None
    measure = MEASURES.get(facts.objective)
    if measure is None:
        return f"{facts.objective} {facts.score:.4g}"
    return f"{measure.label} {measure.format(facts.score)}"


def _describe(version: "RegisteredVersion") -> str:
    facts = version.facts
    if facts is None:
        return "not known: `harness promote` has not registered it"
    simulated = " (simulated)" if facts.simulated else ""
    return (
        f"{facts.dataset}{simulated} {facts.test_set.dataset}, split {facts.split} "
        f"{facts.test_set.split}, {facts.n_test:,} ratings"
    )


def _budgets(
    versions: "Sequence[RegisteredVersion]", storage: str
) -> "dict[SealedRatings, OpeningBudget]":
    """Say what each test set is still good for.

    Dry runs count and leave no trace in MLflow, so that the storage knows best.
    """
    from harness.evaluation.opening_budget import OpeningBudget
    from harness.search.openings import promotion_tests_by_now

    is_there = "://" in storage or Path(storage).exists()
    budgets = {}
    for version in versions:
        if version.facts is None:
            continue
        sealed, alpha = version.test_set, version.facts.alpha
        n_tests = max(
            other.facts.promotion_tests
            for other in versions
            if other.facts is not None and other.test_set.are(sealed)
        )
        if is_there:
            n_tests = max(n_tests, promotion_tests_by_now(storage, sealed))
        budgets[sealed] = OpeningBudget.after(n_tests, alpha=alpha)
    return budgets
