"""Executors: where fold tasks run. Adding one is one entry in `EXECUTORS`."""

import multiprocessing
import os
import pickle
import queue
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.errors import StudyError, UnknownNameError
from harness.evaluation.worker_process import (
    WorkerDiedError,
    context_of_workers,
    end_with_parent,
    environment_of_workers,
    main_module,
    n_cores,
)
from harness.search.dask_cluster import open_cluster
from harness.search.folds import (
    FoldResult,
    FoldTask,
    TrainingData,
    Workbench,
    run_with_shared_data,
    share,
)

__all__ = [
    "EXECUTORS",
    "ExecutorChoice",
    "ExecutorEntry",
    "TaskRunner",
    "Workers",
    "choose_executor",
    "open_runner",
    "run_here",
]


class InlineExecutor(Executor):
    """Runs each call at once, in this process."""

    def submit(
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        """Run the call, and wrap what it returns or raises."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the future carries it
            future.set_exception(error)
        return future


class ProcessExecutor(Executor):
    """Runs calls in processes of this machine, each of which may die on its own.

    `concurrent.futures.ProcessPoolExecutor` gives up all calls under way, and all its
    processes, when one of them dies. Here each process has a pipe and a thread that
    waits for it: a process that dies takes its own call with it, and is replaced.
    """

    def __init__(self, jobs: int, *, imports_main: bool) -> None:
        self._jobs = jobs
        self._imports_main = imports_main
        self._context = context_of_workers()
        self._calls: queue.SimpleQueue[tuple[Future[Any], bytes] | None] = (
            queue.SimpleQueue()
        )
        self._workers: list[_Worker] = []
        self._threads: list[threading.Thread] = []
        self._starting = threading.Lock()
        self._stopped = False

    def submit(
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        """Put a call in line; the first one starts all processes."""
        if not self._threads:
            self._start()
        future: Future[Any] = Future()
        self._calls.put((future, pickle.dumps((fn, args, kwargs))))
        return future

    def _start(self) -> None:
        # All at once, and from this thread: a signal handler needs the main thread.
        self._workers = [self._start_worker() for _ in range(self._jobs)]
        self._threads = [
            threading.Thread(target=self._serve, args=(k,), daemon=True)
            for k in range(self._jobs)
        ]
        for thread in self._threads:
            thread.start()

    def _start_worker(self) -> "_Worker":
        ours, theirs = self._context.Pipe()
        with (
            environment_of_workers(),
            main_module(imported=self._imports_main),
        ):
            process = self._context.Process(target=_work, args=(theirs,), daemon=True)
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def _serve(self, position: int) -> None:
        while (item := self._calls.get()) is not None:
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            worker = self._workers[position]
            try:
                succeeded, value = worker.carry_out(call)
            except (EOFError, OSError):
                worker.pipe.close()
                future.set_exception(worker.reason_of_end())
                with self._starting:
                    if self._stopped:
                        return
                    self._workers[position] = self._start_worker()
                continue
            if succeeded:
                future.set_result(value)
            else:
                future.set_exception(value)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - the interface of Executor
        """End the processes: after the calls in line, or at once."""
        if cancel_futures:
            self._cancel_calls()
        for _ in self._threads:
            self._calls.put(None)
        if wait:
            for thread in self._threads:
                thread.join()
        with self._starting:
            self._stopped = True
        for worker in self._workers:
            worker.process.kill()
        for worker, thread in zip(self._workers, self._threads, strict=True):
            worker.process.join()
            thread.join()
            worker.pipe.close()

    def _cancel_calls(self) -> None:
        while not self._calls.empty():
            item = self._calls.get()
            if item and item[0].cancel():
                # Whoever waits for it hears of it only now.
                item[0].set_running_or_notify_cancel()


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    pipe: "Connection[Any, Any]"
    is_ready: bool = False

    def carry_out(self, call: bytes) -> tuple[bool, Any]:
        if not self.is_ready:
            self.pipe.recv()
            self.is_ready = True
        self.pipe.send_bytes(call)
        answer: tuple[bool, Any] = self.pipe.recv()
        return answer

    def reason_of_end(self) -> Exception:
        self.process.join()
        if self.is_ready:
            return WorkerDiedError(f"exit code {self.process.exitcode}")
        return StudyError(
            f"A worker process ended with exit code {self.process.exitcode} before its "
            "first task: a script that starts a study with several jobs, and defines "
            "its family itself, must start it under if __name__ == '__main__':."
        )


def _work(pipe: "Connection[Any, Any]") -> None:
    end_with_parent()
    for name in ("SIGTERM", "SIGHUP"):
        # Sent to all processes of a group, they are for the owner, who ends the workers.
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    pipe.send(None)
    while True:
        try:
            fn, args, kwargs = pickle.loads(pipe.recv_bytes())  # noqa: S301 - of the owner
        except EOFError:
            return
        try:
            answer = (True, fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the future carries it
            answer = (False, error)
        try:
            pipe.send(answer)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            pipe.send((False, RuntimeError(f"cannot be sent back: {error}")))


Evaluate = Callable[[FoldTask], FoldResult]


@dataclass(frozen=True)
class Workers:
    """An executor, the number of its workers, and how data reach them."""

    executor: Executor
    count: Callable[[], int]
    share: Callable[[TrainingData], AbstractContextManager[Evaluate]]


@dataclass(frozen=True, kw_only=True)
class ExecutorChoice:
    """Which executor runs a study, with how many jobs, or where."""

    name: str
    jobs: int | None
    address: str | None = None

    @property
    def entry(self) -> "ExecutorEntry":
        """Its entry in the table."""
        return EXECUTORS[self.name]


@dataclass(frozen=True)
class ExecutorEntry:
    """How an executor is opened, and what its workers share with their owner.

    `open` takes the choice and the module of the family, which workers import. Where
    `is_isolated`, workers have memory of their own, and may die of their tasks. Where it
    `has_address`, the number of workers is not its owner's to choose.
    """

    open: Callable[[ExecutorChoice, str], AbstractContextManager[Workers]]
    is_isolated: bool
    has_address: bool = False


@contextmanager
def _open_inline(choice: ExecutorChoice, module: str) -> Iterator[Workers]:
    del choice, module
    yield Workers(InlineExecutor(), lambda: 1, _share_memory)


@contextmanager
def _share_memory(data: TrainingData) -> Iterator[Evaluate]:
    yield Workbench(data.family, data.train, data.catalogue, data.fold_of).run


@contextmanager
def _open_processes(choice: ExecutorChoice, module: str) -> Iterator[Workers]:
    jobs = choice.jobs or n_cores()
    executor = ProcessExecutor(jobs, imports_main=module == "__main__")
    try:
        yield Workers(executor, lambda: jobs, _share_folder)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _share_folder(data: TrainingData) -> Iterator[Evaluate]:
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        share(data, Path(folder))
        yield partial(run_with_shared_data, folder)


@contextmanager
def _open_dask(choice: ExecutorChoice, module: str) -> Iterator[Workers]:
    del module
    with open_cluster(choice.address or "") as executor:
        yield Workers(executor, executor.count, executor.share)


EXECUTORS: Mapping[str, ExecutorEntry] = MappingProxyType(
    {
        "inline": ExecutorEntry(_open_inline, is_isolated=False),
        "processes": ExecutorEntry(_open_processes, is_isolated=True),
        "dask": ExecutorEntry(_open_dask, is_isolated=True, has_address=True),
    }
)
"""Name to executor."""


# So long does Ctrl-C wait at most while all workers are busy.
MOMENT_SECONDS = 0.2


class TaskRunner:
    """Runs fold tasks on an executor: a worker that dies fails its task, nothing else."""

    def __init__(self, workers: Workers, evaluate: Evaluate) -> None:
        self._workers = workers
        self._evaluate = evaluate
        self._pending: dict[Future[FoldResult], tuple[Any, FoldTask]] = {}

    @property
    def n_pending(self) -> int:
        """Number of tasks submitted and not yet returned."""
        return len(self._pending)

    def has_room(self, *, in_line: bool) -> bool:
        """Tell whether a worker is idle, or one task may wait for the next that is."""
        return self.n_pending < max(1, self._workers.count()) + in_line

    def submit(self, key: Any, task: FoldTask) -> None:
        """Hand in a task."""
        future = self._workers.executor.submit(self._evaluate, task)
        self._pending[future] = (key, task)

    def drop(self, is_awaited: Callable[[Any], bool]) -> None:
        """Take out of the line what nobody waits for; what has begun may go on."""
        for future, (key, _) in [*self._pending.items()]:
            if not is_awaited(key) and future.cancel():
                del self._pending[future]

    def wait(self) -> list[tuple[Any, FoldResult]]:
        """Wait until at least one task is done, or a moment has passed."""
        done = wait(
            self._pending, timeout=MOMENT_SECONDS, return_when=FIRST_COMPLETED
        ).done
        return [self._result(future) for future in done]

    def _result(self, future: Future[FoldResult]) -> tuple[Any, FoldResult]:
        key, task = self._pending.pop(future)
        try:
            return key, future.result()
        except WorkerDiedError as error:
            return key, FoldResult(
                metrics={},
                error="The worker process died (killed, out of memory or crashed: "
                f"{error}) while it evaluated fold {task.fold}.",
            )


def choose_executor(asked: str | None, *, jobs: int | None) -> ExecutorChoice:
    """Take the executor that is named, or the one for so many jobs on this machine."""
    n = n_cores() if jobs is None else jobs
    name, equals, address = (asked or "").partition("=")
    name = name or ("inline" if n == 1 else "processes")
    if name not in EXECUTORS:
        raise UnknownNameError("executor", name, EXECUTORS)
    if EXECUTORS[name].has_address:
        return _at_address(name, address, jobs)
    if equals:
        raise StudyError(
            f"The executor {name} is on this machine, but is given as {asked!r}: leave "
            "the address out."
        )
    if name == "inline" and jobs not in (None, 1):
        raise StudyError(
            f"The executor inline runs one task at a time, but jobs is {jobs}: leave that "
            "out, or choose the executor processes."
        )
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # A worker imports the script, which has no guard; its owner says so.
        os._exit(1)
    return ExecutorChoice(name=name, jobs=1 if name == "inline" else n)


def _at_address(name: str, address: str, jobs: int | None) -> ExecutorChoice:
    if not address:
        raise StudyError(
            f"The executor {name} needs the address of its scheduler: "
            f"--executor {name}=tcp://HOST:8786."
        )
    if jobs is not None:
        raise StudyError(
            f"The executor {name} has the workers that its cluster has, but jobs is "
            f"{jobs}: leave that out."
        )
    return ExecutorChoice(name=name, jobs=None, address=address)


@contextmanager
def run_here(evaluate: Evaluate) -> Iterator[TaskRunner]:
    """Evaluate tasks in this process, by something else than training."""
    yield TaskRunner(Workers(InlineExecutor(), lambda: 1, _share_memory), evaluate)


@contextmanager
def open_runner(data: TrainingData, choice: ExecutorChoice) -> Iterator[TaskRunner]:
    """Open an executor for a study, and close it at the end.

    Workers start with the first task: a study that is complete needs none.
    """
    with (
        choice.entry.open(choice, data.family.__module__) as workers,
        workers.share(data) as evaluate,
    ):
        yield TaskRunner(workers, evaluate)
