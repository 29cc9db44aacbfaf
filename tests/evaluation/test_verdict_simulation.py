"""The fast version of tests/benchmarks/bench_verdict.py, with the same worlds."""

import runpy
from pathlib import Path

import pytest
import scipy.stats

BENCH = runpy.run_path(
    str(Path(__file__).parent.parent / "benchmarks" / "bench_verdict.py")
)
N = 100
# A true coverage of 95 % stays above this, a false alarm of 5 % below its mirror image,
# in 99.9 % of simulations with 100 data sets.
LEAST = int(scipy.stats.binom.ppf(0.001, N, 0.95))
MOST = int(scipy.stats.binom.ppf(0.999, N, 0.05))


@pytest.fixture(scope="module")
def few_titles():
    world = BENCH["World"](n_users=300, n_titles=150, title_sd=0.12)
    return BENCH["measure"](world, N)


def test_two_way_intervals_cover_where_titles_are_few(few_titles):
    found = few_titles["wider"]
    assert found["rmse"] >= LEAST
    for shift in BENCH["SHIFTS"]:
        assert found["covered", shift] >= LEAST


def test_users_alone_do_not(few_titles):
    assert few_titles["users"]["covered", 0.0] < 0.75 * N


def test_false_answers_are_rare():
    world = BENCH["World"](n_users=400, title_sd=0.04)
    found = BENCH["measure"](world, N)["wider"]
    margin = BENCH["MARGIN"]
    for shift in BENCH["SHIFTS"]:
        if shift <= margin:
            assert found["better", shift] + found["worse", shift] <= MOST
        if shift >= margin:
            assert found["equivalent", shift] <= MOST
    assert found["any false", "different"] <= MOST
    assert found["any false", "equivalent"] <= MOST
    assert found["better", 0.05] == N


def test_repeated_splits_are_not_taken_as_independent():
    n = 400
    covered, independent = BENCH["repeats"](n, n_truth=4000)
    least = scipy.stats.binom.ppf(0.001, n, 0.95)
    assert covered >= least
    assert independent < least
