"""How long the four families of the study take, and how good they get. Run it by hand.

usage: python tests/benchmarks/bench_families.py [--trials N] [FAMILY ...]

`harness study FAMILY` on the whole of ml-100k (``--split none``), five folds, 100 trials
and the default pruning, tracking and report included, one family after the other. One
line for each: seconds by the clock, best RMSE, trials that were complete or pruned.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from harness.search.storage import read_study

SHARED = Path(__file__).parents[3] / "shared"
DATA = Path(os.environ.get("HARNESS_TEST_DATA", SHARED / "data")) / "ml-100k"
HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]
FAMILIES = ("cf", "content", "hybrid", "svd")


def run(family, n_trials, folder):
    """Run one study in a folder of its own; its seconds and its record."""
    command = [*HARNESS, "study", family, "--data", str(DATA), "--split", "none"]
    start = time.perf_counter()
    subprocess.run(
        [*command, "--trials", str(n_trials)],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    seconds = time.perf_counter() - start
    return seconds, read_study(str(folder / "optuna.log"), f"{family}-{DATA.name}")


def main():
    """Run the families, and add up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=FAMILIES)
    parser.add_argument("--trials", type=int, default=100)
    chosen = parser.parse_args()
    total = 0.0
    print(f"{'family':16}{'seconds':>9}{'best RMSE':>11}  trials", flush=True)
    for family in chosen.families:
        with tempfile.TemporaryDirectory() as folder:
            seconds, study = run(family, chosen.trials, Path(folder))
        total += seconds
        states = Counter(str(trial.state) for trial in study.trials)
        ended = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
        best = "-" if study.best is None else f"{study.best.value:.4f}"
        print(f"{family:16}{seconds:9.1f}{best:>11}  {ended}", flush=True)
    print(f"{'together':16}{total:9.1f}   (goal for four: at most 900)")


if __name__ == "__main__":
    main()
