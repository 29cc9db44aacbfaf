from harness.data.catalogue import Catalogue
from harness.evaluation.splits import assign_folds
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
