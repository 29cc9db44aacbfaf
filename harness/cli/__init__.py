"""The command line: one module for each command or group, and no logic.

Nothing heavy is imported here, so that ``--help`` answers at once; a command imports
what it needs when it runs.
"""

import gc
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from harness import __version__
from harness.cli import (
    compare,
    data,
    doctor,
    explain,
    export,
    families,
    models,
    promote,
    recommend,
    report,
    run,
    schema,
    serve,
    study,
    sync,
    trials,
    ui,
)
from harness.cli.terminal import help_of
from harness.errors import HarnessError
from harness.evaluation.worker_process import THREAD_VARIABLES

__all__ = ["app", "main"]


class HarnessGroup(TyperGroup):
    """Prints the errors that harness raises on purpose in one sentence; exit code 2."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command; see the class."""
        try:
            return super().invoke(ctx)
        except HarnessError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(2) from error
        except typer.BadParameter as error:
            error.message = _in_plain_words(error)
            raise


def _in_plain_words(error: typer.BadParameter) -> str:
    """Say what is wrong with an option as with a key of a file, without pydantic's words."""
    from pydantic import ValidationError

    from harness.toml import Part, as_sentence, broken_rule, first_problem

    if not isinstance(error.__cause__, ValidationError):
        return error.message
    return as_sentence(broken_rule(first_problem(error.__cause__), Part))


app = typer.Typer(
    cls=HarnessGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_PANELS: dict[str, tuple[Callable[..., Any], ...]] = {
    "Search and judge": (study.study, run.run, sync.sync),
    "Look at results": (
        compare.compare,
        report.report,
        trials.trials,
        explain.explain,
        export.export,
        ui.ui,
    ),
    "Use a model": (promote.promote, models.models, recommend.recommend, serve.serve),
    "Set up": (families.families, schema.schema, doctor.doctor),
}
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(help=help_of(command), rich_help_panel=panel)(command)
app.add_typer(data.app, name="data", rich_help_panel="Set up")


def _print_version(asked: bool) -> None:  # noqa: FBT001 - Typer calls it so
    if asked:
        typer.echo(f"harness {__version__}")
        raise typer.Exit


@app.callback()
def _harness(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """Find out which recommender to use for your ratings, and prove it."""


_NEW_OBJECTS = 50_000


def main() -> None:
    """Run the command line."""
    # The final models are as small as those of the search, and two threads of BLAS get
    # into each other's way on them; also, training times should mean the same for all.
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, "1")
    # Python looks for garbage after each 700 new objects. What is imported is none, and
    # makes so many that looking takes a fifth of the time of all imports.
    gc.set_threshold(_NEW_OBJECTS)
    try:
        app()
    finally:
        # Nor when it ends, in all modules, for a second or more.
        gc.freeze()
