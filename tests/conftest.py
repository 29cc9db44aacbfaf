"""Data for all tests: small generated ratings, and the real data where it is there."""

import base64
import os
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import Dispatcher
from sqlalchemy import Engine, event

from harness.data.catalogue import Catalogue
from harness.data.dataset import Dataset
from harness.data.ratings import Ratings, RatingScale
from harness.evaluation.splits import split_off_test
from harness.evaluation.statistics import Estimate
from harness.models.families import load_family
from harness.report.context import Context
from harness.serving.package import Origin, package, save_model

# Each is a fresh process, which takes a second or more.
os.environ.setdefault("HARNESS_COST_PROCESSES", "1")
# `mlflow server` starts eight more processes for jobs, each with all its imports.
os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")


def pytest_xdist_auto_num_workers():
    """Have one more than there are cores: tests wait for servers and processes, too."""
    return (os.cpu_count() or 1) + 1


_LONGEST = (
    *("test_callback.py", "test_study.py", "test_mlflow_ui.py"),
    *("test_api.py", "test_promotion.py", "test_failures.py", "test_workers.py"),
    *("test_run.py", "test_new_database.py", "test_server.py", "test_content.py"),
    *("test_conformance.py", "test_cf.py", "test_report.py", "test_determinism.py"),
)


