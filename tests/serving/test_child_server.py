import sys

import pytest

from harness.errors import TrackingError
from harness.serving.processes import PortLostError, choose_port, on_port, run_server


def running(port, *arguments):
    command = [sys.executable, *arguments]
    return run_server("toy", command, {}, health=f"http://127.0.0.1:{port}/")


def test_a_server_is_ready_once_it_answers():
    def start(port):
        return running(port, "-m", "http.server", "--bind", "127.0.0.1", str(port))

    with on_port(start, first=5200) as process:
        assert process.poll() is None
    assert process.returncode is not None


def test_a_server_that_ends_says_its_last_words():
    port = choose_port(first=5200)
    with (
        pytest.raises(TrackingError, match=r"^The toy must start, .* with: no room$"),
        running(port, "-c", "print('hello'); print('no room')"),
    ):
        pass


def test_another_server_on_its_port_is_not_taken_for_it(answering):
    port = int(answering(200, b"OK").rpartition(":")[2])
    with (
        pytest.raises(PortLostError, match=r"it ended with: taken$"),
        running(port, "-c", "import time; time.sleep(0.5); print('taken')"),
    ):
        pass
