"""What whole studies take, of the CPU, of the clock and of memory, and what was forecast."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from measuring import CpuSeconds, Figure, Memory, environment, harness_command

from harness import carry_out, forecast_tune, tune
from harness.errors import StudyError
from harness.progress import SearchProgress
from harness.search.storage import read_study

TWENTY_MILLION = 20_000_000


class Steps(SearchProgress):
    """Notes what each step of a study has taken."""

    def __init__(self):
        self._seconds = CpuSeconds()
        self._seconds.start()
        # From the start of the process: importing is a part of it.
        self._marks = [("start", 0.0, 0.0)]

    def begin(self, prepared, candidates):
        """Hear that the search begins."""
        del prepared, candidates
        self.step("search")

    def step(self, what):
        """Hear what is done now."""
        self._marks.append((what, *self._seconds.now()))

    def warn(self, what):
        """Print the forecast, among others."""
        print(what)

    def show(self):
        """Print the seconds of each step; give those of start, search, its workers, the rest."""
        self.step("end")
        totals = {
            "start": 0.0,
            "search": 0.0,
            "workers": 0.0,
            "judging and report": 0.0,
        }
        part = "start"
        for (what, own, others), (_, own_then, others_then) in zip(
            self._marks, self._marks[1:], strict=False
        ):
            took = own_then - own, others_then - others
            print(f"{took[0]:8.1f} {took[1]:8.1f}  {what}")
            part = {"search": "search", "judging": "judging and report"}.get(what, part)
            part = "judging and report" if what.startswith("logging") else part
            totals[part] += sum(took)
            totals["workers"] += took[1] if part == "search" else 0.0
        return totals


@contextmanager
def elsewhere():
    """Work in a temporary folder."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)


@contextmanager
def forecasts():
    """Keep what is forecast of large data."""
    found, before = [], carry_out.forecast_where_large

    def forecast(*asked):
        found.append(before(*asked))
        return found[-1]

    carry_out.forecast_where_large = forecast
    try:
        yield found
    finally:
        carry_out.forecast_where_large = before


MOST_SECONDS_A_TRIAL = {("hybrid", 1_000_000): 2.0}
MOST_SECONDS = {("hybrid", 100_000): 20.0}


def study(data, family, n_trials, split):
    """Tune a family with two workers: CPU seconds of its steps, and what was forecast."""
    steps = Steps()
    with elsewhere() as folder, forecasts() as found:
        print("CPU seconds here, of workers, of")
        options = {"trials": n_trials, "split": split, "jobs": 2, "progress": steps}
        tune(family, str(data), name="study", **options)
        n_ratings = read_study(str(folder / "optuna.log"), "study").dataset.n_ratings
    totals, [expected] = steps.show(), found
    name, kind = (
        f"{family}, {n_ratings:,} ratings, {n_trials} trials",
        (family, n_ratings),
    )
    search = totals["search"]
    of_trial = MOST_SECONDS_A_TRIAL.get(kind)
    return [
        Figure(f"{name}: search", search, "CPU s", MOST_SECONDS.get(kind)),
        Figure(f"{name}: a trial", search / n_trials, "CPU s", of_trial),
        *_beside_forecast(name, expected, totals["workers"]),
        Figure(f"{name}: start", totals["start"], "CPU s"),
        Figure(f"{name}: judging and report", totals["judging and report"], "CPU s"),
    ]


def _beside_forecast(name, expected, happened):
    if expected is None:
        return []
    usual, most = (
        expected.jobs * seconds
        for seconds in (expected.search_seconds, expected.most_seconds)
    )
    return [
        Figure(f"{name}: forecast / happened", usual / happened, "times"),
        Figure(f"{name}: happened / at most", happened / most, "times", 1.0),
    ]


