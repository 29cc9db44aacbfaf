"""Trials on samples of users first: which, in what order, and what they decide."""

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from harness.data.ratings import Ratings, RatingScale
from harness.errors import StudyError
from harness.evaluation.metrics import OBJECTIVE, Metric
from harness.evaluation.splits import assign_folds
from harness.search.fidelity import (
    WHOLE,
    Evaluation,
    Fidelity,
    Sample,
    choose_fidelity,
    draw_users,
    require_samples,
)
from harness.search.pruners import PRUNERS, RungPruner, paired_values
from harness.search.storage import open_storage

SAMPLED = Fidelity(samples=(1 / 16, 1 / 4))
QUARTER = Fidelity(samples=(1 / 4,))
SHARES = [1 / 16, 1 / 4, 1.0]


def many_ratings(n_users, n_ratings):
    """As many ratings as asked for, without what no decision depends on."""
    codes = np.arange(n_ratings, dtype=np.int32)
    return Ratings(
        users=np.sort(codes % n_users),
        items=codes % 7,
        values=np.ones(n_ratings, dtype=np.float32),
        rows=codes,
        user_ids=np.arange(n_users).astype(object),
        item_ids=np.arange(7).astype(object),
        scale=RatingScale(1, 5),
    )


def choose(asked, ratings, **changes):
    usual = {
        "n_folds": 5,
        "method": "random",
        "objectives": (OBJECTIVE,),
        "pruner": "race",
    }
    return choose_fidelity(asked, ratings, **(usual | changes))


def test_samples_are_whole_users_and_the_larger_ones_hold_the_smaller_ones(
    small_ratings,
):
    sixteenth, quarter = (
        Sample(share, 3).chosen(small_ratings) for share in (1 / 16, 1 / 4)
    )
    assert 900 / 16 <= sixteenth.sum() < 900 / 8
    assert 900 / 4 <= quarter.sum() < 900 / 2
    assert not (sixteenth & ~quarter).any()
    users = small_ratings.users
    assert not set(users[quarter]) & set(users[~quarter])
    assert (draw_users(small_ratings, 225, 3) == quarter).all()


def test_the_last_fold_is_held_out_of_samples_and_where_one_is_enough_of_everything():
    sample = Sample(1 / 4, 9)
    one = Fidelity(samples=(1 / 4,), one_fold=True)
    assert one.evaluations(3, 9) == (Evaluation(2, sample), Evaluation(2))
    five = Fidelity(samples=(1 / 4,)).evaluations(3, 9)
    assert five == (Evaluation(2, sample), *(Evaluation(fold) for fold in range(3)))
    assert WHOLE.evaluations(2, 9) == (Evaluation(0), Evaluation(1))


@pytest.mark.parametrize(
    ("asked", "n_ratings", "samples", "one_fold"),
    [
        # A fold of five has 99,999 ratings.
        ("auto", 499_995, (), False),
        (400_000, 499_995, (1 / 4,), False),
        ("auto", 500_000, (), True),
        ("auto", 2_000_000, (), True),
        ("auto", 2_000_001, (1 / 16, 1 / 4), True),
        ("full", 2_000_001, (), False),
    ],
)
def test_auto_samples_above_two_million_and_one_fold_needs_100_000_ratings(
    asked, n_ratings, samples, one_fold
):
    found = choose(asked, many_ratings(1000, n_ratings))
    assert found == Fidelity(samples=samples, one_fold=one_fold)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "cold-users"},
        {"method": "cold-items"},
        # Folds in time are a sixth, not a fifth.
        {"method": "temporal"},
        {"objectives": (OBJECTIVE, Metric("ndcg_at_10", "maximize"))},
        {"objectives": (Metric("mine", "minimize", "my.py:mine"),)},
        # One value a user, of whom there may be a thousand.
        {"objectives": (Metric("user_rmse", "minimize"),)},
    ],
)
def test_five_folds_stay_where_not_the_ratings_alone_make_a_fold_precise(changes):
    assert choose("auto", many_ratings(1000, 500_001), **changes) == WHOLE
    assert choose(500_000, many_ratings(1000, 500_001), **changes) == QUARTER


def test_samples_of_too_few_ratings_or_users_are_left_out():
    changes = {"n_folds": 20}  # of which none is precise enough
    # A quarter is 100,000 ratings, and all users have as many.
    assert choose(1000, many_ratings(1000, 400_000), **changes) == QUARTER
    assert choose(1000, many_ratings(1000, 1_600_000), **changes) == SAMPLED
    # A sixteenth of 464 users is 29 of them, of 480 it is 30.
    assert choose(1000, many_ratings(464, 464 * 3_600), **changes) == QUARTER
    assert choose(1000, many_ratings(480, 480 * 3_600), **changes) == SAMPLED


