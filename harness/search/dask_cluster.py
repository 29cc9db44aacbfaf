"""Workers of a Dask cluster, on any number of machines."""

import hashlib
import logging
import math
import os
import platform
import queue
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent import futures
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.errors import HarnessError, MissingExtraError, StudyError
from harness.evaluation.worker_process import THREAD_VARIABLES, WorkerDiedError
from harness.formatting import size
from harness.models.families import file_of
from harness.search.folds import FoldResult, FoldTask, TrainingData, Workbench
from harness.version import code_version

__all__ = ["DaskExecutor", "open_cluster"]


CONNECT_SECONDS = 10.0
# So often is the scheduler asked which workers are there.
LOOK_SECONDS = 0.25
# So long may workers that carry nothing out be short of memory.
PAUSED_SECONDS = 30.0
# So many workers in a row may die of the data, or while a call waits there.
MAX_LOST = 10
# A call that has killed so many workers has failed; one or two may have died by themselves.
MAX_DEATHS = 3
# Where the scheduler keeps, for each worker, the name of the call that has begun last.
BEGUN = "harness-begun"
LARGER_WORKERS = (
    "start them again with a larger --memory-limit, or fewer of them on a machine, and the "
    "same command goes on."
)


@dataclass(frozen=True)
class _SharedData:
    """Training data on their way to workers: equal where their content is."""

    fingerprint: str
    # By value where a worker could not import it: from a script, or a file of the user's.
    family: bytes = field(compare=False)
    train: Ratings = field(compare=False)
    catalogue: Catalogue = field(compare=False)
    fold_of: npt.NDArray[np.int16] = field(compare=False)

    @classmethod
    def of(cls, data: TrainingData) -> "_SharedData":
        """Prepare what workers need to know."""
        family = _pickled(data.family)
        parts = [family, bytes(data.train.fingerprint(), "ascii")]
        parts += [bytes(data.catalogue.fingerprint(), "ascii"), data.fold_of.tobytes()]
        digest = hashlib.sha256()
        for part in parts:
            digest.update(hashlib.sha256(part).digest())
        return cls(
            digest.hexdigest()[:32], family, data.train, data.catalogue, data.fold_of
        )

    def __call__(self, task: FoldTask) -> FoldResult:
        """Carry out a task where the data are."""
        return _workbench_of(self).run(task)


def _pickled(family: type) -> bytes:
    import cloudpickle

    module = sys.modules[family.__module__]
    if file_of(family) is None:
        return bytes(cloudpickle.dumps(family))
    cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(family))
    finally:
        cloudpickle.unregister_pickle_by_value(module)


@lru_cache(maxsize=1)
def _workbench_of(shared: _SharedData) -> Workbench:
    import cloudpickle

    # Whoever reaches a scheduler can run what he likes: the network must be trusted.
    family = cloudpickle.loads(shared.family)
    return Workbench(family, shared.train, shared.catalogue, shared.fold_of)


def _begin_at_worker(name: str, fn: Callable[..., Any], *args: Any) -> Any:
    """Tell the scheduler that a call has begun, before it can kill its worker."""
    from distributed import get_worker
    from distributed.utils import sync

    worker = get_worker()
    where = [BEGUN, worker.address]
    sync(worker.loop, worker.scheduler.set_metadata, keys=where, value=name)
    return fn(*args)


def _evaluate(
    shared: _SharedData, versions: Mapping[str, str], task: FoldTask
) -> FoldResult:
    """Carry out a task in a worker, which may have joined a moment ago."""
    from distributed import get_worker

    worker = get_worker()
    _require_equal(versions, _introduce(), worker.address)
    _require_one_thread(worker.state.nthreads, worker.address)
    return shared(task)


@cache
def _versions() -> Mapping[str, str]:
    """Name what results depend on, besides data, space and seed."""
    python = ".".join(platform.python_version_tuple()[:2])
    packages = {name: version(name) for name in ("numpy", "numba", "scipy")}
    return {"harness": code_version(), "Python": python, **packages}


