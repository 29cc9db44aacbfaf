import os
import signal
import sys
import textwrap
import threading
import time
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from harness.data.catalogue import Catalogue
from harness.errors import ParameterError, StudyError
from harness.evaluation import cost_probe, costs
from harness.evaluation.cost_probe import (
    CostTask,
    Measured,
    peak_bytes,
    report_costs,
    restart_peak,
)
from harness.evaluation.costs import (
    add_up,
    measure_efficiency,
    n_cost_processes,
    summarize,
)
from harness.evaluation.statistics import Estimate
from harness.evaluation.worker_process import environment_of_workers, unpack
from harness.models.baseline.model import Baseline
from harness.models.svd.model import SVD

NOTHING_KNOWN = Catalogue.empty()
TOYS = """
import os
import signal
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.models.base import Recommender


@dataclass(kw_only=True)
class Toy(Recommender):
    '''Fits as its hyperparameter says.'''

    name: ClassVar[str] = "toy"
    ending: str = "well"
    seed: int = 0

    def _fit(self, ratings, catalogue):
        if self.ending == "death":
            os._exit(7)
        if self.ending == "error":
            raise ValueError(f"seed {self.seed}, threads {os.environ['OMP_NUM_THREADS']}")

    def _predict(self, users, items):
        return np.zeros(len(users))
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A family in a package of its own, installed for this process and its children."""
    (tmp_path / "toy_family.py").write_text(textwrap.dedent(TOYS))
    facts = tmp_path / "toy_family-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[harness.families]\ntoy=toy_family:Toy\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "toy"


@pytest.fixture
def measured(small_ratings):
    return measure_efficiency(
        "baseline",
        {"n_epochs": 3},
        seeds=[0],
        train=small_ratings,
        catalogue=NOTHING_KNOWN,
        n_calls=40,
        n_processes=1,
    ).costs


class Answers:
    """Keeps what a probe in this process sends."""

    def __init__(self):
        self.sent = []

    def send(self, answer):
        self.sent.append(answer)


@pytest.fixture
def probe(monkeypatch, small_ratings):
    """Measure in this process, which is quick, but neither fresh nor alone."""
    monkeypatch.setattr(cost_probe, "end_with_parent", lambda: None)

    def measure(family, params=None, *, train=small_ratings, catalogue=NOTHING_KNOWN):
        answers = Answers()
        task = CostTask(
            family=family,
            params=params or {},
            seed=3,
            train=train,
            catalogue=catalogue,
            n_calls=5,
        )
        report_costs(answers, task)
        [answer] = answers.sent
        return answer if isinstance(answer, str) else answer.costs

    return measure


def test_a_fresh_process_measures_time_memory_and_size(
    measured, small_ratings, tmp_path
):
    assert measured.fit_seconds > 0
    assert (
        0
        < measured.latency_p50_ms
        <= measured.latency_p95_ms
        <= measured.latency_p99_ms
    )
    assert measured.n_calls == 40
    assert measured.n_titles == 40
    assert measured.peak_memory_bytes >= 0
    Baseline(n_epochs=3).fit(small_ratings, NOTHING_KNOWN).save(tmp_path / "model")
    written = [path.stat().st_size for path in (tmp_path / "model").iterdir()]
    assert measured.model_bytes == sum(written)


def test_several_processes_give_a_median_and_a_range(measured):
    seconds = (0.3, 0.1, 0.9)
    found = summarize(
        [
            replace(measured, fit_seconds=s, peak_memory_bytes=k)
            for k, s in enumerate(seconds)
        ]
    )
    assert (found.n_processes, found.fit_seconds, found.peak_memory_bytes) == (
        3,
        0.3,
        1,
    )
    assert found.ranges["fit_seconds"] == (0.1, 0.9)
    assert found.estimate("fit_seconds") == Estimate(value=0.3, low=0.1, high=0.9)
    assert summarize([measured]).ranges == {}
    unknown = [replace(measured, peak_memory_bytes=None)] * 2
    assert summarize(unknown).estimate("peak_memory_bytes") is None


@pytest.mark.parametrize(("seconds", "n_processes"), [(19, 5), (21, 1)])
def test_one_process_is_enough_of_what_takes_long_else_they_take_seeds_in_turn(
    small_ratings, measured, monkeypatch, seconds, n_processes
):
    asked = []

    def ask(task):
        asked.append(task.seed)
        return Measured(costs=measured, models={task.seed: b"model"})

    monkeypatch.setattr(costs, "_ask", ask)
    clock = count(step=seconds)
    monkeypatch.setattr(costs.time, "monotonic", lambda: next(clock))
    found = measure_efficiency(
        "svd",
        {},
        seeds=[7, 8],
        train=small_ratings,
        catalogue=NOTHING_KNOWN,
        n_processes=5,
    )
    assert found.costs.n_processes == n_processes
    assert asked == [7, 8, 7, 8, 7][:n_processes]
    assert set(found.models) == set(asked)


def test_the_number_of_processes_can_be_set(monkeypatch):
    monkeypatch.delenv("HARNESS_COST_PROCESSES", raising=False)
    assert (n_cost_processes(), n_cost_processes(7)) == (5, 7)
    monkeypatch.setenv("HARNESS_COST_PROCESSES", "0")
    with pytest.raises(ParameterError, match="HARNESS_COST_PROCESSES"):
        n_cost_processes()


