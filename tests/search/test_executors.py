"""What every executor does: results, errors, a worker that dies, Ctrl-C.

HARNESS_SLOW=1 adds a call that kills worker after worker of a cluster, as a trial does.
"""

import os
import pickle
import signal
import time
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from harness.data.catalogue import Catalogue
from harness.errors import UnknownNameError
from harness.evaluation.splits import assign_folds
from harness.evaluation.worker_process import THREAD_VARIABLES, WorkerDiedError
from harness.models.base import Recommender
from harness.search.executors import EXECUTORS, choose_executor, open_runner
from harness.search.folds import FoldTask, TrainingData, Workbench
from harness.search.storage import read_study
from tests.listeners import After

pytestmark = pytest.mark.parametrize("name", list(EXECUTORS))


@dataclass(kw_only=True)
class Fragile(Recommender):
    """Predicts the mean, shifted; a shift above 0.8 raises, one below -0.8 kills."""

    name: ClassVar[str] = "fragile"

    shift: float = 0.5

    def _fit(self, ratings, catalogue):
        del catalogue
        if self.shift > 0.8:
            raise ValueError(f"{self.shift} is too much")
        if self.shift < -0.8:
            os.kill(os.getpid(), signal.SIGKILL)
        self.mean_ = ratings.mean

    def _predict(self, users, items):
        del items
        return np.full(len(users), self.mean_ + self.shift)


SPACE = """
family = "fragile"

[parameters]
shift = { type = "float", low = %s, high = %s }
"""


JOBS = {"inline": 1, "processes": 2, "dask": None}


@pytest.fixture
def asked(name, request):
    """What `--executor` would say."""
    if not EXECUTORS[name].has_address:
        return name
    return f"{name}={request.getfixturevalue('cluster').address}"


@pytest.fixture
def choice(asked, name):
    return choose_executor(asked, jobs=JOBS[name])


@pytest.fixture
def executor(choice):
    with choice.entry.open(choice, __name__) as workers:
        yield workers.executor


def test_calls_return_what_they_return_here(executor):
    futures = [executor.submit(divmod, k, 3) for k in range(20)]
    assert [future.result(60) for future in futures] == [
        divmod(k, 3) for k in range(20)
    ]


def test_a_call_that_raises_fails_alone(executor):
    good, bad, after = (executor.submit(divmod, 7, k) for k in (2, 0, 3))
    assert isinstance(bad.exception(60), ZeroDivisionError)
    assert (good.result(60), after.result(60)) == ((3, 1), (2, 1))


def test_a_killed_worker_loses_only_its_call(executor, name):
    if not EXECUTORS[name].is_isolated:
        pytest.skip("its only process is the owner's")
    if EXECUTORS[name].has_address and not os.environ.get("HARNESS_SLOW"):
        pytest.skip("slow: set HARNESS_SLOW=1")
    pids = {executor.submit(os.getpid).result(60) for _ in range(20)}
    calls = [executor.submit(time.sleep, 0.3) for _ in range(4)]
    killed = executor.submit(os._exit, 9)
    calls += [executor.submit(time.sleep, 0.01) for _ in range(4)]
    assert isinstance(killed.exception(60), WorkerDiedError)
    assert [call.result(60) for call in calls] == 8 * [None]
    assert os.getpid() not in pids


def test_fold_tasks_have_the_same_result_everywhere(choice, small_ratings):
    fold_of = assign_folds(small_ratings)
    data = TrainingData(
        family=Fragile,
        train=small_ratings,
        catalogue=Catalogue.empty(),
        fold_of=fold_of,
    )
    here = Workbench(Fragile, small_ratings, Catalogue.empty(), fold_of)
    tasks = [FoldTask(params={"shift": 0.25}, seed=0, fold=fold) for fold in range(5)]
    results = {}
    with open_runner(data, choice) as runner:
        for task in tasks:
            runner.submit(task.fold, task)
        while runner.n_pending:
            results |= dict(runner.wait())
    for task in tasks:
        expected = here.run(task)
        assert results[task.fold].metrics["rmse"] == expected.metrics["rmse"]


