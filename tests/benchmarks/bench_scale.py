"""What the trial engine costs, and how many workers it keeps busy.

``python tests/benchmarks/bench_scale.py owner`` measures what a trial without work costs
the process that owns the study, at 10 and at 10,000 trials. ``... busy`` replays the
recorded durations of real fold tasks with workers that sleep: the share of time that they
are busy, and the trials needed to reach the best of the search with one trial at a time.
"""

import argparse
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import optuna

from harness.models.svd.model import SVD
from harness.search.engine import WINDOW, Budget, Engine, SearchPlan
from harness.search.executors import InlineExecutor, TaskRunner
from harness.search.folds import FoldResult
from harness.search.pruners import make_pruner
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
                plan=SearchPlan(seed=seed, n_folds=N_FOLDS, window=window),
                on_trial=lambda _trial: None,
            ),
            study,
        )


def owner(n_large):
    """Print milliseconds a trial of no work, by sampler and number of trials before."""
    for sampler in ("random", "tpe"):
        with engine("random") as (make, _):
            runner = TaskRunner(InlineExecutor(), result, jobs=1)
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


class Sleepers:
    """Workers that sleep as long as the real task took."""

    def __init__(self, n_workers, scale):
        self.pool = ThreadPoolExecutor(n_workers)
        self.scale = scale
        self.busy = 0.0
        self.lock = threading.Lock()

    def submit(self, fn, task):
        return self.pool.submit(self._run, fn, task)

    def _run(self, fn, task):
        seconds = duration(task.params) * self.scale
        time.sleep(seconds)
        with self.lock:
            self.busy += seconds
        return fn(task)


def busy(n_trials, scale, windows):
    """Print the share of time that workers are busy, and the trials needed."""
    best = _search("tpe", 1, n_trials, None, window=1)[2]
    target = min(best)
    print(
        f"one trial at a time: best {target:.5f} after {_needed(best, target)} trials"
    )
    for window in windows:
        for n_workers in (2, 8, 16, 64):
            share, seconds, values = _search(
                "tpe", n_workers, n_trials, scale, window=window
            )
            print(
                f"window {window:3}, {n_workers:3} workers: busy {100 * share:5.1f} %, "
                f"{seconds / scale:6.1f} s, best {min(values):.5f}, within 0.0005 of the "
                f"sequential best after {_needed(values, target + 0.0005)}",
                flush=True,
            )


def _needed(values, target):
    return next((k for k, value in enumerate(values, 1) if value <= target), None)


def _search(sampler, n_workers, n_trials, scale, *, window):
    sleepers = InlineExecutor() if scale is None else Sleepers(n_workers, scale)
    with engine(sampler, window=window) as (make, study):
        runner = TaskRunner(sleepers, result, jobs=n_workers)
        start = time.perf_counter()
        make().run(runner, budget=Budget(n_trials=n_trials))
        seconds = time.perf_counter() - start
        trials = study.get_trials(deepcopy=False)
    values = [t.value if t.state.name == "COMPLETE" else np.inf for t in trials]
    share = 0.0 if scale is None else sleepers.busy / (seconds * n_workers)
    return share, seconds, values


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["owner", "busy"])
    parser.add_argument("--trials", type=int)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--windows", type=int, nargs="+", default=[WINDOW])
    arguments = parser.parse_args()
    if arguments.what == "owner":
        owner(arguments.trials or 10_000)
    else:
        busy(arguments.trials or 100, arguments.scale, arguments.windows)
