import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from harness.evaluation.metrics import OBJECTIVE, rmse, score

stars = st.floats(0.5, 5.0, width=32)


@st.composite
def pairs(draw, min_size=1):
    n = draw(st.integers(min_size, 40))
    shape = (n,)
    return draw(npst.arrays(np.float32, shape, elements=stars)), draw(
        npst.arrays(np.float32, shape, elements=stars)
    )


@given(pairs(min_size=2))
def test_metrics_equal_those_of_scikit_learn(ratings):
    truth, prediction = (column.astype(np.float64) for column in ratings)
    values = score(*ratings)
    assert values["rmse"] == rmse(*ratings)
    assert values["rmse"] == pytest.approx(root_mean_squared_error(truth, prediction))
    assert values["mae"] == pytest.approx(mean_absolute_error(truth, prediction))
    if truth.var() > 1e-6:
        assert values["r2"] == pytest.approx(
            r2_score(truth, prediction), rel=1e-6, abs=1e-6
        )


@given(pairs())
def test_shares_are_counts_of_errors_within_the_limit(ratings):
    truth, prediction = ratings
    values = score(truth, prediction)
    for name, limit in (("within_half_star", 0.5), ("within_one_star", 1.0)):
        hits = [
            abs(float(t) - float(p)) <= limit + 1e-6
            for t, p in zip(truth, prediction, strict=True)
        ]
        assert values[name] == pytest.approx(sum(hits) / len(hits))


@given(pairs())
def test_mae_never_exceeds_rmse_and_one_star_covers_half_a_star(ratings):
    values = score(*ratings)
    assert values["mae"] <= values["rmse"] + 1e-9
    assert values["within_half_star"] <= values["within_one_star"]


def test_an_error_of_exactly_half_a_star_counts_as_within():
    truth, prediction = np.float32([3.9]), np.float32([4.4])
    assert score(truth, prediction)["within_half_star"] == 1.0


def test_r2_of_constant_truth_is_not_a_number():
    truth = np.float32([3, 3])
    assert np.isnan(score(truth, np.float32([3, 4]))["r2"])


def test_the_objective_is_to_be_minimised():
    assert (OBJECTIVE.name, OBJECTIVE.direction) == ("rmse", "minimize")
