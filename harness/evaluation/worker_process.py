"""Processes that work for this one: how they start, and that they end with it."""

import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

__all__ = [
    "THREAD_VARIABLES",
    "WorkerDiedError",
    "context_of_workers",
    "end_with_parent",
    "environment_of_workers",
    "main_module",
    "n_cores",
]


THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
"""What the libraries below NumPy, scikit-learn and Numba read when they are loaded."""


def context_of_workers() -> Any:
    """Choose how processes start.

    A forked copy of a process with threads can hang. A fork server has none: it imports
    once, and then starts each process in milliseconds.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # The main functions of its processes, by name: who imports them imports this.
    preloaded = ["harness.search.executors", "harness.evaluation.cost_probe"]
    context.set_forkserver_preload(preloaded)
    return context


class WorkerDiedError(RuntimeError):
    """A worker process ended while it carried out a call."""


def n_cores() -> int:
    """Count the cores that this process may use: in a container often not all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def environment_of_workers() -> Iterator[None]:
    """Let processes start with one BLAS thread each, and deaf to Ctrl-C.

    Ctrl-C is for their owner, who then stops them.
    """
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        with _interruption_held_back():
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def main_module(*, imported: bool) -> Iterator[None]:
    """Let processes start with or without importing the script that was started.

    Nothing of it is needed where the family is from a module, and a script that is not
    guarded by ``if __name__ == "__main__"`` would start itself again in each of them.
    """
    if imported:
        yield
        return
    before = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = before


@contextmanager
def _interruption_held_back() -> Iterator[None]:
    """Let Ctrl-C wait for a moment; processes that start meanwhile never get it.

    Ignored instead of held back, it would be lost: a worker takes a second to start.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # It unblocks the signal when it starts, which it does with the first process.
    resource_tracker.ensure_running()
    # New processes inherit that it is blocked. Other threads of this one may still get
    # it, and have the main thread called.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    in_main = threading.current_thread() is threading.main_thread()
    noted: list[int] = []
    before = (
        signal.signal(signal.SIGINT, lambda number, _: noted.append(number))
        if in_main
        else None
    )
    try:
        yield
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if noted:
            signal.raise_signal(signal.SIGINT)


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