def test_the_model_of_a_probe_is_the_one_that_is_fitted_here(small_ratings):
    found = measure_efficiency(
        "svd",
        {"n_epochs": 2, "n_factors": 3},
        seeds=[4],
        train=small_ratings,
        catalogue=NOTHING_KNOWN,
        n_calls=2,
        n_processes=1,
    )
    here = SVD(n_epochs=2, n_factors=3, seed=4).fit(small_ratings, NOTHING_KNOWN)
    users, items = small_ratings.users, small_ratings.items
    np.testing.assert_array_equal(
        unpack(found.models[4], small_ratings).predict(users, items),
        here.predict(users, items),
    )


def test_a_blend_costs_the_sum_of_its_parts(measured):
    ranges = {"fit_seconds": (0.1, 0.4), "latency_p95_ms": (1.0, 2.0)}
    one = replace(
        measured,
        fit_seconds=0.2,
        latency_p95_ms=1.5,
        peak_memory_bytes=10,
        model_bytes=7,
        n_processes=5,
        ranges=ranges,
    )
    other = replace(
        one, model_bytes=3, n_processes=3, ranges={"fit_seconds": (0.2, 0.3)}
    )
    found = add_up([one, other])
    assert (found.fit_seconds, found.latency_p95_ms) == (0.4, 3.0)
    assert (found.peak_memory_bytes, found.model_bytes) == (20, 10)
    assert found.ranges == {"fit_seconds": (pytest.approx(0.3), pytest.approx(0.7))}
    assert (found.n_processes, found.is_sum) == (3, True)
    unknown = replace(one, peak_memory_bytes=None)
    assert add_up([one, unknown]).peak_memory_bytes is None


def test_a_process_that_dies_is_an_error_that_says_so(toy, small_ratings):
    with pytest.raises(StudyError, match=r"costs cannot .* died .*exit code 7\)\.$"):
        measure_efficiency(
            toy,
            {"ending": "death"},
            seeds=[0],
            train=small_ratings,
            catalogue=NOTHING_KNOWN,
        )


def test_what_a_model_raises_is_told_in_one_sentence_and_it_has_one_thread(
    toy, small_ratings
):
    # The toy says which seed it was given, and how many threads it may use.
    with pytest.raises(StudyError) as caught:
        measure_efficiency(
            toy,
            {"ending": "error"},
            seeds=[5],
            train=small_ratings,
            catalogue=NOTHING_KNOWN,
        )
    assert str(caught.value) == (
        "What toy costs cannot be measured: ValueError: seed 5, threads 1."
    )


def test_a_mistake_in_the_hyperparameters_keeps_its_own_words(probe):
    assert probe("baseline", {"n_epochs": 0}) == (
        "Baseline: n_epochs must be at least 1, but got 0."
    )


def test_the_model_is_fitted_to_all_ratings_after_a_small_one_with_its_own_titles(
    probe, small_ratings, monkeypatch
):
    import pandas as pd

    seen = []
    fit = Baseline.fit

    def watch(model, ratings, catalogue):
        seen.append((ratings, catalogue))
        return fit(model, ratings, catalogue)

    monkeypatch.setattr(Baseline, "fit", watch)
    monkeypatch.setattr(cost_probe, "_N_THROW_AWAY_USERS", 2)
    titles = Catalogue(pd.DataFrame({"title": small_ratings.item_ids}))
    probe("baseline", catalogue=titles)
    (small, its_titles), (whole, all_titles) = seen
    assert whole is small_ratings
    assert all_titles is titles
    n_ratings = np.isin(small_ratings.users, [0, 1]).sum()
    assert (small.n_users, len(small)) == (2, n_ratings)
    assert its_titles.frame["title"].tolist() == small.item_ids.tolist()


def test_lists_are_asked_for_users_with_training_ratings(
    probe, small_ratings, monkeypatch
):
    asked = []
    recommend = Baseline.recommend

    def watch(model, user, n):
        asked.append((user, n))
        return recommend(model, user, n)

    monkeypatch.setattr(Baseline, "recommend", watch)
    few = small_ratings.take(small_ratings.users >= 57)
    probe("baseline", train=few)
    # One call of the small model, 30 to warm up, and 5 that count.
    assert len(asked) == 1 + 30 + 5
    assert {user for user, _ in asked[1:]} <= {57, 58, 59}
    assert {n for _, n in asked} == {10}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no peak to restart")
def test_the_peak_is_that_of_what_came_after_it_was_restarted():
    first = np.ones(40_000_000, dtype=np.uint8)
    del first
    restart_peak()
    before = peak_bytes()
    second = np.ones(20_000_000, dtype=np.uint8)
    del second
    assert peak_bytes() - before == pytest.approx(20_000_000, rel=0.1)


def test_the_environment_of_workers_is_left_as_it_was(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    with environment_of_workers():
        assert os.environ["OMP_NUM_THREADS"] == os.environ["NUMBA_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "6"
    assert "NUMBA_NUM_THREADS" not in os.environ


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("n_threads", [0, 3])
def test_ctrl_c_waits_until_workers_have_started_and_is_not_lost(n_threads):
    steps, over = [], threading.Event()
    for _ in range(n_threads):
        threading.Thread(target=over.wait, daemon=True).start()

    def start():
        with environment_of_workers():
            # To the process: any of its threads may get it.
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            steps.append("started")

    with pytest.raises(KeyboardInterrupt):
        start()
    over.set()
    assert steps == ["started"]