def _introduce() -> Mapping[str, str]:
    """Make a worker ready, and let it say what it is."""
    _limit_threads()
    return _versions()


@cache
def _limit_threads() -> None:
    """Let the libraries below run one thread, those loaded and those loaded later."""
    from threadpoolctl import threadpool_limits

    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    threadpool_limits(1)


def _require_equal(
    here: Mapping[str, str], there: Mapping[str, str], address: str
) -> None:
    for name, wanted in here.items():
        if there.get(name) != wanted:
            raise StudyError(
                f"The worker {address} has {name} {there.get(name)}, but its owner has "
                f"{wanted}: results would differ. Start workers from the same "
                "environment; the same command goes on then."
            )


def _require_one_thread(n_threads: int, address: str) -> None:
    if n_threads != 1:
        raise StudyError(
            f"The worker {address} must have one thread, but has {n_threads}: start it "
            "with --nthreads 1, and one worker for each core with --nworkers."
        )


@dataclass(frozen=True)
class _Worker:
    """What the scheduler knows of a worker."""

    # Another process at the same address has another one.
    folder: str
    # One that is short of memory is paused, and would not begin.
    is_paused: bool
    is_executing: bool
    memory: int
    memory_limit: int

    @classmethod
    def of(cls, told: Any) -> "_Worker":
        """Read what the scheduler tells; of a worker that has just begun, not all yet."""
        metrics = told["metrics"]
        return cls(
            folder=told["local_directory"],
            is_paused=told["status"] != "running",
            is_executing=bool(metrics.get("task_counts", {}).get("executing")),
            memory=metrics.get("memory", 0),
            memory_limit=told["memory_limit"],
        )


@dataclass(frozen=True)
class _Cluster:
    """A scheduler, and what it tells."""

    client: Any
    address: str

    def workers(self) -> dict[str, _Worker]:
        """Ask which workers are there."""
        if self.client.status != "running":
            raise self._gone()
        # Not scheduler_info(), which Dask's own questions overwrite.
        there = self.client.sync(self.client.scheduler.identity)["workers"]
        return {name: _Worker.of(told) for name, told in there.items()}

    def has_begun(self, name: str, worker: str) -> bool:
        """Tell whether a call is the one that has begun last on a worker."""
        return bool(self.client.get_metadata([BEGUN, worker], None) == name)

    @contextmanager
    def losses_told(self) -> Iterator[None]:
        """Say in a sentence that the scheduler is gone, or does not answer."""
        from distributed import CancelledError

        try:
            yield
        except (OSError, CancelledError) as error:
            raise self._timed_out(error) or self._gone() from error
        except (AttributeError, RuntimeError, ValueError) as error:
            # What a client says that has been closed.
            if self.client.status == "running":
                raise
            raise self._gone() from error

    def _timed_out(self, error: BaseException) -> StudyError | None:
        """Name the time-out of Dask's that has ended a connection, if it was one."""
        import dask
        from distributed.comm import CommClosedError

        # What an open connection waits for the network to take; else, what a new one may take.
        kind = "tcp" if isinstance(error, CommClosedError) else "connect"
        cause: BaseException | None = error
        while not isinstance(cause, TimeoutError):
            if cause is None:
                return None
            cause = cause.__cause__
        seconds = dask.config.get(f"distributed.comm.timeouts.{kind}")
        return StudyError(
            f"The Dask scheduler {self.address} has not answered within {seconds} "
            f"(distributed.comm.timeouts.{kind} of Dask): it is overloaded, or cannot be "
            "reached. What was told is kept: when it answers again, the same command goes on "
            f"from there; DASK_DISTRIBUTED__COMM__TIMEOUTS__{kind.upper()} gives it longer."
        )

    def _gone(self) -> StudyError:
        return StudyError(
            f"The Dask scheduler {self.address} is gone. What was told is kept: start it "
            "again, and the same command goes on from there."
        )


