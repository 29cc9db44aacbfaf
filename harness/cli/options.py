"""Options that several commands share: declared once, spread into each command."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from harness.cli.completion import complete_names
from harness.data.options import ReadOptions, help_of_option
from harness.evaluation.worker_process import prepare_workers

if TYPE_CHECKING:
    from harness.data.dataset import Dataset
    from harness.tracking.location import Location

__all__ = [
    "DataOptions",
    "JobsOption",
    "NameArgument",
    "StorageOption",
    "StoreOptions",
    "TrackingOption",
    "WorkerOptions",
    "spread_options",
]


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
            given = {f.name: values.pop(f.name) for f in fields(group) if f.init}
            is_plain = not issubclass(group, ReadOptions)
            values[name] = group(**given) if is_plain else group.of(given)
        command(**values)

    # Typer reads the one, type checkers of decorators the other.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _parameters_of(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    own = inspect.get_annotations(group)
    shown = (field for field in fields(group) if field.init)
    ordered = sorted(shown, key=lambda field: field.name not in own)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty
            if field.default is MISSING
            else _shown_default(field.default),
            annotation=_annotation(field, hints[field.name]),
        )
        for field in ordered
    ]


def _shown_default(value: Any) -> Any:
    # Typer has no empty tuple; None is what was not given. A seed of 0 is a seed.
    return None if value == () else value


def _annotation(field: "Field[Any]", kind: Any) -> Any:
    """Make the option that Typer shows of one that was declared for all doors."""
    said = help_of_option(field)
    if said is None:
        return kind
    if field.name == "scale":
        kind = str | None
    elif kind == tuple[str, ...]:
        kind = list[str] if field.default is MISSING else list[str] | None
    name = f"--{field.name.replace('_', '-')}"
    return Annotated[
        kind,
        typer.Option(name, help=said.help, metavar=said.metavar, rich_help_panel=PANEL),
    ]


@dataclass(frozen=True, kw_only=True)
class DataOptions(ReadOptions):
    """Which ratings to use, and how to read them."""

    data: Annotated[
        str,
        typer.Option(
            "--data",
            help="Ratings: a folder (MovieLens, or written by harness), a file (CSV, "
            "parquet, JSON lines), or 'ott', the embedded simulated data set.",
            metavar="PATH|ott",
            rich_help_panel=PANEL,
        ),
    ] = "ott"

    def load(self) -> "Dataset":
        """Load the data set that these options name."""
        from harness.data.load import load_source

        return load_source(self.data, self.given())


JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        help="Number of worker processes.",
        min=1,
        show_default="one per core",
        envvar="HARNESS_JOBS",
        rich_help_panel="Workers",
    ),
]


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """Where folds are evaluated, or whether only to say what that takes."""

    jobs: JobsOption = None
    executor: Annotated[
        str | None,
        typer.Option(
            "--executor",
            help="Where folds are evaluated: in this process, in processes of this "
            "machine, or on a Dask cluster, dask=tcp://HOST:8786. Results do not depend on "
            "it.",
            metavar="inline|processes|dask=ADDRESS",
            show_default="processes, or inline for one job",
            rich_help_panel="Workers",
        ),
    ] = None
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Estimate time and memory, and write nothing. Exit with code 2 if there "
            "is not enough free memory.",
            rich_help_panel="Workers",
        ),
    ] = False

    def prepare(self, *, needed: bool = True) -> None:
        """Let workers get ready while this process imports what it needs."""
        if needed and not self.dry_run and self.executor in {None, "processes"}:
            prepare_workers(self.jobs)


def _store_option(
    name: str, text: str, metavar: str, default: str | None = None
) -> Any:
    variable = f"HARNESS_{name.removeprefix('--').replace('-', '_').upper()}"
    return typer.Option(
        name,
        help=text,
        metavar=metavar,
        rich_help_panel="Stores",
        envvar=variable,
        show_default=default or True,
    )


NameArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="STUDY|EXPERIMENT",
        help="Name of the study or experiment.",
        show_default="the only one in the storage",
        autocompletion=complete_names,
    ),
]
StorageOption = Annotated[
    str,
    _store_option(
        "--storage",
        "Optuna storage: a journal file, or a URL such as sqlite:///study.db.",
        "FILE|URL",
    ),
]
TrackingOption = Annotated[
    str | None,
    _store_option(
        "--tracking-uri",
        "MLflow store: a server or a database.",
        "URI",
        "$MLFLOW_TRACKING_URI, or sqlite:///mlflow.db",
    ),
]


@dataclass(frozen=True, kw_only=True)
class StoreOptions:
    """Where studies and runs are kept."""

    storage: StorageOption = "optuna.log"
    tracking_uri: TrackingOption = None
    experiment: Annotated[
        str | None,
        _store_option(
            "--experiment",
            "MLflow experiment.",
            "NAME",
            "$MLFLOW_EXPERIMENT_NAME, or harness",
        ),
    ] = None

    def location(self) -> "Location":
        """Find where MLflow keeps the runs."""
        from harness.tracking.location import locate

        return locate(self.tracking_uri, self.experiment)
