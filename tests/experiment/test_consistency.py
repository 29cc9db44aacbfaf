import math

import pytest
from scipy import stats

from harness.experiment.claims import find_contradictions
from tests.experiment.records import PUBLISHED, make_claims, make_spec


def spec_of(**values):
    """A spec that claims these figures of svd, and a variance of the data."""
    variance = values.pop("variance", 0.85)
    claims = [("svd", name, value, {}) for name, value in values.items()]
    if variance is not None:
        claims.append((None, "data.variance", variance, {}))
    return make_spec(claims=make_claims(claims))


def test_the_published_figures_do_not_fit_together_as_worked_out_by_hand():
    found = find_contradictions(make_spec())
    assert [c.kind for c in found] == ["contradiction", "remark", "remark"]
    variance, mean, gaussian = found
    # The end of the file of published figures has these numbers.
    assert variance.numbers["implied_variance"] == pytest.approx(0.5516, abs=5e-5)
    assert variance.numbers["implied_r2"] == pytest.approx(0.611, abs=5e-4)
    assert "0.5749² / (1 - 0.4008) = 0.5516, not 0.85" in variance.sentence
    assert "R² of 0.611" in variance.sentence
    assert variance.figures == ("RMSE of SVD", "R² of SVD", "variance of the data")
    assert mean.numbers["standard_deviation"] == pytest.approx(0.922, abs=5e-4)
    assert "published 0.92 (RMSE of content-based)" in mean.sentence
    assert gaussian.numbers["mae_to_rmse"] == pytest.approx(0.8135, abs=5e-5)
    assert gaussian.numbers["gaussian_mae_to_rmse"] == pytest.approx(0.798, abs=5e-4)
    assert "61.6 % and 91.8 %" in gaussian.sentence
    assert "that of Gaussian errors" in gaussian.sentence


def test_figures_that_fit_together_are_left_alone():
    # 1 - 0.6^2 / 0.9 = 0.6
    assert find_contradictions(spec_of(rmse=0.6, r2=0.6, variance=0.9)) == []


@pytest.mark.parametrize(("variance", "n_found"), [(0.98, 0), (1.0, 1), (0.81, 1)])
def test_a_test_set_may_vary_a_tenth_less_or_more_than_all_ratings(variance, n_found):
    # 0.6^2 / (1 - 0.6) = 0.9
    found = find_contradictions(spec_of(rmse=0.6, r2=0.6, variance=variance))
    assert len(found) == n_found


def test_without_a_published_variance_nothing_contradicts_it():
    assert find_contradictions(spec_of(rmse=0.5749, r2=0.4, variance=None)) == []


def test_figures_of_different_settings_are_not_held_against_each_other():
    claims = make_claims(
        [
            ("svd", "rmse", 0.5749, {"role": "tuned"}),
            ("svd", "r2", 0.4008, {"role": "initial"}),
            (None, "data.variance", 0.85, {}),
        ]
    )
    assert find_contradictions(make_spec(claims=claims)) == []


def test_a_perfect_r2_implies_no_variance():
    assert find_contradictions(spec_of(rmse=0.3, r2=1.0)) == []


@pytest.mark.parametrize(
    ("rmse", "n_found"), [(0.89, 1), (0.91, 1), (0.911, 0), (0.889, 0)]
)
def test_an_rmse_within_a_hundredth_of_the_deviation_is_that_of_the_mean(rmse, n_found):
    assert len(find_contradictions(spec_of(rmse=rmse, variance=0.81))) == n_found


@pytest.mark.parametrize("rmse", [0.3, 0.5749, 0.9])
def test_the_shape_of_normal_errors_is_recognised(rmse):
    errors = stats.norm(scale=rmse)
    figures = {
        "rmse": rmse,
        "mae": errors.expect(abs),
        "within_half_star": errors.cdf(0.5) - errors.cdf(-0.5),
        "within_one_star": errors.cdf(1) - errors.cdf(-1),
    }
    (found,) = find_contradictions(spec_of(**figures, variance=None))
    assert found.kind == "remark"
    for name in ("mae_to_rmse", "within_half_star", "within_one_star"):
        assert found.numbers[name] == pytest.approx(found.numbers[f"gaussian_{name}"])
    off = figures | {"within_half_star": figures["within_half_star"] + 0.021}
    assert find_contradictions(spec_of(**off, variance=None)) == []


def test_errors_of_another_shape_are_not_called_normal():
    # Uniform errors up to a: RMSE a / sqrt(3), MAE a / 2, shares t / a.
    uniform = {
        "rmse": 1.2 / math.sqrt(3),
        "mae": 0.6,
        "within_half_star": 0.5 / 1.2,
        "within_one_star": 1 / 1.2,
    }
    assert find_contradictions(spec_of(**uniform, variance=None)) == []


def test_a_label_from_the_file_names_the_figure():
    claims = make_claims(
        [
            ("svd", "rmse", 0.5749, {"label": "headline error"}),
            *(c for c in PUBLISHED if c[1] in {"r2", "data.variance"}),
        ]
    )
    (found,) = find_contradictions(make_spec(claims=claims))
    assert found.figures[0] == "headline error"
