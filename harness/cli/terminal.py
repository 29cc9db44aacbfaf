"""Tables, help texts and foreground servers on the terminal."""

import inspect
import os
import signal
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from harness.cli.options import StoreOptions
    from harness.experiment.forecast import Forecast
    from harness.objects import Experiment

__all__ = [
    "Column",
    "help_of",
    "plain",
    "print_columns",
    "print_end",
    "print_forecast",
    "print_table",
    "until_stopped",
]


LONGEST_NAME = 48
LONGEST_CELL = 160
NUMERIC = frozenset({"rank", "stars", "points", "similarity", "rating"})


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


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table that is fitted to the terminal."""

    name: str
    # Where there is no room, the column with the lowest goes first.
    importance: int
    wraps: bool = False
    # Whether its cells end at the right.
    right: bool = False

    def narrowest(self, cells: Iterable[str]) -> int:
        """Find the width below which a word or a number would be cut."""
        pieces = [self.name, *cells]
        if self.wraps:
            pieces = [word for piece in pieces for word in piece.split()]
        return min(max(map(len, pieces), default=0), LONGEST_NAME)


_GAP = 2


def print_columns(
    console: "Console", columns: Sequence[Column], rows: Sequence[Sequence[str]]
) -> None:
    """Print a table as wide as the terminal, without cutting a number or a word.

    Columns for which there is no room are left out, the least important first, and
    named below. What goes into a file or a pipe is as wide as it has to be.
    """
    from rich.text import Text

    cells = [[plain(cell) for cell in row] for row in rows]
    known = console.is_terminal or "COLUMNS" in os.environ
    widths = _fit(columns, cells, console.width if known else None)
    shown = [columns[place].name for place in widths]
    lines = [*_lines(columns, widths, [c.name for c in columns])]
    lines.append("─" * (sum(widths.values()) + _GAP * (len(widths) - 1)))
    for row in cells:
        lines += _lines(columns, widths, row)
    left_out = [column.name for column in columns if column.name not in shown]
    if left_out:
        lines += textwrap.wrap(f"No room for: {', '.join(left_out)}.", console.width)
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _fit(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int | None
) -> dict[int, int]:
    """Choose the columns for which there is room: place to width."""
    widths, least = {}, {}
    for place, column in enumerate(columns):
        own = [row[place] for row in cells]
        widths[place] = max(map(len, [column.name, *own]))
        least[place] = column.narrowest(own)

    def total(of: Mapping[int, int]) -> int:
        return sum(of.values()) + _GAP * (len(of) - 1)

    while width is not None and len(least) > 1 and total(least) > width:
        gone = min(least, key=lambda place: columns[place].importance)
        del widths[gone], least[gone]
    while width is not None and total(widths) > width:
        spare = {place: widths[place] - least[place] for place in widths}
        place = max(spare, key=spare.__getitem__)
        if spare[place] == 0:
            break
        widths[place] -= 1
    return widths


def _lines(
    columns: Sequence[Column], widths: Mapping[int, int], row: Sequence[str]
) -> Iterator[str]:
    """Write one row, in as many lines as its words need."""
    wrapped = {p: textwrap.wrap(row[p], width) or [""] for p, width in widths.items()}
    for number in range(max(map(len, wrapped.values()))):
        parts = []
        for place, width in widths.items():
            lines = wrapped[place]
            text = lines[number] if number < len(lines) else ""
            right = columns[place].right
            parts.append(text.rjust(width) if right else text.ljust(width))
        yield (" " * _GAP).join(parts).rstrip()


def plain(text: str, longest: int = LONGEST_NAME) -> str:
    """Make foreign text harmless: no escape sequence, line break or endless title."""
    shown = "".join(c if c.isprintable() else "�" for c in text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def help_of(command: Callable[..., Any]) -> str:
    """Write the docstring of a command as its help."""
    text, _, examples = (inspect.getdoc(command) or "").partition(
        "Examples\n--------\n"
    )
    paragraphs = [" ".join(part.split()) for part in text.strip().split("\n\n")]
    if examples:
        lines = (f"  {line.strip()}" for line in examples.split("\n") if line.strip())
        paragraphs.append("\n".join(["Examples:", *lines]))
    return "\n\n".join(paragraphs)


def print_forecast(forecast: "Forecast") -> None:
    """Print what the data are and what is to be expected; refuse what does not fit."""
    for line in (*forecast.introduction, *forecast.describe()):
        typer.echo(line)
    forecast.require_room()


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
