"""SVD++ against scikit-surprise, and against the literal algorithm."""

from dataclasses import replace

import numpy as np
import pytest
import surprise

from harness.data.catalogue import Catalogue
from harness.data.load import load_dataset
from harness.data.ratings import Ratings, RatingScale
from harness.errors import ParameterError, TrainingError
from harness.evaluation.splits import assign_folds
from harness.models.surprise.engine import RatedOnly, make_trainset
from harness.models.svdpp.model import SVDpp

SETTINGS = {
    "as scikit-surprise by default": {},
    "rates of their own for biases": {
        "bias_learning_rate": 0.002,
        "bias_regularization": 0.1,
        "init_std": 0.03,
    },
    "large steps": {"learning_rate": 0.05, "regularization": 0.2},
}
TOLERANCE = {"double": 1e-9, "single": 1e-4}


def fit(ratings, **params):
    return SVDpp(**params).fit(ratings, Catalogue.empty())


def agree_on_a_fold(ratings, precision, params):
    held_out = assign_folds(ratings, seed=3) == 0
    train, valid = ratings.take(~held_out), ratings.take(held_out)
    params = {"n_factors": 7, "n_epochs": 4, "seed": 5, **params}
    ours = fit(train, precision=precision, **params)
    reference = fit(train, engine="surprise", **params)
    # Not clipped, and the reference in double precision: the harder comparison.
    np.testing.assert_allclose(
        ours._predict(valid.users, valid.items),
        reference._predict(valid.users, valid.items),
        rtol=0,
        atol=TOLERANCE[precision],
    )


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("params", SETTINGS.values(), ids=SETTINGS)
def test_equals_scikit_surprise_on_generated_data(small_ratings, precision, params):
    agree_on_a_fold(small_ratings, precision, params)


@pytest.mark.parametrize("precision", TOLERANCE)
def test_equals_scikit_surprise_on_real_ratings(real_data, precision):
    ratings = load_dataset(str(real_data / "ml-100k")).ratings
    agree_on_a_fold(ratings.take(ratings.users < 300), precision, {})


def test_the_reference_predicts_what_surprise_itself_predicts(small_ratings):
    rated = RatedOnly.of(small_ratings)
    params = {"n_factors": 3, "n_epochs": 4}
    reference = surprise.SVDpp(**params, random_state=1)
    reference.fit(make_trainset(rated.ratings))
    pairs = list(zip(rated.ratings.users, rated.ratings.items, strict=True))
    expected = [reference.predict(u, i).est for u, i in pairs]
    model = fit(small_ratings, **params, seed=1, engine="surprise")
    users, items = small_ratings.users, small_ratings.items
    np.testing.assert_allclose(model.predict(users, items), expected, atol=1e-5)


def test_the_first_two_steps_can_be_computed_by_hand():
    ratings = Ratings.from_columns(
        ["a", "a"], ["x", "y"], [5.0, 3.0], scale=RatingScale(1, 5)
    )
    rate, penalty = 0.1, 0.5
    model = fit(
        ratings,
        n_factors=1,
        n_epochs=1,
        learning_rate=rate,
        regularization=penalty,
        precision="double",
    )
    p, *rest = np.random.RandomState(0).normal(0, 0.1, 5)
    q, y = np.array(rest[:2]), np.array(rest[2:])
    bias, item_bias = 0.0, np.zeros(2)
    for i, rating in enumerate((5.0, 3.0)):
        implicit = y.sum() / np.sqrt(2)
        error = rating - (4 + bias + item_bias[i] + q[i] * (p + implicit))
        bias += rate * (error - penalty * bias)
        item_bias[i] += rate * (error - penalty * item_bias[i])
        p, q[i], y = (
            p + rate * (error * q[i] - penalty * p),
            q[i] + rate * (error * (p + implicit) - penalty * q[i]),
            y + rate * (error * q[i] / np.sqrt(2) - penalty * y),
        )
    assert model.user_bias_[0] == pytest.approx(bias, rel=1e-12)
    assert model.item_bias_ == pytest.approx(item_bias, rel=1e-12)
    assert model.item_factors_[:, 0] == pytest.approx(q, rel=1e-12)
    implicit = y.sum() / np.sqrt(2)
    assert model.implicit_factors_[0, 0] == pytest.approx(implicit, rel=1e-12)
    assert model.user_factors_[0, 0] == pytest.approx(p + implicit, rel=1e-12)


def test_epochs_one_by_one_end_where_fit_ends(small_ratings):
    whole = fit(small_ratings, n_epochs=7)
    stepwise = SVDpp(n_epochs=7)
    epochs = list(stepwise.fit_epochs(small_ratings, Catalogue.empty()))
    assert epochs == [1, 2, 3, 4, 5, 6, 7]
    np.testing.assert_array_equal(whole.user_factors_, stepwise.user_factors_)


def test_who_has_no_ratings_contributes_nothing(small_ratings):
    train = small_ratings.take((small_ratings.users != 3) & (small_ratings.items != 2))
    model = fit(train)
    users, items = np.array([3, 3, 0, -1]), np.array([2, 0, 2, 10**6])
    level = train.mean + np.array(
        [0, model.item_bias_[0], model.user_bias_[0], 0], dtype=np.float32
    )
    np.testing.assert_allclose(model._predict(users, items), level, rtol=1e-6)


def test_all_scores_of_a_user_are_what_predict_gives(small_ratings):
    model = fit(small_ratings, n_factors=5)
    items, scores = model.recommend(4, 10)
    pairs = np.full(len(items), 4), items
    np.testing.assert_allclose(model._predict(*pairs), scores, atol=1e-5)
    assert not set(items) & set(model.seen(4))


@pytest.mark.parametrize("engine", ["harness", "surprise"])
def test_steps_far_too_large_are_an_error(small_ratings, engine):
    with pytest.raises(TrainingError, match=r"^svdpp: .* epoch \d\. .* learning rate"):
        fit(small_ratings, learning_rate=1e6, n_epochs=5, engine=engine)


def test_twenty_times_the_ratings_twenty_times_the_predictions(small_ratings):
    scale = small_ratings.scale
    larger = replace(
        small_ratings,
        values=20 * small_ratings.values,
        scale=RatingScale(20 * scale.low, 20 * scale.high),
    )
    pairs = small_ratings.users, small_ratings.items
    np.testing.assert_allclose(
        fit(larger).predict(*pairs), 20 * fit(small_ratings).predict(*pairs), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"n_factors": 0}, "n_factors must be at least 1, but got 0"),
        ({"bias_learning_rate": 0.0}, "bias_learning_rate must be greater than 0"),
        ({"engine": "sunrise"}, "engine must be one of"),
    ],
)
def test_hyperparameters_outside_their_domain_are_refused(params, complaint):
    with pytest.raises(ParameterError, match=complaint):
        SVDpp(**params)
