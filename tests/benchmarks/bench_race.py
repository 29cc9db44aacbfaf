"""What the race saves, and what it costs: best value, folds and time with it and without.

And why it is paired: how much scores vary between folds, and how much differences to the
best trial on the same fold do, as medians over the trials.

usage: python tests/benchmarks/bench_race.py [SEEDS] [TRIALS]

The default study of svd on ml-100k, the whole set searched, for several seeds.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from harness.experiment.run import RunSettings, prepare_study, study_spec
from harness.search.records import NoListener

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("HARNESS_TEST_DATA", ROOT.parent / "shared" / "data"))


def run(pruner, seed, n_trials):
    """Seconds, folds evaluated and best value of one study."""
    with tempfile.TemporaryDirectory() as folder:
        spec = study_spec(
            "svd",
            n_trials=n_trials,
            seed=seed,
            data={"source": str(DATA / "ml-100k")},
            search={"pruner": pruner},
            split={"method": "none"},
        )
        settings = RunSettings(
            storage=str(Path(folder) / "optuna.log"), jobs=os.cpu_count() or 1
        )
        prepared = prepare_study(spec, settings)
        prepared.begin()
        start = time.perf_counter()
        record = prepared.search("svd", NoListener())
        seconds = time.perf_counter() - start
    n_folds = sum(len(trial.fold_values) for trial in record.trials)
    return seconds, n_folds, record


def spreads(record):
    """Standard deviation between folds: of the scores, and of differences to the best."""
    folds = np.array([trial.fold_values for trial in record.trials])
    means = folds.mean(axis=1)
    behind = folds - folds[means.argmin()]
    paired = behind.std(axis=1, ddof=1)
    others = means > means.min()
    good = others & (means <= np.quantile(means, 0.25))
    return [
        float(np.median(each))
        for each in (folds.std(axis=1, ddof=1), paired[others], paired[good])
    ]


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    n_seeds, n_trials = given + [5, 100][len(given) :]
    for seed in range(n_seeds):
        raced = run("race", seed, n_trials)
        full = run("none", seed, n_trials)
        best = [each[2].best.value for each in (raced, full)]
        alone, paired, good = spreads(full[2])
        print(
            f"seed {seed}: race {best[0]:.5f} in {raced[0]:.1f} s ({raced[1]} folds), "
            f"none {best[1]:.5f} in {full[0]:.1f} s ({full[1]} folds), "
            f"difference {best[0] - best[1]:+.5f}; between folds {alone:.5f}, to the best "
            f"{paired:.5f}, among the best quarter {good:.5f}",
            flush=True,
        )
