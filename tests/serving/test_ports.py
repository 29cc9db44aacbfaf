import socket
from contextlib import contextmanager

import pytest

from harness.errors import TrackingError
from harness.serving.processes import PortLostError, choose_port, on_port


@pytest.fixture
def taken_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def starting(*, lost):
    """Return what starts a server that loses some ports, and the ports it tried."""
    tried = []

    @contextmanager
    def start(port):
        tried.append(port)
        if len(tried) <= lost:
            raise PortLostError(f"lost {port}")
        yield port

    return start, tried


def test_a_port_that_is_taken_is_refused(taken_port):
    with pytest.raises(TrackingError, match=rf"Port {taken_port} .* (in use|taken)"):
        choose_port(taken_port, first=5000)


def test_the_first_free_port_is_taken(taken_port):
    assert choose_port(first=taken_port) > taken_port


def test_a_server_that_loses_its_port_is_started_again():
    start, tried = starting(lost=2)
    with on_port(start, first=5000) as port:
        assert tried[-1] == port
    assert len(tried) == 3


def test_a_server_that_loses_every_port_gives_up():
    start, tried = starting(lost=100)
    with pytest.raises(PortLostError), on_port(start, first=5000):
        pass
    assert 1 < len(tried) < 100


def test_a_server_on_a_port_of_the_users_choice_is_not_put_elsewhere(taken_port):
    start, tried = starting(lost=0)
    with (
        pytest.raises(TrackingError, match=rf"Port {taken_port} .* (in use|taken)"),
        on_port(start, taken_port, first=5000),
    ):
        pass
    assert not tried


def test_what_fails_while_the_server_runs_does_not_start_it_again():
    start, tried = starting(lost=0)
    with pytest.raises(PortLostError), on_port(start, first=5000):
        raise PortLostError("another's")
    assert len(tried) == 1
