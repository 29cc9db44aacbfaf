import optuna
import pytest

from harness.search.pruners import StudyAsOf


@pytest.fixture
def study():
    """Three trials, the last of which is the best."""
    study = optuna.create_study()
    for value in (0.9, 0.8, 0.7):
        study.add_trial(optuna.trial.create_trial(value=value))
    return study


def test_trials_that_ended_later_are_not_shown(study):
    view = StudyAsOf(study, 2)
    assert [trial.number for trial in view.get_trials()] == [0, 1]
    assert view.best_trial.number == 1


def test_nothing_is_best_where_nothing_is_shown(study):
    with pytest.raises(ValueError, match="empty"):
        _ = StudyAsOf(study, 0).best_trial


def test_a_pruner_judges_by_what_was_known_when_the_trial_was_asked_for(
    plan_of, run, monkeypatch
):
    seen = []
    original = StudyAsOf.__init__

    def note(self, study, end):
        original(self, study, end)
        seen.append(end)

    monkeypatch.setattr(StudyAsOf, "__init__", note)
    run(plan_of(), 6)
    # One job has two trials under way: trial n is asked for when n - 2 is told.
    assert sorted(set(seen)) == [-1, 0, 1, 2, 3, 4]
