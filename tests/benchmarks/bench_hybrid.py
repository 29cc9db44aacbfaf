"""How fast the own kernels of the hybrid are, beside LightFM.

usage: python tests/benchmarks/bench_hybrid.py epochs
       python tests/benchmarks/bench_hybrid.py study
       python tests/benchmarks/bench_hybrid.py large

All times are CPU seconds: of one core for ``epochs``, of all processes otherwise.
``epochs`` and ``study`` need ml-100k (``../shared/data`` from the project's root, or
``$HARNESS_TEST_DATA``); ``large`` simulates a million ratings.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("HARNESS_TEST_DATA", ROOT.parent / "shared" / "data"))
HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]
N_EPOCHS = 5

SETTINGS = (
    {},
    {"user_features": "none", "title_weight": 0},
    {"user_features": "none", "n_factors": 16},
    {"user_features": "all", "n_factors": 16},
    {"user_features": "all", "n_factors": 64},
    {"schedule": "adadelta"},
    {"loss": "warp"},
    {"loss": "bpr"},
)


def seconds_an_epoch(ratings, catalogue, **parameters):
    """Of the fastest of a few epochs, for each engine, and how far they are apart."""
    from harness.models.hybrid.features import title_flags
    from harness.models.hybrid.model import Hybrid

    titles = title_flags(catalogue, ratings.n_items)
    best, learnt = {}, {}
    for engine in ("lightfm", "harness"):
        model = Hybrid(engine=engine, **parameters)
        trainer = model._prepare(ratings, catalogue, titles).trainer
        seconds = []
        for _ in range(N_EPOCHS):
            start = time.process_time()
            trainer.run_epoch()
            seconds.append(time.process_time() - start)
        best[engine] = min(seconds)
        learnt[engine] = np.concatenate([e.factors for e in trainer.embeddings()])
    return best, np.abs(learnt["harness"] - learnt["lightfm"]).max()


def epochs():
    from harness.data.load import load_dataset

    data = load_dataset(str(DATA / "ml-100k"))
    for parameters in SETTINGS:
        best, apart = seconds_an_epoch(data.ratings, data.catalogue, **parameters)
        ratio = best["lightfm"] / best["harness"]
        print(
            f"{parameters or 'defaults'}: LightFM {best['lightfm']:.3f} s, "
            f"harness {best['harness']:.4f} s an epoch, {ratio:.1f} times; "
            f"embeddings {apart:.1e} apart"
        )


def study(source=None, n_trials=100):
    source = source or str(DATA / "ml-100k")
    with tempfile.TemporaryDirectory() as folder:
        command = [*HARNESS, "study", "hybrid", "--data", source]
        before, start = (
            resource.getrusage(resource.RUSAGE_CHILDREN),
            time.perf_counter(),
        )
        subprocess.run(
            [*command, "--trials", str(n_trials), "--seed", "0"],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{source}: {n_trials} trials, {wall:.0f} s, {cpu:.0f} s of CPU")


def simulate(path, *, n_users=6_040, n_items=3_700, n_ratings=1_000_000, seed=0):
    """Half of what can be known is bias, half is taste; popular titles are rated more."""
    rng = np.random.default_rng(seed)
    chances = 1 / (10 + np.arange(n_items))
    users = rng.integers(0, n_users, 2 * n_ratings)
    items = rng.choice(n_items, 2 * n_ratings, p=chances / chances.sum())
    pairs = np.unique(users * n_items + items)
    pairs = np.sort(rng.permutation(pairs)[:n_ratings])
    users, items = np.divmod(pairs, n_items)
    p, q = (rng.normal(0, 0.4, (n, 6)) for n in (n_users, n_items))
    stars = (
        3.5 + rng.normal(0, 0.4, n_users)[users] + rng.normal(0, 0.5, n_items)[items]
    )
    stars += (p[users] * q[items]).sum(axis=1) + rng.normal(0, 0.8, len(users))
    values = np.clip(np.round(stars), 1, 5).astype(int)
    times = 1_000_000_000 + rng.integers(0, 10**7, len(users))
    table = np.stack([users, items, values, times], axis=1)
    np.savetxt(path, table, "%d", ",", header="user,item,rating,timestamp", comments="")


def large():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "million.csv"
        simulate(path)
        study(str(path), n_trials=20)


if __name__ == "__main__":
    {"epochs": epochs, "study": study, "large": large}[sys.argv[1]]()
