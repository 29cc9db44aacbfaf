"""What the trial engine costs, and how many workers it keeps busy.

``python tests/benchmarks/bench_scale.py owner`` measures what a trial without work costs
the process that owns the study, at 10 and at 10,000 trials. ``... busy`` replays the
recorded durations of real fold tasks with workers that sleep: the share of time that they
are busy, and the trials needed to reach the best of the search with one trial at a time.
"""

import argparse
import heapq
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import optuna

from harness.models.svd.model import SVD
from harness.search.engine import Budget, Engine, SearchPlan
from harness.search.executors import (
    InlineExecutor,
    TaskRunner,
    Workers,
    choose_executor,
)
from harness.search.fidelity import WHOLE
from harness.search.folds import FoldResult
from harness.search.pruners import make_pruner
from harness.search.records import WINDOW
from harness.search.samplers import SamplerSequence
from harness.search.space import find_space, load_space
from harness.search.storage import open_storage

optuna.logging.set_verbosity(optuna.logging.ERROR)
N_FOLDS = 5
SPACE = load_space(find_space("svd"), SVD)

# Seconds of 100 fold tasks of `study svd --data ml-100k`, 1 job, as sorted deciles: a few
# settings with many factors and epochs take twenty times as long as the quickest.
DECILES = (0.034, 0.055, 0.072, 0.091, 0.114, 0.142, 0.176, 0.224, 0.301, 0.42, 0.71)


def _spread(params):
    """Place the parameters in the unit cube."""
    places = []
    for name, found in SPACE.searched.items():
        if name not in params or not hasattr(found, "low"):
            continue
        low, high, value = found.low, found.high, params[name]
        if found.log:
            low, high, value = np.log([low, high, value])
        places.append((value - low) / (high - low))
    return np.array(places)


def duration(params):
    """Take longer for more factors, with the spread of the recorded tasks."""
    weight = _spread(params).mean()
    return float(np.interp(weight, np.linspace(0.2, 0.8, len(DECILES)), DECILES))


def result(task):
    """Score as real folds do: folds differ more than settings."""
    places = _spread(task.params)
    rng = np.random.default_rng([task.fold, *(places * 1e6).astype(int)])
    fold = 0.0056 * np.sin(7.0 * task.fold)
    bowl = 0.06 * float(((places - 0.35) ** 2).mean())
    value = 0.905 + bowl + fold + rng.normal(0, 0.0006)
    metrics = {
        "rmse": np.array([value]),
        "fit_seconds": np.array([duration(task.params)]),
    }
    return FoldResult(metrics=metrics, epochs=(10,))


