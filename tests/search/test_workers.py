"""Studies in processes of their own: workers that die, and a study that is killed."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from harness.search.storage import read_study

SCRIPT = """
import os, sys, time
from dataclasses import dataclass
from typing import ClassVar
from pathlib import Path

import numpy as np

from harness.data.catalogue import Catalogue
from harness.data.dataset import DatasetFacts
from harness.data.ratings import Ratings, RatingScale
from harness.evaluation.splits import SplitFacts
from harness.models.base import Recommender
from harness.search.engine import Budget
from harness.search.records import NoListener
from harness.search.space import load_space
from harness.search.study import StudyPlan, run_study


@dataclass(kw_only=True)
class Mortal(Recommender):
    name: ClassVar[str] = "mortal"
    shift: float = 0.5
    deadly: float = 9.0

    def _fit(self, ratings, catalogue):
        if self.shift > self.deadly:
            os._exit(3)
        time.sleep(0.01)
        self.mean_ = ratings.mean

    def _predict(self, users, items):
        return np.full(len(users), self.mean_ + self.shift)


SPACE = '''
family = "mortal"
[parameters]
shift = { type = "float", low = -1.0, high = 1.0 }
deadly = { type = "fixed", value = %s }
[initial]
shift = -0.5
'''

if __name__ == "__main__":
    storage, n_trials, deadly = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    rng = np.random.default_rng(0)
    n = 300
    ratings = Ratings.from_columns(
        [str(k) for k in rng.integers(0, 20, n)],
        [str(k) for k in rng.integers(0, 500, n)],
        rng.integers(1, 6, n),
        scale=RatingScale(1, 5),
    )
    path = Path(storage).with_name("space.toml")
    path.write_text(SPACE % deadly)
    plan = StudyPlan(
        name="toy", storage=storage, family=Mortal, space=load_space(path, Mortal),
        sampler="random", pruner="race", n_folds=5, seed=0,
        dataset=DatasetFacts(
            name="toy", source="", fingerprint="", ratings_fingerprint="",
            n_users=20, n_items=500, n_ratings=300, scale=(1, 5),
        ), split=SplitFacts(
            method="none", seed=0, test_share=0.2, fingerprint="", n_train=300, n_test=0
        ), code_version="0",
    )
    run_study(
        plan, ratings, Catalogue.empty(), jobs=2,
        budget=Budget(n_trials=n_trials), listener=NoListener(),
    )
"""


@pytest.fixture
def start(tmp_path):
    """Start a study of `Mortal` in a process of its own."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def start_study(n_trials, deadly="9.0", **more):
        return subprocess.Popen(
            [sys.executable, script, tmp_path / "optuna.log", str(n_trials), deadly],
            start_new_session=True,
            **more,
        )

    return start_study


def children_of(pid):
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)],
        check=False,
        capture_output=True,
        text=True,
    )
    return [int(line) for line in listed.stdout.split()]


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_trial_that_kills_its_worker_fails_alone(start, tmp_path):
    assert start(8, deadly="0.3").wait(timeout=120) == 0
    trials = read_study(str(tmp_path / "optuna.log"), "toy").trials
    for trial in trials:
        assert (trial.state == "failed") == (trial.params["shift"] > 0.3)
    failed = [trial for trial in trials if trial.state == "failed"]
    assert failed
    assert len(trials) - len(failed) == 8
    assert all("worker process died" in trial.error for trial in failed)


def test_a_killed_study_continues_and_reaches_its_number_of_trials(start, tmp_path):
    storage = tmp_path / "optuna.log"
    study = start(40)
    while study.poll() is None and (
        not storage.exists() or storage.read_bytes().count(b"fold_values") < 20
    ):
        time.sleep(0.02)
    time.sleep(random.uniform(0, 0.1))
    workers = children_of(study.pid)
    os.kill(study.pid, signal.SIGKILL)
    assert study.wait() == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while any(is_alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "workers outlive the study"
        time.sleep(0.05)
    assert start(40).wait(timeout=120) == 0
    trials = read_study(str(storage), "toy").trials
    assert [trial.number for trial in trials] == list(range(len(trials)))
    states = [trial.state for trial in trials]
    # What was under way is done again, under its own number.
    assert states.count("complete") + states.count("pruned") == len(states) == 40


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_to_all_processes_ends_cleanly_and_keeps_what_was_done(
    start, tmp_path, name
):
    storage = tmp_path / "optuna.log"
    study = start(5000, stderr=subprocess.PIPE, text=True)
    while study.poll() is None and (
        not storage.exists() or storage.read_bytes().count(b"fold_values") < 8
    ):
        time.sleep(0.05)
    # As a terminal and a service manager do it: to all, workers included.
    os.killpg(study.pid, getattr(signal, name))
    _, printed = study.communicate(timeout=60)
    # The script does not catch it; the workers have nothing to say.
    assert printed.count("Traceback") == 1
    trials = read_study(str(storage), "toy").trials
    assert {trial.state for trial in trials} <= {"complete", "pruned"}
    assert any(trial.state == "complete" for trial in trials)
