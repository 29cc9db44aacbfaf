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
    context_of_workers,
    end_with_parent,
    environment_of_workers,
    main_module,
)
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
    "ExecutorEntry",
    "TaskRunner",
    "WorkerDiedError",
    "choose_executor",
    "open_runner",
]


class WorkerDiedError(RuntimeError):
    """A worker process ended while it carried out a call."""


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


@dataclass(frozen=True)
class ExecutorEntry:
    """How an executor is opened, and what its workers share with their owner.

    `open` takes the number of jobs and the module of the family, which workers import.
    Where `is_isolated`, workers have memory of their own, and may die of their tasks.
    """

    open: Callable[[int, str], AbstractContextManager[Executor]]
    is_isolated: bool


@contextmanager
def _open_inline(jobs: int, module: str) -> Iterator[Executor]:
    del jobs, module
    yield InlineExecutor()


@contextmanager
def _open_processes(jobs: int, module: str) -> Iterator[Executor]:
    executor = ProcessExecutor(jobs, imports_main=module == "__main__")
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


EXECUTORS: Mapping[str, ExecutorEntry] = MappingProxyType(
    {
        "inline": ExecutorEntry(_open_inline, is_isolated=False),
        "processes": ExecutorEntry(_open_processes, is_isolated=True),
    }
)
"""Name to executor."""


# So long does Ctrl-C wait at most while all workers are busy.
MOMENT_SECONDS = 0.2


class TaskRunner:
    """Runs fold tasks on an executor: a worker that dies fails its task, nothing else."""

    def __init__(
        self,
        executor: Executor,
        evaluate: Callable[[FoldTask], FoldResult],
        *,
        jobs: int,
    ) -> None:
        self.jobs = jobs
        self._executor = executor
        self._evaluate = evaluate
        self._pending: dict[Future[FoldResult], tuple[Any, FoldTask]] = {}

    @property
    def n_pending(self) -> int:
        """Number of tasks submitted and not yet returned."""
        return len(self._pending)

    def submit(self, key: Any, task: FoldTask) -> None:
        """Hand in a task."""
        self._pending[self._executor.submit(self._evaluate, task)] = (key, task)

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


def choose_executor(name: str | None, *, jobs: int) -> str:
    """Take the executor that is named, or the one for so many jobs on this machine."""
    name = name or ("inline" if jobs == 1 else "processes")
    if name not in EXECUTORS:
        raise UnknownNameError("executor", name, EXECUTORS)
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # A worker imports the script, which has no guard; its owner says so.
        os._exit(1)
    return name


@contextmanager
def open_runner(
    data: TrainingData, *, jobs: int, executor: str
) -> Iterator[TaskRunner]:
    """Open an executor for a study, and close it at the end.

    Workers start with the first task: a study that is complete needs none.
    """
    entry = EXECUTORS[executor]
    module = data.family.__module__
    with _evaluation_of(data, entry) as evaluate, entry.open(jobs, module) as pool:
        yield TaskRunner(pool, evaluate, jobs=jobs)


@contextmanager
def _evaluation_of(
    data: TrainingData, entry: ExecutorEntry
) -> Iterator[Callable[[FoldTask], FoldResult]]:
    if not entry.is_isolated:
        bench = Workbench(data.family, data.train, data.catalogue, data.fold_of)
        yield bench.run
        return
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        share(data, Path(folder))
        yield partial(run_with_shared_data, folder)
