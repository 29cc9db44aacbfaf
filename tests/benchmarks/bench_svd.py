"""How fast `harness study svd` is, beside what users would write by hand.

usage: python tests/benchmarks/bench_svd.py study [SCRIPT_TRIALS]
       python tests/benchmarks/bench_svd.py help
       python tests/benchmarks/bench_svd.py large

``study`` needs the real ratings and the hand-written script (``../shared`` from the
project's root, or ``$HARNESS_TEST_DATA`` with ``../bench`` beside it); a hundred trials
of the script take a quarter of an hour or more. With fewer, its time is extrapolated.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("HARNESS_TEST_DATA", ROOT.parent / "shared" / "data"))
SCRIPT = DATA.parent / "bench" / "handwritten_svd.py"
SPACE = Path(__file__).with_name("handwritten_svd.toml")
HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]
N_TRIALS = 100


def seconds_of(command, folder):
    """Run a command in a folder; its wall time in seconds and what it prints."""
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    )
    return time.perf_counter() - start, done.stdout


def harness_study(folder, *options):
    """One study of the whole of ml-100k, tracking and report included."""
    from harness.search.storage import read_study

    folder.mkdir()
    command = [*HARNESS, "study", "svd", "--data", str(DATA / "ml-100k")]
    command += ["--split", "none", "--trials", str(N_TRIALS), *options]
    seconds, _ = seconds_of(command, folder)
    return seconds, read_study(str(folder / "optuna.log"), "svd-ml-100k")


def first_trial(record, launched):
    """Seconds from the launch of the command to the start of the first trial."""
    return record.trials[0].started.timestamp() - launched


def study(script_trials=N_TRIALS):
    """Time the same study by hand and with harness, then with its default settings."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        by_hand, printed = seconds_of(
            [
                sys.executable,
                str(SCRIPT),
                str(DATA / "ml-100k" / "u.data"),
                str(script_trials),
                str(folder / "by-hand"),
            ],
            folder,
        )
        script = json.loads(printed.splitlines()[-1])
        by_hand = script["per_trial"] * N_TRIALS
        print(f"by hand: {by_hand:.1f} s, best {script['best_rmse']:.5f}")
        for label, options in (
            ("same space, no pruning", ("--space", str(SPACE), "--pruner", "none")),
            ("defaults", ()),
        ):
            launched = time.time()
            seconds, record = harness_study(folder / label.split(",")[0], *options)
            print(
                f"{label}: {seconds:.1f} s, {by_hand / seconds:.1f} times faster, "
                f"best {record.best.value:.5f}, first trial after "
                f"{first_trial(record, launched):.1f} s"
            )


def help_():
    """Time `harness --help` beside the help of an empty Typer app."""
    empty = "import typer\napp = typer.Typer()\n@app.command()\ndef main(): pass\napp()"
    ratios = []
    for _ in range(11):
        ours, _ = seconds_of([*HARNESS, "--help"], ROOT)
        theirs, _ = seconds_of([sys.executable, "-c", empty, "--help"], ROOT)
        ratios.append(ours / theirs)
    print(f"harness --help: {sorted(ratios)[5]:.2f} times an empty Typer app (median)")


def large():
    """Train 20 epochs of 100 factors on 20 million simulated ratings."""
    import numpy as np

    from harness.data.catalogue import Catalogue
    from harness.data.ratings import Ratings, RatingScale
    from harness.models.svd.model import SVD

    n_users, n_items, n = 138_000, 27_000, 20_000_000
    rng = np.random.default_rng(0)
    users = np.sort(rng.integers(0, n_users, n, dtype=np.int32))
    # A long tail: the square of a uniform number prefers the first titles.
    items = (rng.random(n, dtype=np.float32) ** 2 * n_items).astype(np.int32)
    ratings = Ratings(
        users=users,
        items=items,
        values=rng.integers(1, 11, n).astype(np.float32) / 2,
        rows=np.arange(n, dtype=np.int32),
        user_ids=np.arange(n_users).astype(str).astype(object),
        item_ids=np.arange(n_items).astype(str).astype(object),
        scale=RatingScale(0.5, 5),
    )
    SVD(n_epochs=1).fit(ratings.take(np.arange(1000)), Catalogue.empty())
    start = time.perf_counter()
    SVD(n_factors=100, n_epochs=20).fit(ratings, Catalogue.empty())
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"20 million ratings, 100 factors, 20 epochs: {seconds:.1f} s on one core, "
        f"{seconds / 20 / n * 1e9:.0f} ns a rating and epoch, peak {peak:.2f} GiB"
    )


if __name__ == "__main__":
    what, *rest = sys.argv[1:] or ["help"]
    {"study": study, "help": help_, "large": large}[what](*map(int, rest))
