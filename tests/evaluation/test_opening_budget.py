import pytest

from harness.errors import ParameterError
from harness.evaluation.opening_budget import OpeningBudget, opening_level


@pytest.mark.parametrize("answers", [1, 2, 3])
def test_levels_of_all_models_that_could_come_up_add_up_to_the_total(answers):
    # After k openings with so many answers there are answers^k different histories.
    spent = sum(
        opening_level(k, answers=answers) * answers ** (k - 1) for k in range(1, 31)
    )
    budget = OpeningBudget.after(30, answers=answers)
    assert spent == pytest.approx(0.05 * 30 / 31)
    assert budget.spent == pytest.approx(spent)
    assert budget.spent + budget.left == pytest.approx(0.05)
    assert budget.next_level == opening_level(31, answers=answers)


def test_late_openings_still_have_a_level():
    assert 0 < opening_level(300) < 1e-90


@pytest.mark.parametrize(
    "call",
    [
        lambda: opening_level(0),
        lambda: opening_level(1, answers=0),
        lambda: opening_level(1, alpha=1.5),
        lambda: OpeningBudget.after(-1),
    ],
)
def test_impossible_settings_are_refused(call):
    with pytest.raises(ParameterError):
        call()
