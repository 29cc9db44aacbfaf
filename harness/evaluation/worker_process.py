"""Processes that work for this one: how they start, and that they end with it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["THREAD_VARIABLES", "end_with_parent", "environment_of_workers"]

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
"""What the libraries below NumPy, scikit-learn and Numba read when they are loaded."""


@contextmanager
def environment_of_workers() -> Iterator[None]:
    """Let processes start with one BLAS thread each, and deaf to Ctrl-C.

    Ctrl-C is for their owner, who then stops them.

    Yields
    ------
    None
        Processes started meanwhile have it; afterwards all is as before.
    """
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main else None
    try:
        yield
    finally:
        if in_main:
            signal.signal(signal.SIGINT, handler)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def end_with_parent() -> None:
    """Make this process, a worker, end as soon as its owner does.

    A worker whose owner was killed would go on, or wait for tasks for ever.
    """
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    owner = multiprocessing.parent_process()
    assert owner is not None
    owner.join()
    os._exit(1)
