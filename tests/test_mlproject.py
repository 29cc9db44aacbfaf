"""`mlflow run .`: the entry points are commands that exist, and run where MLflow says."""

import platform
import shlex
from pathlib import Path

import pytest
import typer.main
from mlflow import MlflowClient
from mlflow.projects.utils import get_run_env_vars, load_project
from mlflow.utils.environment import _PythonEnv
from typer.testing import CliRunner

from harness.cli import app

ROOT = Path(__file__).parent.parent
REQUIRED = {"report": {"name": "svd-ott"}}


def command_of(entry_point, **given):
    entry = load_project(ROOT).get_entry_point(entry_point)
    program, *words = shlex.split(entry.compute_command(given, None))
    assert program == "harness"
    return words


@pytest.mark.parametrize("name", ["main", "study", "run", "report"])
def test_an_entry_point_is_a_command_that_takes_its_parameters(name):
    required = REQUIRED.get(name, {})
    command, *words = command_of(name, **required)
    known = typer.main.get_command(app).commands
    context = known[command].make_context(command, words)
    taken = {str(value) for value in context.params.values()}
    parameters = load_project(ROOT).get_entry_point(name).parameters.values()
    defaults = {str(p.default) for p in parameters if p.default is not None}
    assert defaults | set(required.values()) <= taken


def test_the_environment_needs_no_other_python_than_the_one_that_is_running():
    wanted = _PythonEnv.from_yaml(ROOT / "python_env.yaml")
    assert wanted.python == platform.python_version()
    assert wanted.dependencies == ["-c constraints.txt", "."]


def test_a_study_logs_to_the_store_of_the_project_beside_its_run(tmp_path, monkeypatch):
    rows = dict.fromkeys(f"u{k % 20},i{k * 7 % 15},{1 + k % 5}\n" for k in range(200))
    (tmp_path / "mine.csv").write_text("user,item,rating\n" + "".join(rows))
    uri = f"sqlite:///{tmp_path}/of-the-project.db"
    client = MlflowClient(uri)
    wrapper = client.create_run("0")
    monkeypatch.chdir(tmp_path)
    # What `mlflow run` tells the program that it starts.
    for key, value in get_run_env_vars(wrapper.info.run_id, "0").items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    words = command_of("study", family="baseline", trials="1", data="mine.csv")
    done = CliRunner().invoke(app, [*words, "--jobs", "1"])
    assert done.exit_code == 0, done.output
    found = client.search_runs(["0"])
    runs = [run for run in found if run.info.run_id != wrapper.info.run_id]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["study"] for run in runs} == {"baseline-mine"}
    assert client.get_run(wrapper.info.run_id).data.tags == wrapper.data.tags
    assert not (tmp_path / "mlflow.db").exists()
