import pytest

from harness.evaluation.statistics import holm


def test_the_smallest_is_multiplied_by_the_number_of_comparisons():
    assert holm([0.01, 0.2, 0.3]) == pytest.approx([0.03, 0.4, 0.4])


def test_one_comparison_needs_no_correction():
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_adjusted_values_keep_the_order_and_stay_below_one():
    # Rising: 0.01 * 4, 0.02 * 3, 0.021 * 2 (not below the one before), 0.9 * 1.
    adjusted = holm([0.9, 0.02, 0.01, 0.021])
    assert adjusted == pytest.approx([0.9, 0.06, 0.04, 0.06])
    assert holm([0.8, 0.9]) == [1.0, 1.0]
