"""Where kernels are cached, tried in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import harness

FIT = """
import numpy as np, pathlib, sys
import harness.models.kernel_cache as place
if {closed!r} is not None:
    # A file system that cannot be written, for root as well.
    def can_be_written(folder):
        return not any(str(folder).startswith(name) for name in {closed!r})
    place._can_be_written = can_be_written
    place.find_place_for_kernels()
from numba.core import caching
def refuse(self):
    if any(self.get_cache_path().startswith(name) for name in {closed!r} or ()):
        raise OSError(30, "Read-only file system")
    original(self)
original = caching._CacheLocator.ensure_cache_path
caching._CacheLocator.ensure_cache_path = refuse
from harness.models.kernels import group_by_code
print(group_by_code(np.array([1, 0, 1]), 2)[1].tolist())
"""


def run(tmp_path, closed, **environment):
    variables = {**os.environ, "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    variables.pop("NUMBA_CACHE_DIR", None)
    variables.pop("XDG_CACHE_HOME", None)
    return subprocess.run(
        [sys.executable, "-c", FIT.format(closed=closed)],
        env={**variables, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


@pytest.fixture
def package():
    return str(Path(harness.__file__).parent)


def test_read_only_packages_without_home_cache_in_the_temporary_folder(
    tmp_path, package
):
    done = run(tmp_path, [package, str(tmp_path / "home")])
    assert done.stdout == "[1, 0, 2]\n"
    assert done.stderr == ""
    assert list(tmp_path.glob("harness-kernels-*/**/*.nbi"))


def test_where_nothing_can_be_written_kernels_run_and_one_line_says_so(
    tmp_path, package
):
    done = run(tmp_path, [package, str(tmp_path)])
    assert done.stdout == "[1, 0, 2]\n"
    assert len(done.stderr.splitlines()) == 1
    assert "NUMBA_CACHE_DIR" in done.stderr


def test_a_place_that_is_named_is_used(tmp_path, package):
    place = tmp_path / "mine"
    done = run(tmp_path, [package], NUMBA_CACHE_DIR=str(place))
    assert done.stderr == ""
    assert list(place.glob("**/*.nbi"))


PREPARE = """
import os
from multiprocessing import forkserver
from harness.evaluation import worker_process
worker_process.n_cores = lambda: 2
forkserver.ensure_running = lambda: print(os.environ.get("HARNESS_KERNELS_UNCACHED"))
worker_process.prepare_workers(None)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks workers")
def test_workers_that_start_ahead_do_not_say_it_again(tmp_path):
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-c", PREPARE],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "file" / "none")},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == "1\n"
    assert len(done.stderr.splitlines()) == 1