def hand(folder, n_trials):
    """Run a study of ml-100k without a test set, and a twentieth of the hand-written script."""
    script = folder.parent.parent / "bench" / "handwritten_svd.py"
    n_of_script = max(1, n_trials // 20)
    with tempfile.TemporaryDirectory() as name:
        words = script, folder / "u.data", n_of_script, name
        command = [sys.executable, *map(str, words)]
        begin = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        clock = (time.perf_counter() - begin) / n_of_script * n_trials
    best = json.loads(done.stdout.splitlines()[-1])["best_rmse"]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    by_hand = (used.ru_utime + used.ru_stime) / n_of_script * n_trials
    print(f"by hand: {by_hand:.0f} CPU s, from {n_of_script} trials (best {best})")
    ours = seconds_of(folder, "svd", n_trials, split="none", jobs=2)
    name = f"svd, ml-100k, {n_trials} trials"
    return [
        Figure(
            f"{name}: by hand / harness, by the clock",
            clock / ours,
            "times",
            50,
            at_least=True,
        ),
        Figure(f"{name}: whole command", ours, "s"),
    ]


def serial(folder, n_trials):
    """Measure start, judging and report of a study of ml-100k without a test set."""
    figures = study(folder, "svd", n_trials, "none")
    seconds = sum(each.value for each in figures[-2:])
    name = f"svd, ml-100k, {n_trials} trials: start, judging and report"
    return [*figures, Figure(name, seconds, "CPU s", 3)]


def seconds_of(data, family, n_trials, *, split, jobs):
    """Time a whole command by the clock."""
    words = "study", family, "--data", data, "--split", split
    numbers = "--seed", 0, "--jobs", jobs, "--trials", n_trials
    with elsewhere():
        begin = time.perf_counter()
        command = harness_command(*words, *numbers)
        subprocess.run(command, check=True, capture_output=True, env=environment())
        return time.perf_counter() - begin


MOST_WITH_16 = {("svd", 100): 8.0}
LEAST_GAIN_WITH_16 = {"hybrid": 8.0}


def cores(data, family, n_trials, workers, split):
    """Time the whole command, by the number of its workers."""
    seconds_of(data, family, 2, split=split, jobs=max(workers))  # compiles
    figures, first = [], None
    for n_workers in workers:
        seconds = seconds_of(data, family, n_trials, split=split, jobs=n_workers)
        first = first or seconds
        name, is_16 = (
            f"{family}, {n_trials} trials, {n_workers} workers",
            n_workers == 16,
        )
        aim = MOST_WITH_16.get((family, n_trials)) if is_16 else None
        gain = LEAST_GAIN_WITH_16.get(family) if is_16 else None
        figures += [
            Figure(name, seconds, "s", aim),
            Figure(
                f"{name}: faster than {workers[0]}",
                first / seconds,
                "times",
                gain,
                at_least=True,
            ),
        ]
        print(f"{name}: {seconds:.1f} s", flush=True)
    return figures


MOST_MINUTES = {1_000_000: 1.0, TWENTY_MILLION: 25.0}
MOST_GIGABYTES = {TWENTY_MILLION: 6.0}


def large(data, n_trials):
    """Run one study of svd from its file to the report; print when each step began."""
    with elsewhere() as folder:
        # Read from the file, not from the cache of a run before.
        settings = environment(XDG_CACHE_HOME=str(folder))
        words = "study", "svd", "--data", data, "--trials", n_trials
        command = harness_command(*words, "--jobs", 2, "--name", "large")
        start, cpu = time.monotonic(), {}
        pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True}
        process = subprocess.Popen(command, env=settings, **pipes)
        memory = Memory(process.pid)
        memory.start()
        for line in process.stderr:
            words = line.split() or [""]
            # "large:" is told when the search begins, "100/100" when its last trial ends.
            cpu[words[0]] = sum(memory.seconds.values())
            clock = time.monotonic() - start
            print(
                f"{clock:7.1f} s, {cpu[words[0]]:7.1f} CPU s: {line.rstrip()}",
                flush=True,
            )
        if process.wait():
            raise SystemExit(f"it ended with {process.returncode}")
        clock, total = time.monotonic() - start, sum(memory.seconds.values())
        n_ratings = read_study(str(folder / "optuna.log"), "large").dataset.n_ratings
    print({name: f"{peak / 1e9:.2f} GB" for name, peak in memory.peaks.items()})
    searched = cpu[f"{n_trials}/{n_trials}"]
    share = (total - searched) / (searched - cpu["large:"])
    name = f"svd, {n_ratings:,} ratings, {n_trials} trials, from file to report"
    minutes = MOST_MINUTES.get(n_ratings) if n_trials == 100 else None
    most_share = 0.2 if n_ratings == TWENTY_MILLION else None
    gigabytes = memory.peaks["all"] / 1e9
    return [
        Figure(name, clock / 60, "min", minutes),
        Figure(f"{name}: CPU", total, "CPU s"),
        Figure(f"{name}: judging and report / search", share, "times", most_share),
        Figure(f"{name}: memory", gigabytes, "GB", MOST_GIGABYTES.get(n_ratings)),
    ]


