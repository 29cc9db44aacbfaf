import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from harness.data.catalogue import Catalogue
from harness.data.load import load_dataset
from harness.data.ratings import Ratings, RatingScale
from harness.errors import ParameterError, TrainingError
from harness.evaluation.splits import assign_folds
from harness.models.lanes import WIDTH
from harness.models.svd.kernels import sgd_epoch
from harness.models.svd.model import SVD

SETTINGS = {
    "as scikit-surprise by default": {},
    "without biases": {"biased": False},
    "rates of their own for biases": {
        "bias_learning_rate": 0.002,
        "bias_regularization": 0.1,
        "init_std": 0.03,
    },
}
TOLERANCE = {"double": 1e-6, "single": 1e-4}


def fit(ratings, **params):
    return SVD(**params).fit(ratings, Catalogue.empty())


def agree_on_a_fold(ratings, precision, params):
    held_out = assign_folds(ratings, seed=3) == 0
    train, valid = ratings.take(~held_out), ratings.take(held_out)
    params = {"n_factors": 12, "n_epochs": 6, "seed": 5, **params}
    ours = fit(train, precision=precision, **params)
    reference = fit(train, engine="surprise", **params)
    # The reference is left unclipped and in double precision: the harder comparison.
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
    agree_on_a_fold(ratings, precision, {})


def test_reference_gets_the_ratings_that_surprise_itself_would_build(small_ratings):
    import pandas as pd
    import surprise
    from surprise import Dataset, Reader

    ratings = small_ratings
    frame = pd.DataFrame(
        {"user": ratings.users, "item": ratings.items, "rating": ratings.values}
    )
    # Surprise numbers users and items as they appear; so do we, if the items are
    # renumbered in the order in which the users bring them up.
    renumbered = Ratings.from_columns(
        frame.user.astype(str),
        frame.item.astype(str),
        frame.rating.to_numpy(),
        scale=RatingScale(1, 5),
    )
    trainset = Dataset.load_from_df(frame, Reader(rating_scale=(1, 5)))
    full = trainset.build_full_trainset()
    reference = surprise.SVD(n_factors=8, n_epochs=4, random_state=1).fit(full)
    expected = [
        reference.estimate(u, i)
        for u, i in zip(renumbered.users, renumbered.items, strict=True)
    ]
    ours = fit(renumbered, n_factors=8, n_epochs=4, seed=1, precision="double")
    np.testing.assert_allclose(
        ours._predict(renumbered.users, renumbered.items), expected, rtol=0, atol=1e-9
    )


def test_the_first_step_can_be_computed_by_hand():
    ratings = Ratings.from_columns(
        ["a", "b"], ["x", "y"], [5.0, 3.0], scale=RatingScale(1, 5)
    )
    model = fit(ratings, n_factors=1, n_epochs=1, learning_rate=0.1, regularization=0.5)
    # The factors of the two users are drawn first, then those of the two items.
    p, _, q, _ = np.random.RandomState(0).normal(0, 0.1, 4)
    # The mean is 4, and nothing else is known when the first rating comes.
    error = 5 - (4 + p * q)
    assert model.user_bias_[0] == pytest.approx(0.1 * error, rel=1e-5)
    assert model.user_factors_[0, 0] == pytest.approx(
        p + 0.1 * (error * q - 0.5 * p), rel=1e-5
    )


def test_an_epoch_is_one_step_after_the_other_in_any_order_of_ratings():
    rng = np.random.default_rng(0)
    # Few of both: runs of one user, and the same pair several times in a row.
    users, items = np.sort(rng.integers(0, 3, 60)), rng.integers(0, 3, 60)
    users[40:], items[10:14] = users[39::-1][:20], items[10]
    values, rates = rng.uniform(1, 5, 60), (0.02, 0.1, 0.05, 0.3)
    biases, factors = rng.normal(0, 1, (2, 3)), rng.normal(0, 1, (2, 3, WIDTH))
    expected = [*biases.copy(), *factors.copy()]
    of_user, of_item, p, q = expected
    squares = 0.0
    for u, i, value in zip(users, items, values, strict=True):
        error = value - (3.0 + of_user[u] + of_item[i] + p[u] @ q[i])
        squares += error**2
        of_user[u] += rates[0] * (error - rates[1] * of_user[u])
        of_item[i] += rates[0] * (error - rates[1] * of_item[i])
        p[u], q[i] = (
            p[u] + rates[2] * (error * q[i] - rates[3] * p[u]),
            q[i] + rates[2] * (error * p[u] - rates[3] * q[i]),
        )
    ratings = users.astype(np.int32), items.astype(np.int32), values
    learnt = tuple(biases), tuple(factors)
    found = sgd_epoch(*ratings, 3.0, *learnt, rates, True, None)  # noqa: FBT003
    assert found == pytest.approx(squares)
    for array, other in zip([*biases, *factors], expected, strict=True):
        np.testing.assert_allclose(array, other, rtol=1e-10)


