"""The program that finds out what a model costs, in a process of its own."""

import ctypes
import gc
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, distinct
from harness.errors import HarnessError
from harness.evaluation.final import Entry, fit_entry
from harness.evaluation.results import Costs
from harness.evaluation.worker_process import end_with_parent, pack
from harness.models.base import Recommender
from harness.models.families import load_family
from harness.plain import Params

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CostTask",
    "Measured",
    "peak_bytes",
    "report_costs",
    "restart_peak",
    "size_on_disk",
    "time_lists",
]


_OWN_STATUS = Path("/proc/self/status")
_OWN_REFERENCES = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def restart_peak() -> None:
    """Let the peak start from what is in use now, as far as the system can.

    Memory that was freed is given back first; else what comes next would seem to cost
    nothing as long as it fits into it. Linux can start the peak again; elsewhere it is
    that of the whole life of the process.
    """
    gc.collect()
    if not sys.platform.startswith("linux"):
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc has it, musl does not
        trim(0)
    try:
        _OWN_REFERENCES.write_text(_RESET_PEAK)
    except OSError:  # some containers do not allow it
        return


def peak_bytes() -> int | None:
    """Read the largest resident set of this process."""
    if _OWN_STATUS.exists():
        # Not ru_maxrss: on Linux a process inherits that of the one that started it.
        for line in _OWN_STATUS.read_text().splitlines():
            name, _, size = line.partition(":")
            if name == "VmHWM":
                return int(size.split()[0]) * 1024
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


LIST_LENGTH = 10
PERCENTILES = (50, 95, 99)

_N_WARM_UP_CALLS = 30
_N_THROW_AWAY_USERS = 50
_SEED_OF_USERS = 0
"""The same users are asked for all families."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CostTask:
    """What to measure.

    Parameters
    ----------
    family : str
        Name of the family.
    params : mapping
        Hyperparameters.
    seed : int
        Seed of the model, where it takes one.
    train : Ratings
        The training part.
    catalogue : Catalogue
        Of its titles.
    n_calls : int
        How many lists of titles are asked for.
    """

    family: str
    params: Params
    seed: int
    train: Ratings
    catalogue: Catalogue
    n_calls: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """What a model costs, and the models that were fitted to find out, packed, by seed."""

    costs: Costs
    models: Mapping[int, bytes] = field(default_factory=dict)


def report_costs(answers: Connection, task: CostTask) -> None:
    """Measure, and tell the process that has asked: the main function of the probe."""
    end_with_parent()
    try:
        answers.send(_measure(task))
    except HarnessError as error:
        answers.send(str(error))
    except Exception as error:  # noqa: BLE001 - whatever a model raises is the answer
        first_line = str(error).partition("\n")[0]
        answers.send(f"{type(error).__name__}: {first_line.rstrip('.')}.")


def _measure(task: CostTask) -> Measured:
    entry = Entry(
        name=task.family,
        family=load_family(task.family),
        params=task.params,
        role="tuned",
    )
    _load_code(entry, task)
    restart_peak()
    before = peak_bytes()
    [model], fit_seconds = fit_entry(
        entry, task.train, task.catalogue, seeds=[task.seed]
    )
    p50, p95, p99 = time_lists(model, task.train, task.n_calls)
    after = peak_bytes()
    costs = Costs(
        fit_seconds=fit_seconds,
        latency_p50_ms=p50,
        latency_p95_ms=p95,
        latency_p99_ms=p99,
        n_calls=task.n_calls,
        n_titles=task.train.n_items,
        peak_memory_bytes=None if before is None or after is None else after - before,
        model_bytes=size_on_disk(model),
    )
    try:
        return Measured(costs=costs, models={task.seed: pack(model, task.train)})
    except Exception:  # noqa: BLE001 - a class that cannot be sent: it is fitted again
        return Measured(costs=costs)


def _load_code(entry: Entry, task: CostTask) -> None:
    """Do everything once in small, so that libraries and compiled kernels are there."""
    train, catalogue = _small_part(task.train, task.catalogue)
    [model], _ = fit_entry(entry, train, catalogue, seeds=[task.seed])
    model.predict(train.users, train.items, train.timestamps)
    model.recommend(0, LIST_LENGTH)
    size_on_disk(model)


def _small_part(train: Ratings, catalogue: Catalogue) -> tuple[Ratings, Catalogue]:
    """Cut out some users with their titles, renumbered.

    A catalogue of its own, too: else the features of the titles, which are computed once
    for each catalogue, would be ready before the clock starts.
    """
    part = train.take(np.isin(train.users, distinct(train.users)[:_N_THROW_AWAY_USERS]))
    small = Ratings.from_codes(
        (part.users, part.user_ids),
        (part.items, part.item_ids),
        part.values,
        scale=part.scale,
        timestamps=part.timestamps,
    )

    def rows() -> "tuple[pd.DataFrame, pd.DataFrame | None]":
        frame, people = catalogue.frame, catalogue.users
        if len(frame):
            frame = _rows_of(frame, train.item_ids, small.item_ids)
        if people is not None:
            people = _rows_of(people, train.user_ids, small.user_ids)
        return frame, people

    return small, Catalogue.later(rows)


def _rows_of(
    frame: "pd.DataFrame",
    ids: npt.NDArray[np.object_],
    wanted: npt.NDArray[np.object_],
) -> "pd.DataFrame":
    code_of = {one: code for code, one in enumerate(ids.tolist())}
    rows = frame.iloc[[code_of[one] for one in wanted.tolist()]]
    return rows.reset_index(drop=True)


def time_lists(
    model: Recommender,
    train: Ratings,
    n_calls: int,
    n_warm_up_calls: int = _N_WARM_UP_CALLS,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> list[float]:
    """Ask for lists; give the percentiles of the milliseconds that one takes."""
    rng = np.random.default_rng(_SEED_OF_USERS)
    users = rng.choice(distinct(train.users), size=n_warm_up_calls + n_calls)
    took = np.empty(len(users))
    for k, user in enumerate(users.tolist()):
        start = clock()
        model.recommend(user, LIST_LENGTH)
        took[k] = (clock() - start) / 1e6
    values: list[float] = np.percentile(took[n_warm_up_calls:], PERCENTILES).tolist()
    return values


def size_on_disk(model: Recommender) -> int:
    """Save a model, and add up the bytes."""
    with TemporaryDirectory(prefix="harness-") as name:
        folder = Path(name)
        model.save(folder)
        return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
