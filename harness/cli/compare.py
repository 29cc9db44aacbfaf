"""``harness compare``: the families of an experiment side by side."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.errors import StudyError

if TYPE_CHECKING:
    from harness.experiment.results import ExperimentRecord

__all__ = ["compare", "only_experiment", "print_comparison"]


def compare(
    experiment: Annotated[
        str | None,
        typer.Argument(
            help="Name of the experiment.", show_default="the only one in the storage"
        ),
    ] = None,
    storage: Annotated[
        str,
        typer.Option(
            metavar="FILE|URL",
            help="Optuna storage: a journal file, or a URL such as sqlite:///study.db.",
        ),
    ] = "optuna.log",
) -> None:
    """Compare the families of an experiment, as far as it has come.

    Nothing is trained, and the test set stays as it is: sealed or opened.
    """
    from harness.experiment.store import read_experiment

    name = only_experiment(storage) if experiment is None else experiment
    print_comparison(read_experiment(storage, name))


def only_experiment(storage: str) -> str:
    """Name the experiment of a storage that holds one."""
    from harness.search.storage import list_experiments

    names = list_experiments(storage)
    if not names:
        raise StudyError(
            f"There is no experiment in {storage}: run one with `harness run`, or name "
            "another storage with --storage."
        )
    if len(names) > 1:
        raise StudyError(
            f"{storage} holds {len(names)} experiments: name one of {', '.join(names)}."
        )
    return names[0]


def print_comparison(record: "ExperimentRecord") -> None:
    """Print a row for each family and baseline, best first."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0))
    table.add_column("RMSE in stars", overflow="ellipsis", no_wrap=True, max_width=28)
    for head in ("folds", "initial", "tuned", "95 % range", "p", "ms", "s"):
        table.add_column(head, justify="right", no_wrap=True)
    rows = [_family_row(record, candidate) for candidate in record.spec.families]
    rows += [_baseline_row(model) for model in record.models if _is_baseline(model)]
    for _, cells in sorted(rows, key=lambda row: row[0]):
        table.add_row(*cells)
    Console(markup=False, emoji=False, highlight=False).print(table)
    typer.echo(
        "folds: best trial of the search; initial, tuned: on the test set; p: of being as "
        "good as the best (Holm); ms: p95 of a user's top 10; s: training."
    )
    if record.final is None:
        typer.echo("The test set is still sealed: `harness run` opens it at the end.")


def _is_baseline(model: Mapping[str, Any]) -> bool:
    return bool(model["role"] == "baseline")


def _family_row(
    record: "ExperimentRecord", candidate: str
) -> tuple[float, tuple[str, ...]]:
    from harness.experiment.decision import decide
    from harness.experiment.measures import interval, measured

    study = record.studies.get(candidate)
    best = study.best if study is not None else None
    tuned = measured(record, "rmse", candidate)
    decision = decide(record)
    p = "-"
    if decision is not None and tuned is not None and candidate != decision.best:
        found = record.difference(f"{decision.best}, tuned", f"{candidate}, tuned")
        p = "-" if found is None else _p_value(found["p_holm"])
    cells = (
        record.spec.label(candidate),
        _number(best.value if best else None, 4),
        _number(measured(record, "rmse", candidate, "initial"), 4),
        _number(tuned, 4),
        _ends(interval(record, "rmse", candidate)),
        p,
        _number(measured(record, "latency_p95_ms", candidate), 2),
        _number(measured(record, "fit_seconds", candidate), 2),
    )
    known = [v for v in (tuned, best.value if best else None) if v is not None]
    return (known[0] if known else float("inf")), cells


def _baseline_row(model: Mapping[str, Any]) -> tuple[float, tuple[str, ...]]:
    rmse = model["metrics"]["rmse"]
    shown = _number(rmse["value"], 4)
    ends = _ends((rmse["low"], rmse["high"]))
    name = f"({model['name']})"
    return rmse["value"], (name, "-", "-", shown, ends, "-", "-", "-")


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _ends(ends: tuple[float, float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:.3f}-{ends[1]:.3f}"


def _p_value(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"
