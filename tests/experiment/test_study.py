import numpy as np
import pytest
from harness.experiment.study import StudySettings, prepare

from harness.data.catalogue import Catalogue
from harness.data.dataset import Dataset
from harness.errors import StudyError, UnknownNameError
from harness.evaluation.splits import assign_folds, cut_fold
from harness.experiment import refit as remeasure
from harness.search.records import NoListener


@pytest.fixture
def prepared(small_ratings, tmp_path):
    """A study of the baseline, ready to run."""
    dataset = Dataset(
        name="toy", ratings=small_ratings, catalogue=Catalogue.empty(), source="toy"
    )
    settings = StudySettings(
        family="baseline", storage=str(tmp_path / "optuna.log"), n_trials=3, seed=7
    )
    return prepare(settings, lambda: dataset)


def test_the_best_is_measured_again_on_folds_that_the_search_has_not_seen(
    prepared, monkeypatch
):
    found = prepared.search(NoListener())
    folds = []

    def note(train, **arguments):
        folds.append((train, assign_folds(train, **arguments)))
        return folds[-1][1]

    monkeypatch.setattr(remeasure, "assign_folds", note)
    judged = prepared.judge(found)
    # The first deal is for the best settings, the next for the floor.
    train, fresh = folds[0]
    assert train is prepared.split.train
    searched = assign_folds(train, n_folds=5, seed=7)
    # Two independent deals into five folds agree on a fifth of the ratings.
    assert np.mean(fresh == searched) == pytest.approx(0.2, abs=0.06)
    optimism = judged.final["optimism"]
    assert optimism["search"] == found.best.value != optimism["fresh_folds"]
    assert optimism["test"] == judged.final["models"][0]["metrics"]["rmse"]["value"]


def test_a_failure_on_fresh_folds_is_one_sentence(prepared, monkeypatch):
    found = prepared.search(NoListener())

    def fail(*_arguments):
        raise ValueError("no luck")

    monkeypatch.setattr(prepared.plan.family, "_fit", fail)
    with pytest.raises(StudyError, match=r"failed on fold 0.*no luck"):
        prepared.judge(found)


def test_names_are_resolved_before_the_data_is_loaded(tmp_path):
    def load():
        raise AssertionError("loaded")

    for change in (
        {"family": "baselin"},
        {"sampler": "tpa"},
        {"pruner": "rase"},
        {"space": "baselin"},
    ):
        settings = {"family": "baseline", "storage": str(tmp_path / "o.log"), **change}
        with pytest.raises(UnknownNameError, match="Did you mean"):
            prepare(StudySettings(**settings), load)


def test_the_floor_is_the_best_of_several_regularizations(prepared):
    judged = prepared.judge(prepared.search(NoListener()))
    floor = next(
        model
        for model in judged.final["models"]
        if model["name"] == "user and item bias"
    )
    chosen = (
        floor["params"]["user_regularization"],
        floor["params"]["item_regularization"],
    )
    rmse = {}
    for user in (1.0, 3.0, 10.0, 30.0):
        for item in (1.0, 3.0, 10.0, 30.0):
            train = prepared.split.train
            fold_of = assign_folds(train, n_folds=5, seed=7)
            values = []
            for fold in range(5):
                learnt, held_out = (
                    train.take(fold_of != fold),
                    train.take(fold_of == fold),
                )
                model = prepared.plan.family(
                    kind="bias", user_regularization=user, item_regularization=item
                ).fit(learnt, Catalogue.empty())
                errors = model.predict(held_out.users, held_out.items) - held_out.values
                values.append(np.sqrt(np.mean(errors.astype(float) ** 2)))
            rmse[user, item] = np.mean(values)
    assert chosen == min(rmse, key=rmse.get)


@pytest.mark.parametrize("split", ["temporal", "cold-items", "user-temporal"])
def test_folds_are_of_the_kind_of_the_split(small_ratings, tmp_path, split):
    dataset = Dataset(
        name="toy", ratings=small_ratings, catalogue=Catalogue.empty(), source="toy"
    )
    settings = StudySettings(
        family="baseline", storage=str(tmp_path / "o.log"), n_trials=1, split=split
    )
    prepared = prepare(settings, lambda: dataset)
    judged = prepared.judge(prepared.search(NoListener()))
    train = prepared.split.train
    fold_of = assign_folds(train, method=split)
    expected = []
    for fold in range(5):
        learnt, held_out = cut_fold(fold_of, fold)
        valid = train.take(held_out)
        model = prepared.plan.family(**judged.trials[0].params).fit(
            train.take(learnt), Catalogue.empty()
        )
        errors = model.predict(valid.users, valid.items) - valid.values
        expected.append(np.sqrt(np.mean(errors.astype(float) ** 2)))
    np.testing.assert_allclose(judged.trials[0].fold_values, expected, rtol=1e-5)
    timed = split != "cold-items"
    assert ("fresh_folds" in judged.final["optimism"]) != timed