class _Sender:
    """Sends training data to one worker; the others get them from each other."""

    def __init__(self, cluster: _Cluster) -> None:
        self._cluster = cluster
        self._sent: dict[_SharedData, Any] = {}
        # Calls are placed by a thread of their own.
        self._lock = threading.Lock()
        self._n_lost = 0
        self._lost_from: Mapping[str, str] = {}

    def send(self, shared: _SharedData, folders: Mapping[str, str]) -> Any | None:
        """Send data, unless they are there; None where no worker could take them now."""
        with self._lock:
            sent = self._sent.get(shared)
            if sent is None or sent.status != "finished":
                # Dask keeps waiting for what it has lost, under its old name.
                key = f"harness-{shared.fingerprint}-{secrets.token_hex(4)}"
                try:
                    # With broadcast=True it would wait for workers that die meanwhile, for
                    # ever (dask/distributed, issue 5704).
                    found = self._cluster.client.scatter(
                        {key: shared}, hash=False, timeout=1
                    )
                except TimeoutError:
                    return None  # none is there that could take them
                except (OSError, KeyError) as error:
                    self._count_loss(folders, error)
                    return None
                self._n_lost = 0
                self._sent[shared] = sent = found[key]
            return sent

    def _count_loss(self, folders: Mapping[str, str], error: Exception) -> None:
        # A worker that is dead for long without being missed counts once.
        self._n_lost += folders != self._lost_from
        self._lost_from = folders
        if self._n_lost >= MAX_LOST and self._cluster.client.status == "running":
            raise StudyError(
                f"{self._n_lost} workers of the Dask cluster {self._cluster.address} have "
                f"died, one after the other, when they got the data: {LARGER_WORKERS}"
            ) from error

    def forget(self, shared: _SharedData, sent: Any) -> None:
        """Send data again when they are needed, unless that has happened."""
        if self._sent.get(shared) is sent:
            del self._sent[shared]


