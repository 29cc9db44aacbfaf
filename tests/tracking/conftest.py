import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.experiment.results import ExperimentRecord
from harness.experiment.run import study_spec
from harness.search.records import StudyRecord, TrialRecord
from harness.tracking import runs
from harness.tracking.live import MLflowTracker
from harness.tracking.location import locate
from harness.tracking.store import quieten
from tests.facts import dataset_facts, search_settings, split_facts

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def as_experiment(study, **changes):
    """The experiment that a study is by itself."""
    facts = {
        "name": study.name,
        "spec": study_spec(study.family),
        "storage": study.storage,
        "dataset": study.dataset,
        "split": study.split,
        "code_version": study.code_version,
        "started": START,
        "studies": {study.family: study},
    }
    return ExperimentRecord(**(facts | changes))


def sync(study, uri):
    """Synchronise a study."""
    return runs.sync(as_experiment(study), locate(uri))


def track(uri, **options):
    """Make a tracker for a store."""
    return MLflowTracker(locate(uri), **options)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    """Restore what `quieten` sets; nothing of the user's environment takes part."""
    for name in (
        "MLFLOW_TRACKING_URI",
        "MLFLOW_EXPERIMENT_NAME",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
        "MLFLOW_HTTP_REQUEST_TIMEOUT",
        "MLFLOW_DISABLE_TELEMETRY",
        "MLFLOW_LOGGING_LEVEL",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT",
    ):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    quieten()


@pytest.fixture
def answering():
    """Return a function that starts a server with one answer, and its address."""
    servers = []

    def start(status, body):
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def make_trial():
    def make(number, state="complete", **changes):
        folds = () if state == "failed" else (0.95, 0.93, 0.94)
        if state == "pruned":
            folds = folds[:1]
        value = round(0.94 - 0.001 * number, 6) if state == "complete" else None
        facts = {
            "number": number,
            "state": state,
            "params": {"n_factors": 10 + number, "learning_rate": 0.005},
            "value": value,
            "fold_values": folds,
            "metrics": {}
            if state == "failed"
            else {"rmse": value or folds[0], "mae": 0.74, "fit_seconds": 0.5},
            "seed": 1000 + number,
            "started": START + timedelta(seconds=10 * number),
            "ended": START + timedelta(seconds=10 * number + 4),
            "error": "Traceback\nValueError: diverged" if state == "failed" else None,
        }
        return TrialRecord(**(facts | changes))

    return make


@pytest.fixture
def make_study():
    def make(trials=(), **changes):
        facts = {
            "name": "svd-toy",
            "family": "svd",
            "settings": search_settings(
                seed=7,
                n_folds=3,
                sampler={"name": "tpe", "n_startup_trials": 10},
                space={"n_factors": {"type": "int", "low": 1, "high": 200}},
            ),
            "dataset": dataset_facts(
                source="embedded", n_users=3, n_items=4, n_ratings=9, simulated=True
            ),
            "split": split_facts(seed=1),
            "code_version": "0.1.0+abc1234",
            "storage": "optuna.log",
            "trials": tuple(trials),
            "identity": "5eed",
        }
        return StudyRecord(**(facts | changes))

    return make


@pytest.fixture
def store_uri(empty_store, tmp_path):
    path = tmp_path / "mlflow.db"
    path.write_bytes(empty_store.read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture
def read_runs():
    """Return a function that reads the runs of an experiment: parents, children."""
    from mlflow import MlflowClient

    def read(uri, experiment="harness"):
        client = MlflowClient(uri)
        found = client.get_experiment_by_name(experiment)
        if found is None:
            return [], []
        runs = client.search_runs(
            [found.experiment_id], order_by=["attributes.start_time ASC"]
        )
        children = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
        return [r for r in runs if r not in children], children

    return read
