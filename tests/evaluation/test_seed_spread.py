import numpy as np
import pytest

from harness.evaluation.statistics import Scores, uncertainty

# Three seeds whose scores vary over the draws of users, each by 1, independently.
INDEPENDENT = np.array([[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]], float)
VALUES = np.array([1.0, 2.0, 3.0])


def scores(variance, values=VALUES):
    """Seeds with this variance over the draws of 11 users, corrected by 11 / 10."""
    draws = values[:, None] + np.sqrt(variance / 1.1) * INDEPENDENT
    return Scores(values=values, draws=draws)


def of(*models):
    return uncertainty(*models, n_users=11, user_degrees_of_freedom=10.0)


def test_what_seeds_owe_to_the_draw_of_users_is_not_counted_twice():
    # Scores of the three seeds have the variance 1, half of which is due to the users:
    # U = 0.5 / 3, and of 1 / 3 between the seeds 0.5 / 3 is new. Together 1 / 3, as if
    # the seeds were all there is, with two degrees of freedom.
    found = of(scores(0.5))
    assert found.standard_error == pytest.approx(np.sqrt(1 / 3))
    assert found.degrees_of_freedom == pytest.approx(2)


def test_seeds_that_differ_less_than_users_make_them_add_nothing():
    # U = 4 / 3; the seeds' 1 / 3 is less than the 4 / 3 due to the users.
    found = of(scores(4.0))
    assert found.standard_error == pytest.approx(np.sqrt(4 / 3))
    # (4 / 3)^2 / ((1 / 3)^2 / 2) = 32, but the users' variance itself has ten.
    assert found.degrees_of_freedom == 10


# All seeds go up and down together with the users, nothing of it is a seed's own.
ALIKE = Scores(values=VALUES, draws=VALUES[:, None] + INDEPENDENT[:1])


def test_the_variances_of_users_and_of_seeds_are_added():
    # U = 1.1 * 1, and 1 / 3 between the seeds.
    assert of(ALIKE).standard_error == pytest.approx(np.sqrt(1.1 + 1 / 3))


def test_few_seeds_with_a_good_part_of_the_variance_leave_few_degrees_of_freedom():
    found = uncertainty(ALIKE, n_users=11, user_degrees_of_freedom=30.0)
    # The seeds have (1 / 3) / (1.1 + 1 / 3) = 0.2326 of it. Satterthwaite has 21.4:
    # 1.4333^2 / (1.1^2 / 30 + (1 / 3)^2 / 2).
    assert found.degrees_of_freedom == pytest.approx(
        1 / (0.76744 / 30 + 0.23256 / 2), 1e-4
    )


def test_satterthwaite_counts_seeds_also_where_they_add_nothing():
    # U = 1.21 / 3 is nearly all of it due to the seeds, whose scores vary by 1 / 3.
    found = uncertainty(scores(1.21), n_users=11, user_degrees_of_freedom=30.0)
    assert found.standard_error == pytest.approx(np.sqrt(1.21 / 3))
    # The square of 1.21 / 3, over half of the square of 1 / 3.
    assert found.degrees_of_freedom == pytest.approx(2 * 1.21**2)


def test_of_two_models_what_both_share_cancels_and_both_spreads_count():
    one = Scores(values=VALUES, draws=VALUES[:, None] + INDEPENDENT[:1])
    other = Scores(values=2 * VALUES, draws=2 * VALUES[:, None] + INDEPENDENT[:1])
    found = of(one, other)
    # 1 / 3 and 4 / 3, two degrees of freedom each.
    assert found.standard_error == pytest.approx(np.sqrt(5 / 3))
    expected = (5 / 3) ** 2 / ((1 / 3) ** 2 / 2 + (4 / 3) ** 2 / 2)
    assert found.degrees_of_freedom == pytest.approx(expected)


def test_a_model_with_one_prediction_is_taken_as_given():
    model = Scores(values=VALUES[:1], draws=1 + INDEPENDENT[:1])
    found = of(model)
    assert found.standard_error == pytest.approx(np.sqrt(1.1))
    assert found.degrees_of_freedom == pytest.approx(10)


def test_p_is_the_tail_of_student_and_its_interval():
    found = of(scores(0.5))
    # Student's t with 2 degrees of freedom, from any table: 4.303 at 97.5 %.
    assert found.half_width(0.95) == pytest.approx(4.303 * np.sqrt(1 / 3), rel=1e-4)
    assert found.p_value(4.303 * np.sqrt(1 / 3)) == pytest.approx(0.05, rel=1e-3)
    assert found.p_value(0.0) == 1
