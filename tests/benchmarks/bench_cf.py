"""How fast cf is. Not part of the test suite; run it by hand.

    python tests/benchmarks/bench_cf.py trials [N_SCRIPT_TRIALS]
        100 trials of the space of ../shared/bench/handwritten_knn.py in one process,
        without tracking, against the mean trial of that script.

It prints one JSON line for each figure. `bench_scale.py lists` prints what a top 10 takes on
20 million simulated ratings of 138,000 users and 27,000 items. Stars are drawn at random: no
title is better than another, so none is soon out of a list. Or of a file of ratings:
`bench_fidelity.py simulate` makes one whose titles differ.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import optuna

from harness.data.catalogue import Catalogue
from harness.data.load import load_dataset
from harness.data.ratings import Ratings, RatingScale
from harness.evaluation.metrics import rmse
from harness.evaluation.splits import assign_folds
from harness.models.cf.model import CF

SHARED = Path(__file__).parents[3] / "shared"
DATA = Path(os.environ.get("HARNESS_TEST_DATA", SHARED / "data"))
NOTHING = Catalogue.empty()


def say(name, **figures):
    """Print one line of figures."""
    print(json.dumps({"benchmark": name, **figures}), flush=True)


def read_ml_100k():
    """Read the ratings of MovieLens 100K."""
    table = np.loadtxt(DATA / "ml-100k" / "u.data", dtype=np.int64)
    users, items = table[:, 0].astype(str), table[:, 1].astype(str)
    return Ratings.from_columns(users, items, table[:, 2], scale=RatingScale(1, 5))


def suggest(trial):
    """Draw from the space of the script, in its order."""
    measures = ["cosine", "msd", "pearson", "pearson_baseline"]
    params = {
        "similarity": trial.suggest_categorical("similarity", measures),
        "user_based": trial.suggest_categorical("user_based", [True, False]),
        "min_support": trial.suggest_int("min_support", 1, 10),
    }
    if params["similarity"] == "pearson_baseline":
        params["shrinkage"] = trial.suggest_int("shrinkage", 1, 300)
    centerings = ["basic", "mean", "zscore", "baseline"]
    params["centering"] = trial.suggest_categorical("centering", centerings)
    params["n_neighbors"] = trial.suggest_int("k", 5, 120)
    params["min_neighbors"] = trial.suggest_int("min_k", 1, 10)
    return params


def bench_trials(n_script_trials=4):
    """Time trials, ours and those of the script."""
    ratings = read_ml_100k()
    fold = assign_folds(ratings)
    parts = [(ratings.take(fold != k), ratings.take(fold == k)) for k in range(5)]

    def score(params):
        scores = []
        for train, valid in parts:
            model = CF(**params).fit(train, NOTHING)
            scores.append(rmse(valid.values, model.predict(valid.users, valid.items)))
        return float(np.mean(scores))

    score({"user_based": True})  # compiles, or reads what was compiled
    CF.plan.cache.clear()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    start = time.perf_counter()
    study.optimize(lambda trial: score(suggest(trial)), n_trials=100)
    ours = (time.perf_counter() - start) / 100
    say("harness, one process", seconds_per_trial=ours, best_rmse=study.best_value)
    theirs = run_script(n_script_trials)
    say("script", **theirs, times=theirs["per_trial"] / ours)


def run_script(n_trials):
    """Run the hand-written script."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                sys.executable,
                SHARED / "bench" / "handwritten_knn.py",
                DATA / "ml-100k" / "u.data",
                str(n_trials),
                folder,
            ],
            check=True,
            capture_output=True,
            text=True,
        )
    return json.loads(done.stdout.splitlines()[-1])


def simulate(n_users=138_000, n_items=27_000, n_ratings=20_000_000, seed=0):
    """Draw ratings with a long tail of users and of items."""
    rng = np.random.default_rng(seed)
    drawn = int(1.35 * n_ratings)
    activity = np.cumsum(rng.lognormal(0.0, 1.0, n_users))
    popularity = np.cumsum((np.arange(n_items) + 60.0) ** -1.0)
    users = np.searchsorted(activity, rng.random(drawn) * activity[-1])
    items = np.searchsorted(popularity, rng.random(drawn) * popularity[-1])
    pairs = np.unique(users * n_items + items)
    pairs = pairs[np.sort(rng.permutation(len(pairs))[:n_ratings])]
    return Ratings(
        users=(pairs // n_items).astype(np.int32),
        items=(pairs % n_items).astype(np.int32),
        values=rng.integers(1, 11, len(pairs)).astype(np.float32) / 2,
        rows=np.arange(len(pairs), dtype=np.int32),
        user_ids=np.arange(n_users).astype(str).astype(object),
        item_ids=np.arange(n_items).astype(str).astype(object),
        scale=RatingScale(0.5, 5.0),
    )


def peak_gigabytes():
    """Peak memory of this process so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def latencies(model, users):
    """Time the top 10 of each user, in milliseconds of its thread."""
    model.recommend(int(users[0]))
    times = []
    for user in users:
        start = time.thread_time()
        model.recommend(int(user))
        times.append(1000 * (time.thread_time() - start))
    p50, p95, p99 = np.percentile(times, [50, 95, 99]).round(2).tolist()
    return {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99}


def bench_size(n_ratings, file=None):
    """Time fit, prediction and recommendation of titles and of users; yield percentiles."""
    small = read_ml_100k()
    # Compile first, on something small but of the same kinds.
    for user_based in (False, True):
        CF(user_based=user_based).fit(small, NOTHING).recommend(0)
    n_users, n_items = n_ratings * 138 // 20_000, max(1_000, n_ratings * 27 // 20_000)
    if file is None:
        ratings = simulate(n_users, n_items, n_ratings)
    else:
        ratings = load_dataset(str(file)).ratings
    say("ratings", n=len(ratings), peak_gigabytes=peak_gigabytes())
    rng = np.random.default_rng(1)
    users = rng.permutation(ratings.n_users)[:1_000]
    pairs = rng.permutation(len(ratings))[:100_000]
    for user_based in (False, True):
        start = time.perf_counter()
        model = CF(user_based=user_based).fit(ratings, NOTHING)
        fit_seconds = time.perf_counter() - start
        asked = pairs[: 1_000 if user_based else len(pairs)]
        model.predict(ratings.users[asked[:10]], ratings.items[asked[:10]])
        start = time.perf_counter()
        model.predict(ratings.users[asked], ratings.items[asked])
        found = latencies(model, users[: 200 if user_based else None])
        say(
            "user-based" if user_based else "item-based",
            fit_seconds=round(fit_seconds, 1),
            predictions=len(asked),
            predict_seconds=round(time.perf_counter() - start, 2),
            **found,
            peak_gigabytes=peak_gigabytes(),
        )
        yield ("users" if user_based else "titles"), found["p95_ms"]


if __name__ == "__main__":
    bench_trials(*map(int, sys.argv[2:3]))
