"""The store fails in every way it can; the study must not notice."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from errno import ECONNREFUSED
from pathlib import Path
from queue import Empty
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

from harness.errors import TrackingError
from harness.serving.web import serve
from harness.tracking.location import locate
from harness.tracking.runs import StudyRuns
from harness.tracking.store import SyncCounts, reason
from tests.tracking.conftest import sync, track

MOST_SECONDS_PER_CALL = 0.25
"""Measured in microseconds; two shared cores may be busy with anything else."""


def tell(tracker, make_study, trials):
    """Tell the story of a study; return the seconds that the longest call took."""
    calls = [lambda: tracker.on_study_start(make_study())]
    calls += [lambda t=t: tracker.on_trial_end(make_study(), t) for t in trials]
    calls += [lambda: tracker.on_study_end(make_study(trials))]
    longest = 0.0
    for call in calls:
        begun = time.perf_counter()
        call()
        longest = max(longest, time.perf_counter() - begun)
    return longest


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def slow_server():
    """A server that takes every request and answers none."""
    released = threading.Event()

    class Sleeper(BaseRequestHandler):
        def handle(self):
            released.wait(30)

    server = ThreadingTCPServer(("127.0.0.1", 0), Sleeper)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    released.set()
    server.shutdown()
    server.server_close()


def test_a_server_that_is_down_is_said_once_and_costs_nothing(
    make_study, make_trial, store_uri
):
    said = []
    trials = [make_trial(n) for n in range(20)]
    uri = f"http://127.0.0.1:{free_port()}"
    tracker = track(uri, warn=said.append)
    assert tell(tracker, make_study, trials) < MOST_SECONDS_PER_CALL
    assert not tracker.close(timeout=20)
    [message] = said
    assert message == (
        f"Not everything is logged to MLflow at {uri}: [Errno {ECONNREFUSED}] "
        "Connection refused. "
        "The study is not affected; to log what is missing: "
        f"harness sync svd-toy --tracking-uri {uri}"
    )
    assert sync(make_study(trials), store_uri) == SyncCounts(created=21)


def test_a_server_that_never_answers_is_given_up_when_the_time_is_over(
    make_study, make_trial, slow_server
):
    said = []
    trials = [make_trial(n) for n in range(20)]
    tracker = track(slow_server, warn=said.append)
    assert tell(tracker, make_study, trials) < MOST_SECONDS_PER_CALL
    begun = time.perf_counter()
    assert not tracker.close(timeout=0.5)
    assert time.perf_counter() - begun < 3
    assert len(said) == 1
    assert "took longer than 0.5 s" in said[0]
    begun = time.perf_counter()
    assert not tracker.close(timeout=30)  # as leaving a `with` block does
    assert time.perf_counter() - begun < 1


def test_a_store_that_was_given_up_is_not_written_to_beside_whoever_logs_next(
    make_study, make_trial, store_uri, monkeypatch
):
    trials = [make_trial(n) for n in range(3)]
    begun, goes_on = threading.Event(), threading.Event()
    write = StudyRuns.write_trial

    def write_slowly(self, trial):
        begun.set()
        goes_on.wait(60)
        return write(self, trial)

    with monkeypatch.context() as patch:
        patch.setattr(StudyRuns, "write_trial", write_slowly)
        tracker = track(store_uri)
        tell(tracker, make_study, trials)
        assert begun.wait(60)
        assert not tracker.close(timeout=0.01)
        goes_on.set()
        wait_until(lambda: not tracker._thread.is_alive())
    # The one that was being written, and the run of the study, which was begun.
    counts = sync(make_study(trials), store_uri)
    assert (counts.created, counts.unchanged) == (2, 1)
    assert not tracker.close()


def test_a_server_that_has_failed_is_not_waited_for_at_the_end(
    make_study, make_trial, slow_server, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setattr("harness.tracking.live.LONGEST_WAIT_FOR_FAILING_SECONDS", 0.2)
    said = []
    tracker = track(slow_server, warn=said.append)
    tell(tracker, make_study, [make_trial(0)])
    wait_until(lambda: said)
    begun = time.perf_counter()
    assert not tracker.close(timeout=30)
    assert time.perf_counter() - begun < 5
    assert len(said) == 1


def test_a_server_that_dies_in_the_middle_is_caught_up_with_by_sync(
    make_study, make_trial, store_uri, read_runs, monkeypatch
):
    monkeypatch.setattr("harness.tracking.live.LONGEST_WAIT_FOR_FAILING_SECONDS", 0.2)
    said = []
    trials = [make_trial(n) for n in range(6)]
    with serve(locate(store_uri), free_port()) as interface:
        address = interface.address
        tracker = track(address, warn=said.append)
        tracker.on_study_start(make_study())
        for trial in trials[:3]:
            tracker.on_trial_end(make_study(), trial)
        wait_until(lambda: len(read_runs(store_uri)[1]) == 3)
    for trial in trials[3:]:
        tracker.on_trial_end(make_study(), trial)
    tracker.on_study_end(make_study(trials))
    assert not tracker.close(timeout=20)
    assert len(said) == 1
    counts = sync(make_study(trials), store_uri)
    assert counts.created == 3
    assert sync(make_study(trials), store_uri) == SyncCounts(unchanged=7)
    assert len(read_runs(store_uri)[1]) == 6


def test_a_store_that_comes_back_gets_everything(
    make_study, make_trial, store_uri, tmp_path, monkeypatch
):
    """The store is away when the study starts, and there when it ends."""
    monkeypatch.setattr("harness.tracking.live.LONGEST_WAIT_FOR_FAILING_SECONDS", 60)
    path = Path(store_uri.removeprefix("sqlite:///"))
    away = path.rename(tmp_path / "away.db")
    path.mkdir()
    said = []
    trials = [make_trial(n) for n in range(3)]
    tracker = track(store_uri, warn=said.append)
    tell(tracker, make_study, trials)
    wait_until(lambda: said)
    path.rmdir()
    away.rename(path)
    assert tracker.close(timeout=60)
    assert len(said) == 1
    assert sync(make_study(trials), store_uri) == SyncCounts(unchanged=4)


def test_a_corrupt_database_is_said_once_and_sync_explains_it(
    make_study, make_trial, tmp_path
):
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"not a database" * 100)
    said = []
    trials = [make_trial(0)]
    tracker = track(f"sqlite:///{path}", warn=said.append)
    assert tell(tracker, make_study, trials) < MOST_SECONDS_PER_CALL
    assert not tracker.close(timeout=20)
    assert len(said) == 1
    with pytest.raises(TrackingError, match=r"must be an SQLite file.*Move it away"):
        sync(make_study(trials), f"sqlite:///{path}")
    assert path.read_bytes() == b"not a database" * 100


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everything"
)
def test_a_read_only_database_is_explained(make_study, store_uri):
    Path(store_uri.removeprefix("sqlite:///")).chmod(0o444)
    with pytest.raises(TrackingError, match=r"must be writable"):
        sync(make_study(), store_uri)


def test_sync_with_a_server_that_is_down_is_one_sentence(make_study):
    uri = f"http://user:secret@127.0.0.1:{free_port()}"
    with pytest.raises(TrackingError) as caught:
        sync(make_study(), uri)
    assert "must be reachable and writable" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("calls", range(12))
def test_a_process_that_dies_between_two_calls_leaves_nothing_that_sync_cannot_mend(
    calls, make_study, make_trial, store_uri, read_runs, monkeypatch
):
    """Two trials need 12 calls; die before each of them."""
    from mlflow import MlflowClient

    study = make_study([make_trial(0), make_trial(1, "pruned")])
    done = []
    with monkeypatch.context() as patch:
        for name in ("create_run", "log_batch", "log_inputs", "set_terminated"):
            original = getattr(MlflowClient, name)

            def dying(*args, original=original, **kwargs):
                if len(done) == calls:
                    raise Killed
                done.append(original)
                return original(*args, **kwargs)

            patch.setattr(MlflowClient, name, dying)
        with pytest.raises(Killed):
            sync(study, store_uri)
    sync(study, store_uri)
    assert sync(study, store_uri) == SyncCounts(unchanged=3)
    parents, children = read_runs(store_uri)
    assert len(parents) == 1
    assert [c.data.tags["trial"] for c in children] == ["0", "1"]


def test_a_process_killed_while_it_logs_leaves_nothing_that_sync_cannot_mend(
    make_study, make_trial, store_uri, read_runs, tmp_path
):
    script = Path(tmp_path / "study.py")
    script.write_text(
        "import pickle, sys, time\n"
        "from harness.tracking.live import MLflowTracker\n"
        "from harness.tracking.location import locate\n"
        "study, trials = pickle.loads(sys.stdin.buffer.read())\n"
        "tracker = MLflowTracker(locate(sys.argv[1]))\n"
        "tracker.on_study_start(study)\n"
        "for trial in trials: tracker.on_trial_end(study, trial)\n"
        "time.sleep(60)\n"
    )
    trials = [make_trial(n) for n in range(80)]
    process = subprocess.Popen(
        [sys.executable, str(script), store_uri], stdin=subprocess.PIPE
    )
    process.stdin.write(pickle.dumps((make_study(), trials)))
    process.stdin.close()
    wait_until(lambda: len(read_runs(store_uri)[1]) >= 5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    logged = len(read_runs(store_uri)[1])
    assert 5 <= logged < 80
    counts = sync(make_study(trials), store_uri)
    assert counts.created == 80 - logged
    assert sync(make_study(trials), store_uri) == SyncCounts(unchanged=81)
    _, children = read_runs(store_uri)
    numbers = sorted(int(c.data.tags["trial"]) for c in children)
    assert numbers == list(range(80))
    assert {c.info.status for c in children} == {"FINISHED"}


def test_the_reason_is_the_innermost_cause_that_has_words():
    refused = ConnectionRefusedError("[Errno 111] Connection refused")
    refused.__context__ = Empty()
    outer = RuntimeError("Max retries exceeded")
    outer.__cause__ = refused
    assert reason(outer) == "[Errno 111] Connection refused."
    assert reason(Empty()) == "Empty."