@dataclass(eq=False)
class _Call:
    """A call, which may have to be made again, and where its outcome is awaited."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: Future[Any] = field(default_factory=Future)
    n_deaths: int = 0
    n_lost: int = 0
    name: str = ""
    # Of the worker that has it.
    folder: str = ""
    # When that worker was last seen to be able to carry it out.
    at_work: float = 0.0
    sent: Any = None
    inner: Future[Any] | None = None


class DaskExecutor(Executor):
    """Runs calls on a Dask cluster, one at a time on each worker.

    Dask alone would give a call to the few workers that have its data, behind others, which
    die with it and are blamed, too; and it forgets its deaths with the last copy of the data.
    So a thread chooses the worker here, and sees who is dead by asking who is there. A call
    that has killed `MAX_DEATHS` workers ends in `WorkerDiedError`, a scheduler that is gone
    in `StudyError`.
    """

    def __init__(self, cluster: _Cluster) -> None:
        self._cluster = cluster
        self._sender = _Sender(cluster)
        # Equal calls are calls of their own.
        self._inner = cluster.client.get_executor(pure=False)
        self._open: set[Future[Any]] = set()
        self._closed = threading.Event()
        self._line: deque[_Call] = deque()
        # Calls that have ended and where; None where one is put in line.
        self._events: queue.SimpleQueue[tuple[_Call, str, Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        # Only the thread changes what follows.
        self._running: dict[str, _Call] = {}
        self._folders: Mapping[str, str] = {}
        self._able: list[str] = []
        self._seen = -math.inf
        self._at_work = time.monotonic()
        self._trouble: Exception | None = None
        with cluster.losses_told():
            self._look()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def count(self) -> int:
        """Count the workers that are there, less those busy with what nobody awaits."""
        running = [*self._running.values()]
        return len(self._folders) - sum(call.future.cancelled() for call in running)

    @contextmanager
    def share(self, data: TrainingData) -> Iterator[Callable[[FoldTask], FoldResult]]:
        """Send data before the first call needs them."""
        shared = _SharedData.of(data)
        with self._cluster.losses_told():
            while self._sender.send(shared, self._folders) is None:
                if self._trouble is not None:
                    raise self._trouble
                time.sleep(0.1)
        yield shared

    def submit(
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        """Put a call in line."""
        if self._closed.is_set():
            raise RuntimeError("This executor is closed.")
        call = _Call(fn, args, kwargs)
        self._open.add(call.future)
        call.future.add_done_callback(self._open.discard)
        self._line.append(call)
        self._events.put(None)
        return call.future

    def _serve(self) -> None:
        while not self._closed.is_set():
            try:
                with self._cluster.losses_told():
                    self._take_events()
                    if self._closed.is_set():
                        break
                    if time.monotonic() - self._seen >= LOOK_SECONDS:
                        self._look()
                    self._place()
                self._trouble = None
            except Exception as error:  # noqa: BLE001 - the futures carry it
                self._trouble = error
                self._end_all(error)
        self._end_all(None)

    def _take_events(self) -> None:
        with suppress(queue.Empty):
            event = self._events.get(timeout=LOOK_SECONDS)
            while True:
                if event is not None:
                    self._end(*event)
                event = self._events.get_nowait()

    def _look(self) -> None:
        """See who is there, and who has died with a call."""
        there = self._cluster.workers()
        self._seen = time.monotonic()
        self._folders = {name: worker.folder for name, worker in there.items()}
        self._able = [name for name, worker in there.items() if not worker.is_paused]
        for worker, call in [*self._running.items()]:
            if self._folders.get(worker) != call.folder:
                self._take_back(worker, has_died=True)
            elif worker in self._able or there[worker].is_executing:
                call.at_work = self._seen
            elif self._seen - call.at_work > PAUSED_SECONDS:
                self._take_back(worker, has_died=False)
        if self._able or self._running or not there:
            self._at_work = self._seen
        elif self._seen - self._at_work > PAUSED_SECONDS:
            raise self._short_of_memory(there.values())

    def _short_of_memory(self, workers: Iterable[_Worker]) -> StudyError:
        least = min(workers, key=lambda worker: worker.memory_limit)
        return StudyError(
            f"All workers of the Dask cluster {self._cluster.address} are paused, as their "
            f"memory is nearly used up ({size(least.memory)} of "
            f"{size(least.memory_limit)}), and none has recovered in "
            f"{PAUSED_SECONDS:.0f} s: {LARGER_WORKERS}"
        )

    def _place(self) -> None:
        """Give calls to workers that have none."""
        free = [worker for worker in self._able if worker not in self._running]
        while self._line and free:
            if self._line[0].future.cancelled():
                self._settle(self._line.popleft())
            elif not self._begin(self._line[0], free.pop()):
                return

    def _begin(self, call: _Call, worker: str) -> bool:
        """Give the first call of the line to a worker, if its data can be sent."""
        at = {"workers": [worker], "allow_other_workers": False}
        if isinstance(call.fn, _SharedData):
            call.sent = self._sender.send(call.fn, self._folders)
            if call.sent is None:
                return False
            call.name = secrets.token_hex(8)
            arguments = (_evaluate, call.sent, _versions(), *call.args)
            inner = self._inner.submit(_begin_at_worker, call.name, *arguments, **at)
        else:
            inner = self._inner.submit(call.fn, *call.args, **call.kwargs, **at)
        call.folder, call.at_work = self._folders[worker], time.monotonic()
        self._running[worker] = self._line.popleft()
        call.inner = inner
        inner.add_done_callback(lambda done: self._events.put((call, worker, done)))
        return True

    def _end(self, call: _Call, worker: str, inner: Future[Any]) -> None:
        """Pass an outcome on, or find out what was lost."""
        from distributed import KilledWorker

        if self._running.get(worker) is not call or call.inner is not inner:
            return
        error = None if inner.cancelled() else inner.exception()
        if inner.cancelled() or isinstance(error, KilledWorker):
            # Its worker is dead, or the last one that had the data is.
            if isinstance(call.fn, _SharedData):
                self._sender.forget(call.fn, call.sent)
            self._look()
            if self._running.get(worker) is call:
                self._take_back(worker, has_died=error is not None)
            return
        del self._running[worker]
        if error is None:
            self._settle(call, inner.result())
        else:
            self._settle(call, error=self._translated(call, error))

    def _take_back(self, worker: str, *, has_died: bool) -> None:
        """Put a call in front of the line, unless it has killed too many workers."""
        call = self._running.pop(worker)
        self._line.appendleft(call)
        inner, call.inner = call.inner, None
        if inner is not None:
            inner.cancel()
        call.n_lost += has_died
        # Where another study has the worker, too, it may have died of that one's fold.
        call.n_deaths += has_died and (
            not call.name or self._cluster.has_begun(call.name, worker)
        )
        if call.n_deaths >= MAX_DEATHS or call.n_lost >= MAX_LOST:
            told = WorkerDiedError(f"{call.n_lost} workers of the cluster")
            self._settle(self._line.popleft(), error=told)

    def _end_all(self, error: Exception | None) -> None:
        while self._running:
            self._line.append(self._running.popitem()[1])
        while self._line:
            call = self._line.popleft()
            if error is None:
                call.future.cancel()
            self._settle(call, error=error)

    @staticmethod
    def _settle(
        call: _Call, result: Any = None, *, error: BaseException | None = None
    ) -> None:
        if not call.future.set_running_or_notify_cancel():
            return  # nobody waits for it any more
        if error is None:
            call.future.set_result(result)
        else:
            call.future.set_exception(error)

    def _translated(self, call: _Call, error: BaseException) -> BaseException:
        if isinstance(call.fn, _SharedData) and not isinstance(error, HarnessError):
            # Whatever a model raises is in its result.
            reason = (str(error) or type(error).__name__).splitlines()[0]
            return StudyError(
                f"A worker of the cluster {self._cluster.address} cannot carry out a task: "
                f"{type(error).__name__}: {reason}"
            )
        return error

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - the interface of Executor
        """Drop what waits: the workers are not ours to end."""
        del cancel_futures
        if wait:
            futures.wait([*self._open])
        self._closed.set()
        self._events.put(None)
        with suppress(Exception):
            self._inner.shutdown(wait=False)
        self._thread.join(timeout=LOOK_SECONDS * 4)


@contextmanager
def open_cluster(address: str) -> Iterator[DaskExecutor]:
    """Connect to a scheduler whose workers are like this process."""
    client = _connect(address)
    try:
        _check_workers(client, address)
        executor = DaskExecutor(_Cluster(client, address))
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)
    finally:
        # A scheduler that is gone does not say goodbye.
        with suppress(Exception):
            client.close(timeout=2)


def _connect(address: str) -> Any:
    try:
        import distributed
    except ImportError as error:
        raise MissingExtraError(
            "The executor dask needs the library distributed: "
            "install it with pip install 'recommender-harness[dask]'."
        ) from error
    # It tells at length what is said here in one sentence.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        return distributed.Client(
            address, timeout=CONNECT_SECONDS, set_as_default=False
        )
    except (OSError, ValueError, ImportError, TypeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise StudyError(
            f"There is no Dask scheduler at {address!r}: give the address that `dask "
            f"scheduler` prints, as in --executor dask=tcp://HOST:8786 ({reason})"
        ) from error


def _check_workers(client: Any, address: str) -> None:
    with suppress(TimeoutError):
        # Its workers start at the same time, or come back.
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    workers = client.nthreads()
    if not workers:
        raise StudyError(
            f"The Dask scheduler {address} has no workers yet: start some with `dask "
            f"worker {address} --nthreads 1 --nworkers N`."
        )
    for worker, n_threads in workers.items():
        _require_one_thread(n_threads, worker)
    for worker, there in client.run(_introduce, on_error="return").items():
        if isinstance(there, OSError):
            continue  # it ended a moment ago
        if isinstance(there, Exception):
            raise StudyError(
                f"The worker {worker} must have the harness that its owner has, but "
                f"answers {type(there).__name__}: {there}"
            ) from there
        _require_equal(_versions(), there, worker)
