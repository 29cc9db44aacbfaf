import numpy as np
import pytest

from harness.data.catalogue import Catalogue
from harness.errors import TrainingError
from harness.evaluation.splits import assign_folds
from harness.models.svd.model import SVD
from harness.search.folds import FoldTask, Workbench


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
