"""Options that several commands share: declared once, spread into each command."""

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Self, get_type_hints

import typer

if TYPE_CHECKING:
    from harness.data.dataset import Dataset

__all__ = ["DataOptions", "Duplicates", "StoreOptions", "n_cores", "spread_options"]


PANEL = "Data"


def spread_options(command: Callable[..., Any]) -> Callable[..., None]:
    """Let a command take groups of options as single arguments.

    Each parameter whose type is a dataclass is replaced, on the command line, by the
    fields of that dataclass; fields without default come first, as positional ones do.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {n: t for n, t in hints.items() if is_dataclass(t)}
    parameters = [
        p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY)
        for p in inspect.signature(command).parameters.values()
        if p.name not in groups
    ]
    for group in groups.values():
        parameters += _parameters_of(group)

    @functools.wraps(command)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{f.name: values.pop(f.name) for f in fields(group)})
        command(**values)

    # Typer reads the one, type checkers of decorators the other.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _parameters_of(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty
            if field.default is MISSING
            else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]


class Duplicates(StrEnum):
    """What to do when a user has rated an item more than once."""

    ERROR = "error"
    LAST = "last"
    MEAN = "mean"


def _option(name: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(name, help=text, metavar=metavar, rich_help_panel=PANEL)


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which ratings to use, and how to read them."""

    data: Annotated[
        str,
        _option(
            "--data",
            "Ratings: a folder (MovieLens, or written by harness), a CSV or parquet "
            "file, or 'ott', the embedded simulated data set.",
            "PATH|ott",
        ),
    ] = "ott"
    user_column: Annotated[
        str | None, _option("--user-column", "Column of user ids.", "NAME")
    ] = None
    item_column: Annotated[
        str | None, _option("--item-column", "Column of item ids.", "NAME")
    ] = None
    rating_column: Annotated[
        str | None, _option("--rating-column", "Column of ratings.", "NAME")
    ] = None
    timestamp_column: Annotated[
        str | None,
        _option(
            "--timestamp-column", "Column of times; 'none' reads no times.", "NAME"
        ),
    ] = None
    scale: Annotated[
        str | None,
        _option(
            "--scale",
            "Lowest and highest rating that can be given; else that of MovieLens, or "
            "of the values.",
            "LOW:HIGH",
        ),
    ] = None
    duplicates: Annotated[
        Duplicates | None,
        _option(
            "--duplicates",
            "Several ratings of one item by one user: refuse them (error, the default), "
            "keep the latest, or take the mean.",
        ),
    ] = None
    catalogue: Annotated[
        list[str] | None,
        _option(
            "--catalogue",
            "Titles to lay beside the ratings, by id; may be given several times.",
            "[PLATFORM=]FILE",
        ),
    ] = None
    predefined: Annotated[
        str | None,
        _option(
            "--predefined",
            "Split that the source defines: u1 for u1.base and u1.test, or a column "
            "that says train or test.",
            "NAME",
        ),
    ] = None
    encoding: Annotated[
        str | None,
        _option("--encoding", "Text encoding of the ratings; else UTF-8.", "NAME"),
    ] = None
    link: Annotated[
        list[str] | None,
        _option(
            "--link",
            "Streaming catalogue to which titles are linked by name and year, as `harness "
            "data link` does; may be given several times.",
            "[PLATFORM=]FILE",
        ),
    ] = None

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Name the data of a study as its command line did."""
        known = {field.name for field in fields(cls)}
        options = facts.get("options", {})
        given = {name: value for name, value in options.items() if name in known}
        if given.get("duplicates") is not None:
            given["duplicates"] = Duplicates(given["duplicates"])
        return cls(data=facts["source"], **given)

    def load(self) -> "Dataset":
        """Load the data set that these options name."""
        from harness.data.load import load_source

        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return load_source(given.pop("data"), given)


def _store_option(name: str, text: str, metavar: str) -> Any:
    return typer.Option(name, help=text, metavar=metavar, rich_help_panel="Stores")


@dataclass(frozen=True, kw_only=True)
class StoreOptions:
    """Where studies and runs are kept."""

    storage: Annotated[
        str,
        _store_option(
            "--storage",
            "Optuna storage: a journal file, or a URL such as sqlite:///study.db.",
            "FILE|URL",
        ),
    ] = "optuna.log"
    tracking_uri: Annotated[
        str | None,
        _store_option(
            "--tracking-uri",
            "MLflow store; else $MLFLOW_TRACKING_URI, else mlflow.db here.",
            "URI",
        ),
    ] = None
    experiment: Annotated[
        str | None,
        _store_option("--experiment", "MLflow experiment; else harness.", "NAME"),
    ] = None


def n_cores() -> int:
    """Count the cores that this process may use: in a container often not all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
