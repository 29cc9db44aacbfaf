from datetime import UTC, datetime

import numpy as np
import pytest

from harness.search.importance import (
    FEWEST_TRIALS,
    dominating_choice,
    has_importance,
    param_importance,
)
from harness.search.pruners import paired_values
from harness.search.records import StudyRecord, TrialRecord
from tests.facts import dataset_facts, search_settings, split_facts

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SPACE = {
    "strong": {"type": "float", "low": 0.0, "high": 1.0},
    "weak": {"type": "int", "low": 1, "high": 100, "log": True},
    "choice": {"type": "categorical", "choices": ["a", "b"]},
    "sometimes": {
        "type": "float",
        "low": 0.0,
        "high": 1.0,
        "when": {"choice": "a"},
    },
    "n_epochs": {"type": "epochs", "high": 9, "patience": 2},
    "biased": {"type": "fixed", "value": True},
}


def trial(number, value, folds=(), state="complete", **params):
    return TrialRecord(
        number=number,
        state=state,
        params=params,
        value=value if state == "complete" else None,
        fold_values=tuple(folds),
        metrics={},
        seed=0,
        started=NOW,
        ended=NOW,
    )


def study(trials):
    return StudyRecord(
        name="toy",
        family="toy",
        settings=search_settings(space=SPACE),
        dataset=dataset_facts(),
        split=split_facts(),
        code_version="0",
        storage="",
        trials=tuple(trials),
    )


@pytest.fixture
def random_trials():
    """Trials whose value is that of `strong`, and a hundredth of `weak`."""

    def make(n_trials):
        rng = np.random.default_rng(0)
        for number in range(n_trials):
            params = {
                "strong": float(rng.random()),
                "weak": int(rng.integers(1, 101)),
                "choice": "ab"[number % 2],
                "n_epochs": 3,
                "biased": True,
            }
            if number % 2 == 0:
                params["sometimes"] = float(rng.random())
            value = 1 + params["strong"] + 0.01 * params["weak"] / 100
            yield trial(number, value, folds=(value,), **params)

    return make


def test_the_parameter_that_makes_the_value_has_nearly_all_of_the_importance(
    random_trials,
):
    importance = param_importance(study(random_trials(60)))
    assert list(importance)[0] == "strong"  # noqa: RUF015 - the order is the point
    assert importance["strong"] > 0.95
    assert sum(importance.values()) == pytest.approx(1)


def test_what_is_not_searched_or_not_always_active_has_none(random_trials):
    importance = param_importance(study(random_trials(60)))
    assert set(importance) == {"strong", "weak", "choice"}


def test_the_same_study_has_the_same_importance(random_trials):
    trials = list(random_trials(40))
    assert param_importance(study(trials)) == param_importance(study(trials))


def test_pruned_trials_count(random_trials):
    trials = [
        trial(t.number, None, t.fold_values, "pruned", **t.params)
        if t.number >= 5
        else t
        for t in random_trials(60)
    ]
    assert param_importance(study(trials))["strong"] > 0.9


def test_too_few_trials_or_equal_ones_have_none(random_trials):
    assert param_importance(study(random_trials(FEWEST_TRIALS - 1))) == {}
    equal = [trial(n, 1.0, strong=n / 50) for n in range(50)]
    assert param_importance(study(equal)) == {}
    assert param_importance(study([])) == {}


def test_a_pruned_trial_is_judged_by_the_folds_it_shares_with_the_best():
    best = trial(0, 0.92, (0.90, 0.94))
    # On the easy fold 0.005 worse than the best; its plain mean would beat it.
    pruned = trial(1, None, (0.905,), "pruned")
    failed = trial(2, None, (), "failed")
    assert paired_values(study([best, pruned, failed])) == {
        0: 0.92,
        1: pytest.approx(0.925),
    }


def test_without_a_complete_trial_a_pruned_one_has_its_mean():
    pruned = trial(0, None, (0.9, 1.0), "pruned")
    assert paired_values(study([pruned])) == {0: pytest.approx(0.95)}


@pytest.fixture
def split_trials(random_trials):
    """Trials of which choice "b" is ten stars worse, whatever the others are."""
    return [
        trial(
            t.number,
            t.value + (10 if t.params["choice"] == "b" else 0),
            folds=t.fold_values,
            **t.params,
        )
        for t in random_trials(80)
    ]


def test_a_bad_choice_hides_all_else_and_within_the_good_one_the_rest_is_seen(
    split_trials,
):
    searched = study(split_trials)
    shares = param_importance(searched)
    assert shares["choice"] > 0.95
    given = dominating_choice(searched, shares)
    assert given == {"choice": "a"}
    within = param_importance(searched, given=given)
    assert within["strong"] > 0.9
    # What is active only with this choice is always active here.
    assert set(within) == {"strong", "weak", "sometimes"}
    assert sum(within.values()) == pytest.approx(1)


def test_a_number_does_not_dominate_as_a_choice_does(random_trials):
    searched = study(random_trials(60))
    assert dominating_choice(searched, param_importance(searched)) == {}


def test_too_few_trials_within_a_choice_have_no_importance(split_trials):
    few = [t for t in split_trials if t.params["choice"] == "b"] + split_trials[:8]
    assert param_importance(study(few), given={"choice": "a"}) == {}


def test_whether_there_is_importance_is_known_beforehand(random_trials):
    for n in (FEWEST_TRIALS - 1, FEWEST_TRIALS):
        searched = study(random_trials(n))
        assert has_importance(searched) is bool(param_importance(searched))