def test_what_cannot_be_sampled_is_searched_in_full_or_refused():
    # A quarter of 116 users is 29 of them.
    few = many_ratings(116, 116 * 20_000)
    assert choose("auto", few) == Fidelity(one_fold=True)
    with pytest.raises(StudyError, match=r"of 30 users: leave --fidelity 7000 out"):
        choose(7000, few)
    with pytest.raises(StudyError, match=r"100,000 ratings.*leave --fidelity 7000 out"):
        choose(7000, many_ratings(1000, 399_000))
    with pytest.raises(StudyError, match="pruner none"):
        choose(7000, many_ratings(1000, 1_600_000), pruner="none")


def test_a_sample_without_held_out_ratings_is_refused(small_ratings):
    fold_of = assign_folds(small_ratings)
    in_sample = Sample(1 / 16, 0).chosen(small_ratings)
    evaluations = SAMPLED.evaluations(5, 0)
    require_samples(evaluations, small_ratings, fold_of)
    with pytest.raises(StudyError, match=r"6\.25 %.*0 to be scored on"):
        require_samples(evaluations, small_ratings, np.where(in_sample, 0, fold_of))


def frozen(values, state=TrialState.PRUNED, value=None):
    return optuna.trial.create_trial(
        state=state, value=value, intermediate_values=dict(enumerate(values))
    )


def study_of_values(*trials, direction="minimize"):
    study = optuna.create_study(direction=direction)
    for trial in trials:
        study.add_trial(trial)
    return study


def climbs(study, *values):
    pruner = RungPruner(optuna.pruners.NopPruner(), n_samples=2)
    running = frozen(values, TrialState.RUNNING)
    return not pruner.prune(study, running)


def test_a_trial_climbs_in_the_best_quarter_of_its_sample():
    best = frozen([0.1, 0.1, 0.5], TrialState.COMPLETE, 0.5)
    study = study_of_values(best, *(frozen([k / 10]) for k in (2, 3, 4, 5, 6)))
    # Of seven the best two.
    assert climbs(study, 0.15)
    assert climbs(study, 0.19)
    assert not climbs(study, 0.21)
    # The second sample has one score before: of two the best one.
    assert climbs(study, 0.21, 0.09)
    assert not climbs(study, 0.21, 0.11)


def test_a_trial_climbs_that_is_no_worse_than_the_best_one_so_far():
    best = frozen([0.5, 0.1, 0.5], TrialState.COMPLETE, 0.5)
    study = study_of_values(best, *(frozen([k / 10]) for k in (1, 2, 3, 4, 6)))
    assert climbs(study, 0.5)
    assert not climbs(study, 0.51)


def test_more_is_better_where_it_is_maximized():
    best = frozen([-0.1, -0.1, -0.5], TrialState.COMPLETE, -0.5)
    others = (frozen([-k / 10]) for k in (2, 3, 4, 5, 6))
    study = study_of_values(best, *others, direction="maximize")
    assert climbs(study, -0.19)
    assert not climbs(study, -0.21)


def complete(on_sample, on_everything):
    return frozen([on_sample, 0.1, on_everything], TrialState.COMPLETE, on_everything)


def test_a_trial_does_not_climb_that_is_further_behind_than_samples_mislead():
    # Behind the best by 0.1, 0.15 and 0.6 on the sample, by 0.1, 0.2 and 0.3 at last:
    # misled by 0, 0.05 and 0.3, so half of the median is 0.025.
    others = complete(0.4, 0.6), complete(0.45, 0.7), complete(0.9, 0.8)
    study = study_of_values(complete(0.3, 0.5), *others)
    # Both among the best two of five.
    assert climbs(study, 0.324)
    assert not climbs(study, 0.326)
    # Two others do not tell.
    fewer = study_of_values(complete(0.3, 0.5), *others[:2], frozen([0.9]))
    assert climbs(fewer, 0.326)
    downwards = [
        frozen([-value for value in t.intermediate_values.values()], t.state, -t.value)
        for t in study.trials
    ]
    mirrored = study_of_values(*downwards, direction="maximize")
    assert climbs(mirrored, -0.324)
    assert not climbs(mirrored, -0.326)


def test_trials_that_repeat_the_best_one_do_not_narrow_the_margin():
    # Five of the twenty climb, and four of them are the best one.
    behind = [frozen([1.0])] * 12
    others = complete(0.4, 0.6), complete(0.45, 0.7), complete(0.9, 0.8)
    study = study_of_values(*4 * [complete(0.3, 0.5)], *others, *behind)
    # As without them half of 0.05.
    assert climbs(study, 0.324)
    assert not climbs(study, 0.326)
    study = study_of_values(*4 * [complete(0.3, 0.5)], *others[:2], *behind)
    assert climbs(study, 0.326)


def test_a_trial_need_not_keep_up_with_one_that_is_not_accepted():
    refused = complete(0.1, 0.2)
    refused.set_constraint("size", 1.0)
    others = complete(0.4, 0.6), complete(0.45, 0.7), complete(0.9, 0.8)
    study = study_of_values(refused, complete(0.3, 0.5), *others, frozen([1.0]))
    # Among the best two of seven.
    assert climbs(study, 0.299)
    # Where none is accepted, only the best quarter climbs.
    none = study_of_values(refused, frozen([1.0]))
    assert climbs(none, 0.05)
    assert not climbs(none, 0.9)


