import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from harness.cli import app

MAIN = "from harness.cli import main; main()"


@pytest.fixture
def ui(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return lambda *args: CliRunner().invoke(app, ["ui", *args])


def test_without_runs_there_is_nothing_to_show(ui, tmp_path):
    result = ui()
    assert result.exit_code == 2
    assert "mlflow.db: there is no such MLflow database" in result.output
    assert not list(tmp_path.iterdir())


def test_a_port_that_is_taken_is_one_sentence(ui, tmp_path):
    (tmp_path / "mlflow.db").touch()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        result = ui("--port", str(port))
    assert result.exit_code == 2
    assert f"Port {port} of 127.0.0.1 is in use" in result.output


def test_a_server_that_is_down_is_one_sentence(ui):
    result = ui("--tracking-uri", "http://127.0.0.1:9")
    assert result.exit_code == 2
    assert "http://127.0.0.1:9: an MLflow server must answer there" in result.output


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_prints_a_link_and_stops_cleanly(empty_store, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "ui", "--port", str(port)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "Starting MLflow on sqlite:///mlflow.db ...\n"
    # The database is empty: there is no experiment whose runs could be linked to.
    assert process.stdout.readline() == f"MLflow: http://127.0.0.1:{port}\n"
    assert process.stdout.readline() == "Ctrl-C stops it.\n"
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    assert rest == "Stopped.\n"
    assert process.returncode == 0
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
