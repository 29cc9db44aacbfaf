import itertools
import statistics
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.experiment.convergence import (
    best_so_far,
    drawn_values,
    expected_best,
    expected_curve,
    still_falling,
)
from tests.experiment.records import FOLDS, make_study, make_trial

stars = st.floats(0.5, 2, allow_nan=False)


def study_of(*values):
    """Trials in order; a text is the state of a trial with a value of one star."""
    trials = [
        make_trial(number, 1.0, value)
        if isinstance(value, str)
        else make_trial(number, value)
        for number, value in enumerate(values)
    ]
    return make_study("svd", trials=tuple(trials))


def test_the_best_so_far_never_rises_and_skips_trials_without_an_objective():
    found = best_so_far(study_of(0.9, 0.95, "pruned", 0.8, "failed", 0.85))
    assert found == [(0, 0.9), (1, 0.9), (3, 0.8), (5, 0.8)]


def test_an_empty_search_has_no_curve():
    assert best_so_far(study_of()) == []
    assert expected_curve(study_of("failed")) == []
    assert expected_curve(study_of("pruned")) == []


@settings(deadline=None)
@given(st.lists(stars, min_size=1, max_size=7), st.data())
def test_the_expected_best_is_the_mean_over_all_draws(values, data):
    n = data.draw(st.integers(1, len(values)))
    draws = itertools.combinations(values, n)
    brute = statistics.fmean(min(draw) for draw in draws)
    assert expected_best(values, n) == pytest.approx(brute)


def test_the_expected_best_of_one_is_the_mean_and_of_all_the_lowest():
    values = [0.9, 0.7, 0.8]
    assert expected_best(values, 1) == pytest.approx(0.8)
    assert expected_best(values, 3) == pytest.approx(0.7)


def test_the_expected_best_of_thousands_of_trials_is_finite():
    values = [k / 5000 for k in range(1, 5001)]
    # The lowest of n of the numbers 1 to N is (N + 1) / (n + 1) on average.
    assert expected_best(values, 2500) == pytest.approx(5001 / 2501 / 5000)


@pytest.mark.parametrize("n", [0, 4, -1])
def test_no_more_can_be_drawn_than_there_are(n):
    with pytest.raises(ValueError, match="between 1 and 3"):
        expected_best([1.0, 2.0, 3.0], n)


def test_a_pruned_trial_counts_by_its_distance_to_the_best_on_the_folds_it_saw():
    best, pruned = make_trial(0, 0.8), make_trial(1, 0.9, "pruned")
    assert pruned.fold_values == (0.9 + FOLDS[0],)
    found = drawn_values(make_study("svd", trials=(best, pruned)))
    assert found == pytest.approx([0.8, 0.9])


def test_a_pruned_trial_is_never_worth_more_than_the_best():
    lucky = replace(make_trial(1, 0.7, "pruned"), fold_values=(0.7,))
    study = make_study("svd", trials=(make_trial(0, 0.8), lucky))
    assert drawn_values(study) == pytest.approx([0.8, 0.8])


def test_the_expected_curve_ends_at_the_best_trial():
    study = make_study("svd")
    curve = expected_curve(study)
    assert [n for n, _ in curve] == list(range(1, 12))  # one of twelve trials failed
    values = [value for _, value in curve]
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(study.best.value)


@pytest.mark.parametrize(
    ("last", "falling"),
    [(0.8, True), (0.8985, True), (0.8995, False), (0.95, False), ("pruned", False)],
)
def test_a_search_that_still_improves_in_its_last_quarter_is_falling(last, falling):
    assert still_falling(study_of(0.95, 0.9, 0.92, last)) is falling


def test_an_improvement_before_the_last_quarter_does_not_count():
    assert not still_falling(study_of(0.95, 0.9, 0.8, 0.9))
    # Of eight trials the last two are the last quarter.
    flat = [0.95] * 6
    assert still_falling(study_of(*flat, 0.8, 0.95))
    assert not still_falling(study_of(*flat[:5], 0.8, 0.95, 0.95))


def test_failed_trials_are_no_part_of_the_search():
    assert still_falling(study_of(0.95, 0.9, 0.92, 0.8, "failed", "failed", "failed"))


def test_a_search_of_one_trial_is_not_falling():
    assert not still_falling(study_of(0.9))
    assert not still_falling(study_of())
    assert not still_falling(study_of("pruned", "pruned"))


def test_a_search_whose_first_complete_trial_is_its_last_is_falling():
    assert still_falling(study_of("pruned", "pruned", "pruned", 0.9))
