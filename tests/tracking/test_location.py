import pytest

from harness.errors import TrackingError
from harness.tracking.location import locate


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_runs_are_kept_in_the_working_folder_by_default(tmp_path):
    location = locate()
    assert location.database == tmp_path / "mlflow.db"
    assert location.shown == "sqlite:///mlflow.db"
    assert location.experiment == "harness"
    assert location.options == []


def test_artifacts_lie_beside_the_database(tmp_path):
    folder = tmp_path / "mlartifacts" / "my-films-2026"
    assert locate(experiment="my films/2026").artifacts == folder.as_uri()


def test_the_environment_speaks_where_no_option_does(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "films")
    assert locate().tracking_uri == "http://mlflow.example:5000"
    assert locate().experiment == "films"
    assert locate("sqlite:///x.db", "series").experiment == "series"
    assert locate().options == [
        "--tracking-uri",
        "http://mlflow.example:5000",
        "--experiment",
        "films",
    ]


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///a/b.db",
        "sqlite:////a/b.db",
        "postgresql://ann@host/runs",
        "mysql+pymysql://ann@host/runs",
        "http://127.0.0.1:5000",
        "https://mlflow.example/prefix",
        "databricks",
    ],
)
def test_takes_every_store_that_mlflow_has(uri):
    assert locate(uri).tracking_uri.startswith(uri[:10])


@pytest.mark.parametrize("uri", ["mlruns", "mlflow.db", "http://", "ftp://x", "C:\\x"])
def test_anything_else_is_refused_with_an_example(uri):
    with pytest.raises(TrackingError, match=r"such as sqlite:///mlflow.db or http"):
        locate(uri)


def test_a_password_is_not_shown():
    assert locate("http://ann:secret@host:5000").shown == "http://ann:***@host:5000"


def test_an_experiment_is_taken_by_the_id_that_mlflow_run_sets(store_uri, monkeypatch):
    from mlflow import MlflowClient

    from harness.tracking.store import open_store

    number = MlflowClient(store_uri).create_experiment("films")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", number)
    assert open_store(locate(store_uri)).experiment_id == number
    # What is named wins.
    assert open_store(locate(store_uri, "books")).experiment_id != number
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "4711")
    with pytest.raises(TrackingError, match="4711"):
        open_store(locate(store_uri))
    # It says nothing about another store.
    other = locate(f"{store_uri}-other")
    assert (other.experiment, other.experiment_id) == ("harness", None)