class Recorder(optuna.pruners.BasePruner):
    def __init__(self):
        self.seen = []

    def prune(self, study, trial):
        others = [t.intermediate_values for t in study.get_trials(deepcopy=False)]
        self.seen.append((others, trial.intermediate_values))
        return True


def test_the_folds_of_everything_are_judged_without_the_samples():
    inner = Recorder()
    complete = frozen([0.3, 0.2, 0.5, 0.6], TrialState.COMPLETE, 0.55)
    study = study_of_values(complete, frozen([0.1]))
    pruner = RungPruner(inner, n_samples=2)
    assert pruner.prune(study, frozen([0.3, 0.2, 0.7], TrialState.RUNNING))
    assert inner.seen == [([{0: 0.5, 1: 0.6}], {0: 0.7})]


@pytest.fixture
def sampled(plan_of, run, tmp_path):
    """Run a study with samples in a storage of its own."""

    def run_study(label, parts, *, jobs=1, **changes):
        plan = plan_of(
            storage=str(tmp_path / f"{label}.log"), fidelity=SAMPLED, **changes
        )
        for n_trials in parts:
            record = run(plan, n_trials, jobs=jobs)
        return record

    return run_study


def trials_of(record):
    return [
        (t.number, t.state, t.params, t.rung, t.sample_values, t.fold_values)
        for t in record.trials
    ]


def test_only_trials_on_everything_are_complete_and_all_say_their_rung(
    sampled, tmp_path
):
    record = sampled("one", [16], seed=1)
    assert {t.rung for t in record.trials} == set(SHARES)
    for trial in record.trials:
        n_samples = min(SHARES.index(trial.rung) + 1, 2)
        assert len(trial.sample_values) == n_samples
        assert bool(trial.fold_values) == (trial.rung == 1.0)
        assert trial.state == "pruned" or len(trial.fold_values) == 5
    kept = optuna.load_study(
        study_name="toy", storage=open_storage(str(tmp_path / "one.log"))
    )
    for trial in kept.trials:
        values = [*record.trials[trial.number].sample_values]
        values += record.trials[trial.number].fold_values
        assert trial.intermediate_values == dict(enumerate(values))
        assert (trial.value is None) == (trial.user_attrs["rung"] < 1)
    assert kept.best_trial.user_attrs["rung"] == 1.0
    assert record.settings.fidelity == SAMPLED


def test_a_score_on_a_sample_is_that_of_its_users(sampled, small_ratings):
    # The same by hand: users in drawn order until they have a sixteenth of 900 ratings.
    drawn, n = [], 0
    for user in np.random.default_rng(0).permutation(60):
        if n < 900 / 16:
            drawn.append(user)
            n += (small_ratings.users == user).sum()
    chosen = np.isin(small_ratings.users, drawn)
    held_out = assign_folds(small_ratings) == 4
    values = small_ratings.values.astype(float)
    # Trial 0 predicts the mean and half a star.
    predicted = np.clip(values[chosen & ~held_out].mean() + 0.5, 1, 5)
    rmse = np.sqrt(np.mean((values[chosen & held_out] - predicted) ** 2))
    first = sampled("one", [1]).trials[0]
    assert first.sample_values[0] == pytest.approx(rmse, abs=1e-6)


def test_workers_and_interruptions_change_nothing(sampled):
    one = sampled("one", [16])
    assert trials_of(sampled("two", [16], jobs=2)) == trials_of(one)
    assert trials_of(sampled("parts", [1, 5, 6, 16])) == trials_of(one)


def test_a_study_goes_on_with_the_samples_it_was_begun_with(sampled, plan_of, run):
    sampled("toy", [2])
    with pytest.raises(StudyError, match="another fidelity"):
        run(plan_of(storage=plan_of().storage.replace("optuna", "toy")), 3)


def test_without_samples_nothing_is_recorded_of_them(plan_of, run, tmp_path):
    record = run(plan_of(), 4)
    assert {(t.rung, t.sample_values) for t in record.trials} == {(None, ())}
    kept = optuna.load_study(
        study_name="toy", storage=open_storage(str(tmp_path / "optuna.log"))
    )
    assert "rung" not in kept.trials[0].user_attrs


def test_a_trial_dropped_on_a_sample_is_paired_with_the_best_there(sampled):
    record = sampled("one", [8])
    best, values = record.best, paired_values(record)
    dropped = next(t for t in record.trials if t.rung == 1 / 16)
    gap = dropped.sample_values[0] - best.sample_values[0]
    assert values[dropped.number] == pytest.approx(best.value + gap)


@pytest.mark.parametrize("pruner", sorted(set(PRUNERS) - {"none"}))
def test_every_pruner_judges_the_folds_of_everything(sampled, pruner):
    record = sampled(pruner, [12], pruner=pruner)
    assert {t.rung for t in record.trials} >= {1 / 16, 1.0}
