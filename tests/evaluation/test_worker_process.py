"""What a process may use of its machine, by control groups of both versions."""

import os
import sys
from multiprocessing import forkserver

import psutil
import pytest

from harness.evaluation import worker_process
from harness.evaluation.worker_process import (
    THREAD_VARIABLES,
    available_bytes,
    n_cores,
    prepare_workers,
)

GB = 10**9


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Put a process into control groups, on a machine of 64 cores and 200 GB."""
    monkeypatch.setattr(
        os, "sched_getaffinity", lambda _: set(range(64)), raising=False
    )
    memory = psutil.virtual_memory()._replace(available=200 * GB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(worker_process, "_ALL_GROUPS", tmp_path)
    monkeypatch.setattr(worker_process, "_OWN_GROUPS", tmp_path / "own")

    def put(own, **files):
        (tmp_path / "own").write_text(own)
        for name, text in files.items():
            *folders, file = name.split("/")
            path = tmp_path.joinpath(*folders, file.replace("__", ".", 1))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return put


def test_a_machine_without_control_groups_is_used_whole(groups, monkeypatch):
    assert (n_cores(), available_bytes()) == (64, 200 * GB)
    groups("0::/\n")
    assert (n_cores(), available_bytes()) == (64, 200 * GB)
    groups(
        "0::/\n", cpu__max="max 100000\n", memory__max="max\n", memory__current="5\n"
    )
    assert (n_cores(), available_bytes()) == (64, 200 * GB)
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert n_cores() == 3


def test_a_container_of_two_cores_and_eight_gigabytes(groups):
    groups(
        "0::/\n",
        cpu__max="200000 100000\n",
        memory__max=f"{8 * GB}\n",
        memory__current=f"{5 * GB}\n",
        # Two of the five are files that can be read again.
        memory__stat=f"anon {3 * GB}\ninactive_file {2 * GB}\nslab 1\n",
    )
    assert (n_cores(), available_bytes()) == (2, 5 * GB)


@pytest.mark.parametrize(("quota", "cores"), [("50000", 1), ("250000", 3)])
def test_parts_of_a_core_are_rounded_up(groups, quota, cores):
    groups("0::/\n", cpu__max=f"{quota} 100000\n")
    assert n_cores() == cores


def test_the_tightest_of_the_groups_around_a_process_counts(groups):
    groups(
        "0::/jobs.slice/one.scope\n",
        **{
            "jobs.slice/one.scope/cpu__max": "max 100000\n",
            "jobs.slice/cpu__max": "400000 100000\n",
            "jobs.slice/one.scope/memory__max": f"{9 * GB}\n",
            "jobs.slice/one.scope/memory__current": "0\n",
            "jobs.slice/memory__max": f"{16 * GB}\n",
            "jobs.slice/memory__current": f"{10 * GB}\n",
        },
    )
    assert (n_cores(), available_bytes()) == (4, 6 * GB)


def test_groups_of_version_1_each_have_a_tree_whose_path_may_be_that_of_the_host(
    groups,
):
    groups(
        "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n2:pids:/\n",
        **{
            "cpu/cpu__cfs_quota_us": "150000\n",
            "cpu/cpu__cfs_period_us": "100000\n",
            "memory/memory__limit_in_bytes": f"{4 * GB}\n",
            "memory/memory__usage_in_bytes": f"{4 * GB}\n",
            "memory/memory__stat": f"total_inactive_file {GB}\n",
        },
    )
    assert (n_cores(), available_bytes()) == (2, GB)
    groups("3:cpu,cpuacct:/\n", **{"cpu/cpu__cfs_quota_us": "-1\n"})
    assert n_cores() == 64


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks workers")
@pytest.mark.parametrize(
    ("cores", "jobs", "n_started"), [(2, None, 1), (2, 16, 1), (2, 1, 0), (1, None, 0)]
)
def test_workers_are_prepared_where_there_will_be_some_and_a_core_is_idle(
    monkeypatch, cores, jobs, n_started
):
    started = []
    monkeypatch.setattr(worker_process, "n_cores", lambda: cores)
    monkeypatch.setattr(
        forkserver, "ensure_running", lambda: started.append(dict(os.environ))
    )
    prepare_workers(jobs)
    assert len(started) == n_started
    assert all(each[name] == "1" for each in started for name in THREAD_VARIABLES)