def load(data):
    """Measure what it takes to read a file, and to map what was read."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for how in ("stream", "blocks", "cache"):
            runs = []
            for k in range(3):
                place = f"blocks-{k}" if how == "cache" else f"{how}-{k}"
                os.environ["XDG_CACHE_HOME"] = str(Path(folder) / place)
                with ProcessPoolExecutor(1, get_context("spawn")) as process:
                    runs.append(process.submit(_load, data, how).result())
            cpu, clock, peak, arrays = (min(each) for each in zip(*runs, strict=True))
            print(f"{how}: {clock:.2f} s, {peak / 2**20:.0f} MB", flush=True)
            # What reading takes in any case is most of it for a small file.
            aim = 3 if arrays > 100e6 else None
            name = f"loading {data.name} ({how})"
            figures += [
                Figure(name, cpu, "CPU s"),
                Figure(f"{name}: memory", peak / arrays, "times the arrays", aim),
            ]
    return figures


def _load(data, how):
    import pandas as pd  # noqa: F401 - counted with the process, not with the data
    import pyarrow as pa  # noqa: F401

    from harness.data.load import load_dataset
    from harness.data.readers import delimited

    if how == "stream":
        delimited.TextTable._read_blocks = lambda *_: None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, clock = time.process_time(), time.perf_counter()
    ratings = load_dataset(str(data)).ratings
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    arrays = (ratings.users, ratings.items, ratings.values, ratings.rows)
    times = 0 if ratings.timestamps is None else ratings.timestamps.nbytes
    return cpu, clock, 1024 * peak, times + sum(each.nbytes for each in arrays)


def families(data, names):
    """Forecast the memory of families, and say which are refused with 20 GB."""
    figures = []
    for family in names:
        found = forecast_tune(family, str(data), trials=20, jobs=1)
        if found.failed:
            print(f"{family}: refused: {found.failed[family]}", flush=True)
            continue
        try:
            replace(found, available_bytes=int(20e9)).require_room()
        except StudyError as error:
            print(f"{family}: refused: {error}", flush=True)
            continue
        name = f"{family}, {data.name}: memory with one worker, forecast"
        figures.append(Figure(name, found.memory_bytes / 1e9, "GB", 20))
        print("\n".join([family, *found.describe()]), flush=True)
    return figures


def machines(data, n_trials):
    """Search with one worker, with two, and with two of a Dask cluster on this machine."""
    from tests.search.conftest import Cluster

    trials, figures = [], []
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder))
        try:
            cluster.start_scheduler()
            cluster.start_worker("--nworkers", "2")
            cluster.wait_for(2)
            for name, *words in (
                ("one worker", "--jobs", 1),
                ("two workers", "--jobs", 2),
                ("two workers of Dask", "--executor", f"dask={cluster.address}"),
            ):
                seconds, found = _search_with(data, words, n_trials)
                label = f"svd, {n_trials} trials, whole command, {name}"
                figures.append(Figure(label, seconds, "s"))
                trials.append(found)
                if len(trials) == 1:
                    continue
                alike = sum(a == b for a, b in zip(found, trials[0], strict=True))
                label = f"{name}: trials equal to those of one worker, bit for bit"
                share = 100 * alike / n_trials
                figures.append(Figure(label, share, "%", 100, at_least=True))
        finally:
            cluster.stop()
    return figures


def _search_with(data, how, n_trials):
    words = "study", "svd", "--data", data, "--split", "none", *how
    with elsewhere() as folder:
        begin = time.perf_counter()
        command = harness_command(*words, "--trials", n_trials, "--name", "one")
        subprocess.run(command, check=True, capture_output=True, env=environment())
        seconds = time.perf_counter() - begin
        found = read_study(str(folder / "optuna.log"), "one").trials
    return seconds, [(t.number, t.state, t.params, t.fold_values) for t in found]
