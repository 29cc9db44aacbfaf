"""A family whose objective is known in closed form, and a study of it in a folder."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from harness.data.catalogue import Catalogue
from harness.errors import ParameterError
from harness.evaluation.splits import assign_folds
from harness.models.base import IterativeRecommender, Recommender
from harness.search.engine import Budget
from harness.search.records import NoListener
from harness.search.space import load_space
from harness.search.study import StudyPlan, run_study
from tests.facts import dataset_facts, no_test

SPACE = """
family = "shifted"

[parameters]
shift = { type = "float", low = -1.0, high = 1.0 }
"""


@dataclass(kw_only=True)
class Shifted(Recommender):
    """Predicts the mean, shifted: the best shift is 0.

    Parameters
    ----------
    shift : float, default 0.5
        Stars to add to the mean.
    fail_above : float, default 9
        Raises for greater shifts.
    """

    name: ClassVar[str] = "shifted"

    shift: float = 0.5
    fail_above: float = 9.0

    def __post_init__(self):
        if abs(self.shift) > 4:
            raise ParameterError(f"Shifted: shift must be at most 4, not {self.shift}.")

    def _fit(self, ratings, catalogue):
        del catalogue
        if self.shift > self.fail_above:
            raise ValueError(f"shift {self.shift} is too much")
        self.mean_ = ratings.mean

    def _predict(self, users, items):
        del items
        return np.full(len(users), self.mean_ + self.shift)


@dataclass(kw_only=True)
class Descending(IterativeRecommender):
    """Predicts the mean plus a distance that shrinks to 0 at epoch `goal`, then grows.

    Parameters
    ----------
    n_epochs : int, default 3
        Epochs.
    goal : int, default 10
        The best epoch.
    """

    name: ClassVar[str] = "descending"

    n_epochs: int = 3
    goal: int = 10

    def _fit_epochs(self, ratings, catalogue):
        del catalogue
        for epoch in range(1, self.n_epochs + 1):
            self.level_ = ratings.mean + abs(epoch - self.goal) / 10
            yield epoch

    def _predict(self, users, items):
        del items
        return np.full(len(users), self.level_)


@pytest.fixture
def shifted():
    return Shifted


@pytest.fixture
def descending():
    return Descending


@pytest.fixture
def space_of(tmp_path):
    """Read a search space from its text."""

    def read(text, family):
        path = tmp_path / "space.toml"
        path.write_text(text)
        return load_space(path, family)

    return read


@pytest.fixture
def plan_of(tmp_path, space_of):
    """Make the plan of a study of `Shifted`, or of another family."""

    def make(family=Shifted, text=SPACE, **changes):
        arguments = {
            "name": "toy",
            "storage": str(tmp_path / "optuna.log"),
            "family": family,
            "space": space_of(text, family),
            "sampler": "tpe",
            "pruner": "race",
            "n_folds": 5,
            "seed": 0,
            "dataset": dataset_facts(),
            "split": no_test(),
            "code_version": "0",
        }
        return StudyPlan(**(arguments | changes))

    return make


class Log(NoListener):
    """Remembers the trials it was told of."""

    def __init__(self):
        self.trials = []

    def on_trial_end(self, study, trial):
        del study
        self.trials.append(trial)


@pytest.fixture
def run(small_ratings):
    """Run a plan in this process, or with workers."""

    def run_plan(plan, n_trials, *, jobs=1, listener=None, timeout=None, executor=None):
        return run_study(
            plan,
            small_ratings,
            Catalogue.empty(),
            jobs=jobs,
            budget=Budget(n_trials=n_trials, timeout_seconds=timeout),
            listener=listener or Log(),
            executor=executor,
        )

    return run_plan


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def fold_rmse(small_ratings):
    """RMSE of each fold for predictions that add a shift to the training mean."""

    def compute(shift, seed=0):
        fold_of = assign_folds(small_ratings, n_folds=5, seed=seed)
        values = small_ratings.values.astype(np.float64)
        folds = []
        for fold in range(5):
            train, valid = values[fold_of != fold], values[fold_of == fold]
            predicted = np.float32(np.clip(train.mean() + shift, 1, 5))
            folds.append(np.sqrt(np.mean((valid - predicted) ** 2)))
        return folds

    return compute


slow = pytest.mark.skipif(
    not os.environ.get("HARNESS_SLOW"), reason="slow: set HARNESS_SLOW=1"
)
"""Marks tests that cost about ten seconds each, or more."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Cluster:
    """A Dask scheduler and workers, processes as a user would start them."""

    folder: Path
    port: int = field(default_factory=free_port)
    scheduler: subprocess.Popen | None = None
    workers: list = field(default_factory=list)

    @property
    def address(self):
        return f"tcp://127.0.0.1:{self.port}"

    def _start(self, *words):
        root = Path(__file__).parent.parent.parent
        settings = {
            "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}",
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
        }
        with (self.folder / "log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *words],
                env={**os.environ, **settings},
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start_scheduler(self):
        self.scheduler = self._start(
            *("scheduler", "--host", "127.0.0.1", "--port", str(self.port)),
            "--no-dashboard",
        )

    def start_worker(self, *more):
        self.workers.append(
            self._start(
                *("worker", self.address, "--nthreads", "1", "--no-dashboard", *more)
            )
        )

    def wait_for(self, n_workers):
        from distributed import Client

        with Client(self.address, timeout=60, set_as_default=False) as client:
            if n_workers:
                client.wait_for_workers(n_workers, timeout=60)

    def kill(self, process):
        # Its nanny would start a killed worker again.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self):
        for process in [*self.workers, self.scheduler]:
            if process is not None and process.poll() is None:
                self.kill(process)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two workers of one thread."""
    pytest.importorskip("distributed", reason="distributed is not installed")
    started = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        started.start_scheduler()
        started.start_worker("--nworkers", "2")
        started.wait_for(2)
        yield started
    finally:
        started.stop()
