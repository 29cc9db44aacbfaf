"""No command prints, keeps or logs the password of a URI that it is given."""

import pytest
from typer.testing import CliRunner

from harness.cli import app
from tests.serving.promotion_workspace import copy

SECRET = "op3n-sesame"
SERVER = f"http://ann:{SECRET}@127.0.0.1:9"
DATABASE = f"postgresql://ann:{SECRET}@127.0.0.1:9/runs"
PARAMETER = f"postgresql://127.0.0.1:9/runs?user=ann&password={SECRET}"

COMMANDS = {
    "models": ["models"],
    "serve": ["serve"],
    "recommend": ["recommend", "u3"],
    "ui": ["ui"],
    "promote": ["promote", "good"],
    "rollback": ["promote", "--rollback"],
    "sync": ["sync", "good"],
    "study": [
        *("study", "baseline", "--data", "ratings.csv", "--trials", "1"),
        *("--folds", "2", "--jobs", "1", "--seed", "7", "--name", "new"),
    ],
}
READERS = {
    "report": ["report", "good"],
    "compare": ["compare", "good"],
    "explain": ["explain", "good", "--user", "u3", "--item", "i3"],
    "recommend": ["recommend", "u3", "--study", "good"],
    "promote": ["promote", "good"],
    "sync": ["sync", "good"],
    "study": ["study", "baseline", "--data", "ratings.csv", "--trials", "1"],
}


@pytest.fixture
def folder(judged_template, tmp_path, monkeypatch):
    copy(judged_template, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def require_no_secret(result, folder):
    assert result.output.strip()
    assert SECRET not in result.output
    holders = [
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and SECRET.encode() in path.read_bytes()
    ]
    assert holders == []


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("how", ["option", "environment"])
def test_the_password_of_a_tracking_server_stays_secret(
    folder, monkeypatch, command, how
):
    if how == "environment":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", SERVER)
    else:
        command = [*command, "--tracking-uri", SERVER]
    require_no_secret(CliRunner().invoke(app, command), folder)


@pytest.mark.parametrize("command", READERS.values(), ids=READERS)
@pytest.mark.parametrize("uri", [DATABASE, PARAMETER], ids=["user", "parameter"])
def test_the_password_of_a_storage_stays_secret(folder, command, uri):
    result = CliRunner().invoke(app, [*command, "--storage", uri])
    assert result.exit_code == 2
    require_no_secret(result, folder)
