"""A search for something else than RMSE: everything follows the direction."""

import numpy as np
import optuna
import pytest

from harness.data.catalogue import Catalogue
from harness.errors import StudyError
from harness.evaluation.objectives import find_objective
from harness.evaluation.splits import assign_folds
from harness.experiment.convergence import best_so_far, expected_curve
from harness.models.svd.model import SVD
from harness.search.folds import FoldTask, TrainingData, Workbench
from harness.search.pruners import RacePruner
from harness.search.storage import open_storage


@pytest.fixture
def close(tmp_path):
    """Minus the RMSE, to be maximised: its best settings are those of RMSE."""
    path = tmp_path / "my_metrics.py"
    path.write_text(
        "def closeness(truth, prediction):\n"
        "    return -float(((truth - prediction.astype(float)) ** 2).mean() ** 0.5)\n"
        "closeness.direction = 'maximize'\n"
    )
    return find_objective(f"{path}:closeness")


def trials_of(record, sign=1):
    return [
        (t.number, t.state, t.params, [round(sign * v, 9) for v in t.fold_values])
        for t in record.trials
    ]


def test_a_search_that_maximises_mirrors_one_that_minimises(
    plan_of, run, close, tmp_path
):
    up = run(plan_of(metric=close, storage=str(tmp_path / "up.log")), 25)
    down = run(plan_of(storage=str(tmp_path / "down.log")), 25)
    assert "pruned" in {t.state for t in up.trials}
    assert trials_of(up, sign=-1) == trials_of(down)
    assert up.best.number == down.best.number
    assert [t.number for t in up.ranked] == [t.number for t in down.ranked]
    for curve in (best_so_far, expected_curve):
        mirrored = [(n, pytest.approx(-value)) for n, value in curve(down)]
        assert curve(up) == mirrored


def test_it_is_the_same_in_parts_and_with_workers(plan_of, run, close, tmp_path):
    text = 'family = "svd"\n[parameters]\nn_factors = { type = "int", low = 2, high = 9 }\n[initial]\nn_factors = 4\n'
    arguments = {"family": SVD, "text": text, "metric": close}
    whole = run(plan_of(storage=str(tmp_path / "a.log"), **arguments), 6)
    parts = plan_of(storage=str(tmp_path / "b.log"), **arguments)
    run(parts, 3)
    assert trials_of(run(parts, 6, jobs=2)) == trials_of(whole)


def test_optuna_knows_name_and_direction(plan_of, run, close):
    plan = plan_of(metric=close)
    run(plan, 2)
    study = optuna.load_study(study_name="toy", storage=open_storage(plan.storage))
    assert study.metric_names == ["closeness"]
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE


def test_a_study_is_not_continued_for_another_objective(plan_of, run, close):
    run(plan_of(metric=close), 2)
    with pytest.raises(StudyError, match="another metric"):
        run(plan_of(), 3)


def test_epochs_are_found_by_the_objective(descending, small_ratings):
    """Fold values of the best epoch are the best of the curve, which ends at patience."""
    fold_of = assign_folds(small_ratings, n_folds=5, seed=0, method="random")
    data = TrainingData(
        family=descending,
        train=small_ratings,
        catalogue=Catalogue.empty(),
        fold_of=fold_of,
    )
    bench = Workbench(data.family, data.train, data.catalogue, data.fold_of)
    params = {"n_epochs": 40, "goal": 10}
    by_rmse = bench.run(FoldTask(params=params, seed=0, fold=0, patience=2))
    assert by_rmse.epochs == tuple(range(1, 13))
    by_r2 = bench.run(
        FoldTask(params=params, seed=0, fold=0, patience=2, metric=find_objective("r2"))
    )
    assert by_r2.epochs == by_rmse.epochs
    assert np.argmax(by_r2.metrics["r2"]) == 9
    # Lists of all users are dear: four times in each doubling. All titles are equal here,
    # so the first epoch is the best, and patience ends after the third.
    by_ndcg = bench.run(
        FoldTask(
            params=params,
            seed=0,
            fold=0,
            patience=20,
            metric=find_objective("ndcg_at_10"),
        )
    )
    assert by_ndcg.epochs == (*range(1, 9), 10, 12, 14, 16, 20, 24)


def test_the_race_drops_what_is_lower_when_higher_is_better():
    study = optuna.create_study(direction="maximize")
    for shift in (0.0, 0.01, 0.02, 0.03):
        steps = {k: 0.5 + 0.01 * k - shift + 0.001 * (k % 2) for k in range(5)}
        study.add_trial(
            optuna.trial.create_trial(
                value=float(np.mean(list(steps.values()))), intermediate_values=steps
            )
        )
    for value, dropped in ((0.3, True), (0.7, False)):
        trial = optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            intermediate_values={0: value, 1: value},
        )
        assert RacePruner().prune(study, trial) is dropped
