import numpy as np
import pandas as pd
import pytest

from harness.data.catalogue import Catalogue
from harness.errors import TrainingError
from harness.evaluation import cost_probe
from harness.evaluation.splits import assign_folds
from harness.models.svd.model import SVD
from harness.search.executors import ProcessExecutor
from harness.search.folds import (
    FoldTask,
    TrainingData,
    Workbench,
    run_with_shared_data,
    share,
)


def test_training_stops_so_many_epochs_after_the_best(descending, small_ratings):
    fold_of = assign_folds(small_ratings)
    bench = Workbench(descending, small_ratings, Catalogue.empty(), fold_of)
    params = {"n_epochs": 50, "goal": 10}
    result = bench.run(FoldTask(params=params, seed=0, fold=0, patience=3))
    assert result.epochs == tuple(range(1, 14))
    assert len(result.metrics["rmse"]) == 13


def test_without_patience_only_the_fitted_model_is_scored(descending, small_ratings):
    fold_of = assign_folds(small_ratings)
    bench = Workbench(descending, small_ratings, Catalogue.empty(), fold_of)
    result = bench.run(FoldTask(params={"n_epochs": 4}, seed=0, fold=0))
    assert result.epochs == ()
    assert len(result.metrics["rmse"]) == 1


@pytest.mark.parametrize("where", ["training", "prediction"])
def test_a_curve_that_explodes_counts_with_its_good_epochs(
    descending, small_ratings, where
):
    class Exploding(descending):
        def _fit_epochs(self, ratings, catalogue):
            for epoch in super()._fit_epochs(ratings, catalogue):
                if epoch == 7 and where == "training":
                    raise TrainingError("exploding: no numbers left")
                if epoch == 7:
                    self.level_ = np.inf
                yield epoch

    bench = Workbench(
        Exploding, small_ratings, Catalogue.empty(), assign_folds(small_ratings)
    )
    good = FoldTask(params={"n_epochs": 50}, seed=0, fold=0, patience=3)
    result = bench.run(good)
    assert result.error is None
    assert result.epochs == (1, 2, 3, 4, 5, 6)
    # Fitted in one go there is nothing good to count.
    result = bench.run(FoldTask(params={"n_epochs": 7}, seed=0, fold=0))
    assert "TrainingError: " in result.error


def test_a_training_that_explodes_at_once_fails_with_its_reason(small_ratings):
    bench = Workbench(
        SVD, small_ratings, Catalogue.empty(), assign_folds(small_ratings)
    )
    params = {"n_epochs": 5, "learning_rate": 1e9}
    result = bench.run(FoldTask(params=params, seed=0, fold=0, patience=3))
    reason = result.error.strip().splitlines()[-1]
    assert reason.startswith("harness.errors.TrainingError: svd: ")
    assert "by epoch 1." in reason


HEAVY = {
    *("lightfm", "matplotlib", "mlflow", "myfm", "optuna", "pandas", "pyarrow"),
    *("sklearn", "sqlalchemy", "scipy.stats", "surprise", "typer"),
}


def test_a_process_that_fits_imports_only_what_its_family_needs(
    small_ratings, tmp_path
):
    titles = pd.DataFrame({"title": [f"title {k}" for k in range(40)]})
    data = TrainingData(
        family=SVD,
        train=small_ratings,
        catalogue=Catalogue(titles),
        fold_of=assign_folds(small_ratings),
    )
    costs = cost_probe.CostTask(
        family="svd",
        params={},
        seed=0,
        train=small_ratings,
        catalogue=data.catalogue,
        n_calls=5,
    )
    share(data, tmp_path)
    with ProcessExecutor(1, imports_main=False) as worker:

        def imported():
            listed = worker.submit(eval, "list(__import__('sys').modules)").result()
            return set(listed)

        # The process that it was forked from has made Numba ready.
        assert "numba.np.arraymath" in imported()
        task = FoldTask(params={}, seed=0, fold=0)
        result = worker.submit(run_with_shared_data, str(tmp_path), task).result()
        assert result.error is None
        assert (
            result.metrics["rmse"] == Workbench(**vars(data)).run(task).metrics["rmse"]
        )
        assert worker.submit(cost_probe._measure, costs).result()
        assert sorted(imported() & HEAVY) == []
