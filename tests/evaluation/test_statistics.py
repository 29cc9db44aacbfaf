import numpy as np
import pytest

from harness.evaluation.statistics import Uncertainty, seed_spread


def test_what_seeds_owe_to_the_draw_of_users_is_not_counted_twice():
    # Scores of three seeds have the variance 1, half of which is due to the users:
    # U = 0.5 / 3, and of 1 / 3 between the seeds 0.5 / 3 is new. Together 1 / 3, as if
    # the seeds were all there is, with two degrees of freedom.
    added, freedom = seed_spread(0.5 / 3, 10, [(1 / 3, 2)], 0.5 / 3)
    assert added == pytest.approx(0.5 / 3)
    assert freedom == pytest.approx(2)


def test_seeds_that_differ_less_than_users_make_them_add_nothing():
    # U = 4 / 3; the seeds' 1 / 3 is less than the 4 / 3 due to the users.
    # (4 / 3)^2 / ((1 / 3)^2 / 2) = 32, but the users' variance itself has ten.
    assert seed_spread(4 / 3, 10, [(1 / 3, 2)], 4 / 3) == (0, 10)


def test_the_variances_of_users_and_of_seeds_are_added():
    assert seed_spread(1.1, 10, [(1 / 3, 2)], 0)[0] == pytest.approx(1 / 3)


def test_few_seeds_with_a_good_part_of_the_variance_leave_few_degrees_of_freedom():
    # The seeds have (1 / 3) / (1.1 + 1 / 3) = 0.2326 of it. Satterthwaite has 21.4:
    # 1.4333^2 / (1.1^2 / 30 + (1 / 3)^2 / 2).
    _, freedom = seed_spread(1.1, 30, [(1 / 3, 2)], 0)
    assert freedom == pytest.approx(1 / (0.76744 / 30 + 0.23256 / 2), 1e-4)


def test_satterthwaite_counts_seeds_also_where_they_add_nothing():
    # U = 1.21 / 3 is nearly all of it due to the seeds, whose scores vary by 1 / 3: the
    # square of 1.21 / 3, over half of the square of 1 / 3.
    added, freedom = seed_spread(1.21 / 3, 30, [(1 / 3, 2)], 1.21 / 3)
    assert added == 0
    assert freedom == pytest.approx(2 * 1.21**2)


def test_of_two_models_both_spreads_count():
    # 1 / 3 and 4 / 3, two degrees of freedom each.
    added, freedom = seed_spread(0, 10, [(1 / 3, 2), (4 / 3, 2)], 0)
    assert added == pytest.approx(5 / 3)
    expected = (5 / 3) ** 2 / ((1 / 3) ** 2 / 2 + (4 / 3) ** 2 / 2)
    assert freedom == pytest.approx(expected)


def test_a_model_with_one_prediction_is_taken_as_given():
    assert seed_spread(1.1, 10, [], 0) == (0, 10)


def test_p_is_the_tail_of_student_and_its_interval():
    found = Uncertainty(standard_error=float(np.sqrt(1 / 3)), degrees_of_freedom=2)
    # Student's t with 2 degrees of freedom, from any table: 4.303 at 97.5 %.
    assert found.half_width(0.95) == pytest.approx(4.303 * np.sqrt(1 / 3), rel=1e-4)
    assert found.p_value(4.303 * np.sqrt(1 / 3)) == pytest.approx(0.05, rel=1e-3)
    assert found.p_value(0.0) == 1
