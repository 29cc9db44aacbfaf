"""What the trial engine costs, how many workers it keeps busy, and what a study consists of.

usage: python tests/benchmarks/bench_scale.py busy    workers busy, trials needed
       python tests/benchmarks/bench_scale.py owner   cost of a trial of no work
       python tests/benchmarks/bench_scale.py start   until all workers are up
       python tests/benchmarks/bench_scale.py record FOLDER
       python tests/benchmarks/bench_scale.py study DATA [--family svd] [--trials 100]
       python tests/benchmarks/bench_scale.py hand FOLDER [--trials 100]
       python tests/benchmarks/bench_scale.py hybrid
       python tests/benchmarks/bench_scale.py cores DATA [--family svd] [--workers 1 2 16]
       python tests/benchmarks/bench_scale.py load DATA

``busy`` replays fold tasks of real trainings (`recorded_tasks.csv`: 256 settings of svd,
drawn at random, on the five folds of ml-100k) through the real engine, with workers that
take the recorded CPU seconds on a clock that does not wait. ``record`` makes that file
from a folder with ml-100k, in some 15 minutes of one core.

``study`` tunes a family on ratings (`bench_fidelity.py simulate` makes large ones), prints
the CPU seconds of each step, in this process and in its workers, and what was forecast;
``hand`` puts the same study, of svd on ml-100k, beside a twentieth of the trials of the
hand-written script (``../bench`` beside ``$HARNESS_TEST_DATA``); ``hybrid`` is all of
`bench_hybrid.py`: an epoch beside LightFM, 100 trials on ml-100k, 20 on a million ratings.
All are CPU seconds: others may use the machine. ``cores`` alone goes by the clock: the
whole command `harness study`, by the number of workers, on a machine that nobody else uses.
``load`` reads a file of text as one stream, in blocks, and from the cache: the best of three
processes by CPU and by the clock, and the most memory beside the size of the arrays.
"""

import argparse
import csv
import heapq
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import optuna
import psutil

from harness.models.svd.model import SVD
from harness.progress import SearchProgress
from harness.search.engine import Budget, Engine, SearchPlan
from harness.search.executors import (
    InlineExecutor,
    TaskRunner,
    Workers,
    choose_executor,
)
from harness.search.fidelity import WHOLE
from harness.search.folds import FoldResult, FoldTask
from harness.search.pruners import make_pruner
from harness.search.records import WINDOW
from harness.search.samplers import SamplerSequence, draw_settings
from harness.search.space import find_space, load_space
from harness.search.storage import open_storage

optuna.logging.set_verbosity(optuna.logging.ERROR)
N_FOLDS = 5
SPACE = load_space(find_space("svd"), SVD)
RECORDED = Path(__file__).with_name("recorded_tasks.csv")


def place(params):
    """Place settings in the unit cube; what is not active lies in the middle."""
    places = []
    for name, found in SPACE.searched.items():
        if not hasattr(found, "low"):
            places.append(found.choices.index(params[name]))
            continue
        low, high, value = found.low, found.high, params.get(name)
        if value is None:
            places.append(0.5)
            continue
        if found.log:
            low, high, value = np.log([low, high, value])
        places.append((value - low) / (high - low))
    return np.array(places, dtype=float)


