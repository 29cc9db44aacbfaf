"""What is fitted after a search is the same in workers, and the floor is the best one."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.errors import StudyError, TrainingError
from harness.evaluation.cost_probe import Measured
from harness.evaluation.final import Entry, fit_entry
from harness.evaluation.splits import assign_folds, cut_fold
from harness.evaluation.worker_process import pack
from harness.experiment.fitting import open_fitter, settings_key, tune_floor
from harness.models.baseline.model import Baseline
from harness.models.svd.model import SVD
from harness.search.folds import TrainingData
from tests.costs import COSTS

PARAMS = {"n_factors": 3, "n_epochs": 2}


def training_data(n_users=60, n_items=40, n=1500, noise=0.7):
    """Make ratings with biases of users and titles, dealt into three folds."""
    rng = np.random.default_rng(1)
    users, items = rng.integers(0, n_users, n), rng.integers(0, n_items, n)
    biases = rng.normal(0, 0.6, n_users)[users] + rng.normal(0, 0.6, n_items)[items]
    values = np.clip(3.3 + biases + rng.normal(0, noise, n), 1, 5)
    train = Ratings.from_columns(
        users.astype(str), items.astype(str), values, scale=RatingScale(1, 5)
    )
    return TrainingData(
        family=SVD,
        train=train,
        catalogue=Catalogue.empty(),
        fold_of=assign_folds(train, n_folds=3, seed=5, method="random"),
    )


def test_workers_give_what_this_process_gives_and_share_its_arrays():
    data = training_data()
    entry = Entry(name="svd", family=SVD, params=PARAMS, role="tuned", candidate="svd")
    expected, _ = fit_entry(entry, data.train, data.catalogue, seeds=[3, 4])
    scores, floors = [], []
    for jobs in (1, 2):
        with open_fitter(data, jobs=jobs) as fitter:
            scores.append(fitter.fresh_scores({"a": (SVD, PARAMS)}, seed=3, n_folds=3))
            floors.append(tune_floor(fitter, 3))
            [(models, _)] = list(fitter.fit([entry], [3, 4]))
        users, items = data.train.users, data.train.items
        for model, same in zip(models, expected, strict=True):
            np.testing.assert_array_equal(
                model.predict(users, items), same.predict(users, items)
            )
            assert model.user_ids_ is data.train.user_ids
    assert scores[0] == scores[1]
    assert floors[0] == floors[1]


def test_equal_settings_are_fitted_once_and_not_at_all_where_their_models_are_known():
    data = training_data()
    settings = {"initial": {}, "tuned": {"n_factors": SVD().n_factors}, "other": PARAMS}
    entries = [
        Entry(name=name, family=SVD, params=params, role="variant")
        for name, params in settings.items()
    ]
    with open_fitter(data, jobs=1) as fitter:
        initial, tuned, other = fitter.fit(entries, [3, 4])
        # One of the two seeds is known.
        models = {4: pack(other[0][1], data.train)}
        costs = replace(COSTS, fit_seconds=1000.0)
        known = {settings_key(SVD, PARAMS): Measured(costs=costs, models=models)}
        *_, again = fitter.fit(entries, [3, 4], known)
    assert tuned is initial
    users, items = data.train.users, data.train.items
    for model, same in zip(again[0], other[0], strict=True):
        np.testing.assert_array_equal(
            model.predict(users, items), same.predict(users, items)
        )
    assert 500 < again[1] < 510


@pytest.mark.parametrize(("noise", "n_folds_scored"), [(0.2, 1), (2.0, 3)])
def test_the_floor_is_the_best_of_all_settings_on_all_folds(noise, n_folds_scored):
    data = training_data(noise=noise)

    def rmse_on(fold, user, item):
        learnt, held_out = cut_fold(data.fold_of, fold)
        model = Baseline(user_regularization=user, item_regularization=item)
        model.fit(data.train.take(learnt), data.catalogue)
        valid = data.train.take(held_out)
        errors = model.predict(valid.users, valid.items) - valid.values
        return np.sqrt(np.mean(np.square(errors, dtype=np.float64)))

    grid = list(product((1.0, 3.0, 10.0, 30.0), repeat=2))
    best = min(grid, key=lambda pair: np.mean([rmse_on(k, *pair) for k in range(3)]))
    with open_fitter(data, jobs=1) as fitter:
        floor, done = tune_floor(fitter, 3)
    assert (floor["user_regularization"], floor["item_regularization"]) == best
    assert done.n_folds_scored == n_folds_scored


def test_one_fold_is_enough_where_no_digit_can_change():
    # 100 ratings of each user and 150 of each title, with no biases to shrink: what the
    # settings differ by is far below half of the last digit.
    data = training_data(n_users=150, n_items=100, n=15_000, noise=0.0)
    data.train.values[:] = 3.0
    data.train.values[::2] = 3.0005
    with open_fitter(data, jobs=1) as fitter:
        _, done = tune_floor(fitter, 3)
    assert (done.n_folds_scored, done.n_compared_on_all) == (1, 0)


def test_an_error_in_a_worker_is_the_error_of_the_model():
    params = {**PARAMS, "init_std": 1e30}
    entry = Entry(name="svd", family=SVD, params=params, role="tuned")
    with open_fitter(training_data(), jobs=2) as fitter:
        with pytest.raises(TrainingError):
            list(fitter.fit([entry], [0]))
        with pytest.raises(StudyError, match="failed on fold 0"):
            fitter.fresh_scores({"a": (SVD, params)}, seed=0, n_folds=3)
