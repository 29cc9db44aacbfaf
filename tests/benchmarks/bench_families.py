"""How long the families take, and how good they get. Run it by hand.

usage: python tests/benchmarks/bench_families.py searches [--trials N] [FAMILY ...]
       python tests/benchmarks/bench_families.py table [--ml-100k FILE] [--linked FILE]

`searches` runs `harness study FAMILY` on the whole of ml-100k (``--split none``), five
folds, 100 trials and the default pruning, tracking and report included, one family after
the other. One line for each: seconds by the clock, best RMSE, trials that were complete or
pruned.

`table` fits the settings that experiments have found, and families that are in none of
them as they are by default, on u1, on five random folds of ml-100k and on the films of
ml-latest-small that four streaming services have: RMSE, and CPU seconds of one training on
one core. FILE is the Optuna storage in which ``movielens_100k``, or
``movielens_streaming``, was run. The folds have the settings that were found on u1.base,
most of whose ratings are in them.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.data.load import load_dataset
from harness.data.options import ReadOptions
from harness.errors import MissingExtraError
from harness.evaluation.metrics import rmse
from harness.evaluation.splits import assign_folds, cut_fold, split_off_test
from harness.experiment.store import read_experiment
from harness.models.blend import Blend
from harness.models.families import load_family, make_model
from harness.search.storage import read_study

SHARED = Path(__file__).parents[3] / "shared"
DATA = Path(os.environ.get("HARNESS_TEST_DATA", SHARED / "data"))
HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]
FAMILIES = ("cf", "content", "hybrid", "svd")
SERVICES = ("netflix", "amazon_prime", "disney_plus", "hulu")
EXTRA = ("slope_one", "co_clustering", "nmf", "svdpp")
SEEDS = (0, 1, 2)
N_FOLDS = 5


def search(family, n_trials, folder):
    """Run one study in a folder of its own; its seconds and its record."""
    data = DATA / "ml-100k"
    command = [*HARNESS, "study", family, "--data", str(data), "--split", "none"]
    start = time.perf_counter()
    subprocess.run(
        [*command, "--trials", str(n_trials)],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    seconds = time.perf_counter() - start
    return seconds, read_study(str(folder / "optuna.log"), f"{family}-{data.name}")


def searches(families, n_trials):
    """Run the families, and add up."""
    total = 0.0
    print(f"{'family':16}{'seconds':>9}{'best RMSE':>11}  trials", flush=True)
    for family in families:
        with tempfile.TemporaryDirectory() as folder:
            seconds, study = search(family, n_trials, Path(folder))
        total += seconds
        states = Counter(str(trial.state) for trial in study.trials)
        ended = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
        best = "-" if study.best is None else f"{study.best.value:.4f}"
        print(f"{family:16}{seconds:9.1f}{best:>11}  {ended}", flush=True)
    print(f"{'together':16}{total:9.1f}   (goal for four: at most 900)")


@dataclass(frozen=True)
class Contestant:
    """A family with settings, and where these come from."""

    name: str
    family: type
    params: dict
    origin: str


def contestants(storage, experiment):
    """Take the tuned models of an experiment, and the families that it does not have."""
    judged = read_experiment(storage, experiment).models
    found = [
        Contestant(
            m.candidate or m.name, load_family(m.family), dict(m.params), "tuned"
        )
        for m in judged
        if m.role in {"tuned", "baseline"}
    ]
    for name in EXTRA:
        try:
            found.append(Contestant(name, load_family(name), {}, "defaults"))
        except MissingExtraError as error:
            print(error)
    # A blend takes the fitted models of its members.
    return sorted(found, key=lambda one: one.family is Blend)


def fit_and_score(everyone, parts, catalogue, seed):
    """Fit all on one part, and score them on the other; RMSE and CPU seconds by name."""
    train, test = parts
    fitted, found = {}, {}
    for one in everyone:
        model = make_model(one.family, one.params, seed)
        before = time.process_time()
        if one.family is Blend:
            model.fit_around(train, catalogue, fitted)
            seconds = sum(found[member][1] for member in model.parts_)
        else:
            model.fit(train, catalogue)
            seconds = time.process_time() - before
        fitted[one.name] = model
        predicted = model.predict(test.users, test.items, test.timestamps)
        found[one.name] = rmse(test.values, predicted), seconds
    return found


def mean_over(runs):
    """Mean RMSE and median seconds of several runs, by name: the first reads kernels."""
    runs = list(runs)
    return {
        name: (
            np.mean([run[name][0] for run in runs]),
            np.median([run[name][1] for run in runs]),
        )
        for name in runs[0]
    }


def on_split(dataset, method, everyone):
    """Score all on a test part, as the experiment has split it off."""
    split = split_off_test(dataset, method=method, test_share=0.2, seed=0)
    parts = split.train, split.test.open()
    return mean_over(
        fit_and_score(everyone, parts, dataset.catalogue, seed) for seed in SEEDS
    )


def on_folds(dataset, everyone):
    """Score all on random folds of all ratings."""
    ratings = dataset.ratings
    fold_of = assign_folds(ratings, n_folds=N_FOLDS, seed=0, method="random")
    cuts = [cut_fold(fold_of, fold) for fold in range(N_FOLDS)]
    return mean_over(
        fit_and_score(
            everyone, (ratings.take(a), ratings.take(b)), dataset.catalogue, 0
        )
        for a, b in cuts
    )


def table(ml_100k, linked):
    """Print a table in Markdown."""
    columns, origins = {}, {}
    if ml_100k:
        everyone = contestants(ml_100k, "movielens_100k")
        origins |= {one.name: one.origin for one in everyone}
        u1 = load_dataset(str(DATA / "ml-100k"), ReadOptions(predefined="u1"))
        columns["u1"] = on_split(u1, "predefined", everyone)
        columns["five folds"] = on_folds(load_dataset(str(DATA / "ml-100k")), everyone)
    if linked:
        everyone = contestants(linked, "movielens_streaming")
        origins |= {one.name: one.origin for one in everyone}
        links = tuple(str(DATA / f"catalogue/{each}_titles.csv") for each in SERVICES)
        films = load_dataset(str(DATA / "ml-latest-small"), ReadOptions(link=links))
        columns["linked"] = on_split(films, "random", everyone)
    print("| | settings |" + "".join(f" {c}: RMSE | s |" for c in columns))
    print("| :--- | :--- |" + " ---: | ---: |" * len(columns))
    first = next(iter(columns.values()))
    for name in sorted(origins, key=lambda n: -first.get(n, (np.inf,))[0]):
        cells = [
            f" {own[name][0]:.4f} | {own[name][1]:.2f} |" if name in own else " - | - |"
            for own in columns.values()
        ]
        print(f"| `{name}` | {origins[name]} |" + "".join(cells))


def main():
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("searches")
    one.add_argument("families", nargs="*", default=FAMILIES)
    one.add_argument("--trials", type=int, default=100)
    other = commands.add_parser("table")
    other.add_argument("--ml-100k", metavar="FILE")
    other.add_argument("--linked", metavar="FILE")
    chosen = parser.parse_args()
    if chosen.command == "searches":
        searches(chosen.families, chosen.trials)
    else:
        table(chosen.ml_100k, chosen.linked)


if __name__ == "__main__":
    main()
