"""Races on samples of users: what they save, and what they cost the best setting.

``python tests/benchmarks/bench_fidelity.py simulate FILE 1000000`` writes ratings of users,
titles and factors with a long tail. `bench_scale.py samples` runs `harness study svd` on
them, each seed with `--fidelity full` and with another one, and
scores the best settings of both on the same fresh folds.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from measuring import environment, harness_command

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


def compare(path, asked, n_trials, n_seeds):
    """Yield for each seed the CPU seconds of both, and how far samples end behind."""
    ratings = load_dataset(str(path), ReadOptions()).ratings
    bench = Workbench(SVD, ratings, None, assign_folds(ratings, seed=FRESH_SEED))
    for seed in range(n_seeds):
        found = {}
        for fidelity in ("full", asked):
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
        yield full, sampled, other - best


def _search(path, fidelity, n_trials, seed):
    with tempfile.TemporaryDirectory() as folder:
        before = _cpu_of_children()
        command = harness_command(
            *("study", "svd", "--data", path, "--split", "none", "--jobs", 1),
            *("--trials", n_trials, "--seed", seed, "--fidelity", fidelity),
            *("--name", "search"),
        )
        options = {"cwd": folder, "env": environment(), "stdout": subprocess.DEVNULL}
        subprocess.run(command, check=True, **options)
        seconds = _cpu_of_children() - before
        return seconds, read_study(str(Path(folder) / "optuna.log"), "search")


def _cpu_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _rmse(bench, params, fold):
    task = FoldTask(params=params, seed=FRESH_SEED, fold=fold)
    return float(bench.run(task).metrics["rmse"][-1])


if __name__ == "__main__":
    what, path, n_ratings = sys.argv[1:]
    {"simulate": simulate}[what](path, int(n_ratings))
