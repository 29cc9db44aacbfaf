"""The simulation of the benchmark, small: intervals hold what they promise.

Bounds are quantiles of the binomial distribution: a method that holds its promise
exactly would be outside of one for one in a thousand choices of the seed.
"""

import runpy
from pathlib import Path

import pytest
from scipy.stats import binom
from threadpoolctl import threadpool_limits

from harness.models.baseline.model import Baseline
from harness.models.svd.model import SVD

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "bench_intervals.py"
CHANCE = 0.001


@pytest.fixture(scope="module")
def simulation():
    # Products this small are slower with several threads, much so on a busy machine.
    with threadpool_limits(1):
        yield runpy.run_path(str(BENCHMARK))


def at_least(n, share):
    return binom.ppf(CHANCE, n, share)


def at_most(n, share):
    return binom.ppf(1 - CHANCE, n, share)


@pytest.mark.parametrize("effect", ["SEED_EFFECT", "LARGE_SEED_EFFECT"])
def test_intervals_cover_the_truth_about_as_often_as_they_say(simulation, effect):
    hits = simulation["coverage"](100, n_users=200, seed_effect=simulation[effect])
    assert min(hits.values()) >= at_least(100, 0.95)


def test_intervals_of_few_users_cover_the_truth_nearly_as_often(simulation):
    # 0.93 at full size.
    assert simulation["coverage"](200, n_users=20)["rmse"] >= at_least(200, 0.93)


@pytest.mark.parametrize("effect", ["SEED_EFFECT", "LARGE_SEED_EFFECT"])
def test_equal_models_are_seldom_declared_different(simulation, effect):
    compare, effect = simulation["compare"], simulation[effect]
    found, covered = compare(100, 0.0, n_users=200, seed_effect=effect)
    assert found <= at_most(100, 0.05)
    assert covered == 100 - found


def test_a_true_difference_of_a_fiftieth_of_a_star_is_found(simulation):
    found, covered = simulation["compare"](40, 0.02)
    assert found >= at_least(40, 0.8)
    assert covered >= at_least(40, 0.95)


def test_copies_of_svd_with_other_seeds_are_seldom_declared_different(simulation):
    found, _ = simulation["copies"](60, lambda s: SVD(n_factors=10, seed=s))
    assert found <= at_most(60, 0.05)


def test_a_family_without_randomness_never_differs_from_itself(simulation):
    found, _ = simulation["copies"](20, lambda _: Baseline(), seeds=((0,), (0,)))
    assert found == 0
