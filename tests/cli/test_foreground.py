import os
import signal

import pytest

from harness.cli.terminal import until_stopped


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_what_stops_a_program_ends_the_block_in_peace(name, capsys):
    number = signal.Signals[name]
    before = signal.getsignal(number)
    with until_stopped():
        os.kill(os.getpid(), number)
        signal.pause()
    assert capsys.readouterr().out == "Stopped.\n"
    assert signal.getsignal(number) == before


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")
def test_under_nohup_a_closed_terminal_is_no_reason_to_stop():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with until_stopped():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
