"""Servers in the foreground: they run until the user, or the terminal, stops them."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import typer

__all__ = ["until_stopped"]


@contextmanager
def until_stopped() -> Iterator[None]:
    """End a block in peace when Ctrl-C, `kill` or a closed terminal stops it."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("Stopped.")
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
