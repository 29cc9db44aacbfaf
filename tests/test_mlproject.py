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


def test_a_study_becomes_the_run_that_mlflow_run_has_made(tmp_path, monkeypatch):
    rows = dict.fromkeys(f"u{k % 20},i{k * 7 % 15},{1 + k % 5}\n" for k in range(200))
    (tmp_path / "mine.csv").write_text("user,item,rating\n" + "".join(rows))
    uri = f"sqlite:///{tmp_path}/of-the-project.db"
    client = MlflowClient(uri)
    # What `mlflow run` writes before it starts the program.
    wrapper = client.create_run("0", tags={"mlflow.source.type": "PROJECT"})
    for name, value in {"family": "baseline", "trials": "1", "seed": "0.0"}.items():
        client.log_param(wrapper.info.run_id, name, value)
    monkeypatch.chdir(tmp_path)
    # What `mlflow run` tells the program that it starts.
    for key, value in get_run_env_vars(wrapper.info.run_id, "0").items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    words = command_of("study", family="baseline", trials="1", data="mine.csv")
    done = CliRunner().invoke(app, [*words, "--jobs", "1"])
    assert done.exit_code == 0, done.output
    runs = client.search_runs(["0"])
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["study"] for run in runs} == {"baseline-mine"}
    parents = [run.data.tags.get("mlflow.parentRunId") for run in runs]
    assert set(parents) == {None, wrapper.info.run_id}
    assert parents.count(None) == 1
    study = client.get_run(wrapper.info.run_id)
    assert study.data.params.items() >= {"trials": "1", "sampler": "tpe"}.items()
    assert study.data.metrics["n_trials"] == 1
    assert not (tmp_path / "mlflow.db").exists()
    # Nothing else takes it, and MLflow ends it, later than the last trial.
    client.set_terminated(wrapper.info.run_id)
    assert "0 runs created" in CliRunner().invoke(app, ["sync"]).output
    assert "0 repaired, 3 unchanged" in CliRunner().invoke(app, ["sync"]).output