class Landscape:
    """Folds as they were recorded: scores between the settings recorded are interpolated.

    The mean over the folds is that of a Gaussian process through all recorded means; how a
    fold differs from it, and how long it takes, is that of the nearest recorded setting.
    """

    def __init__(self, path=RECORDED):
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import (
            ConstantKernel,
            Matern,
            WhiteKernel,
        )

        with path.open(newline="") as file:
            rows = [*csv.DictReader(file)]
        settings = [
            {name: _read(row[name]) for name in SPACE.searched if row[name]}
            for row in rows
        ]
        self._places = np.array([place(params) for params in settings])
        self.seconds = _columns(rows, "seconds")
        values = _columns(rows, "rmse")
        means = values.mean(axis=1)
        self._of_folds = values - means[:, None]
        # Left out in fives, the means correlate with their predictions by 0.87.
        scales = Matern(np.ones(self._places.shape[1]), (0.05, 50.0), nu=2.5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a length scale ends at its bound
            self._process = GaussianProcessRegressor(
                ConstantKernel(1.0) * scales + WhiteKernel(1e-2, (1e-4, 1.0)),
                normalize_y=True,
                n_restarts_optimizer=2,
                random_state=0,
            ).fit(self._places, means)

    @lru_cache(maxsize=1000)  # noqa: B019 - there is one
    def _near(self, key):
        at = np.array(key)
        [mean] = self._process.predict(at[None])
        return float(mean), int(np.argmin(((self._places - at) ** 2).sum(axis=1)))

    def run(self, task):
        """Tell the seconds of a task, and its result."""
        mean, near = self._near(tuple(place(task.params)))
        value, seconds = mean + self._of_folds[near, task.fold], self.seconds[near]
        metrics = {
            "rmse": np.array([value]),
            "fit_seconds": np.array([seconds[task.fold]]),
        }
        return seconds[task.fold], FoldResult(metrics=metrics, epochs=(10,))


def _read(text):
    return {"True": True, "False": False}.get(text) if text[0] in "TF" else float(text)


def _columns(rows, name):
    return np.array([[float(r[f"{name}_{k}"]) for k in range(N_FOLDS)] for r in rows])


@contextmanager
def engine(sampler, *, window=WINDOW, seed=0, on_trial=lambda _: None):
    """Make an engine on a journal in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        study = optuna.create_study(
            study_name="bench", storage=open_storage(str(Path(folder) / "optuna.log"))
        )
        yield lambda name=sampler: Engine(
            study=study,
            space=SPACE,
            samplers=SamplerSequence(name, seed=seed, space=SPACE),
            pruner=make_pruner("race"),
            plan=SearchPlan(
                seed=seed, evaluations=WHOLE.evaluations(N_FOLDS, seed), window=window
            ),
            on_trial=on_trial,
        )


@contextmanager
def counted_syncs():
    """Count the durable writes of this process."""
    count, before = [0], (os.fsync, os.fdatasync)

    def counting(real):
        def sync(descriptor):
            count[0] += 1
            return real(descriptor)

        return sync

    os.fsync, os.fdatasync = (counting(each) for each in before)
    try:
        yield count
    finally:
        os.fsync, os.fdatasync = before


def owner(n_large):
    """Print milliseconds and durable writes of a trial of no work."""
    n_more = 50
    for sampler in ("random", "tpe"):
        with engine("random") as make, counted_syncs() as syncs:
            runner = TaskRunner(Workers(InlineExecutor(), lambda: 1, None), _no_work)
            there = 0
            for n_before in (10, 100, 1000, n_large):
                if n_before > there:
                    make("random").run(runner, budget=Budget(n_trials=n_before))
                one = make(sampler)
                one.run(runner, budget=Budget(n_trials=n_before + 1))
                there = n_before + 1 + n_more
                syncs[0] = 0
                cpu, wall = time.process_time(), time.perf_counter()
                _continue(one, runner, there)
                cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
                print(
                    f"{sampler:7} after {n_before:6}: CPU {1000 * cpu / n_more:5.1f} ms, "
                    f"wall {1000 * wall / n_more:5.1f} ms, "
                    f"{syncs[0] / n_more:.2f} durable writes a trial",
                    flush=True,
                )


def _no_work(task):
    """Score without a training: folds differ more than settings."""
    places = place(task.params)
    rng = np.random.default_rng([task.fold, *(places * 1e6).astype(int)])
    value = 0.9 + 0.05 * ((places - 0.35) ** 2).mean() + rng.normal(0, 0.001)
    metrics = {"rmse": np.array([value]), "fit_seconds": np.zeros(1)}
    return FoldResult(metrics=metrics, epochs=(10,))


def _continue(one, runner, n_trials):
    """Go on without reading the storage again, as a search does that is not restarted."""
    while one._turn(runner, Budget(n_trials=n_trials), float("inf")):
        pass


class VirtualRunner:
    """Workers that take as long as the recorded tasks took, on a clock that does not wait.

    What the owner does costs its own CPU time on this clock, so a busy machine does not
    change the figures; with `scale` the tasks take so many times longer, as those of more
    ratings do.
    """

    def __init__(self, n_workers, landscape, scale=1.0):
        self._n_workers, self._landscape, self._scale = n_workers, landscape, scale
        self.clock = self._taken = 0.0
        self._free = [0.0] * n_workers
        self._ends = []
        self._count = 0
        self._cpu = time.process_time()

    @property
    def busy(self):
        """Share of the time until now that workers had something to do."""
        ahead = sum(end - max(start, self.clock) for end, *_, start in self._ends)
        return (self._taken - ahead) / (self.clock * self._n_workers)

    @property
    def n_pending(self):
        return len(self._ends)

    def has_room(self, *, in_line):
        return self.n_pending < self._n_workers + in_line

    def _pass_time(self):
        self.clock += time.process_time() - self._cpu

    def submit(self, key, task):
        self._pass_time()
        seconds, result = self._landscape.run(task)
        start = max(self.clock, heapq.heappop(self._free))
        end = start + self._scale * seconds
        self._taken += end - start
        heapq.heappush(self._free, end)
        self._count += 1
        heapq.heappush(self._ends, (end, self._count, key, result, start))
        self._cpu = time.process_time()

    def wait(self):
        self._pass_time()
        done = []
        if self._ends:
            self.clock = max(self.clock, self._ends[0][0])
        while self._ends and self._ends[0][0] <= self.clock:
            done.append(heapq.heappop(self._ends)[2:4])
        self._cpu = time.process_time()
        return done


class _ReachedError(Exception):
    """The value that was looked for is there."""


def search(landscape, n_workers, *, window, seed, n_trials, target=-np.inf, scale=1.0):
    """Search until a trial reaches the target; give the clock and the values."""
    values = []

    def note(trial):
        values.append(trial.value if trial.state.name == "COMPLETE" else np.inf)
        if values[-1] <= target:
            raise _ReachedError

    runner = VirtualRunner(n_workers, landscape, scale)
    opened = engine("tpe", window=window, seed=seed, on_trial=note)
    with opened as make, suppress(_ReachedError):
        make().run(runner, budget=Budget(n_trials=n_trials))
    return runner, values


def needed(landscape, windows, seeds, n_trials):
    """Print the trials it takes to reach what one trial at a time finds.

    The target is the median best of searches with window 1. Those are held to it, too:
    the best of one lucky search would be beyond most others of its own kind.
    """
    options = {"n_trials": n_trials}
    bests = [min(search(landscape, 1, window=1, seed=s, **options)[1]) for s in seeds]
    options = {"n_trials": 3 * n_trials, "target": float(np.median(bests))}
    print(f"target: RMSE {options['target']:.5f}, median of {len(bests)} searches")
    base = None
    for window in [1, *windows]:
        counts = [
            len(search(landscape, 1, window=window, seed=s, **options)[1])
            for s in seeds
        ]
        base = base or np.mean(counts)
        error = np.std(counts, ddof=1) / np.sqrt(len(counts)) / base
        print(
            f"window {window:3}: {np.mean(counts):5.0f} trials to reach it, "
            f"{np.mean(counts) / base:.2f} (+- {error:.2f}) times those of window 1",
            flush=True,
        )


def busy(landscape, windows, seeds, n_trials, scale):
    """Print the share of time that workers are busy, by their number."""
    for window in windows:
        for n_workers in (1, 2, 8, 16, 64):
            found = [
                search(
                    landscape,
                    n_workers,
                    window=window,
                    seed=seed,
                    n_trials=n_trials,
                    scale=scale,
                )[0]
                for seed in seeds
            ]
            share = np.mean([r.busy for r in found])
            clock = np.mean([r.clock for r in found])
            if n_workers == 1:
                alone = clock
            print(
                f"window {window:3}, {n_workers:3} workers: busy {100 * share:5.1f} %, "
                f"{clock:7.1f} s, {alone / clock:4.1f} times faster than 1",
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


def record(folder, n_settings=256):
    """Train settings drawn at random on the folds of a data set, and keep what they took."""
    from harness.data.load import load_dataset
    from harness.evaluation.metrics import OBJECTIVE
    from harness.evaluation.splits import assign_folds
    from harness.search.folds import Workbench, best_position_in

    data = load_dataset(folder)
    fold_of = assign_folds(data.ratings, n_folds=N_FOLDS, seed=0, method="none")
    bench = Workbench(SVD, data.ratings, data.catalogue, fold_of)
    epochs = SPACE.epochs
    names = [*SPACE.searched]
    with RECORDED.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        kinds = [f"{kind}_{k}" for kind in ("seconds", "rmse") for k in range(N_FOLDS)]
        writer.writerow([*names, *kinds])
        # The first one compiles.
        for number, params in enumerate(draw_settings(SPACE, n_settings + 1, seed=0)):
            results, seconds = [], []
            for fold in range(N_FOLDS):
                begin = time.process_time()
                task = FoldTask(
                    params={**params, "n_epochs": epochs.high},
                    seed=number,
                    fold=fold,
                    patience=epochs.patience,
                )
                results.append(bench.run(task))
                seconds.append(time.process_time() - begin)
            at = best_position_in(results, OBJECTIVE)
            drawn = [params.get(name, "") for name in names]
            if number:
                writer.writerow(
                    [f"{v:.6g}" if isinstance(v, float) else v for v in drawn]
                    + [f"{each:.4f}" for each in seconds]
                    + [f"{result.metrics['rmse'][at]:.6f}" for result in results]
                )


class CpuSeconds(threading.Thread):
    """Follows the CPU seconds of this process and of all that it has started."""

    def __init__(self):
        super().__init__(daemon=True)
        self._process, self._workers = psutil.Process(), {}
        self._lock = threading.Lock()

    def run(self):
        """Look often: what a worker takes after the last look before its end is lost."""
        while True:
            self.now()
            time.sleep(0.2)

    def now(self):
        """Tell the seconds of this process, and of the others."""
        with self._lock:
            for worker in self._process.children(recursive=True):
                with suppress(psutil.Error):
                    self._workers[worker.pid] = sum(worker.cpu_times()[:2])
            return sum(self._process.cpu_times()[:2]), sum(self._workers.values())


class Steps(SearchProgress):
    """Notes what each step of a study has taken."""

    def __init__(self):
        self._seconds = CpuSeconds()
        self._seconds.start()
        # From the start of the process: importing is a part of it.
        self._marks = [("start", 0.0, 0.0)]

    def begin(self, prepared, candidates):
        """Hear that the search begins."""
        del prepared, candidates
        self.step("search")

    def step(self, what):
        """Hear what is done now."""
        self._marks.append((what, *self._seconds.now()))

    def warn(self, what):
        """Print the forecast of large data, among others."""
        print(what)

    def show(self):
        """Print the seconds of each step, and give those of start, search and the rest."""
        self.step("end")
        totals = {"start": 0.0, "search": 0.0, "judging and report": 0.0}
        part = "start"
        for (what, own, others), (_, own_then, others_then) in zip(
            self._marks, self._marks[1:], strict=False
        ):
            took = own_then - own, others_then - others
            print(f"{took[0]:8.1f} {took[1]:8.1f}  {what}")
            part = {"search": "search", "judging": "judging and report"}.get(what, part)
            part = "judging and report" if what.startswith("logging") else part
            totals[part] += sum(took)
        print(", ".join(f"{part} {seconds:.1f}" for part, seconds in totals.items()))
        return totals


def study(data, family, n_trials, *, split="random"):
    """Tune a family with two workers, print its steps, and give its CPU seconds."""
    from harness import tune

    data, steps = str(Path(data).resolve()), Steps()
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        print("CPU seconds here, of workers, of")
        tune(
            family,
            data,
            trials=n_trials,
            split=split,
            jobs=2,
            name="study",
            progress=steps,
        )
        os.chdir(before)
    return sum(steps.show().values())


def hand(folder, n_trials):
    """Print the CPU seconds of the hand-written script beside those of the same study."""
    folder = Path(folder).resolve()
    script = folder.parent.parent / "bench" / "handwritten_svd.py"
    n_of_script = max(1, n_trials // 20)
    with tempfile.TemporaryDirectory() as name:
        words = script, folder / "u.data", n_of_script, name
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    best = json.loads(done.stdout.splitlines()[-1])["best_rmse"]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    by_hand = (used.ru_utime + used.ru_stime) / n_of_script * n_trials
    print(f"by hand: {by_hand:.0f}, from {n_of_script} trials (best {best})")
    ours = study(folder, "svd", n_trials, split="none")
    print(f"study svd: {ours:.1f}, a {by_hand / ours:.0f}th of it")


def cores(data, family, n_trials, workers, split):
    """Print the seconds of the whole command, by the number of its workers."""
    data, first = str(Path(data).resolve()), None
    words = "study", family, "--data", data, "--split", split, "--seed", "0"
    with tempfile.TemporaryDirectory() as folder:

        def run(n_workers, n_trials):
            numbers = "--jobs", n_workers, "--trials", n_trials
            options = *numbers, "--name", f"{n_workers}-{n_trials}"
            command = [sys.executable, "-m", "harness", *words, *map(str, options)]
            begin = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, cwd=folder)
            return time.perf_counter() - begin

        run(max(workers), 2)  # compiles
        for n_workers in workers:
            seconds = run(n_workers, n_trials)
            first = first or seconds
            print(
                f"{family}, {n_trials} trials, {n_workers:3} workers: {seconds:7.1f} s, "
                f"{first / seconds:4.1f} times faster than {workers[0]}",
                flush=True,
            )


def load(data):
    """Print what it takes to read a file, and to map what was read."""
    data = str(Path(data).resolve())
    with tempfile.TemporaryDirectory() as folder:
        for how in ("stream", "blocks", "cache"):
            runs = []
            for k in range(3):
                place = f"blocks-{k}" if how == "cache" else f"{how}-{k}"
                os.environ["XDG_CACHE_HOME"] = str(Path(folder) / place)
                with ProcessPoolExecutor(1, get_context("spawn")) as process:
                    runs.append(process.submit(_load, data, how).result())
            cpu, clock, peak, arrays = (min(each) for each in zip(*runs, strict=True))
            print(
                f"{how}: {cpu:5.2f} CPU s, {clock:5.2f} s, {peak / 2**20:4.0f} MB, "
                f"{peak / arrays:.2f} times the arrays",
                flush=True,
            )


def _load(data, how):
    import pandas as pd  # noqa: F401 - counted with the process, not with the data
    import pyarrow as pa  # noqa: F401

    from harness.data.load import load_dataset
    from harness.data.readers import delimited

    if how == "stream":
        delimited.TextTable._read_blocks = lambda *_: None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, clock = time.process_time(), time.perf_counter()
    ratings = load_dataset(data).ratings
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    arrays = (ratings.users, ratings.items, ratings.values, ratings.rows)
    times = 0 if ratings.timestamps is None else ratings.timestamps.nbytes
    return cpu, clock, 1024 * peak, times + sum(each.nbytes for each in arrays)


def hybrid():
    """Print what the hybrid takes: beside LightFM, on ml-100k, on a million ratings."""
    import bench_hybrid

    def in_a_process_of_its_own(data, n_trials):
        words = "study", data, "--family", "hybrid", "--trials", n_trials
        command = [sys.executable, __file__, *map(str, words)]
        subprocess.run(command, check=True)

    bench_hybrid.epochs()
    in_a_process_of_its_own(bench_hybrid.DATA / "ml-100k", 100)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "million.csv"
        bench_hybrid.simulate(path)
        in_a_process_of_its_own(path, 20)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what",
        choices=[
            "busy",
            "cores",
            "hand",
            "hybrid",
            "load",
            "owner",
            "record",
            "start",
            "study",
        ],
    )
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--family", default="svd")
    parser.add_argument("--split", default="random")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--windows", type=int, nargs="+", default=[WINDOW, 16])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    if arguments.what == "owner":
        owner(arguments.trials or 10_000)
    elif arguments.what == "start":
        start()
    elif arguments.what == "hybrid":
        hybrid()
    elif arguments.what == "load":
        load(arguments.folder)
    elif arguments.what == "cores":
        cores(
            arguments.folder,
            arguments.family,
            arguments.trials or 100,
            arguments.workers,
            arguments.split,
        )
    elif arguments.what == "hand":
        hand(arguments.folder, arguments.trials or 100)
    elif arguments.what == "study":
        study(
            arguments.folder,
            arguments.family,
            arguments.trials or 100,
            split=arguments.split,
        )
    elif arguments.what == "record":
        record(arguments.folder)
    else:
        recorded, n_trials = Landscape(), arguments.trials or 100
        seeds = range(arguments.seeds)
        needed(recorded, arguments.windows, seeds, n_trials)
        busy(recorded, arguments.windows, seeds[:3], n_trials, arguments.scale)
