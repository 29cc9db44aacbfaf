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
