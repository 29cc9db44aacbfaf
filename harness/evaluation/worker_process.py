"""Processes that work for this one: how they start, end with it, and send models back."""

import io
import math
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.data.ratings import Ratings
    from harness.models.base import Recommender

__all__ = [
    "THREAD_VARIABLES",
    "WorkerDiedError",
    "available_bytes",
    "context_of_workers",
    "end_with_parent",
    "environment_of_workers",
    "main_module",
    "n_cores",
    "pack",
    "prepare_workers",
    "unpack",
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
    # The main functions of its processes, by name: who imports them imports this. And
    # what each of them would else do for its first model.
    preloaded = [
        "harness.search.executors",
        "harness.evaluation.cost_probe",
        "harness.models.forked",
    ]
    context.set_forkserver_preload(preloaded)
    return context


def prepare_workers(jobs: int | None) -> None:
    """Let the process that workers are forked from begin its imports on an idle core.

    They take as long as those of the command itself, which would else come first.
    """
    if sys.platform == "linux" and jobs != 1 and n_cores() > 1:
        from multiprocessing import forkserver

        # It finds a place for kernels, and says where there is none, once for all.
        import harness.models  # noqa: F401

        context_of_workers()
        with environment_of_workers():
            forkserver.ensure_running()


class WorkerDiedError(RuntimeError):
    """A worker process ended while it carried out a call."""


def n_cores() -> int:
    """Count the cores that this process may use: in a container often not all."""
    affinity = getattr(os, "sched_getaffinity", None)
    there = len(affinity(0)) if affinity else os.cpu_count() or 1
    shares = [_n_cores_of(group) for group in _control_groups("cpu")]
    # Of half a core one worker makes use; of two and a half, three.
    return max(1, min([there, *(math.ceil(s) for s in shares if s is not None)]))


def available_bytes() -> int:
    """Ask for the memory that is free, to this process: in a container often not all."""
    import psutil

    left = [_bytes_left_in(group) for group in _control_groups("memory")]
    free = psutil.virtual_memory().available
    return max(0, min([free, *(each for each in left if each is not None)]))


_OWN_GROUPS = Path("/proc/self/cgroup")
_ALL_GROUPS = Path("/sys/fs/cgroup")


def _control_groups(controller: str) -> Iterator[Path]:
    """Find the control groups that limit this process: its own one, and those around it.

    psutil and `os.process_cpu_count` know nothing of them, joblib of the CPU's at the
    root only.
    """
    if not _OWN_GROUPS.exists():
        return
    for line in _OWN_GROUPS.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # Version 2 has one tree without a name, version 1 one for each controller.
        root = _ALL_GROUPS / controller if controllers else _ALL_GROUPS
        group = root / path.lstrip("/")
        yield group
        # In a container the path may be that of the host, and its own group the root.
        while group != root:
            group = group.parent
            yield group


def _n_cores_of(group: Path) -> float | None:
    quota, period = _words(group, "cpu.max") or (
        *(_words(group, "cpu.cfs_quota_us") or ["max"]),
        *(_words(group, "cpu.cfs_period_us") or ["max"]),
    )
    return None if quota in {"max", "-1"} else int(quota) / int(period)


def _bytes_left_in(group: Path) -> int | None:
    limit = _words(group, "memory.max") or _words(group, "memory.limit_in_bytes")
    used = _words(group, "memory.current") or _words(group, "memory.usage_in_bytes")
    if not used or limit in ([], ["max"]):
        return None
    facts = _words(group, "memory.stat")
    named = dict(zip(facts[::2], facts[1::2], strict=False))
    # The cache of files that nobody uses is given up when memory is needed.
    cached = named.get("total_inactive_file", named.get("inactive_file", "0"))
    return int(limit[0]) - int(used[0]) + int(cached)


def _words(group: Path, name: str) -> list[str]:
    try:
        return (group / name).read_text().split()
    except OSError:
        return []


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


_SHARED = ("users", "items", "values", "rows", "timestamps", "user_ids", "item_ids")


class _Pickler(pickle.Pickler):
    """Names arrays of the training part, which the reader has, instead of copying them."""

    def __init__(self, file: io.BytesIO, train: "Ratings") -> None:
        super().__init__(file, protocol=5)
        arrays = {name: getattr(train, name) for name in _SHARED}
        self._names = {id(a): name for name, a in arrays.items() if a is not None}

    def persistent_id(self, obj: Any) -> str | None:
        return self._names.get(id(obj))


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, train: "Ratings") -> None:
        super().__init__(file)
        self._train = train

    def persistent_load(self, pid: Any) -> Any:
        return getattr(self._train, pid)


def pack(model: "Recommender", train: "Ratings") -> bytes:
    """Write a model as bytes, without the arrays of the training part."""
    file = io.BytesIO()
    _Pickler(file, train).dump(model)
    return file.getvalue()


def unpack(model: bytes, train: "Ratings") -> "Recommender":
    """Read what `pack` has written of a model fitted to the same training part."""
    found: Recommender = _Unpickler(io.BytesIO(model), train).load()
    return found
