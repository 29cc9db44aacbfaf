"""Ctrl-C at a moment of our choosing, so that it never falls between two writes."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interruption", "catch_interruption"]


class Interruption:
    """Whether the user has pressed Ctrl-C.

    Attributes
    ----------
    requested : bool
        True after the first time; the second time ends the process as usual.
    """

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def catch_interruption() -> Iterator[Interruption]:
    """Note the first Ctrl-C instead of raising KeyboardInterrupt wherever it falls.

    Yields
    ------
    Interruption
        To be looked at between two steps. In a thread other than the main one nothing
        can be caught, and nothing is.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = signal.getsignal(signal.SIGINT)

    def note(_signal: int, _frame: FrameType | None) -> None:
        interruption.requested = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, before)
