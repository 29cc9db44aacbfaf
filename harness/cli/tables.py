"""Tables and foreign text on the terminal."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["plain", "print_table"]

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
