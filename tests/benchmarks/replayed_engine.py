"""The trial engine with workers that only wait: its costs, and how busy it keeps them.

Tasks are those of real trainings (`recorded_tasks.csv`: 256 settings of svd, drawn at random,
on the five folds of ml-100k), replayed through the real engine by workers that take the
recorded CPU seconds on a clock that does not wait.
"""

import csv
import heapq
import os
import tempfile
import time
import warnings
from collections import deque
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
import optuna
import pytest
from measuring import Figure

from harness.models.svd.model import SVD
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
def engine(sampler, *, window=WINDOW, seed=0, on_trial=lambda _: None, storage=None):
    """Make an engine on a journal in a temporary folder, or on a database."""
    with tempfile.TemporaryDirectory() as folder:
        place = storage or str(Path(folder) / "optuna.log")
        study = optuna.create_study(study_name="bench", storage=open_storage(place))
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


MOST_MS = {"random": 5.0, "tpe": 15.0}


def owner(n_large):
    """Measure a trial of no work: milliseconds of its owner, and durable writes."""
    figures = []
    for sampler in ("random", "tpe"):
        with engine("random") as make:
            runner = TaskRunner(Workers(InlineExecutor(), lambda: 1, None), _no_work)
            there = 0
            for n_before in [n for n in (10, 100, 1000) if n < n_large] + [n_large]:
                if n_before > there:
                    make("random").run(runner, budget=Budget(n_trials=n_before))
                one = make(sampler)
                one.run(runner, budget=Budget(n_trials=n_before + 1))
                there = n_before + 1 + N_MORE
                milliseconds, n_syncs = _cost_of_more(one, runner, there)
                name = f"owner, {sampler}, after {n_before} trials"
                figures += [
                    Figure(name, milliseconds, "CPU ms a trial", MOST_MS[sampler]),
                    Figure(f"{name}: durable writes", n_syncs, "a trial", 2),
                ]
    return figures


N_MORE = 50


def _cost_of_more(one, runner, n_trials):
    with counted_syncs() as syncs:
        cpu = time.process_time()
        _continue(one, runner, n_trials)
        cpu = time.process_time() - cpu
    return 1000 * cpu / N_MORE, syncs[0] / N_MORE


def thousand():
    """Measure what 1,000 trials cost their owner: the engine, databases and MLflow."""
    from bench_tracking import make_study, measure_tracker

    from tests.search.test_server import start_mariadb, start_postgresql

    costs = {"journal": _owner_with(None)}
    for name, start_server in (
        ("PostgreSQL", start_postgresql),
        ("MariaDB", start_mariadb),
    ):
        with tempfile.TemporaryDirectory() as folder:
            # The server runs as a user of its own.
            Path(folder).chmod(0o777)
            try:
                with start_server(Path(folder)) as server:
                    costs[name] = _owner_with(server.url)
            except pytest.skip.Exception as reason:
                print(f"{name}: {reason}")
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{Path(folder) / 'mlflow.db'}"
        *_, costs["MLflow in SQLite, behind the search"] = measure_tracker(
            uri, make_study(100)
        )
    return [
        Figure(f"owner, 1,000 trials with random sampling, {name}", ms, "CPU s")
        for name, ms in costs.items()
    ]


