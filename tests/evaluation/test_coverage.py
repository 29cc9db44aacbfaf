"""The simulation of the benchmark, small: intervals hold what they promise."""

import runpy
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "bench_intervals.py"


@pytest.fixture(scope="module")
def simulation():
    return runpy.run_path(str(BENCHMARK))


def test_intervals_cover_the_truth_about_as_often_as_they_say(simulation):
    # 60 draws of probability 0.95 lie outside [0.88, 1] once in a hundred times.
    assert simulation["coverage"](60, n_users=200) >= 0.88


def test_equal_models_are_seldom_declared_different(simulation):
    # 60 draws of probability 0.05 exceed 0.13 once in a hundred times.
    assert simulation["detections"](60, 0.0, n_users=200) <= 0.13


def test_a_clear_difference_is_found(simulation):
    assert simulation["detections"](20, 0.05, n_users=200) >= 0.9
