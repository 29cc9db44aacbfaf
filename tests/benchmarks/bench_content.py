"""How fast and how good content is. Not part of the test suite; run it by hand.

    python tests/benchmarks/bench_content.py quality FOLDER...
        RMSE over five folds of each data set, of all titles and of those with fewer than
        five training ratings, beside the bias model; seconds of fit and prediction a fold.
    python tests/benchmarks/bench_content.py size
        One user's top 10 among 27,000 titles of a full catalogue.

Each prints one JSON line for each figure.
"""

import json
import sys
import time

import numpy as np
import pandas as pd

from harness.data.catalogue import Catalogue
from harness.data.load import load_dataset
from harness.data.ratings import Ratings, RatingScale
from harness.evaluation.metrics import rmse
from harness.evaluation.splits import assign_folds
from harness.models.baseline.model import Baseline
from harness.models.content.model import Content

BIASES = {"user_regularization": 5.0, "item_regularization": 3.0}
CONTESTANTS = {
    "bias model": Baseline(**BIASES),
    "ridge": Content(predictor="ridge"),
    "ridge, with title statistics": Content(predictor="ridge", statistics_weight=0.5),
    "similarity": Content(predictor="similarity"),
    "regression": Content(predictor="regression"),
}


def say(name, **figures):
    """Print one line of figures."""
    print(json.dumps({"benchmark": name, **figures}), flush=True)


def bench_quality(source):
    """Score each contestant on five folds."""
    dataset = load_dataset(source)
    ratings, fold = dataset.ratings, assign_folds(dataset.ratings)
    for name, model in CONTESTANTS.items():
        model.fit(ratings, dataset.catalogue).predict(ratings.users, ratings.items)
        rows = []
        for k in range(5):
            train, valid = ratings.take(fold != k), ratings.take(fold == k)
            start = time.perf_counter()
            model.fit(train, dataset.catalogue)
            fitted = time.perf_counter()
            prediction = model.predict(valid.users, valid.items)
            done = time.perf_counter()
            few = np.bincount(train.items, minlength=train.n_items)[valid.items] < 5
            overall = rmse(valid.values, prediction)
            of_few = rmse(valid.values[few], prediction[few])
            rows.append((overall, of_few, fitted - start, done - fitted))
        overall, of_few, fit, predict = np.mean(rows, axis=0).round(4).tolist()
        say(
            f"{dataset.name}: {name}",
            rmse=overall,
            rmse_below_5_ratings=of_few,
            fit_seconds=fit,
            predict_seconds=predict,
        )


def simulate(n_users=2_000, n_items=27_000, seed=0):
    """Repeat the embedded catalogue, and draw about 144 ratings a user."""
    rng = np.random.default_rng(seed)
    titles = load_dataset("ott").catalogue.frame
    picked = rng.integers(0, len(titles), (len(titles.columns), n_items))
    frame = pd.DataFrame(
        {
            column: titles[column].iloc[picked[k]].reset_index(drop=True)
            for k, column in enumerate(titles.columns)
        }
    )
    counts = np.clip(rng.lognormal(4.4, 1.05, n_users).astype(int), 20, 5_000)
    items = np.concatenate([rng.choice(n_items, n, replace=False) for n in counts])
    ratings = Ratings(
        users=np.repeat(np.arange(n_users, dtype=np.int32), counts),
        items=items.astype(np.int32),
        values=rng.integers(1, 11, len(items)).astype(np.float32) / 2,
        rows=np.arange(len(items), dtype=np.int32),
        user_ids=np.arange(n_users).astype(str).astype(object),
        item_ids=np.arange(n_items).astype(str).astype(object),
        scale=RatingScale(0.5, 5.0),
    )
    return ratings, Catalogue(frame)


def bench_size():
    """Time the first fit, which builds the features, a second one, and the top 10."""
    ratings, catalogue = simulate()
    say("simulated", n_ratings=len(ratings), n_titles=len(catalogue))
    users = np.random.default_rng(1).choice(ratings.n_users, 500, replace=False)
    for predictor in ("ridge", "similarity", "regression"):
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            model = Content(predictor=predictor).fit(ratings, catalogue)
            seconds.append(round(time.perf_counter() - start, 2))
        model.recommend(int(users[0]))
        times = []
        for user in users:
            start = time.perf_counter()
            model.recommend(int(user))
            times.append(1000 * (time.perf_counter() - start))
        p50, p95, p99 = np.percentile(times, [50, 95, 99]).round(2).tolist()
        say(
            predictor,
            n_features=model.features_.shape[1],
            first_fit_seconds=seconds[0],
            fit_seconds=seconds[1],
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["size"]:
        bench_size()
    else:
        for folder in sys.argv[2:]:
            bench_quality(folder)
