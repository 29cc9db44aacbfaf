"""Studies on a real Dask cluster: workers that come and go, and a scheduler that ends.

HARNESS_SLOW=1 adds whole studies whose cluster is killed, and clusters of other kinds: each
starts processes again, which takes seconds of all cores. The rest shares one cluster.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import psutil
import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.data.catalogue import Catalogue
from harness.errors import MissingExtraError, StudyError
from harness.evaluation.splits import assign_folds
from harness.evaluation.worker_process import WorkerDiedError
from harness.models.families import load_family
from harness.models.svd.model import SVD
from harness.search import dask_cluster
from harness.search.dask_cluster import (
    DaskExecutor,
    _Cluster,
    _SharedData,
    open_cluster,
)
from harness.search.executors import choose_executor, open_runner
from harness.search.folds import FoldTask, TrainingData
from tests.listeners import After
from tests.search.conftest import free_port, slow
from tests.search.test_executors import SPACE as DEADLY
from tests.search.test_executors import Fragile

SPACE = """
family = "svd"

[parameters]
n_factors = { type = "int", low = 2, high = 8 }
learning_rate = { type = "float", low = 0.001, high = 0.05, log = true }
n_epochs = { type = "fixed", value = 3 }

[initial]
n_factors = 4
"""


def values_of(record):
    return [(t.number, t.state, t.params, t.fold_values) for t in record.trials]


@pytest.fixture
def here(tmp_path, plan_of, run):
    """What a study finds on this machine."""
    plan = plan_of(SVD, SPACE, storage=str(tmp_path / "here"))
    return values_of(run(plan, 10, jobs=2))


@pytest.fixture
def executor(cluster):
    return f"dask={cluster.address}"


def data_of(ratings, family=SVD):
    return TrainingData(
        family=family,
        train=ratings,
        catalogue=Catalogue.empty(),
        fold_of=assign_folds(ratings),
    )


def pids(cluster):
    with open_cluster(cluster.address) as opened:
        return set(opened._cluster.client.run(os.getpid, on_error="ignore").values())


@slow
def test_killed_workers_lose_only_their_tasks_which_are_done_again(
    cluster, executor, here, plan_of, run
):
    def kill_all():
        # All that had the data are dead: they are sent again.
        for pid in before:
            os.kill(pid, signal.SIGKILL)

    before = pids(cluster)
    record = run(
        plan_of(SVD, SPACE),
        10,
        jobs=None,
        executor=executor,
        listener=After(2, kill_all),
    )
    assert values_of(record) == here
    assert not before & pids(cluster)


@slow
def test_data_are_sent_while_a_worker_dies(cluster, small_ratings):
    with open_cluster(cluster.address) as opened, ThreadPoolExecutor() as pool:
        # Dask sends in turns: the next data go to the other worker.
        sent = opened._cluster.client.scatter({"turn": 1})["turn"]
        [address] = opened._cluster.client.who_has([sent])["turn"]
        pid = opened._cluster.client.run(os.getpid)[address]
        # It answers no more, which nobody knows yet.
        os.kill(pid, signal.SIGSTOP)
        sharing = opened.share(data_of(small_ratings))
        evaluate = pool.submit(sharing.__enter__)
        time.sleep(0.5)
        os.kill(pid, signal.SIGKILL)
        task = FoldTask(params={"n_epochs": 1}, seed=0, fold=0)
        calls = [opened.submit(evaluate.result(60), task) for _ in range(4)]
        assert [call.result(60).error for call in calls] == 4 * [None]
        sharing.__exit__(None, None, None)


@slow
def test_a_task_that_kills_the_only_worker_again_and_again_fails_alone(
    cluster, small_ratings, tmp_path
):
    other = type(cluster)(tmp_path)
    try:
        other.start_scheduler()
        # A worker that comes back at the address of the one before it.
        other.start_worker("--worker-port", str(free_port()))
        other.wait_for(1)
        data = data_of(small_ratings, Fragile)
        with open_cluster(other.address) as opened, opened.share(data) as evaluate:
            tasks = [
                FoldTask(params={"shift": shift}, seed=0, fold=0)
                for shift in (0.1, -0.9, 0.2, 0.3)
            ]
            calls = [opened.submit(evaluate, task) for task in tasks]
            errors = [call.exception(120) for call in calls]
        assert isinstance(errors.pop(1), WorkerDiedError)
        assert errors == 3 * [None]
    finally:
        other.stop()


@dataclass(kw_only=True)
class Late(Fragile):
    """Takes a second, and may kill then."""

    name: ClassVar[str] = "late"

    def _fit(self, ratings, catalogue):
        time.sleep(1)
        super()._fit(ratings, catalogue)


@slow
def test_a_death_is_not_blamed_on_what_another_study_has_waiting_there(
    cluster, small_ratings, monkeypatch
):
    monkeypatch.setattr(dask_cluster, "MAX_DEATHS", 1)
    data = data_of(small_ratings, Late)
    kill, live = (
        FoldTask(params={"shift": shift}, seed=0, fold=0) for shift in (-0.9, 0.1)
    )
    with (
        open_cluster(cluster.address) as opened,
        open_cluster(cluster.address) as other,
        opened.share(data) as evaluate,
        other.share(data) as evaluate_there,
    ):
        n_workers = opened.count()
        killing = [opened.submit(evaluate, kill) for _ in range(n_workers)]
        while len(opened._running) < n_workers:
            time.sleep(0.01)
        waiting = [other.submit(evaluate_there, live) for _ in range(n_workers)]
        assert all(isinstance(c.exception(60), WorkerDiedError) for c in killing)
        assert [call.exception(60) for call in waiting] == n_workers * [None]


KEPT = []


def keep_memory():
    # At 80 % of 600 MB a worker is paused, at 95 % it is killed.
    while psutil.Process().memory_info().rss < 0.87 * 600e6:
        KEPT.append(np.ones(2**17))
    return os.getpid()


def see_all_as_able(patch):
    look = DaskExecutor._look

    def look_late(self):
        look(self)
        self._able = [*self._folders]

    patch.setattr(DaskExecutor, "_look", look_late)


@slow
def test_workers_short_of_memory_get_nothing_and_where_all_are_it_is_said(
    cluster, tmp_path, monkeypatch
):
    monkeypatch.setattr(dask_cluster, "PAUSED_SECONDS", 1.0)
    other = type(cluster)(tmp_path)
    try:
        other.start_scheduler()
        other.start_worker("--nworkers", "2", "--memory-limit", "600MB")
        other.wait_for(2)
        with open_cluster(other.address) as opened:
            paused = opened.submit(keep_memory).result(60)
            [address] = [
                address
                for address, pid in opened._cluster.client.run(os.getpid).items()
                if pid == paused
            ]
            while len(opened._able) > 1:
                time.sleep(0.1)
            pids = {opened.submit(os.getpid).result(60) for _ in range(4)}
            assert paused not in pids
            # It may be paused after it was given something.
            with monkeypatch.context() as patch:
                see_all_as_able(patch)
                while len(opened._able) < 2:
                    time.sleep(0.01)
                calls = [opened.submit(os.getpid) for _ in range(2)]
                while address not in opened._running:
                    time.sleep(0.01)
            assert {call.result(60) for call in calls} == pids
            opened.submit(keep_memory).result(60)
            while opened._able:
                time.sleep(0.1)
            with pytest.raises(StudyError, match=r"paused.*of 600 MB"):
                opened.submit(os.getpid).result(60)
    finally:
        other.stop()


@slow
def test_ctrl_c_while_workers_die_ends_the_study_which_goes_on(executor, plan_of, run):
    plan = plan_of(Fragile, DEADLY % (-1.0, 0.5), sampler="random", pruner="none")
    press = After(0, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run(plan, 8, jobs=None, executor=executor, listener=press)
    trials = run(plan, 8, jobs=None, executor=executor).trials
    assert {t.state for t in trials} == {"complete", "failed"}
    assert all((t.params["shift"] < -0.8) == (t.state == "failed") for t in trials)


def test_a_worker_busy_with_what_nobody_awaits_any_more_is_not_counted(cluster):
    with open_cluster(cluster.address) as opened:
        n_workers = opened.count()
        call = opened.submit(time.sleep, 0.5)
        while not opened._running:
            time.sleep(0.01)
        assert opened.count() == n_workers
        assert call.cancel()
        assert opened.count() == n_workers - 1
        while opened._running:
            time.sleep(0.01)
        assert opened.count() == n_workers


def finish(runner):
    results = []
    while runner.n_pending:
        results += runner.wait()
    return results


@slow
def test_a_worker_that_joins_is_used(cluster, small_ratings):
    before = pids(cluster)
    with open_cluster(cluster.address) as opened:
        assert opened.count() == 2
        with opened.share(data_of(small_ratings)) as evaluate:
            cluster.start_worker()
            cluster.wait_for(3)
            task = FoldTask(params={"n_epochs": 1}, seed=0, fold=0)
            while opened.count() < 3:
                time.sleep(0.1)
            calls = [opened.submit(time.sleep, 0.2) for _ in range(2)]
            results = [opened.submit(evaluate, task) for _ in range(6)]
            assert {r.result(60).metrics["rmse"][-1] for r in results} == {
                evaluate(task).metrics["rmse"][-1]
            }
            assert [call.result(60) for call in calls] == 2 * [None]
        [joined] = set(opened._cluster.client.run(os.getpid).values()) - before
        used = set()
        for _ in range(20):
            used |= {
                call.result(60) for call in [opened.submit(os.getpid) for _ in "abcdef"]
            }
        assert joined in used
    cluster.kill(cluster.workers.pop())
    wait_until_gone(cluster, joined)


def wait_until_gone(cluster, pid):
    while pid in pids(cluster):
        time.sleep(0.1)


@slow
@pytest.mark.parametrize("has_workers", [True, False])
def test_a_scheduler_that_is_gone_is_one_sentence_and_the_same_command_goes_on(
    cluster, executor, here, plan_of, run, has_workers
):
    def kill():
        for worker in cluster.workers if not has_workers else ():
            cluster.kill(worker)
            time.sleep(1)
        cluster.kill(cluster.scheduler)

    plan = plan_of(SVD, SPACE)
    stop = After(3, kill)
    with pytest.raises(StudyError, match=f"{cluster.address} is gone") as error:
        run(plan, 10, jobs=None, executor=executor, listener=stop)
    assert "\n" not in str(error.value)
    cluster.start_scheduler()
    for worker in cluster.workers:
        cluster.kill(worker)
    cluster.workers.clear()
    cluster.start_worker("--nworkers", "2")
    cluster.wait_for(2)
    assert values_of(run(plan, 10, jobs=None, executor=executor)) == here


def connect_to_who_accepts_nobody():
    from distributed.comm import connect

    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        # One waits in line to be accepted; the kernel takes no more.
        with socket.create_connection(address):
            asyncio.run(connect(f"tcp://{address[0]}:{address[1]}", timeout=0.1))


def lose_an_open_connection():
    from distributed.comm.tcp import convert_stream_closed_error
    from tornado.iostream import StreamClosedError

    convert_stream_closed_error("a comm", StreamClosedError(TimeoutError(110, "it")))


@pytest.mark.parametrize(
    ("lose", "setting"),
    [(connect_to_who_accepts_nobody, "connect"), (lose_an_open_connection, "tcp")],
)
def test_a_scheduler_that_does_not_answer_is_told_from_one_that_is_gone(lose, setting):
    dask = pytest.importorskip("dask", reason="dask is not installed")
    slow_one = _Cluster(None, "tcp://a:1")
    with (
        dask.config.set({f"distributed.comm.timeouts.{setting}": "7s"}),
        pytest.raises(StudyError, match=rf"a:1 .*within 7s.*timeouts\.{setting}"),
        slow_one.losses_told(),
    ):
        lose()


@pytest.mark.parametrize("name", ["harness", "Python", "numpy"])
def test_workers_of_another_version_are_refused(executor, monkeypatch, name):
    other = {**dask_cluster._versions(), name: "0.0"}
    monkeypatch.setattr(dask_cluster, "_versions", lambda: other)
    choice = choose_executor(executor, jobs=None)
    with pytest.raises(StudyError, match=rf"has {name} .*but its owner has 0\.0"):
        choice.entry.open(choice, __name__).__enter__()


def test_a_worker_of_another_version_that_joins_later_is_refused(
    executor, monkeypatch, small_ratings
):
    data = data_of(small_ratings)
    other = {**dask_cluster._versions(), "harness": "0.0"}
    with open_runner(data, choose_executor(executor, jobs=None)) as runner:
        monkeypatch.setattr(dask_cluster, "_versions", lambda: other)
        runner.submit(0, FoldTask(params={}, seed=0, fold=0))
        with pytest.raises(StudyError, match=r"its owner has 0\.0"):
            finish(runner)


def test_data_are_equal_where_their_content_is(small_ratings):
    def shared(seed):
        return _SharedData.of(
            TrainingData(
                family=SVD, train=small_ratings, catalogue=Catalogue.empty(),
                fold_of=assign_folds(small_ratings, seed=seed),
            )
        )  # fmt: skip

    assert shared(0) == shared(0)
    assert shared(0) != shared(1)


def test_a_family_in_a_file_goes_to_workers_that_lack_the_file(
    executor, small_ratings, tmp_path
):
    path = tmp_path / "mine.py"
    path.write_text(
        "from harness.models.base import Recommender\nfrom dataclasses import dataclass\n"
        "import numpy as np\nfrom typing import ClassVar\n\n\n"
        "@dataclass(kw_only=True)\nclass Mine(Recommender):\n"
        "    name: ClassVar[str] = 'mine'\n"
        "    def _fit(self, ratings, catalogue): self.mean_ = ratings.mean\n"
        "    def _predict(self, users, items): return np.full(len(users), self.mean_)\n"
    )
    data = data_of(small_ratings, load_family(f"{path}:Mine"))
    path.unlink()
    with open_runner(data, choose_executor(executor, jobs=None)) as runner:
        runner.submit(0, FoldTask(params={}, seed=0, fold=0))
        [(_, result)] = finish(runner)
    assert result.error is None


def test_a_command_whose_scheduler_is_not_there_exits_with_2_and_writes_nothing(
    tmp_path, monkeypatch
):
    pytest.importorskip("distributed", reason="distributed is not installed")
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 0.3)
    monkeypatch.chdir(tmp_path)
    # Found out before data are read.
    words = ["study", "svd", "--data", "nowhere.csv"]
    result = CliRunner().invoke(app, [*words, "--executor", "dask=tcp://127.0.0.1:1"])
    assert result.exit_code == 2, result.output
    assert "tcp://127.0.0.1:1" in result.output
    assert list(tmp_path.iterdir()) == []


@slow
def test_a_cluster_needs_workers_of_one_thread(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 2.0)
    other = type(cluster)(tmp_path)
    try:
        other.start_scheduler()
        other.wait_for(0)
        with pytest.raises(StudyError, match="has no workers"):
            pids(other)
        other.start_worker("--nthreads", "2", "--no-nanny")
        other.wait_for(1)
        with pytest.raises(StudyError, match="one thread, but has 2"):
            pids(other)
    finally:
        other.stop()


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match="dask"), open_cluster("tcp://a:1"):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "ftp://x", "nowhere:x"])
def test_an_address_without_a_scheduler_is_one_sentence(address, monkeypatch):
    pytest.importorskip("distributed", reason="distributed is not installed")
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 0.3)
    with pytest.raises(StudyError, match="no Dask scheduler at") as error:
        open_cluster(address).__enter__()
    assert "\n" not in str(error.value)