def pytest_collection_modifyitems(items):
    """Begin with the longest files: at the end, one worker would wait for the other."""
    place = {name: number for number, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture(scope="session", autouse=True)
def _nothing_waits_for_the_disk():
    """Leave files to the operating system: a test can kill a process, but no machine."""

    def hurry(connection, _record):
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", hurry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _file: None)
        yield
    event.remove(Engine, "connect", hurry)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Return a function that fills a folder once for all processes of this run."""

    def make(name, fill):
        if "PYTEST_XDIST_WORKER" not in os.environ:
            folder = tmp_path_factory.mktemp(name)
            fill(folder)
            return folder
        folder = tmp_path_factory.getbasetemp().parent / name
        with FileLock(f"{folder}.lock"):
            if not folder.with_suffix(".done").exists():
                folder.mkdir()
                fill(folder)
                folder.with_suffix(".done").touch()
        return folder

    return make


@pytest.fixture(scope="session", autouse=True)
def _kernels_are_compiled_once(tmp_path_factory):
    """Let a process wait for a kernel that another one of this run is compiling.

    They share the cache on the disk, but in a fresh clone all begin at the same time.
    """
    original = Dispatcher.compile
    folder = tmp_path_factory.getbasetemp().parent

    def compile_alone(self, sig):
        name = f"{self.py_func.__module__}.{self.py_func.__qualname__}.lock"
        # In this order: a kernel compiles those that it calls, and another thread may too.
        with global_compiler_lock, FileLock(folder / name):
            return original(self, sig)

    with pytest.MonkeyPatch.context() as patch:
        if "PYTEST_XDIST_WORKER" in os.environ:
            patch.setattr(Dispatcher, "compile", compile_alone)
        yield


_DRAW = Context.figure
_EMPTY_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEA"
    "sTj2FAAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module", autouse=True)
def _figures_are_empty(request):
    """Draw figures in the tests of reports only: elsewhere they take a third of the time."""

    def leave_empty(self, _draw, name, caption):
        (self.folder / name).write_bytes(_EMPTY_PNG)
        return f"![{caption}]({name})"

    with pytest.MonkeyPatch.context() as patch:
        if request.path.parent.name != "report":
            patch.setattr(Context, "figure", leave_empty)
        yield


@pytest.fixture
def drawn(monkeypatch):
    """Draw the figures of a report after all."""
    monkeypatch.setattr(Context, "figure", _DRAW)


@pytest.fixture(scope="session")
def real_data():
    """The folder with published data, which is not part of the project."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HARNESS_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real data is not at {folder}; set HARNESS_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def small_ratings():
    """900 ratings of 60 users and 40 items: biases, one factor, and noise."""
    rng = np.random.default_rng(7)
    pairs = rng.choice(60 * 40, size=900, replace=False)
    users, items = pairs // 40, pairs % 40
    taste = rng.normal(size=60)[users] * rng.normal(size=40)[items]
    values = 3 + rng.normal(size=60)[users] + 0.5 * taste + 0.3 * rng.normal(size=900)
    return Ratings.from_columns(
        [f"u{u}" for u in users],
        [f"i{i}" for i in items],
        np.clip(np.round(values * 2) / 2, 1, 5),
        scale=RatingScale(1, 5),
        timestamps=rng.integers(0, 10**6, size=900),
    )


@pytest.fixture(scope="session")
def small_dataset(small_ratings):
    """`small_ratings` with a catalogue; the last title has no name."""
    n = small_ratings.n_items
    frame = pd.DataFrame(
        {
            "unique_id": small_ratings.item_ids,
            "title": [f"Title {k}" for k in range(n - 1)] + [None],
            "type": "Movie",
            "listed_in": [("Drama", "Horror, Comedy")[k % 2] for k in range(n)],
            "release_year": [1990 + k % 20 for k in range(n)],
            "description": [f"A story of number {k % 7}." for k in range(n)],
        }
    )
    return Dataset(
        name="toy",
        ratings=small_ratings,
        catalogue=Catalogue(frame),
        source="toy.csv",
        simulated=True,
    )


@pytest.fixture(scope="session")
def package_toy(small_dataset):
    """Return a function that fits a family to three quarters, and packages it."""

    def make(family="svd", *, report=None, **params):
        split = split_off_test(small_dataset, method="random", test_share=0.25, seed=3)
        model = load_family(family)(**params)
        model.fit(split.train, small_dataset.catalogue)
        origin = Origin(
            study=f"{family}-toy",
            split=split.facts,
            trial=7,
            measures={"rmse": Estimate(value=0.5, low=0.4, high=0.6)},
        )
        return package(model, small_dataset, origin, report=report)

    return make


@pytest.fixture(scope="session")
def toy_model(package_toy, tmp_path_factory):
    """The folder of an MLflow model of the family svd."""
    folder = tmp_path_factory.mktemp("toy") / "model"
    save_model(package_toy("svd", n_factors=2, n_epochs=5), folder)
    return folder


@pytest.fixture(scope="session")
def empty_store(made_once):
    """Create a database once: MLflow takes a second to make its tables."""
    from mlflow import MlflowClient

    from harness.tracking.store import quieten

    def fill(folder):
        quieten()
        MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()

    return made_once("mlflow", fill) / "mlflow.db"


@pytest.fixture
def working_folder(empty_store, tmp_path, monkeypatch):
    """Be in a folder with an empty MLflow store, which is the default there."""
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def champion_store():
    """Return a function that makes a store with models that are champions."""
    from mlflow import MlflowClient

    from harness.tracking.store import quieten

    def make(database, models):
        quieten()
        uri = f"sqlite:///{database}"
        client = MlflowClient(uri, registry_uri=uri)
        where = (database.parent / "mlartifacts").as_uri()
        experiment = client.create_experiment("harness", artifact_location=where)
        for name, folder in models.items():
            logged = client.create_logged_model(experiment, name=name)
            client.log_model_artifacts(logged.model_id, str(folder))
            client.create_registered_model(name)
            version = client.create_model_version(name, logged.artifact_location)
            client.set_registered_model_alias(name, "champion", version.version)

    return make


@pytest.fixture(scope="session")
def judged_template(small_ratings, made_once):
    """A working folder with judged studies; see `tests.serving.promotion_workspace`."""
    from tests.costs import MEASURED
    from tests.serving.promotion_workspace import build

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
        patch.setattr(
            "harness.experiment.judge.measure_efficiency", lambda *_, **__: MEASURED
        )
        return made_once("judged", lambda folder: build(folder, small_ratings))
