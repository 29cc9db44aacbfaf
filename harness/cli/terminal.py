"""Tables, help texts and foreground servers on the terminal."""

import inspect
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from harness.api import Experiment
    from harness.cli.options import StoreOptions

__all__ = ["help_of", "plain", "print_end", "print_table", "until_stopped"]


LONGEST_NAME = 48
LONGEST_CELL = 160
NUMERIC = frozenset({"rank", "stars", "similarity", "rating"})


def print_table(
    console: "Console", head: tuple[str, ...], rows: Iterable[tuple[str, ...]]
) -> None:
    """Print a table whose cells may hold foreign text."""
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for name in head:
        table.add_column(name, justify="right" if name in NUMERIC else "left")
    for row in rows:
        table.add_row(*(Text(plain(cell, LONGEST_CELL)) for cell in row))
    console.print(table)


def plain(text: str, longest: int = LONGEST_NAME) -> str:
    """Make foreign text harmless: no escape sequence, line break or endless title."""
    shown = "".join(c if c.isprintable() else "�" for c in text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def help_of(command: Callable[..., Any]) -> str:
    """Write the docstring of a command as its help."""
    text, mark, examples = (inspect.getdoc(command) or "").partition("Examples\n---")
    paragraphs = (" ".join(part.split()) for part in text.strip().split("\n\n"))
    return "\n\n".join(paragraphs) + (f"\n\n{mark}{examples}" if mark else "")


def print_end(done: "Experiment", stores: "StoreOptions") -> None:
    """Print where the report is, where the runs are, and at last the verdict."""
    from harness.report.verdict import verdict_lines

    assert done.report_path is not None
    typer.echo(f"Report:  {done.report_path}")
    typer.echo(f"         {done.report_path.with_suffix('.html')}")
    typer.echo(" ".join(["Runs:    harness ui", *stores.location().options]))
    typer.echo("")
    for line in verdict_lines(done.results):
        typer.echo(line)


@contextmanager
def until_stopped() -> Iterator[None]:
    """End a block in peace when Ctrl-C, `kill` or a closed terminal stops it."""
    before = {
        number: signal.signal(number, _interrupt)
        for number in _stopping_signals()
        # `nohup` means that a closed terminal is no reason to stop.
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("Stopped.")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stopping_signals() -> list[signal.Signals]:
    # Windows has no signal for a closed terminal.
    hang_up = getattr(signal, "SIGHUP", None)
    return [signal.SIGTERM, *([hang_up] if hang_up is not None else [])]


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
