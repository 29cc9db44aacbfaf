import numpy as np
import pytest
import scipy.stats

from harness.errors import DataError, ParameterError
from harness.evaluation.repeats import compare_repeats, repeated_difference


def test_intervals_are_nadeau_and_bengios():
    d = [0.010, 0.012, 0.007, 0.011, 0.009]
    found = repeated_difference(d, test_share=0.2).interval(0.95)
    se = np.sqrt((1 / 5 + 0.2 / 0.8) * np.var(d, ddof=1))
    half = scipy.stats.t.ppf(0.975, 4) * se
    assert (found.low, found.high) == pytest.approx((0.0098 - half, 0.0098 + half))


def test_models_are_answered_over_splits():
    rng = np.random.default_rng(0)
    svd = 0.9 + rng.normal(0, 0.002, 5)
    scores = {
        "cf": svd + np.array([0.0003, -0.0002, 0.0004, 0.0001, 0.0002]),
        "svd": svd,
        "bias": svd + 0.05 + rng.normal(0, 0.0005, 5),
    }
    found = compare_repeats(scores, test_share=0.2, margin=0.005)
    answers = {(p.one, p.other): p.answer for p in found}
    assert answers == {
        ("cf", "svd"): "equivalent",
        ("cf", "bias"): "better",
        ("svd", "bias"): "better",
    }
    assert {pair.dependence for pair in found} == {"splits"}


@pytest.mark.parametrize(
    "scores", [{"a": [1.0, 2.0]}, {"a": [1.0, 2.0], "b": [1.0]}, {"a": [1], "b": [2]}]
)
def test_too_few_scores_are_refused(scores):
    with pytest.raises(DataError):
        compare_repeats(scores, test_share=0.2, margin=0.005)


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(DataError, match="finite"):
        repeated_difference([0.1, float("nan")], test_share=0.2)


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(ParameterError, match="test_share"):
        repeated_difference([0.1, 0.2], test_share=share)