def _owner_with(storage):
    with engine("random", storage=storage) as make:
        runner = TaskRunner(Workers(InlineExecutor(), lambda: 1, None), _no_work)
        one = make()
        one.run(runner, budget=Budget(n_trials=20))
        milliseconds, _ = _cost_of_more(one, runner, 20 + N_MORE)
    return milliseconds


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
        self._line, self._running, self._done = deque(), [], []
        self._count = 0
        self._cpu = time.process_time()

    @property
    def busy(self):
        """Share of the time until now that workers had something to do."""
        ahead = sum(end - self.clock for end, *_ in self._running)
        return (self._taken - ahead) / (self.clock * self._n_workers)

    @property
    def n_pending(self):
        return len(self._line) + len(self._running) + len(self._done)

    def has_room(self, *, in_line):
        return self.n_pending < self._n_workers + in_line

    def drop(self, is_awaited):
        self._line = deque(each for each in self._line if is_awaited(each[0]))

    def submit(self, key, task):
        self._pass_time(time.process_time() - self._cpu)
        seconds, result = self._landscape.run(task)
        self._line.append((key, self._scale * seconds, result))
        if len(self._running) < self._n_workers:
            self._begin(self.clock)
        self._cpu = time.process_time()

    def wait(self):
        self._pass_time(time.process_time() - self._cpu)
        if self._running and not self._done:
            self._pass_time(self._running[0][0] - self.clock)
        done, self._done = self._done, []
        self._cpu = time.process_time()
        return done

    def _pass_time(self, seconds):
        self.clock += seconds
        while self._running and self._running[0][0] <= self.clock:
            end, _, *ended = heapq.heappop(self._running)
            self._done.append(ended)
            # A worker takes the next task by itself, whenever the owner looks.
            if self._line:
                self._begin(end)

    def _begin(self, start):
        key, seconds, result = self._line.popleft()
        self._taken += seconds
        self._count += 1
        heapq.heappush(self._running, (start + seconds, self._count, key, result))


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
    """Count the trials it takes to reach what one trial at a time finds.

    The target is the median best of searches with window 1. Those are held to it, too:
    the best of one lucky search would be beyond most others of its own kind.
    """
    options = {"n_trials": n_trials}
    bests = [min(search(landscape, 1, window=1, seed=s, **options)[1]) for s in seeds]
    options = {"n_trials": 3 * n_trials, "target": float(np.median(bests))}
    print(f"target: RMSE {options['target']:.5f}, median of {len(bests)} searches")
    base, figures = None, []
    for window in [1, *windows]:
        counts = [
            len(search(landscape, 1, window=window, seed=s, **options)[1])
            for s in seeds
        ]
        base = base or np.mean(counts)
        error = np.std(counts, ddof=1) / np.sqrt(len(counts)) / base
        print(f"window {window}: {np.mean(counts):.0f} trials, +- {error:.2f} times")
        name = f"trials to reach the best, window {window}"
        times = float(np.mean(counts) / base)
        figures.append(Figure(name, times, "times those of window 1", 1.3))
    return figures[1:]


def busy(landscape, windows, seeds, n_trials, scale):
    """Measure the share of time that workers are busy, by their number."""
    figures = []
    for window in windows:
        for n_workers in (1, 2, 8, 16, 64):
            options = {"window": window, "n_trials": n_trials, "scale": scale}
            found = [
                search(landscape, n_workers, seed=seed, **options)[0] for seed in seeds
            ]
            share = np.mean([r.busy for r in found])
            clock = np.mean([r.clock for r in found])
            if n_workers == 1:
                alone = clock
            print(
                f"window {window:3}, {n_workers:3} workers: {clock:7.1f} s, "
                f"{alone / clock:4.1f} times faster than 1",
                flush=True,
            )
            name = f"{n_workers} workers, window {window}: busy"
            figures.append(Figure(name, 100 * share, "%", 90, at_least=True))
    return figures


def start():
    """Measure the seconds until each of so many local workers has answered."""
    figures = []
    for n_workers in (1, 16, 64):
        begin = time.perf_counter()
        choice = choose_executor("processes", jobs=n_workers)
        with choice.entry.open(choice, "harness") as workers:
            up = set()
            while len(up) < n_workers:
                calls = [workers.executor.submit(os.getpid) for _ in range(n_workers)]
                up |= {call.result() for call in calls}
            seconds = time.perf_counter() - begin
        aim = 2 * figures[0].value if figures else None
        figures.append(Figure(f"{n_workers} workers up", seconds, "s", aim))
    return figures


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
