"""Three ways to get an Optuna study into MLflow: ``python tests/benchmarks/bench_callback.py``.

`harness.MLflowCallback` beside `optuna_integration.MLflowCallback` (``pip install
optuna-integration``) and `mlflow.optuna.MlflowStorage`, each in a process of its own with
MLflow's defaults: the time of a trial, and which trials are missing or wrong in MLflow
with four threads, with an objective that fails, and with a server that dies.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import warnings
from pathlib import Path

TRACKERS = ("none", "harness", "optuna_integration", "MlflowStorage")
CASES = ("sqlite", "server", "threads", "failing", "dying")
SECONDS_PER_TRIAL = 0.05
STORAGE = "sqlite:///study.db"
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}


# ---- in the process of one study


def make_study(tracker, uri, experiment):
    """Return a study, its callbacks, and what waits until all is written."""
    import mlflow
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    mlflow.set_tracking_uri(uri)
    sampler = optuna.samplers.RandomSampler(seed=0)
    if tracker == "MlflowStorage":
        from mlflow.optuna.storage import MlflowStorage

        there = mlflow.get_experiment_by_name(experiment)
        storage = MlflowStorage(there.experiment_id)
        study = optuna.create_study(
            study_name=tracker, storage=storage, sampler=sampler
        )
        return study, [], storage.flush_all_batches
    storage = STORAGE if experiment.startswith("dying") else None
    study = optuna.create_study(study_name=experiment, sampler=sampler, storage=storage)
    if tracker == "harness":
        from harness import MLflowCallback

        callback = MLflowCallback(uri, experiment)
        return study, [callback], callback.flush
    if tracker == "optuna_integration":
        from optuna_integration import MLflowCallback as Usual

        usual = Usual(
            tracking_uri=uri, metric_name="value", mlflow_kwargs={"nested": True}
        )
        return study, [usual], lambda: None
    return study, [], lambda: None


class Objective:
    """Sleeps, fails where the case wants it, and remembers what came of each trial."""

    def __init__(self, case, n_trials):
        self.case, self.n_trials = case, n_trials
        self.done, self._lock = [], threading.Lock()

    def __call__(self, trial):
        import optuna

        x = trial.suggest_float("x", 0, 1)
        for k in range(4):
            trial.suggest_float(f"y{k}", 0, 1)
        time.sleep(SECONDS_PER_TRIAL)
        state = "COMPLETE"
        if self.case == "failing":
            state = ("COMPLETE", "COMPLETE", "PRUNED", "FAIL")[trial.number % 4]
        with self._lock:
            self.done.append((str(x), state))
        if self.case == "dying" and trial.number == self.n_trials // 2:
            print("KILL", flush=True)
            sys.stdin.readline()
        if state == "PRUNED":
            raise optuna.TrialPruned
        if state == "FAIL" and trial.number == self.n_trials - 1:
            raise ZeroDivisionError("caught by nobody")
        if state == "FAIL":
            raise KeyError("caught")
        return x


def run_study(case, tracker, uri, n_trials):
    """Run a study; return times, and what should be in MLflow."""
    warnings.simplefilter("ignore")
    study, callbacks, wait = make_study(tracker, uri, f"{case}-{tracker}")
    objective = Objective(case, n_trials)
    settings = {"callbacks": callbacks, "catch": (KeyError,)}
    if case in ("sqlite", "server", "dying"):
        study.optimize(objective, 1, **settings)  # imports, tables
        wait()
        objective.done.clear()
    wall, cpu, error = time.perf_counter(), time.process_time(), None
    try:
        n_jobs = 4 if case == "threads" else 1
        study.optimize(objective, n_trials, n_jobs=n_jobs, **settings)
    except Exception as raised:  # noqa: BLE001
        error = f"{type(raised).__name__}: {raised}"[:150]
    wall = time.perf_counter() - wall
    if case != "dying":
        wait()
    cpu = time.process_time() - cpu
    return {"wall": wall, "cpu": cpu, "done": objective.done, "error": error}


# ---- around it


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


class Server:
    """`mlflow server` on loopback."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.database = f"sqlite:///{Path(folder) / 'mlflow.db'}"
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--port", str(self.port), "--backend-store-uri", self.database]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while True:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
            except OSError:
                time.sleep(0.2)
            else:
                return

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def judge(database, experiment, done):
    """Count trials without a run, and runs with a wrong status."""
    from mlflow import MlflowClient

    client = MlflowClient(database)
    there = client.get_experiment_by_name(experiment)
    runs = client.search_runs([there.experiment_id]) if there else []
    status = {r.data.params["x"]: r.info.status for r in runs if "x" in r.data.params}
    lost = sum(x not in status for x, _ in done)
    wrong = sum(status.get(x, STATUS[s]) != STATUS[s] for x, s in done)
    return lost, wrong


def sync(server, experiment):
    """Write what is missing, when the server is back."""
    import optuna

    from harness import sync_study

    server.start()
    storage = f"sqlite:///{Path(server.folder) / 'study.db'}"
    study = optuna.load_study(study_name=experiment, storage=storage)
    sync_study(study, server.uri, experiment)


def measure(case, tracker, server, options):
    """Run one study in a process of its own; return a row."""
    from mlflow import MlflowClient

    experiment = f"{case}-{tracker}"
    MlflowClient(server.database).create_experiment(experiment)
    uri = server.database if case == "sqlite" else server.uri
    command = [
        sys.executable,
        str(Path(__file__).resolve()),
        "--study",
        case,
        tracker,
        uri,
    ]
    command += ["--trials", str(options.trials)]
    begun = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=server.folder,
    )
    timer = threading.Timer(options.patience, process.kill)
    timer.start()
    result = None
    for line in process.stdout:
        if line == "KILL\n":
            server.kill()
            begun = time.perf_counter()
            process.stdin.write("\n")
            process.stdin.flush()
        elif line.startswith("{"):
            result = json.loads(line)
    process.wait()
    timer.cancel()
    row = {"case": case, "tracker": tracker}
    row["seconds_to_exit"] = round(time.perf_counter() - begun, 1)
    if result is None:
        return row | {"trials": None, "error": f"stuck for {options.patience} s"}
    lost, wrong = judge(server.database, experiment, result["done"])
    n = len(result["done"])
    if case == "dying" and tracker == "harness":
        sync(server, experiment)
        row["after_sync"] = judge(server.database, experiment, result["done"])
    return row | {
        "trials": n,
        "wall_ms": round(1e3 * result["wall"] / n, 1),
        "cpu_ms": round(1e3 * result["cpu"] / n, 1),
        "lost": lost,
        "wrong_status": wrong,
        "error": result["error"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--patience", type=float, default=400)
    parser.add_argument("--cases", nargs="*", default=CASES)
    parser.add_argument("--trackers", nargs="*", default=TRACKERS)
    parser.add_argument("--study", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.study:
        print(json.dumps(run_study(*options.study, options.trials)), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder)
        server.start()
        try:
            for case in options.cases:
                for tracker in options.trackers:
                    if tracker == "none" and case not in ("sqlite", "server"):
                        continue
                    if server.process.poll() is not None:
                        server.start()
                    print(
                        json.dumps(measure(case, tracker, server, options)), flush=True
                    )
        finally:
            server.kill()


if __name__ == "__main__":
    main()
