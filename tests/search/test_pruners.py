import optuna
import pytest
from optuna.study import StudyDirection

from harness.search.pruners import EndedTrials


@pytest.fixture
def trials():
    """Three trials, the last of which is the best."""
    return [optuna.trial.create_trial(value=value) for value in (0.9, 0.8, 0.7)]


def test_the_best_is_the_best_of_those_shown(trials):
    for direction, best in (
        (StudyDirection.MINIMIZE, 0.8),
        (StudyDirection.MAXIMIZE, 0.9),
    ):
        ended = EndedTrials(direction)
        for trial in trials[:2]:
            ended.add(trial)
        assert ended.best_trial.value == best


def test_nothing_is_best_where_nothing_is_shown():
    with pytest.raises(ValueError, match="empty"):
        _ = EndedTrials(StudyDirection.MINIMIZE).best_trial


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("window", [1, 4])
def test_a_pruner_sees_all_earlier_trials_whatever_the_window_and_the_jobs(
    plan_of, run, monkeypatch, window, jobs
):
    seen = {}

    def note(_pruner, study, trial):
        numbers = [t.number for t in study.get_trials(deepcopy=False)]
        # What is evaluated ahead is guessed before; the verdict comes last.
        seen[trial.number, len(trial.intermediate_values)] = numbers
        return False

    monkeypatch.setattr("harness.search.pruners.RacePruner.prune", note)
    run(plan_of(window=window), 9, jobs=jobs)
    assert seen == {(n, k): [*range(n)] for n in range(9) for k in range(1, 5)}
