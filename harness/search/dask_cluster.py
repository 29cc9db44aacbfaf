"""Workers of a Dask cluster, on any number of machines."""

import hashlib
import logging
import os
import platform
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
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
from harness.models.families import file_of
from harness.search.folds import FoldResult, FoldTask, TrainingData, Workbench
from harness.version import code_version

__all__ = ["DaskExecutor", "open_cluster"]


CONNECT_SECONDS = 10.0
# So old may the number of workers be: to ask for it is a message to the scheduler.
COUNT_SECONDS = 1.0


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


@dataclass(eq=False)
class _Call:
    """A call, which may have to be made again, and where its outcome is awaited."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: Future[Any] = field(default_factory=Future)
    sent: Any = None


class DaskExecutor(Executor):
    """Runs calls on a Dask cluster, by the executor of its client.

    Dask repeats the calls of a worker that died on another one. A call that has killed
    several workers ends in `WorkerDiedError`, a scheduler that is gone in `StudyError`.
    """

    def __init__(self, client: Any, address: str) -> None:
        self._client = client
        self._address = address
        # Equal calls are calls of their own.
        self._inner = client.get_executor(pure=False)
        self._sent: dict[_SharedData, Any] = {}
        self._sending = threading.Lock()
        self._counted: tuple[float, int] = (0.0, 0)
        self._is_closed = False

    def count(self) -> int:
        """Count the workers that are there."""
        when, n_workers = self._counted
        if time.monotonic() - when > COUNT_SECONDS:
            with self._losses_told():
                n_workers = len(self._client.nthreads())
            self._counted = (time.monotonic(), n_workers)
        return n_workers

    @contextmanager
    def share(self, data: TrainingData) -> Iterator[Callable[[FoldTask], FoldResult]]:
        """Send data to each worker once; those that join get it from the others."""
        shared = _SharedData.of(data)
        with self._losses_told():
            self._send(shared)
        yield shared

    def _send(self, shared: _SharedData, lost: Any = None) -> Any:
        """Send data, unless they are there; `lost` is where they were before."""
        with self._sending:
            while self._sent.get(shared) in (None, lost):
                # Dask keeps waiting for what it has lost, under its old name.
                key = f"harness-{shared.fingerprint}-{secrets.token_hex(4)}"
                try:
                    sent = self._client.scatter(
                        {key: shared}, broadcast=True, hash=False
                    )
                except OSError:
                    if self._is_closed or self._client.status != "running":
                        raise
                    # Workers end at this moment, or none has come back yet.
                    time.sleep(0.1)
                    continue
                self._sent[shared] = sent[key]
            return self._sent[shared]

    def submit(
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        """Put a call in line."""
        call = _Call(fn, args, kwargs)
        with self._losses_told():
            self._begin(call)
        return call.future

    def _begin(self, call: _Call) -> None:
        if isinstance(call.fn, _SharedData):
            call.sent = self._send(call.fn, call.sent)
            inner = self._inner.submit(_evaluate, call.sent, _versions(), *call.args)
        else:
            inner = self._inner.submit(call.fn, *call.args, **call.kwargs)
        inner.add_done_callback(lambda done: self._end(call, done))

    def _end(self, call: _Call, inner: Future[Any]) -> None:
        """Pass an outcome on; called by the thread that Dask's messages come to."""
        if inner.cancelled():
            if not self._is_closed and self._client.status == "running":
                # The last worker that had the data is dead. To send them again takes
                # answers, which this thread must be free for.
                threading.Thread(target=self._begin_again, args=[call]).start()
                return
            if self._is_closed:
                call.future.cancel()
                call.future.set_running_or_notify_cancel()
            else:
                call.future.set_exception(self._gone())
            return
        error = inner.exception()
        if error is None:
            call.future.set_result(inner.result())
        else:
            call.future.set_exception(self._translated(call, error))

    def _begin_again(self, call: _Call) -> None:
        try:
            with self._losses_told():
                self._begin(call)
        except StudyError as error:
            call.future.set_exception(error)

    def _translated(self, call: _Call, error: BaseException) -> BaseException:
        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            return WorkerDiedError(
                f"{error.allowed_failures + 1} workers of the cluster"
            )
        if isinstance(call.fn, _SharedData) and not isinstance(error, HarnessError):
            # Whatever a model raises is in its result.
            reason = (str(error) or type(error).__name__).splitlines()[0]
            return StudyError(
                f"A worker of the cluster {self._address} cannot carry out a task: "
                f"{type(error).__name__}: {reason}"
            )
        return error

    @contextmanager
    def _losses_told(self) -> Iterator[None]:
        from distributed import CancelledError
        from distributed.comm import CommClosedError

        try:
            yield
        except (OSError, CancelledError, CommClosedError) as error:
            raise self._gone() from error
        except (AttributeError, RuntimeError, ValueError) as error:
            # What a client says that has been closed.
            if self._client.status == "running":
                raise
            raise self._gone() from error

    def _gone(self) -> StudyError:
        return StudyError(
            f"The Dask scheduler {self._address} is gone. What was told is kept: start it "
            "again, and the same command goes on from there."
        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - the interface of Executor
        """Drop what waits: the workers are not ours to end."""
        del cancel_futures
        self._is_closed = not wait
        with suppress(Exception):
            self._inner.shutdown(wait=wait)
        self._is_closed = True


@contextmanager
def open_cluster(address: str) -> Iterator[DaskExecutor]:
    """Connect to a scheduler whose workers are like this process."""
    client = _connect(address)
    executor = DaskExecutor(client, address)
    try:
        _check_workers(client, address)
        yield executor
    finally:
        executor.shutdown(wait=False)
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
