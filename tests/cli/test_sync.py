import subprocess
import sys
from datetime import datetime, timedelta

import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState, create_trial
from typer.testing import CliRunner

from harness.cli import app
from harness.plain import to_json
from harness.search.storage import (
    create_experiment,
    open_storage,
    save_experiment_facts,
)
from tests.facts import dataset_facts, no_test

MAIN = "from harness.cli import main; main()"
START = datetime(2026, 3, 1, 12, 0, 0)  # noqa: DTZ001 - as Optuna writes it

FACTS = {
    "family": "svd",
    "settings": {"seed": 7, "space": {}},
    "dataset": to_json(dataset_facts()),
    "split": to_json(no_test()),
    "code_version": "0.1.0",
}


@pytest.fixture
def sync(tmp_path, monkeypatch):
    """Return a function that runs the command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    # What the tracker sets for its process must not outlive the test.
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_LOGGING_LEVEL"):
        monkeypatch.setenv(name, "0" if name.endswith("RETRIES") else "CRITICAL")
    return lambda *args: CliRunner().invoke(app, ["sync", *args])


def store_study(name, n_trials):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = open_storage("optuna.log")
    study = optuna.create_study(
        study_name=name, storage=storage, load_if_exists=True, direction="minimize"
    )
    study.set_user_attr("harness", {**FACTS, "identity": name})
    for number in range(n_trials):
        trial = create_trial(value=0.9 - number / 100, state=TrialState.COMPLETE)
        trial.datetime_start = START + timedelta(minutes=number)
        trial.datetime_complete = START + timedelta(minutes=number, seconds=30)
        study.add_trial(trial)


def store_experiment(name, studies, file=None):
    facts = {
        "dataset": FACTS["dataset"],
        "split": FACTS["split"],
        "file": file,
        "seed": 7,
        "jobs": 1,
        "environment": {},
        "code_version": "0.1.0",
        "studies": studies,
    }
    create_experiment("optuna.log", name, facts)
    spec = {"title": name, "families": {family: {} for family in studies}}
    save_experiment_facts("optuna.log", name, "spec", spec)


def store_alone(name, n_trials):
    """A study by itself, as `harness study` makes it."""
    store_experiment(name, {"svd": name})
    store_study(name, n_trials)


def test_brings_in_every_study_and_then_changes_nothing(sync, tmp_path):
    store_alone("one", 2)
    store_alone("two", 1)
    # A process of its own shows that MLflow adds nothing of its own to what is printed.
    first = subprocess.run(
        [sys.executable, "-c", MAIN, "sync"], capture_output=True, text=True, check=True
    )
    assert first.stderr == ""
    assert first.stdout.splitlines() == [
        "one: 3 runs created, 0 repaired, 0 unchanged in sqlite:///mlflow.db",
        "two: 2 runs created, 0 repaired, 0 unchanged in sqlite:///mlflow.db",
    ]
    assert sync("two").output == (
        "two: 0 runs created, 0 repaired, 2 unchanged in sqlite:///mlflow.db\n"
    )
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    found = client.get_experiment_by_name("harness").experiment_id
    assert len(client.search_runs([found])) == 5


def test_an_experiment_brings_its_studies_with_it(sync):
    store_alone("alone", 1)
    studies = {"svd": "films-svd", "cf": "films-cf"}
    store_experiment("films", studies, file="films.toml")
    store_study("films-svd", 2)
    store_study("films-cf", 1)
    assert sync().stdout.splitlines() == [
        "alone: 2 runs created, 0 repaired, 0 unchanged in sqlite:///mlflow.db",
        "films: 6 runs created, 0 repaired, 0 unchanged in sqlite:///mlflow.db",
    ]
    for name in ("films", "films-svd"):
        assert sync(name).output == (
            "films: 0 runs created, 0 repaired, 6 unchanged in sqlite:///mlflow.db\n"
        )


def test_a_study_that_does_not_exist_is_named_with_a_hint(sync):
    store_alone("svd-films", 1)
    result = sync("svd-film")
    assert result.exit_code == 2
    assert "'svd-film'. Did you mean 'svd-films'?" in (result.output)


def test_without_a_storage_there_is_nothing_to_bring_in(sync, tmp_path):
    result = sync()
    assert result.exit_code == 2
    assert "There is no study storage 'optuna.log' here" in result.output
    assert not list(tmp_path.iterdir())


def test_a_tracking_uri_that_is_none_is_refused_before_anything_is_read(sync):
    result = sync("--tracking-uri", "mlruns")
    assert result.exit_code == 2
    assert "The tracking URI must be a database or a server" in result.output