@contextmanager
def engine(sampler, *, window=WINDOW, storage=None, seed=0):
    """Make an engine on a journal in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        study = optuna.create_study(
            study_name="bench",
            storage=open_storage(storage or str(Path(folder) / "optuna.log")),
            load_if_exists=True,
        )
        yield (
            lambda name=sampler: Engine(
                study=study,
                space=SPACE,
                samplers=SamplerSequence(name, seed=seed, space=SPACE),
                pruner=make_pruner("race"),
                plan=SearchPlan(
                    seed=seed,
                    evaluations=WHOLE.evaluations(N_FOLDS, seed),
                    window=window,
                ),
                on_trial=lambda _trial: None,
            ),
            study,
        )


def owner(n_large):
    """Print milliseconds a trial of no work, by sampler and number of trials before."""
    for sampler in ("random", "tpe"):
        with engine("random") as (make, _):
            runner = TaskRunner(Workers(InlineExecutor(), lambda: 1, None), result)
            there = 0
            for n_before in (10, 100, 1000, n_large):
                if n_before > there:
                    make("random").run(runner, budget=Budget(n_trials=n_before))
                one = make(sampler)
                one.run(runner, budget=Budget(n_trials=n_before + 1))
                cpu, wall = time.process_time(), time.perf_counter()
                n_more = 50
                _continue(one, runner, n_before + 1 + n_more)
                cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
                there = n_before + 1 + n_more
                print(
                    f"{sampler:7} after {n_before:6}: CPU {1000 * cpu / n_more:6.1f} ms, "
                    f"wall {1000 * wall / n_more:6.1f} ms a trial",
                    flush=True,
                )


def _continue(one, runner, n_trials):
    """Go on without reading the storage again, as a search does that is not restarted."""
    while one._turn(runner, Budget(n_trials=n_trials), float("inf")):
        pass


class VirtualRunner:
    """Workers that sleep as long as the real tasks took, on a clock that does not wait.

    What the owner does costs its own CPU time on this clock, so a busy machine does not
    change the figures.
    """

    def __init__(self, n_workers):
        self._n_workers = n_workers
        self.clock = self.busy = 0.0
        self._free = [0.0] * n_workers
        self._ends = []
        self._count = 0
        self._cpu = time.process_time()

    @property
    def n_pending(self):
        return len(self._ends)

    def has_room(self, *, in_line):
        return self.n_pending < self._n_workers + in_line

    def _pass_time(self):
        now = time.process_time()
        self.clock += now - self._cpu
        self._cpu = now

    def submit(self, key, task):
        self._pass_time()
        start = max(self.clock, heapq.heappop(self._free))
        end = start + duration(task.params)
        self.busy += end - start
        heapq.heappush(self._free, end)
        self._count += 1
        heapq.heappush(self._ends, (end, self._count, key, task))

    def wait(self):
        self._pass_time()
        if not self._ends:
            return []
        self.clock = max(self.clock, self._ends[0][0])
        done = []
        while self._ends and self._ends[0][0] <= self.clock:
            _, _, key, task = heapq.heappop(self._ends)
            done.append((key, result(task)))
        self._cpu = time.process_time()
        return done


def busy(n_trials, windows, n_seeds):
    """Print the share of time that workers are busy, and the trials needed."""
    sequential = [_search(1, n_trials, 1, seed) for seed in range(n_seeds)]
    targets = [min(values) + 0.0003 for _, values in sequential]
    base = [_needed(v, t) for (_, v), t in zip(sequential, targets, strict=True)]
    seconds = np.mean([runner.clock for runner, _ in sequential])
    print(
        f"1 worker, window 1: {seconds:.0f} s, {np.mean(base):.0f} trials to its best"
    )
    for window in windows:
        for n_workers in (2, 8, 16, 64):
            found = [_search(n_workers, n_trials, window, s) for s in range(n_seeds)]
            share = np.mean([r.busy / (r.clock * n_workers) for r, _ in found])
            clock = np.mean([runner.clock for runner, _ in found])
            needed = [_needed(v, t) for (_, v), t in zip(found, targets, strict=True)]
            best = np.mean([min(values) for _, values in found])
            complete = np.mean([np.isfinite(values).sum() for _, values in found])
            print(
                f"window {window:3}, {n_workers:3} workers: busy {100 * share:5.1f} %, "
                f"{clock:6.1f} s ({seconds / clock:4.1f} times faster), complete "
                f"{complete:.0f}, best {best:.5f}, needed {np.mean(needed):.0f} "
                f"({np.mean(needed) / np.mean(base):.2f} times)",
                flush=True,
            )


def start():
    """Print the seconds until each of so many local workers has answered."""
    for n_workers in (1, 16, 64):
        begin = time.perf_counter()
        choice = choose_executor("processes", jobs=n_workers)
        with choice.entry.open(choice, "harness") as workers:
            up = set()
            while len(up) < n_workers:
                calls = [workers.executor.submit(os.getpid) for _ in range(n_workers)]
                up |= {call.result() for call in calls}
            seconds = time.perf_counter() - begin
        print(f"{n_workers:3} workers: all up after {seconds:.2f} s", flush=True)


def _needed(values, target):
    return next((k for k, v in enumerate(values, 1) if v <= target), 2 * len(values))


def _search(n_workers, n_trials, window, seed):
    with engine("tpe", window=window, seed=seed) as (make, study):
        one = make()
        runner = VirtualRunner(n_workers)
        one.run(runner, budget=Budget(n_trials=n_trials))
        trials = study.get_trials(deepcopy=False)
    values = [t.value if t.state.name == "COMPLETE" else np.inf for t in trials]
    return runner, values


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["owner", "busy", "start"])
    parser.add_argument("--trials", type=int)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--windows", type=int, nargs="+", default=[WINDOW])
    arguments = parser.parse_args()
    if arguments.what == "owner":
        owner(arguments.trials or 10_000)
    elif arguments.what == "start":
        start()
    else:
        busy(arguments.trials or 100, arguments.windows, arguments.seeds)
