"""``harness serve``: the champion over HTTP, and what can be wrong before that."""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.tracking.store import quieten

MAIN = "from harness.cli import main; main()"


@pytest.fixture
def serve(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return lambda *args: CliRunner().invoke(app, ["serve", *args])


@pytest.fixture(scope="module")
def made(toy_model, champion_store, tmp_path_factory):
    database = tmp_path_factory.mktemp("registry") / "mlflow.db"
    champion_store(database, {"toy": toy_model})
    return database


@pytest.fixture
def store(made, tmp_path):
    """A store whose registry has a champion, in the working folder."""
    return Path(shutil.copy(made, tmp_path))


def test_without_a_store_there_is_no_champion(serve, tmp_path):
    result = serve()
    assert result.exit_code == 2
    assert "There is no champion in sqlite:///mlflow.db yet: promote" in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (
            "models:/toy@chmpion",
            "named 'models:/toy@chmpion'. Did you mean 'models:/toy@",
        ),
        ("models:/toy/99", "named 'models:/toy/99'. Did you mean"),
        (
            "models:/m-" + 32 * "0",
            "cannot be taken from sqlite:///mlflow.db: Logged model",
        ),
        (
            "runs:/nothing/model",
            "runs:/nothing/model cannot be taken from sqlite:///mlflow.db",
        ),
        ("nowhere", "nowhere: there is no such folder"),
        (".", ".: is not a model that harness has logged, because it has no MLmodel"),
        ("http://host/model", "The model must be a folder, models:/NAME@ALIAS"),
    ],
)
@pytest.mark.usefixtures("store")
def test_a_model_that_is_not_there_is_one_sentence(serve, model, sentence):
    result = serve("--model", model)
    assert result.exit_code == 2
    assert sentence in result.output
    assert len(result.output.splitlines()) == 1


def test_of_two_champions_one_has_to_be_named(
    serve, toy_model, champion_store, tmp_path
):
    champion_store(tmp_path / "mlflow.db", {"one": toy_model, "two": toy_model})
    result = serve()
    assert result.exit_code == 2
    assert "has 2 champions: name one of models:/one@champion, mod" in result.output


def test_an_artefact_that_was_changed_is_one_sentence(serve, toy_model, tmp_path):
    shutil.copytree(toy_model, tmp_path / "model")
    weights = tmp_path / "model/artifacts/model/model.npz"
    weights.write_bytes(weights.read_bytes()[:-5])
    result = serve("--model", "model")
    assert result.exit_code == 2
    assert "model.npz: has changed since the model was packaged" in result.output


def test_a_description_of_a_model_that_is_no_yaml_is_one_sentence(
    serve, toy_model, tmp_path
):
    shutil.copytree(toy_model, tmp_path / "model")
    (tmp_path / "model/MLmodel").write_text("a: b: {")
    result = serve("--model", "model")
    assert result.exit_code == 2
    assert result.output == (
        "Error: model/MLmodel: cannot be read; log the model again.\n"
    )


def test_an_artefact_that_is_gone_is_one_sentence(
    serve, toy_model, champion_store, tmp_path
):
    champion_store(tmp_path / "mlflow.db", {"toy": toy_model})
    shutil.rmtree(tmp_path / "mlartifacts")
    result = serve()
    assert result.exit_code == 2
    assert "the files of the model must be there, but: the folder do" in result.output
    assert len(result.output.splitlines()) == 1


def test_a_registry_that_is_down_is_one_sentence(serve, tmp_path):
    quieten()
    result = serve("--tracking-uri", "http://127.0.0.1:9")
    assert result.exit_code == 2
    assert "The MLflow store http://127.0.0.1:9 must be reachable" in result.output
    assert len(result.output.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_port_that_is_taken_is_said_before_anything_else(serve, store):
    before = store.read_bytes()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        result = serve("--port", str(port))
    assert result.exit_code == 2
    assert result.output.startswith(f"Error: Port {port} of 127.0.0.1 is in use")
    assert store.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_serves_the_champion_prints_how_to_ask_and_stops_cleanly(store):
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "serve"],
        cwd=store.parent,
        env={k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        starting = process.stdout.readline()
        assert starting == (
            "Starting the scoring server on models:/toy@champion, version 1 ...\n"
        )
        address, what = process.stdout.readline().split("  ", 1)
        assert what == "svd on toy, simulated, fitted to the 675 training ratings\n"
        command = shlex.split(
            process.stdout.readline().rstrip("\\\n") + process.stdout.readline()
        )
        assert command[:2] == ["curl", f"{address}/invocations"]
        assert process.stdout.readline() == "Ctrl-C stops it.\n"
        question = urllib.request.Request(
            command[1],
            data=command[-1].encode(),
            headers=dict([command[3].split(": ")]),
        )
        with urllib.request.urlopen(question) as answer:
            assert len(json.load(answer)["predictions"]) == 10
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert rest == "Stopped.\n"
    assert process.returncode == 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address)
