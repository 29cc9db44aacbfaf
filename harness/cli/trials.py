"""``harness trials``: the trials of a study or an experiment, as a table."""

import json
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.compare import only_experiment
from harness.cli.options import NameArgument, StorageOption
from harness.cli.terminal import Column, print_columns
from harness.errors import StudyError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["trials"]


class Format(StrEnum):
    """How to print it."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def trials(
    name: NameArgument = None,
    output: Annotated[
        Format,
        typer.Option(
            "--format", help="A table to read, or all columns as CSV, JSON or parquet."
        ),
    ] = Format.TABLE,
    storage: StorageOption = "optuna.log",
) -> None:
    """List the trials of a study or an experiment: state, score, hyperparameters, times.

    Those of an experiment are listed family by family. In CSV, JSON and parquet each
    hyperparameter is a column `param_NAME`, empty where a trial does not have it.

    Examples
    --------
      harness trials svd-ott

      harness trials quick --format parquet > trials.parquet
    """
    from harness.api import load

    name = name or only_experiment(storage)
    loaded = load(name, storage)
    frame = loaded.trials
    if output is Format.TABLE:
        _print(frame, [metric.name for metric in loaded.results.objectives])
    elif output is Format.PARQUET and sys.stdout.isatty():
        raise StudyError(
            "Parquet cannot be shown on a terminal: add `> trials.parquet`, or choose --format "
            "table, csv or json."
        )
    else:
        typer.echo(_written(_tidy(frame), output), nl=False)


def _tidy(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Give each column one type: one family may have numbers where another has words."""
    from pandas.api.types import is_object_dtype

    tidy = frame.copy()
    for column in filter(lambda name: is_object_dtype(frame[name]), frame.columns):
        tidy[column] = tidy[column].map(str, na_action="ignore").astype("string")
    return tidy


def _written(frame: "pd.DataFrame", output: Format) -> str | bytes:
    if output is Format.PARQUET:
        return frame.to_parquet(None, index=False)
    if output is Format.CSV:
        return frame.to_csv(index=False)
    plain = frame.astype(object).where(frame.notna(), None)
    records = plain.to_dict("records")
    return json.dumps(records, indent=2, default=lambda time: time.isoformat()) + "\n"


_PARAM = "param_"
_MOST_IMPORTANT = 1000


def _print(frame: "pd.DataFrame", objectives: list[str]) -> None:
    from rich.console import Console

    if not len(frame):
        typer.echo("No trials yet.")
        return
    families = frame["family"].unique()
    if len(families) > 1:
        # Side by side each would have the empty columns of all others.
        for place, family in enumerate(families):
            typer.echo(f"{'' if place == 0 else chr(10)}{family}")
            own = frame[frame["family"] == family].dropna(axis="columns", how="all")
            _print(own, objectives)
        return
    params = [name for name in frame.columns if name.startswith(_PARAM)]
    # Only where something is required of trials.
    feasible = [name for name in ("feasible",) if name in frame.columns]
    shown = frame.assign(seconds=(frame["ended"] - frame["started"]).dt.total_seconds())
    front: list[str] = []
    if "on_front" in frame.columns:
        # Only where there are several objectives.
        front = [*objectives[1:], "front"]
        standing = frame["on_front"].map({True: "yes", False: "no"})
        shown["front"] = standing.mask(frame["picked"].eq(other=True), "picked")
    names = ["number", "state", "value", *front, *feasible, "seconds", *params]
    # Where there is no room, the hyperparameters that are sampled last go first.
    columns = [
        Column(
            name=name.removeprefix(_PARAM),
            importance=_MOST_IMPORTANT - place,
            right=name not in {"state", "feasible", "front"},
        )
        for place, name in enumerate(names)
    ]
    rows = [
        [_cell(name, value) for name, value in zip(names, row, strict=True)]
        for row in shown[names].itertuples(index=False)
    ]
    console = Console(markup=False, emoji=False, highlight=False)
    print_columns(console, columns, rows)


def _cell(name: str, value: object) -> str:
    from harness.evaluation.measures import MEASURES

    # Of a missing value only that it is not itself is known to all of pandas' types.
    if value is None or str(value) in {"nan", "<NA>", "NaT"}:
        return "-"
    if name == "feasible":
        return "yes" if value else "no"
    if name in MEASURES and isinstance(value, float):
        return MEASURES[name].format(value)
    if isinstance(value, float):
        digits = {"value": ".4f", "seconds": ".1f"}.get(name, ".4g")
        return format(value, digits)
    return str(value)
