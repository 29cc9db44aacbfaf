import pytest

from tests.experiment.records import make_costs, make_record, make_spec


def check(record=None, **criterion):
    spec = make_spec(criteria=[criterion])
    return make_record(spec=spec, **(record or {})).criteria[0]


def test_criteria_are_checked_in_the_order_of_the_file(record):
    found = record.criteria
    assert [c.passed for c in found] == [True, True, False]
    assert [c.candidate for c in found] == ["svd", "svd", "cf"]


@pytest.mark.parametrize(("bound", "passed"), [(0.572, True), (0.5719, False)])
def test_a_bound_may_be_reached_but_not_crossed(bound, passed):
    assert check(metric="rmse", at_most=bound).passed is passed
    assert check(metric="rmse", at_least=1.144 - bound).passed is passed


def test_both_bounds_have_to_hold():
    assert check(metric="rmse", at_least=0.5, at_most=0.6).passed
    assert not check(metric="rmse", at_least=0.58, at_most=0.6).passed
    assert not check(metric="rmse", at_least=0.5, at_most=0.57).passed


def test_what_failed_is_said_with_its_bound_and_by_how_much():
    above = check(metric="rmse", at_most=0.55)
    assert (
        above.sentence
        == "RMSE of SVD 0.5720 stars (required: <= 0.55): 0.0220 stars above"
    )
    below = check(metric="gain_over_bias", candidate="content", at_least=0)
    assert below.sentence.endswith(
        "content-based -0.0200 stars (required: >= 0): 0.0200 stars below"
    )
    size = check(metric="model_bytes", candidate="cf", at_most=20e6)
    assert size.sentence.endswith("21 MB (required: <= 20 MB): 1.0 MB above")


def test_what_holds_is_said_with_its_bounds():
    found = check(metric="rmse", at_least=0.5, at_most=0.6)
    assert found.sentence == "RMSE of SVD 0.5720 stars (required: >= 0.5, <= 0.6)"


def test_a_gain_that_may_be_chance_is_said_to_be_so():
    # 0.66 - 0.572 is 22 standard errors of 0.004, and less than one of 0.1.
    found = check(metric="gain_over_bias", at_least=0.05)
    assert (found.passed, found.doubt) == (True, "")
    unsure = check({"judged": {"error": 0.1}}, metric="gain_over_bias", at_least=0.05)
    assert unsure.passed
    assert unsure.sentence.endswith(
        "SVD 0.0880 stars (required: >= 0.05), but the difference to the baseline may be "
        "chance"
    )
    failed = check({"judged": {"error": 0.1}}, metric="gain_over_bias", at_least=0.09)
    assert "chance" not in failed.sentence


def test_the_winner_is_the_one_that_the_rule_chooses():
    found = check(
        {
            "judged": {"error": 1.0},
            "costs": make_costs({"cf": 0.001}),
        },
        metric="rmse",
        at_most=1,
    )
    assert found.candidate == "cf"


def test_what_was_not_measured_has_not_passed_and_says_why():
    sealed = check({"opened": False}, metric="rmse", at_most=9)
    assert (sealed.passed, sealed.measured) == (False, None)
    assert sealed.candidate == "winner"
    assert "the test set has not been opened" in sealed.sentence
    left_out = check(
        {"judged": {"tuned": {"cf": 0.6}}}, metric="rmse", candidate="svd", at_most=9
    )
    assert not left_out.passed
    assert "was not scored" in left_out.sentence
    no_cost = check({"costs": {}}, metric="latency_p95_ms", at_most=9)
    assert not no_cost.passed
    assert "was not measured" in no_cost.sentence


def test_a_criterion_may_be_about_the_data():
    found = check(metric="data.sparsity", at_most=0.99)
    assert found.passed
    assert found.sentence.startswith("sparsity of the data 0.95 (required: <= 0.99)")
