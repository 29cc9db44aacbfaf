"""How fast one user's top 10 among 27,000 titles is. Run it by hand.

usage: OMP_NUM_THREADS=1 python tests/benchmarks/bench_latency.py [--users N] [NAME ...]

One thread, as `harness` sets it for itself.

One line for each family, or for those named: milliseconds of `recommend` by the clock,
and of the processor time of its thread, which other work on the machine does not lengthen.
Epochs are few: how well a model is trained does not change what a ranking costs.
"""

import argparse
import time

import numpy as np
import pandas as pd

from harness.data.catalogue import Catalogue
from harness.data.load import load_dataset
from harness.data.ratings import Ratings, RatingScale
from harness.models.families import load_family

N_TITLES = 27_000
N_ASKED = 300
# slope_one refuses more than 10,000 rated titles; it ranks all 27,000 all the same.
MOST_RATED = {"slope_one": 10_000}
CONTESTANTS = {
    "baseline": ("baseline", {}),
    "bfm": ("bfm", {"n_iterations": 5}),
    "cf, of titles": ("cf", {}),
    "cf, of users": ("cf", {"user_based": True}),
    "co_clustering": ("co_clustering", {"n_epochs": 2}),
    "content, ridge": ("content", {}),
    "content, ridge, all components": ("content", {"n_components": 64}),
    "content, similarity": ("content", {"predictor": "similarity"}),
    "content, regression": ("content", {"predictor": "regression"}),
    "hybrid": ("hybrid", {"n_epochs": 1, "n_factors": 64}),
    "hybrid, warp": ("hybrid", {"n_epochs": 1, "n_factors": 64, "loss": "warp"}),
    "nmf": ("nmf", {"n_epochs": 1, "n_factors": 64}),
    "slope_one": ("slope_one", {}),
    "svd": ("svd", {"n_epochs": 2}),
    "svd, cold start": ("svd", {"n_epochs": 2, "cold_start": True}),
    "svd, without biases": ("svd", {"n_epochs": 2, "biased": False}),
    "svdpp": ("svdpp", {"n_epochs": 1}),
}


def simulate(n_users, n_rated, seed=0):
    """Draw about 144 ratings a user, with a long tail of users and of titles."""
    rng = np.random.default_rng(seed)
    counts = np.clip(rng.lognormal(4.4, 1.05, n_users).astype(int), 20, 5_000)
    popularity = np.cumsum((np.arange(n_rated) + 60.0) ** -1.0)
    drawn = np.searchsorted(popularity, rng.random(counts.sum()) * popularity[-1])
    pairs = np.unique(np.repeat(np.arange(n_users), counts) * N_TITLES + drawn)
    return Ratings(
        users=(pairs // N_TITLES).astype(np.int32),
        items=(pairs % N_TITLES).astype(np.int32),
        values=rng.integers(1, 11, len(pairs)).astype(np.float32) / 2,
        rows=np.arange(len(pairs), dtype=np.int32),
        user_ids=np.arange(n_users).astype(str).astype(object),
        item_ids=np.arange(N_TITLES).astype(str).astype(object),
        scale=RatingScale(0.5, 5.0),
    )


def describe(seed=0):
    """Draw each column of 27,000 titles from the embedded catalogue."""
    rng = np.random.default_rng(seed)
    titles = load_dataset("ott").catalogue.frame
    columns = {
        name: titles[name]
        .iloc[rng.integers(0, len(titles), N_TITLES)]
        .reset_index(drop=True)
        for name in titles.columns
    }
    return Catalogue(pd.DataFrame(columns))


def measure(model, users):
    """Time the top 10 of each user: by the clock, and by the time of this thread."""
    for user in users[:20]:
        model.recommend(int(user))
    clock, thread = [], []
    for user in users:
        start, own = time.perf_counter(), time.thread_time()
        model.recommend(int(user))
        thread.append(1000 * (time.thread_time() - own))
        clock.append(1000 * (time.perf_counter() - start))
    return [*np.percentile(clock, [50, 95]), *np.percentile(thread, [50, 95])]


def main():
    """Train, and measure, one contestant after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(CONTESTANTS))
    parser.add_argument("--users", type=int, default=6_000)
    chosen = parser.parse_args()
    catalogue = describe()
    everything = simulate(chosen.users, N_TITLES)
    asked = np.random.default_rng(1).choice(chosen.users, N_ASKED, replace=False)
    print(f"{chosen.users:,} users, {len(everything):,} ratings, {N_TITLES:,} titles")
    print(f"{'':32}{'clock':>16}{'thread':>16}  fit")
    print(f"{'':32}" + f"{'p50 ms':>8}{'p95 ms':>8}" * 2 + "    s")
    for name in chosen.names:
        family, settings = CONTESTANTS[name]
        ratings = everything
        if family in MOST_RATED:
            ratings = simulate(chosen.users, MOST_RATED[family])
        start = time.perf_counter()
        model = load_family(family)(**settings).fit(ratings, catalogue)
        seconds = time.perf_counter() - start
        row = "".join(f"{each:8.2f}" for each in measure(model, asked))
        print(f"{name:32}{row}{seconds:5.0f}", flush=True)


if __name__ == "__main__":
    main()
