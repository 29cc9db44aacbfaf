"""Studies that are killed again and again, compared with those that nobody stops.

usage: python tests/benchmarks/bench_kills.py [SAMPLER] [TRIALS] [KILLS] [SEED]

`harness study baseline` with two workers is ended by `kill -9` at random moments, and
started again by the same command. What it leaves in Optuna's storage and in MLflow is then
what a study has left that was run in one go: the same settings and values, nothing lost,
nothing twice. Ends with code 1 where anything differs.
"""

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from mlflow import MlflowClient

from harness.search.storage import read_study

SPACE = """family = "baseline"

[parameters]
user_regularization = { type = "float", low = 0.5, high = 50.0, step = 0.5 }
item_regularization = { type = "float", low = 0.5, high = 50.0, step = 0.5 }
n_epochs = { type = "int", low = 2, high = 30, log = true }
"""
GRACE = 120


def write_data(folder):
    """Ratings of 60 people, who differ, of 40 titles."""
    rng = np.random.default_rng(0)
    pairs = rng.choice(60 * 40, size=900, replace=False)
    stars = 3 + rng.normal(size=60)[pairs // 40] + rng.normal(size=900)
    lines = [
        f"u{pair // 40},t{pair % 40},{star:.0f}"
        for pair, star in zip(pairs, np.clip(np.round(stars), 1, 5), strict=True)
    ]
    (folder / "ratings.csv").write_text("\n".join(["user,item,rating", *lines, ""]))
    (folder / "space.toml").write_text(SPACE)


def start(folder, sampler, n_trials):
    """Start the study, or continue it."""
    command = [sys.executable, "-m", "harness", "study", "baseline"]
    command += ["--data", "ratings.csv", "--space", "space.toml", "--split", "none"]
    command += ["--sampler", sampler, "--trials", str(n_trials), "--jobs", "2"]
    with (folder / "output.txt").open("ab") as output:
        return subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)


def size_of(path):
    return path.stat().st_size if path.exists() else 0


def kill_at_random(study, journal, bytes_more, luck):
    """Kill a study while it starts, or when the journal has grown so much."""
    if luck.random() < 0.2:
        until, goal = time.monotonic() + luck.uniform(0, 5), float("inf")
    else:
        until, goal = time.monotonic() + GRACE, size_of(journal) + bytes_more
    while study.poll() is None and time.monotonic() < until and size_of(journal) < goal:
        time.sleep(0.005)
    time.sleep(luck.uniform(0, 0.1))
    study.send_signal(signal.SIGKILL)
    return study.wait() == -signal.SIGKILL


def read_runs(folder):
    """All runs of trials in MLflow: number, state, value and settings."""
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("harness").experiment_id
    found, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        found += [run for run in page if "trial" in run.data.tags]
        token = page.token
        if not token:
            break
    return {
        (int(run.data.tags["trial"]), position): (
            run.data.tags["state"],
            run.data.metrics.get("rmse"),
            {name: run.data.params[name] for name in sorted(run.data.params)},
        )
        for run, position in _numbered(found)
    }


def _numbered(runs):
    """Count the runs of each trial: one that is there twice has a second."""
    seen = Counter()
    for run in runs:
        number = run.data.tags["trial"]
        yield run, seen[number]
        seen[number] += 1


def read_trials(folder):
    """All trials in the storage: state, value, settings and folds."""
    record = read_study(str(folder / "optuna.log"), "baseline-ratings")
    return {
        trial.number: (trial.state, trial.value, trial.params, trial.fold_values)
        for trial in record.trials
    }


def different(left, right):
    """Numbers of what is in one only, or is not the same in both."""
    return sorted(k for k in {*left, *right} if left.get(k) != right.get(k))


def compare(sampler, n_trials, n_kills, seed):
    """Run a study twice, once with kills, and print how far the two differ."""
    luck = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        whole, killed = Path(name, "whole"), Path(name, "killed")
        for folder in (whole, killed):
            folder.mkdir()
            write_data(folder)
        assert start(whole, sampler, n_trials).wait() == 0
        journal = killed / "optuna.log"
        share = size_of(whole / "optuna.log") / n_kills
        done = 0
        for _ in range(n_kills):
            study = start(killed, sampler, n_trials)
            done += kill_at_random(study, journal, luck.uniform(0, 2) * share, luck)
        last = start(killed, sampler, n_trials).wait()
        trials = read_trials(whole), read_trials(killed)
        runs = read_runs(whole), read_runs(killed)
    states = Counter(state for state, *_ in trials[1].values())
    in_storage, in_mlflow = different(*trials), different(*runs)
    twice = [sum(position > 0 for _, position in found) for found in runs]
    print(
        f"{sampler}: {done} of {n_kills} kills found it running, last exit code {last}; "
        f"{len(trials[1])} trials in the storage ({dict(states)}), "
        f"{len(in_storage)} other than those of the study in one go {in_storage[:5]}; "
        f"{len(runs[1])} runs in MLflow, {twice[1]} twice ({twice[0]} in one go), "
        f"{len(in_mlflow)} other {in_mlflow[:5]}",
        flush=True,
    )
    return (
        last == 0
        and not in_storage
        and not in_mlflow
        and len(runs[1]) == len(trials[1])
    )


if __name__ == "__main__":
    given = sys.argv[1:]
    sampler, *numbers = given + ["tpe", "400", "60", "0"][len(given) :]
    sys.exit(not compare(sampler, *map(int, numbers)))
