"""The bias model: by hand, against scikit-surprise, and on real ratings."""

from collections import defaultdict
from statistics import NormalDist

import numpy as np
import pytest
from surprise import BaselineOnly

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.errors import ParameterError
from harness.evaluation.metrics import rmse
from harness.evaluation.splits import assign_folds
from harness.models.baseline.model import Baseline
from harness.models.surprise.engine import make_trainset

NOTHING = Catalogue.empty()


def fit_reference(ratings, **options):
    """Fit ``BaselineOnly``; users and items without a rating get empty lists."""
    trainset = make_trainset(ratings)
    trainset.ur = defaultdict(list, trainset.ur)
    trainset.ir = defaultdict(list, trainset.ir)
    options = {"method": "als", **options}
    return BaselineOnly(bsl_options=options, verbose=False).fit(trainset)


def test_one_round_without_penalty_gives_means_of_what_is_left():
    ratings = Ratings.from_columns(
        ["a", "a", "b"], ["x", "y", "x"], [5, 3, 1], scale=RatingScale(1, 5)
    )
    model = Baseline(user_regularization=0, item_regularization=0, n_epochs=1)
    model.fit(ratings, NOTHING)
    assert model.mean_ == 3.0
    # Items first: x has (5 + 1) / 2 - 3 = 0, y has 3 - 3 = 0. Then users: a has
    # (5 + 3) / 2 - 3 = 1, b has 1 - 3 = -2.
    assert model.item_bias_.tolist() == [0.0, 0.0]
    assert model.user_bias_.tolist() == [1.0, -2.0]


def test_as_much_regularization_as_ratings_halves_a_bias():
    ratings = Ratings.from_columns(
        ["a", "b"], ["x", "y"], [5, 1], scale=RatingScale(1, 5)
    )
    model = Baseline(user_regularization=1e12, item_regularization=1, n_epochs=1)
    model.fit(ratings, NOTHING)
    # One rating each, 2 above and 2 below the mean of 3.
    np.testing.assert_allclose(model.item_bias_, [1.0, -1.0])
    np.testing.assert_allclose(model.user_bias_, [0.0, 0.0], atol=1e-11)


def test_ratings_are_as_probable_as_what_rounds_to_them():
    ratings = Ratings.from_columns(
        ["a", "a", "b"], ["x", "y", "x"], [1, 3, 5], scale=RatingScale(1, 5)
    )
    model = Baseline(kind="mean").fit(ratings, NOTHING)
    # (4 + 0 + 4) / (3 - 1): 1 is what lies more than half a deviation below the mean of 3.
    assert model.deviation_ == 2.0
    outside = NormalDist().cdf(-0.5)
    np.testing.assert_allclose(
        model.predict_proba(np.array([0, -1]), np.array([0, 7])),
        2 * [[outside, 1 - 2 * outside, outside]],
    )


def test_biases_take_degrees_of_freedom_as_far_as_they_are_not_shrunk():
    ratings = Ratings.from_columns(
        ["a", "a", "b", "b"],
        ["x", "y", "x", "y"],
        [5, 4, 2, 3],
        scale=RatingScale(1, 5),
    )
    model = Baseline(user_regularization=2, item_regularization=1e12).fit(
        ratings, NOTHING
    )
    # Means of 4.5 and 2.5 are drawn half way to 3.5, two biases of half a degree each;
    # errors are 1, 0, -1, 0, which leaves 2 over 4 - 1 - 1.
    assert model.deviation_ == pytest.approx(1.0)


def test_the_kind_mean_predicts_the_mean_for_all(ratings):
    model = Baseline(kind="mean").fit(ratings, NOTHING)
    prediction = model.predict(ratings.users, ratings.items)
    np.testing.assert_allclose(
        prediction, ratings.values.mean(dtype=float), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        (
            {"user_regularization": 2.5, "item_regularization": 0.5, "n_epochs": 7},
            {"reg_u": 2.5, "reg_i": 0.5, "n_epochs": 7},
        ),
    ],
)
def test_equals_scikit_surprise(ratings, ours, theirs):
    model = Baseline(**ours).fit(ratings, NOTHING)
    reference = fit_reference(ratings, **theirs)
    np.testing.assert_allclose(model.user_bias_, reference.bu, rtol=0, atol=1e-12)
    np.testing.assert_allclose(model.item_bias_, reference.bi, rtol=0, atol=1e-12)


def test_equals_scikit_surprise_on_real_ratings(ml_100k):
    fold = assign_folds(ml_100k)
    train, valid = ml_100k.take(fold != 0), ml_100k.take(fold == 0)
    prediction = Baseline().fit(train, NOTHING).predict(valid.users, valid.items)
    reference = fit_reference(train)
    expected = [
        reference.predict(user, item).est
        for user, item in zip(valid.users.tolist(), valid.items.tolist(), strict=True)
    ]
    np.testing.assert_allclose(prediction, expected, rtol=0, atol=1e-5)


def test_reaches_its_literature_on_real_ratings(ml_100k):
    fold = assign_folds(ml_100k)
    scores = []
    for held_out in range(5):
        train, valid = ml_100k.take(fold != held_out), ml_100k.take(fold == held_out)
        model = Baseline(user_regularization=4, item_regularization=2)
        prediction = model.fit(train, NOTHING).predict(valid.users, valid.items)
        scores.append(rmse(valid.values, prediction))
    assert np.mean(scores) <= 0.943


def test_an_unknown_user_gets_the_bias_of_the_item_alone(ratings):
    model = Baseline().fit(ratings, NOTHING)
    prediction = model.predict(np.array([-1, 99]), np.array([0, 0]))
    np.testing.assert_allclose(prediction, model.mean_ + model.item_bias_[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"kind": "median"}, "kind must be one of 'bias', 'mean', but got 'median'"),
        ({"user_regularization": -1}, "user_regularization must be at least 0"),
        ({"n_epochs": 0}, "n_epochs must be at least 1, but got 0"),
    ],
)
def test_a_hyperparameter_outside_its_domain_is_refused(parameters, message):
    with pytest.raises(ParameterError, match=message):
        Baseline(**parameters)
