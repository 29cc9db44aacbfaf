"""Races on samples of users: what they save, and what they cost the best setting.

``python tests/benchmarks/bench_fidelity.py simulate FILE 1000000`` writes ratings of users,
titles and factors with a long tail. ``... compare FILE 500000 40 3`` runs `harness study
svd` with three seeds, each with `--fidelity full` and with samples above that many training
ratings, and scores the best settings of both on the same fresh folds. ``... large FILE 4``
runs one study from CSV to its report, and follows CPU seconds and memory of its processes.
"""

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from harness.data.load import load_dataset
from harness.data.options import ReadOptions
from harness.evaluation.splits import assign_folds
from harness.models.svd.model import SVD
from harness.search.folds import FoldTask, Workbench
from harness.search.storage import read_study

USERS_OF = {1_000_000: (6_040, 3_700), 20_000_000: (138_000, 27_000)}
N_FACTORS = 12
CHUNK = 1_000_000


def simulate(path, n_ratings, seed=0):
    """Write a CSV of user, item and rating: biases, factors, noise, and half stars."""
    n_users, n_items = USERS_OF.get(n_ratings, (n_ratings // 150, n_ratings // 400))
    rng = np.random.default_rng(seed)
    activity = rng.lognormal(0.0, 1.0, n_users)
    user_bias, item_bias = rng.normal(0, 0.43, n_users), rng.normal(0, 0.40, n_items)
    of_users, of_items = (
        rng.normal(0, 0.42, (n, N_FACTORS)) * 0.8 ** np.arange(N_FACTORS)
        for n in (n_users, n_items)
    )
    users, items = _pairs(rng, n_ratings, activity / activity.sum(), n_items)
    with Path(path).open("w") as file:
        file.write("user,item,rating\n")
        for first in range(0, n_ratings, CHUNK):
            u, i = (codes[first : first + CHUNK] for codes in (users, items))
            stars = 3.5 + user_bias[u] + item_bias[i]
            stars += (of_users[u] * of_items[i]).sum(axis=1) + rng.normal(
                0, 0.78, len(u)
            )
            halves = np.clip(np.round(2 * stars), 1, 10)
            rows = zip(u.tolist(), i.tolist(), (halves / 2).tolist(), strict=True)
            file.writelines(f"{user},{item},{star}\n" for user, item, star in rows)


def _pairs(rng, n_ratings, activity, n_items):
    """Draw different pairs of user and item, in random order."""
    kept = np.empty(0, dtype=np.int64)
    while len(kept) < n_ratings:
        n_more = int(1.3 * (n_ratings - len(kept))) + 1000
        users = np.repeat(np.arange(len(activity)), rng.multinomial(n_more, activity))
        # A long tail: the square of a uniform number prefers the first titles.
        items = (rng.random(n_more) ** 2 * n_items).astype(np.int64)
        kept = np.unique(np.concatenate([kept, users * n_items + items]))
    pairs = rng.permutation(kept)[:n_ratings]
    return pairs // n_items, pairs % n_items


FRESH_SEED = 1_000_003


def compare(path, above, n_trials, n_seeds):
    """Print CPU seconds, folds, and the RMSE of the best settings on fresh folds."""
    ratings = load_dataset(str(path), ReadOptions()).ratings
    bench = Workbench(SVD, ratings, None, assign_folds(ratings, seed=FRESH_SEED))
    for seed in range(n_seeds):
        found = {}
        for fidelity in ("full", str(above)):
            seconds, study = _search(path, fidelity, n_trials, seed)
            values = [_rmse(bench, study.best.params, fold) for fold in range(5)]
            found[fidelity] = seconds, float(np.mean(values))
            rungs = [t.rung for t in study.trials if t.rung]
            counts = {share: rungs.count(share) for share in sorted(set(rungs))}
            print(
                f"seed {seed}, {fidelity}: search {seconds:.1f} CPU s, best #"
                f"{study.best.number} {study.best.value:.5f} over its folds, "
                f"{found[fidelity][1]:.5f} on fresh folds; ended at {counts}",
                flush=True,
            )
        (full, best), (sampled, other) = found.values()
        print(
            f"seed {seed}: {100 * sampled / full:.0f} % of the time, "
            f"{other - best:+.5f} stars",
            flush=True,
        )


def _search(path, fidelity, n_trials, seed):
    with tempfile.TemporaryDirectory() as folder:
        before = _cpu_of_children()
        _harness(
            folder,
            *("study", "svd", "--data", path, "--split", "none", "--jobs", 1),
            *("--trials", n_trials, "--seed", seed, "--fidelity", fidelity),
            *("--name", "search"),
        )
        seconds = _cpu_of_children() - before
        return seconds, read_study(str(Path(folder) / "optuna.log"), "search")


def _cpu_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _harness(folder, *words):
    command = [sys.executable, "-m", "harness", *map(str, words)]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    subprocess.run(
        command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL
    )


def _rmse(bench, params, fold):
    task = FoldTask(params=params, seed=FRESH_SEED, fold=fold)
    return float(bench.run(task).metrics["rmse"][-1])


class Memory(threading.Thread):
    """Follows a process and its children: resident memory, shared pages once, and CPU."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self._process = psutil.Process(pid)
        self.peaks = {"all": 0.0, "main": 0.0, "largest child": 0.0}
        self.seconds = {}

    def run(self):
        """Look twice a second until the process has ended."""
        try:
            while self._process.is_running():
                self._look()
                time.sleep(0.5)
        except psutil.NoSuchProcess:
            return

    def _look(self):
        sizes = {}
        for process in [self._process, *self._process.children(recursive=True)]:
            try:
                sizes[process.pid] = process.memory_full_info().pss
                used = process.cpu_times()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            self.seconds[process.pid] = used.user + used.system
        main = sizes.pop(self._process.pid, 0)
        now = {
            "all": main + sum(sizes.values()),
            "main": main,
            "largest child": max(sizes.values(), default=0),
        }
        self.peaks = {name: max(size, self.peaks[name]) for name, size in now.items()}


def large(path, n_trials, *more):
    """Run one study from CSV; print when each step began, and what all of it took."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "harness", "study", "svd", "--data", str(path)),
            *("--trials", str(n_trials), "--jobs", "2", "--name", "large", *more),
        ]
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            # Read from CSV, not from the cache of a run before.
            "XDG_CACHE_HOME": folder,
        }
        start = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        memory = Memory(process.pid)
        memory.start()
        for line in process.stderr:
            cpu = sum(memory.seconds.values())
            wall = time.monotonic() - start
            print(f"{wall:7.1f} s, {cpu:7.1f} CPU s: {line.rstrip()}", flush=True)
        process.wait()
        peaks = {k: f"{size / 1e9:.2f} GB" for k, size in memory.peaks.items()}
        total = sum(memory.seconds.values())
        wall = time.monotonic() - start
        print(f"{wall:.0f} s, {total:.0f} CPU s in all, {peaks}")
        report = (Path(folder) / "reports" / "large" / "report.json").read_text()
        best = json.loads(report)
        print(re.findall(r'"rmse_by_seed": \[[^]]*\]', json.dumps(best))[:2])


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "simulate":
        simulate(rest[0], int(rest[1]))
    elif what == "compare":
        compare(Path(rest[0]).resolve(), *map(int, rest[1:]))
    else:
        large(Path(rest[0]).resolve(), *rest[1:])
