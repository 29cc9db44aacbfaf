"""What a model costs: time to train, time to answer, memory, and size."""

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.errors import ParameterError, StudyError
from harness.evaluation.cost_probe import CostTask, Measured, report_costs
from harness.evaluation.results import Costs
from harness.evaluation.worker_process import (
    context_of_workers,
    environment_of_workers,
    main_module,
)
from harness.plain import Params

__all__ = ["add_up", "measure_efficiency", "n_cost_processes", "summarize"]

SETTING = "HARNESS_COST_PROCESSES"
"""Variable of the environment: how many processes measure, where nobody says."""

N_PROCESSES = 5

LONG_SECONDS = 20.0
"""Where the first process takes longer than this, it is the only one."""

SCATTERED = (
    "fit_seconds",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "peak_memory_bytes",
)
"""What differs from process to process."""


def n_cost_processes(asked: int | None = None) -> int:
    """Say how many processes measure: as asked, else as the environment says, else 5."""
    if asked is not None:
        return asked
    said = os.environ.get(SETTING, "").strip() or str(N_PROCESSES)
    if not said.isdecimal() or int(said) < 1:
        raise ParameterError(
            f"{SETTING} must be a whole number of at least 1, but is {said!r}."
        )
    return int(said)


def measure_efficiency(  # noqa: PLR0913 - a model, its data, and how often
    family: str,
    params: Params,
    *,
    seeds: Sequence[int],
    train: Ratings,
    catalogue: Catalogue,
    n_calls: int = 300,
    n_processes: int | None = None,
) -> Measured:
    """Measure what a model costs, in processes that do nothing else.

    What is given is the median over `n_processes` of them (see `n_cost_processes`), one
    after the other, with the range: on a machine that does other things, too, a time is
    now and then half as long again. Where the first takes more than `LONG_SECONDS`, as
    with large data, it is the only one. They take the seeds in turn, and their models are
    given, too: whoever judges need not fit them again.

    All families are measured the same way: a process is started, with one thread for
    linear algebra and compiled loops; it is given the data, fits a model that is thrown
    away to a few users, so that libraries and compiled kernels are loaded (they are paid
    for once, whatever is fitted); then it fits the model, asks it for the top 10 of 30
    users that do not count and of `n_calls` users that do, drawn with a fixed seed from
    those with training ratings, and saves it.

    Memory is the growth of the resident set: its peak while the model was fitted and
    asked, less what the process had before, which is Python, the libraries and the data.
    On Linux the peak is started again for that, and is exact to a page. Where that is not
    allowed, and on macOS, it is by how much the peak of the whole life of the process has
    grown, which is less if loading the data took more than fitting.
    """
    found, models, start = list[Costs](), dict[int, bytes](), time.monotonic()
    for seed in islice(cycle(seeds), n_cost_processes(n_processes)):
        answer = _ask(
            CostTask(
                family=family,
                params=dict(params),
                seed=seed,
                train=train,
                catalogue=catalogue,
                n_calls=n_calls,
            )
        )
        if isinstance(answer, str):
            raise StudyError(f"What {family} costs cannot be measured: {answer}")
        found.append(answer.costs)
        models |= answer.models
        if len(found) == 1 and time.monotonic() - start > LONG_SECONDS:
            break
    return Measured(costs=summarize(found), models=models)


def add_up(parts: Sequence[Costs]) -> Costs:
    """Add up what the parts of a blend cost.

    Training times and sizes are sums. Percentiles and peaks of the parts are not reached
    together, so that their sums, and those of the ends of ranges, are upper bounds.
    """
    sums: dict[str, Any] = {}
    for name in (*SCATTERED, "model_bytes"):
        values = [getattr(part, name) for part in parts]
        sums[name] = None if None in values else sum(values)
    ranges = {
        name: (
            sum(part.ranges[name][0] for part in parts),
            sum(part.ranges[name][1] for part in parts),
        )
        for name in SCATTERED
        if all(name in part.ranges for part in parts)
    }
    n_processes = min(part.n_processes for part in parts)
    return replace(
        parts[0], n_processes=n_processes, ranges=ranges, is_sum=True, **sums
    )


def summarize(found: Sequence[Costs]) -> Costs:
    """Take the median of each cost over several processes, and its range."""
    medians, ranges = dict[str, float](), dict[str, tuple[float, float]]()
    for name in SCATTERED:
        values = [value for one in found if (value := getattr(one, name)) is not None]
        if len(values) < len(found):
            continue
        medians[name] = statistics.median(values)
        if len(values) > 1:
            ranges[name] = float(min(values)), float(max(values))
    if "peak_memory_bytes" in medians:
        medians["peak_memory_bytes"] = round(medians["peak_memory_bytes"])
    changes: dict[str, Any] = dict(medians)
    return replace(found[0], n_processes=len(found), ranges=ranges, **changes)


def _ask(task: CostTask) -> Measured | str:
    """Let a fresh process measure; what it says is a reason where it could not."""
    context = context_of_workers()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=report_costs, args=(sender, task), daemon=True)
    try:
        with environment_of_workers(), main_module(imported=False):
            process.start()
        # The other end is open only there: when that process dies, waiting ends.
        sender.close()
        answer: Measured | str = receiver.recv()
    except (EOFError, BrokenPipeError):
        process.join()
        return (
            "its process died (killed, out of memory or crashed; exit code "
            f"{process.exitcode})."
        )
    else:
        return answer
    finally:
        receiver.close()
        if process.pid is not None:
            process.kill()
            process.join()
