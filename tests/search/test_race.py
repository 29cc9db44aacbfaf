import numpy as np
import optuna
import pytest

from harness.search.pruners import RacePruner

GOOD = [0.90, 0.91, 0.89, 0.905, 0.895]


def study_with(*fold_values, direction="minimize"):
    study = optuna.create_study(direction=direction)
    for values in fold_values:
        study.add_trial(
            optuna.trial.create_trial(
                value=float(np.mean(values)),
                intermediate_values=dict(enumerate(values)),
            )
        )
    return study


def running(values):
    return optuna.trial.create_trial(
        state=optuna.trial.TrialState.RUNNING,
        intermediate_values=dict(enumerate(values)),
    )


def others():
    """Three trials that are 0.01 behind, give or take 0.002 from fold to fold."""
    wiggle = np.array([0.002, -0.002, 0.002, -0.002, 0.0])
    return [list(np.array(GOOD) + 0.01 + sign * wiggle) for sign in (1, -1, 1)]


def test_nothing_is_dropped_before_a_trial_is_complete():
    assert not RacePruner().prune(study_with(), running([5.0]))


def test_a_trial_without_values_is_not_dropped():
    assert not RacePruner().prune(study_with(GOOD), running([]))


@pytest.mark.parametrize(("behind", "dropped"), [(0.0025, True), (0.0015, False)])
def test_the_margin_is_the_observed_spread(behind, dropped):
    # The spread of the paired differences is sqrt(4 * 0.002**2 / 4) = 0.002.
    study = study_with(GOOD, *others())
    assert RacePruner(z=1.0).prune(study, running([GOOD[0] + behind])) is dropped


def test_the_margin_shrinks_with_the_square_root_of_the_folds():
    study = study_with(GOOD, *others())
    behind = list(np.array(GOOD[:4]) + 0.0011)
    assert not RacePruner(z=1.0).prune(study, running(behind[:3]))
    assert RacePruner(z=1.0).prune(study, running(behind))


def test_with_too_few_others_the_spread_between_folds_is_the_margin():
    # std of GOOD with ddof=1 is 0.0079.
    study = study_with(GOOD)
    assert not RacePruner(z=1.0).prune(study, running([GOOD[0] + 0.0075]))
    assert RacePruner(z=1.0).prune(study, running([GOOD[0] + 0.0085]))


def test_two_others_are_too_few_however_alike_they_are():
    alike = [list(np.array(GOOD) + 0.01)] * 2
    assert not RacePruner(z=1.0).prune(study_with(GOOD, *alike), running([0.905]))


@pytest.mark.parametrize(("behind", "dropped"), [(0.0045, True), (0.0035, False)])
def test_the_spread_is_the_lower_quartile_of_those_observed(behind, dropped):
    # Of 0.002, 0.006 and 0.010 the lower quartile is 0.004.
    wiggle = np.array([1, -1, 1, -1, 0.0])
    spreads = [0.002, 0.006, 0.010]
    study = study_with(
        GOOD, *(list(np.array(GOOD) + 0.05 + s * wiggle) for s in spreads)
    )
    assert RacePruner(z=1.0).prune(study, running([GOOD[0] + behind])) is dropped


def test_a_better_trial_is_never_dropped():
    study = study_with(GOOD, *others())
    assert not RacePruner(z=0.0).prune(study, running([v - 1e-9 for v in GOOD]))


def test_where_more_is_better_the_race_is_run_the_other_way():
    study = study_with(
        [-v for v in GOOD], *([-v for v in o] for o in others()), direction="maximize"
    )
    assert RacePruner().prune(study, running([-GOOD[0] - 0.01]))
    assert not RacePruner().prune(study, running([-GOOD[0] + 0.01]))
