from dataclasses import replace

import pytest

from harness.report.searches import describe_range, edge_of, edges, gauge, position
from harness.search.distributions import Categorical, Epochs, Fixed, Float, Int

LOG = Float(type="float", low=0.01, high=100.0, log=True)
LINEAR = Int(type="int", low=0, high=100)
EPOCHS = Epochs(type="epochs", high=101, patience=4)


def test_position_is_on_the_scale_that_was_searched():
    assert position(LOG, 1.0) == pytest.approx(0.5)
    assert position(LINEAR, 50) == 0.5


@pytest.mark.parametrize(
    ("value", "end"), [(0, "low"), (5, "low"), (6, None), (94, None), (95, "high")]
)
def test_five_per_cent_of_a_linear_range_is_its_edge(value, end):
    assert edge_of(LINEAR, value) == end


@pytest.mark.parametrize(
    # 0.01 * (100 / 0.01) ** 0.05 = 0.01585; on a linear scale 5 would be an edge.
    ("value", "end"),
    [(0.0158, "low"), (0.0159, None), (5.0, None), (64.0, "high"), (63.0, None)],
)
def test_five_per_cent_of_a_log_range_is_measured_on_the_log_scale(value, end):
    assert edge_of(LOG, value) == end


def test_epochs_found_on_the_way_have_only_an_upper_end():
    assert edge_of(EPOCHS, 1) is None
    assert edge_of(EPOCHS, 95) is None
    assert edge_of(EPOCHS, 96) == "high"


@pytest.mark.parametrize(
    "distribution",
    [
        Fixed(type="fixed", value=3),
        Categorical(type="categorical", choices=(3, 4)),
        Int(type="int", low=3, high=3),
    ],
)
def test_what_has_no_range_has_no_edge(distribution):
    assert edge_of(distribution, 3) is None
    assert gauge(distribution, 3) == ""


def test_a_value_that_is_no_number_in_the_range_has_no_place():
    assert [position(LINEAR, v) for v in (None, "a", True, 101)] == [None] * 4


def test_the_gauge_has_one_length():
    assert gauge(LINEAR, 0) == "├●──────────┤"
    assert gauge(LINEAR, 50) == "├─────●─────┤"
    assert gauge(LINEAR, 100) == "├──────────●┤"


def test_ranges_are_put_in_words():
    assert describe_range(LOG) == "0.01 to 100, log"
    assert describe_range(EPOCHS) == "up to 101, found on the way"
    choices = Categorical(type="categorical", choices=(True, "x"))
    assert describe_range(choices) == "true or x"
    steps = Float(type="float", low=0.0, high=1.0, step=0.25)
    assert describe_range(steps) == "0 to 1 in steps of 0.25"


def found_edges(make_study, make_trial, family, space, params):
    study = make_study([make_trial(0, value=1.0, params=params)], family=family)
    return edges(replace(study, settings=replace(study.settings, space=space)))


def test_only_values_that_are_active_and_at_an_edge_are_named(make_study, make_trial):
    space = {"a": LINEAR, "b": LINEAR, "c": LINEAR, "d": LOG}
    params = {"a": 99, "b": 50, "d": 0.01}
    found = found_edges(make_study, make_trial, "not installed here", space, params)
    assert found == {"a": "high", "d": "low"}


def test_what_the_family_does_not_allow_is_no_reason_to_widen(make_study, make_trial):
    weight = Float(type="float", low=0, high=2)
    space = {"genre_weight": weight, "text_weight": weight}
    params = {"genre_weight": 0.0, "text_weight": 2.0}
    found = found_edges(make_study, make_trial, "content", space, params)
    assert found == {"text_weight": "high"}


def test_a_whole_number_is_widened_by_one(make_study, make_trial):
    space = {"n_factors": Int(type="int", low=1, high=50)}
    for value, ends in ((1, {}), (50, {"n_factors": "high"})):
        params = {"n_factors": value}
        assert found_edges(make_study, make_trial, "svd", space, params) == ends
