import math

import numpy as np
import pytest

from harness.errors import UnknownNameError
from harness.evaluation.measures import BLOCK, LOG_LOSS, MEASURES
from harness.evaluation.metrics import score
from harness.evaluation.results import BIAS_BASELINE, DepthError, without_interval
from harness.experiment.measured import (
    DATA_NAMES,
    check_metric,
    estimate,
    measured,
    measured_value,
)
from tests.experiment.records import PROFILE, make_record
from tests.experiment.scores import model


def with_models(*models):
    return make_record(judged={"changes": {"models": tuple(models), "differences": ()}})


# None of the families in the record says how probable a rating is.
@pytest.mark.parametrize("name", [*(n for n in MEASURES if n != LOG_LOSS), *DATA_NAMES])
def test_every_metric_is_found_in_a_full_record(name):
    record = make_record(profile=PROFILE | {"genre_diversity": 0.6, "peak_hours": 20})
    candidate = "content" if name.startswith(BLOCK) else "svd"
    assert math.isfinite(measured(record, name, candidate))


def test_weights_of_content_blocks_are_shares_of_their_sum(record):
    # 0.08, 0.81, 0.32 and 0.11 of 1.32.
    assert measured(record, "block.genre", "content") == pytest.approx(0.81 / 1.32)
    assert measured(record, "block.genre", "svd") is None


@pytest.mark.parametrize("name", MEASURES)
def test_nothing_of_a_model_is_known_before_the_test_set_is_opened(name):
    assert measured(make_record(opened=False), name, "svd") is None


def test_all_metrics_of_predictions_can_be_named():
    assert {*score(np.float32([3, 4]), np.float32([4, 4]))} <= {*MEASURES}


def test_initial_and_tuned_settings_are_told_apart(record):
    assert measured(record, "rmse", "svd") == 0.572
    assert measured(record, "rmse", "svd", "initial") == 0.578


def test_a_baseline_is_found_by_its_name(record):
    assert measured(record, "rmse", BIAS_BASELINE) == 0.66
    assert measured(record, "latency_p95_ms", BIAS_BASELINE) == 0.2


def test_costs_are_those_of_the_process_of_its_own(record):
    assert measured(record, "latency_p95_ms", "svd") == 0.42
    assert measured(record, "latency_p99_ms", "svd") == pytest.approx(0.672)
    assert measured(record, "fit_seconds", "svd") == 0.62


def test_of_initial_settings_only_the_training_time_is_known_of_all_costs(record):
    assert measured(record, "fit_seconds", "svd", "initial") == 0.75
    assert measured(record, "latency_p95_ms", "svd", "initial") is None
    assert measured(record, "model_bytes", "svd", "initial") is None


def test_the_gain_over_bias_is_the_baselines_rmse_minus_the_models(record):
    assert measured(record, "gain_over_bias", "svd") == pytest.approx(0.660 - 0.572)
    assert measured(record, "gain_over_bias", "content") == pytest.approx(-0.020)


def test_the_interval_of_the_gain_has_the_sign_of_the_gain(record):
    low, high = ends(record, "gain_over_bias", "svd")
    assert low < 0.088 < high
    # 2.807 standard errors of 0.004: one of ten pairs
    assert (low, high) == pytest.approx((0.07677, 0.09923), abs=5e-6)


def depth_errors(*groups):
    return tuple(
        DepthError(
            depth=depth,
            n_pairs=n_pairs,
            rmse=None if value is None else without_interval(value),
        )
        for depth, n_pairs, value in groups
    )


def test_cold_rmse_pools_the_pairs_of_both_cold_groups():
    groups = depth_errors(("0", 1, 3.0), ("1-5", 3, 1.0), ("6-20", 50, 0.5))
    depth = {"users": groups, "items": ()}
    found = with_models(model("svd, tuned", 0.6, "tuned", "svd", depth=depth))
    # Squares: 9 + 3 * 1 = 12 over 4 pairs.
    assert measured(found, "cold_user_rmse", "svd") == pytest.approx(math.sqrt(3))
    assert measured(found, "cold_item_rmse", "svd") is None


def test_a_cold_group_without_pairs_does_not_count():
    groups = depth_errors(("0", 0, None), ("1-5", 2, 1.5))
    depth = {"users": groups, "items": groups[:1]}
    found = with_models(model("svd, tuned", 0.6, "tuned", "svd", depth=depth))
    assert measured(found, "cold_user_rmse", "svd") == 1.5
    assert measured(found, "cold_item_rmse", "svd") is None


def test_settings_are_found_and_texts_are_no_numbers(record):
    assert measured(record, "param.n_factors", "svd", "initial") == 100
    assert measured_value(record, "param.similarity", "cf") == "pearson_baseline"
    assert measured(record, "param.similarity", "cf") is None
    assert measured(record, "param.user_based", "cf", "initial") == 1
    assert measured(record, "param.n_layers", "svd") is None


def test_characteristics_of_the_data_belong_to_no_candidate(record):
    assert measured(record, "data.sparsity", None) == 0.95
    assert measured_value(record, "data.peak_hours", None) == "20:00-23:00"
    assert measured(record, "data.genre_diversity", None) is None
    assert measured(record, "rmse", None) is None


def test_what_is_not_a_number_was_not_measured():
    measures = {"r2": without_interval(math.nan)}
    found = with_models(model("svd, tuned", 0.6, "tuned", "svd", measures=measures))
    assert measured(found, "r2", "svd") is None
    assert measured(found, "mae", "svd") is None


def ends(record, name, candidate):
    found = estimate(record, name, candidate)
    return None if found is None else (found.low, found.high)


def test_intervals_are_those_of_the_test_set(record):
    assert ends(record, "rmse", "svd") == pytest.approx((0.564, 0.580))
    for name in ("latency_p95_ms", "param.n_factors", "cold_user_rmse"):
        assert ends(record, name, "svd") is None
    assert ends(record, "data.mean", None) is None


def test_a_family_that_was_not_scored_has_no_values():
    found = make_record(judged={"tuned": {"svd": 0.57}})
    assert measured(found, "rmse", "cf") is None
    assert ends(found, "rmse", "cf") is None


def test_a_gain_over_a_baseline_that_was_not_scored_is_unknown():
    found = make_record(judged={"baselines": {}})
    assert measured(found, "gain_over_bias", "svd") is None
    assert ends(found, "gain_over_bias", "svd") is None


@pytest.mark.parametrize(
    "name", ["rsme", "data.sparcity", "param.", "latency", "RMSE", ""]
)
def test_a_name_that_stands_for_nothing_is_refused(record, name):
    with pytest.raises(UnknownNameError, match="There is no metric named"):
        check_metric(name)
    with pytest.raises(UnknownNameError):
        measured(record, name, "svd")
    with pytest.raises(UnknownNameError):
        estimate(record, name, "svd")


def test_a_misspelt_name_is_put_right():
    with pytest.raises(UnknownNameError, match="Did you mean 'rmse'"):
        check_metric("rsme")


def test_the_record_made_for_tests_agrees_with_itself(record):
    for found in record.judging.models:
        groups = found.depth["users"]
        squares = sum(g.n_pairs * g.rmse.value**2 for g in groups)
        n_pairs = sum(g.n_pairs for g in groups)
        assert math.sqrt(squares / n_pairs) == pytest.approx(found.rmse.value)
    for candidate, study in record.studies.items():
        assert record.judging.best_trials[candidate] == study.best.number