def states(record):
    return [(t.number, t.state, t.params, t.fold_values) for t in record.trials]


def test_a_study_has_the_same_trials_whatever_runs_it(
    name, asked, plan_of, run, tmp_path
):
    text = SPACE % (-0.5, 1.0)
    here = run(plan_of(Fragile, text, storage=str(tmp_path / "a"), sampler="random"), 8)
    plan = plan_of(Fragile, text, storage=str(tmp_path / "b"), sampler="random")
    there = run(plan, 8, jobs=JOBS[name], executor=asked)
    assert states(there)[:1] == states(here)[:1]
    failed = [t for t in there.trials if t.state == "failed"]
    assert all("is too much" in t.error for t in failed)
    assert all((t.params["shift"] > 0.8) == (t.state == "failed") for t in there.trials)


def test_a_trial_that_kills_its_worker_fails_alone(name, asked, plan_of, run):
    if not EXECUTORS[name].is_isolated:
        pytest.skip("its only process is the owner's")
    plan = plan_of(Fragile, SPACE % (-1.0, 0.5), sampler="random", pruner="none")
    record = run(plan, 12, jobs=JOBS[name], executor=asked)
    failed = [t for t in record.trials if t.state == "failed"]
    assert failed
    assert all(
        (t.params["shift"] < -0.8) == (t.state == "failed") for t in record.trials
    )
    assert all("worker process died" in t.error for t in failed)


def test_ctrl_c_keeps_what_is_done_and_leaves_no_worker(name, asked, plan_of, run):
    plan = plan_of(Fragile, SPACE % (-0.5, 0.5), sampler="random")
    press = After(2, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run(plan, 200, jobs=JOBS[name], executor=asked, listener=press)
    kept = read_study(plan.storage, "toy").trials
    assert 3 <= len(kept) < 30
    assert {t.state for t in kept} <= {"complete", "pruned"}
    record = run(plan, 30, jobs=JOBS[name], executor=asked)
    assert [t.state in ("complete", "pruned") for t in record.trials] == 30 * [True]
    assert record.trials[: len(kept)] == kept


def test_closing_ends_the_workers_and_drops_what_waits(choice, name):
    with choice.entry.open(choice, __name__) as workers:
        executor = workers.executor
        pids = {executor.submit(os.getpid).result(60) for _ in range(4)}
        waiting = [executor.submit(time.sleep, 0.2) for _ in range(6)]
    # Those of a cluster are not their owner's to end.
    for pid in pids - {os.getpid()} if name != "dask" else ():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not wait(waiting, timeout=60).not_done


def test_an_unknown_executor_is_refused_with_a_hint(name, plan_of, run):
    with pytest.raises(UnknownNameError, match="Did you mean"):
        run(plan_of(), 1, executor=name + "x")


def test_a_single_job_is_run_inline_and_several_in_processes(name):
    if name == "dask":
        pytest.skip("is chosen by its address only")
    assert choose_executor(None, jobs=JOBS[name]).name == name


def test_workers_run_one_thread_each_and_their_owner_is_left_alone(executor, name):
    if not EXECUTORS[name].is_isolated:
        pytest.skip("its only process is the owner's")
    before = dict(os.environ)
    for variable in THREAD_VARIABLES:
        assert executor.submit(os.getenv, variable).result(60) == "1"
    assert dict(os.environ) == before


def test_data_reach_workers_by_path_not_through_a_pipe(choice, name, small_ratings):
    if name != "processes":
        pytest.skip("its workers share no folder with their owner")
    data = TrainingData(
        family=Fragile,
        train=small_ratings,
        catalogue=Catalogue.empty(),
        fold_of=assign_folds(small_ratings),
    )
    with (
        choice.entry.open(choice, __name__) as workers,
        workers.share(data) as evaluate,
    ):
        assert len(pickle.dumps(evaluate)) < 1_000
        folder = Path(evaluate.args[0])
        assert np.load(folder / "values.npy").tolist() == small_ratings.values.tolist()
    assert not folder.exists()