def test_epochs_one_by_one_end_where_fit_ends(small_ratings):
    whole = fit(small_ratings, n_epochs=7)
    stepwise = SVD(n_epochs=7)
    epochs = list(stepwise.fit_epochs(small_ratings, Catalogue.empty()))
    assert epochs == [1, 2, 3, 4, 5, 6, 7]
    np.testing.assert_array_equal(whole.user_factors_, stepwise.user_factors_)


def test_memory_does_not_grow_with_epochs(small_ratings):
    # Factors are padded for the training; 513 leave it and the model a copy each.
    def peak(n_epochs):
        tracemalloc.start()
        model = fit(small_ratings, n_factors=513, n_epochs=n_epochs)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert model.user_factors_.shape[1] == 513
        assert model.user_factors_.flags.c_contiguous
        return found, model.user_factors_.nbytes

    peak(1)  # what is loaded or compiled once
    few, _ = peak(2)
    many, of_users = peak(20)
    assert many - few < of_users


def test_user_and_item_without_ratings_get_the_mean(small_ratings):
    train = small_ratings.take((small_ratings.users != 3) & (small_ratings.items != 2))
    for biased in (True, False):
        model = fit(train, biased=biased)
        assert model.predict(np.array([3]), np.array([2])) == pytest.approx(
            train.mean, rel=1e-6
        )


def test_all_scores_of_a_user_are_what_predict_gives(small_ratings):
    model = fit(small_ratings, n_factors=5)
    items, scores = model.recommend(4, 10)
    pairs = np.full(len(items), 4), items
    np.testing.assert_allclose(model._predict(*pairs), scores, atol=1e-5)
    assert not set(items) & set(model.seen(4))


@pytest.mark.parametrize("n", [10, 0, -1])
def test_who_has_rated_everything_gets_no_recommendation(n):
    ratings = Ratings.from_columns(
        ["a", "a", "b"], ["x", "y", "x"], [1, 2, 3], scale=RatingScale(1, 5)
    )
    items, scores = fit(ratings, n_factors=2).recommend(0, n)
    assert len(items) == len(scores) == 0


@pytest.mark.parametrize("engine", ["harness", "surprise"])
def test_steps_far_too_large_are_an_error(small_ratings, engine):
    with pytest.raises(TrainingError, match=r"^svd: .* epoch \d\. .* learning rate"):
        fit(small_ratings, learning_rate=1e6, n_epochs=5, engine=engine)


def test_without_biases_the_lowest_rating_counts_as_one_star(small_ratings):
    scale = small_ratings.scale
    shifted = replace(
        small_ratings,
        values=100 + 20 * small_ratings.values,
        scale=RatingScale(100 + 20 * scale.low, 100 + 20 * scale.high),
    )
    pairs = small_ratings.users, small_ratings.items
    np.testing.assert_allclose(
        fit(shifted, biased=False).predict(*pairs),
        100 + 20 * fit(small_ratings, biased=False).predict(*pairs),
        rtol=1e-4,
    )


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"n_factors": 0}, "n_factors must be at least 1, but got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be greater than 0"),
        ({"regularization": -1.0}, "regularization must be at least 0"),
        ({"init_std": float("nan")}, "init_std must be at least 0, but got nan"),
        ({"engine": "sunrise"}, "engine must be one of"),
    ],
)
def test_hyperparameters_outside_their_domain_are_refused(params, complaint):
    with pytest.raises(ParameterError, match=complaint):
        SVD(**params)


def test_counts_of_any_size_are_learnt_and_not_replaced_by_their_mean():
    """Play counts: most are small, a few are hundreds of times as large."""
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((60, 40)) < 0.4)
    level = rng.normal(2, 1.5, 60)[users] + rng.normal(0, 1, 40)[items]
    counts = np.round(np.exp(level + rng.normal(0, 0.3, len(users)))) + 1
    ratings = Ratings.from_columns(
        users.astype(str), items.astype(str), counts, scale=RatingScale(1, counts.max())
    )
    assert counts.max() > 200 * np.median(counts) > 0
    model = fit(ratings, n_epochs=40, init_std=0.01)
    predicted = model._predict(ratings.users, ratings.items)
    assert np.isfinite(predicted).all()
    error = np.sqrt(np.mean((predicted - ratings.values) ** 2))
    assert error < 0.8 * ratings.values.std()
