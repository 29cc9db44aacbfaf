import gc
import os
import signal

import pytest

from harness import cli
from harness.cli.terminal import until_stopped
from harness.evaluation.worker_process import THREAD_VARIABLES


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_what_stops_a_program_ends_the_block_in_peace(name, capsys):
    number = signal.Signals[name]
    # As a program starts; tests that run in the background ignore SIGINT.
    usual = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
    before = signal.signal(number, usual)
    try:
        with until_stopped():
            signal.raise_signal(number)
            pytest.fail("was not stopped")
        assert capsys.readouterr().out == "Stopped.\n"
        assert signal.getsignal(number) == usual
    finally:
        signal.signal(number, before)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")
def test_under_nohup_a_closed_terminal_is_no_reason_to_stop():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with until_stopped():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_command_looks_for_garbage_seldom_and_has_one_thread(monkeypatch):
    seen, before = [], gc.get_threshold()
    monkeypatch.setattr(cli, "app", lambda: seen.append(gc.get_threshold()[0]))
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    try:
        cli.main()
        assert {os.environ[name] for name in THREAD_VARIABLES} == {"1"}
    finally:
        gc.set_threshold(*before)
    assert seen[0] > 10 * before[0]
