"""The families that scikit-surprise trains: against itself, and where it gives up."""

from dataclasses import replace

import numpy as np
import pytest
import surprise

from harness.data.catalogue import Catalogue
from harness.data.ratings import RatingScale
from harness.errors import DataError, ParameterError, TrainingError
from harness.models.baseline.model import Baseline
from harness.models.slope_one import model as slope_one
from harness.models.slope_one.model import SlopeOne
from harness.models.surprise.engine import RatedOnly, make_trainset
from harness.models.surprise.families import NMF, CoClustering

NOTHING = Catalogue.empty()
FAMILIES = (NMF, SlopeOne, CoClustering)


@pytest.fixture
def whole_stars(ratings):
    """Ratings without fractions, which scikit-surprise would cut off."""
    stars = np.ceil(ratings.values).astype(np.float32)
    return replace(ratings, values=stars, scale=RatingScale(1, 5))


@pytest.mark.parametrize(
    ("model", "reference"),
    [
        (
            NMF(n_factors=3, n_epochs=6, seed=1),
            surprise.NMF(n_factors=3, n_epochs=6, random_state=1),
        ),
        (
            NMF(n_factors=3, n_epochs=6, biased=True, seed=1),
            surprise.NMF(n_factors=3, n_epochs=6, biased=True, random_state=1),
        ),
        (SlopeOne(), surprise.SlopeOne()),
        (CoClustering(seed=1), surprise.CoClustering(random_state=1)),
    ],
    ids=["nmf", "nmf biased", "slope_one", "co_clustering"],
)
def test_predicts_what_scikit_surprise_predicts(whole_stars, model, reference):
    rated = RatedOnly.of(whole_stars)
    reference.fit(make_trainset(rated.ratings))
    pairs = [(u, i) for u in range(len(rated.users)) for i in range(len(rated.items))]
    expected = [reference.predict(u, i).est for u, i in pairs]
    users, items = np.array(pairs).T
    model.fit(whole_stars, NOTHING)
    prediction = model.predict(rated.users[users], rated.items[items])
    np.testing.assert_allclose(prediction, expected, atol=1e-5)


@pytest.mark.parametrize("family", [SlopeOne, CoClustering])
def test_half_stars_are_not_cut_off(ratings, family):
    """Twice the ratings, twice the predictions: these algorithms are linear."""
    doubled = replace(ratings, values=2 * ratings.values, scale=RatingScale(1, 10))
    pairs = ratings.users, ratings.items
    np.testing.assert_allclose(
        2 * family().fit(ratings, NOTHING).predict(*pairs),
        family().fit(doubled, NOTHING).predict(*pairs),
        atol=1e-5,
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_strangers_are_judged_by_the_bias_model(ratings, family):
    train = ratings.take(ratings.users > 0)
    users, items = np.array([0, -1, 3, 3]), np.array([2, 2, -1, ratings.n_items - 1])
    np.testing.assert_array_equal(
        family().fit(train, NOTHING).predict(users, items),
        Baseline().fit(train, NOTHING).predict(users, items),
    )


def test_slope_one_by_hand(ratings):
    # a rates x 5, y 3; b rates x 4: y is 2 below x, so b is expected to give y 2.
    tiny = type(ratings).from_columns(
        list("aab"), list("xyx"), [5, 3, 4], scale=RatingScale(1, 5)
    )
    prediction = SlopeOne().fit(tiny, NOTHING).predict(np.array([1]), np.array([1]))
    assert prediction[0] == 2


def test_slope_one_refuses_more_titles_than_fit_into_memory(ratings, monkeypatch):
    monkeypatch.setattr(slope_one, "MOST_ITEMS", 10)
    with pytest.raises(DataError, match=r"more than 10 rated titles, .* choose cf"):
        SlopeOne().fit(ratings, NOTHING)


def test_ratings_without_common_fractions_keep_the_digits_of_float32(ratings):
    """Ratings with noise of their own: not whole, whatever they are multiplied by."""
    noise = np.random.default_rng(0).random(len(ratings)).astype(np.float32)
    uneven = replace(ratings, values=ratings.values - 0.4 * noise)
    smaller = replace(
        uneven, values=1e-3 * uneven.values, scale=RatingScale(5e-4, 5e-3)
    )
    pairs = ratings.users, ratings.items
    np.testing.assert_allclose(
        1e-3 * SlopeOne().fit(uneven, NOTHING).predict(*pairs),
        SlopeOne().fit(smaller, NOTHING).predict(*pairs),
        rtol=1e-5,
    )


def test_nmf_whose_steps_are_far_too_large_is_an_error(ratings):
    with pytest.raises(TrainingError, match=r"^nmf: .* epoch 50\. "):
        NMF(biased=True, bias_learning_rate=1e6).fit(ratings, NOTHING)


@pytest.mark.parametrize(
    ("family", "parameters", "message"),
    [
        (NMF, {"init_high": 0}, "init_high must be greater than 0"),
        (NMF, {"biased": "no"}, "biased must be true or false, but got 'no'"),
        (CoClustering, {"n_user_clusters": 0}, "n_user_clusters must be at least 1"),
    ],
)
def test_a_hyperparameter_outside_its_domain_is_refused(family, parameters, message):
    with pytest.raises(ParameterError, match=message):
        family(**parameters)
