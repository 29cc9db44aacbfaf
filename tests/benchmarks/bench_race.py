"""What the race saves, and what it costs: best value and time with it and without.

usage: python tests/benchmarks/bench_race.py [SEEDS] [TRIALS]

The default study of svd on ml-100k, the whole set searched, for several seeds.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

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
    return seconds, n_folds, record.best.value


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    n_seeds, n_trials = given + [5, 100][len(given) :]
    for seed in range(n_seeds):
        raced = run("race", seed, n_trials)
        full = run("none", seed, n_trials)
        print(
            f"seed {seed}: race {raced[2]:.5f} in {raced[0]:.1f} s ({raced[1]} folds), "
            f"none {full[2]:.5f} in {full[0]:.1f} s ({full[1]} folds), "
            f"difference {raced[2] - full[2]:+.5f}",
            flush=True,
        )
