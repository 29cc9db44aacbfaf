import numpy as np
import pytest

from harness.errors import ParameterError
from harness.evaluation.opening_budget import OpeningBudget, ladder, opening_level


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


def test_guessing_does_not_climb_the_ladder():
    # Random changes of the predictions of pure noise; keeping those that are told to be
    # better would look like progress on these 500 ratings, without any.
    rng = np.random.default_rng(0)
    truth = rng.normal(size=500)

    def climb(tell):
        best, told = np.zeros(500), None
        for _ in range(300):
            guess = best + rng.normal(0, 0.1, 500)
            answer = tell(told, np.sqrt(np.mean((guess - truth) ** 2)))
            if told is None or answer < told:
                best, told = guess, answer
        return told

    open_book = climb(lambda told, score: score)  # noqa: ARG005
    by_ladder = climb(lambda told, score: ladder(told, score, step=0.02))
    start = np.sqrt(np.mean(truth**2))
    assert open_book < start - 0.05
    assert by_ladder > start - 0.02


@pytest.mark.parametrize(
    "call",
    [
        lambda: opening_level(0),
        lambda: opening_level(1, answers=0),
        lambda: opening_level(1, alpha=1.5),
        lambda: OpeningBudget.after(-1),
        lambda: ladder(None, 0.9, step=0),
    ],
)
def test_impossible_settings_are_refused(call):
    with pytest.raises(ParameterError):
        call()
