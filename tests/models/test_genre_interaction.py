"""The user's liking for the genres of a title, as a summand of two families."""

from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest

from harness.data.catalogue import Catalogue
from harness.data.habits import genre_table
from harness.errors import ParameterError
from harness.features.pairs import trusted_genre_preferences, user_genre_interaction
from harness.models.baseline.model import Biases
from harness.models.genre_interaction import GenreInteraction
from harness.models.hybrid.model import Hybrid
from harness.models.hybrid.training import fit_calibration, score_pairs, set_aside
from harness.models.svd.model import SVD

MODELS = {
    "svd": lambda weight: SVD(
        n_factors=4, n_epochs=5, cold_start=True, genre_interaction=weight
    ),
    "svd without biases": lambda weight: SVD(
        n_factors=4, biased=False, cold_start=True, genre_interaction=weight
    ),
    "hybrid": lambda weight: Hybrid(n_epochs=3, genre_interaction=weight),
    "hybrid, trained twice": lambda weight: Hybrid(
        n_epochs=2, refit=True, genre_interaction=weight
    ),
}


@pytest.fixture(params=MODELS)
def make(request):
    """Make a model of some weight."""
    return MODELS[request.param]


def some_pairs(ratings):
    """Known and unknown users and titles."""
    rng = np.random.default_rng(2)
    users = rng.integers(-1, ratings.n_users + 2, 200)
    return users, rng.integers(-1, ratings.n_items + 2, 200)


def test_it_is_the_named_feature_times_its_weight(ratings, catalogue):
    _, has = genre_table(catalogue.frame["listed_in"])
    users, items = (np.ravel(x) for x in np.mgrid[: ratings.n_users, : ratings.n_items])
    likes = trusted_genre_preferences(ratings, has)
    expected = 0.7 * user_genre_interaction(users, items, likes, has)
    found = GenreInteraction.learn(ratings, catalogue, weight=0.7)
    np.testing.assert_allclose(found.of_pairs(users, items), expected, atol=1e-6)
    assert np.abs(expected).max() > 0.05


def test_all_titles_of_a_user_are_as_pair_by_pair(ratings, catalogue):
    found = GenreInteraction.learn(ratings, catalogue, weight=0.7)
    items = np.arange(ratings.n_items)
    for user in (0, 7, -1, 10**6):
        scores = np.zeros(len(items), dtype=np.float32)
        found.add_to_scores(scores, user)
        pairs = np.full(len(items), user), items
        np.testing.assert_allclose(scores, found.of_pairs(*pairs), atol=1e-6)


@pytest.mark.parametrize(
    "frame",
    [pd.DataFrame(), pd.DataFrame({"type": ["Movie"] * 26})],
    ids=["empty", "without genres"],
)
def test_without_genres_nothing_is_added(ratings, frame):
    found = GenreInteraction.learn(ratings, Catalogue(frame), weight=0.7)
    assert not found.of_pairs(*some_pairs(ratings)).any()
    assert found.explain(0, 0) == ()


def test_a_model_adds_it_to_what_it_would_predict_without(ratings, catalogue):
    pairs = some_pairs(ratings)
    off, on = (MODELS["svd"](w).fit(ratings, catalogue) for w in (0.0, 0.8))
    added = GenreInteraction.learn(ratings, catalogue, weight=0.8).of_pairs(*pairs)
    np.testing.assert_allclose(
        on._predict(*pairs) - off._predict(*pairs), added, atol=1e-5
    )


def test_the_line_of_the_hybrid_is_fitted_to_what_is_left_of_ratings_kept_aside(
    ratings, catalogue
):
    model = Hybrid(n_epochs=3, genre_interaction=2.0, calibration_share=0.3)
    model.fit(ratings, catalogue)
    learn, aside = set_aside(ratings, share=0.3)
    pairs = aside.users, aside.items
    # What is kept aside is in no preference.
    added = GenreInteraction.learn(learn, catalogue, weight=2.0)
    np.testing.assert_array_equal(model.genre_likes_, added.likes)
    factors = model.user_factors_, model.item_factors_
    biases = model.user_score_bias_, model.item_score_bias_
    line = fit_calibration(
        Biases(model.mean_, model.user_bias_, model.item_bias_).predict(*pairs),
        score_pairs(*pairs, factors, biases),
        aside.values - added.of_pairs(*pairs),
    )
    np.testing.assert_allclose(model.calibration_, astuple(line), rtol=1e-6)


def test_without_cold_start_svd_adds_nothing(ratings, catalogue):
    pairs = some_pairs(ratings)
    one, other = (
        SVD(n_factors=4, genre_interaction=weight).fit(ratings, catalogue)
        for weight in (0.0, 0.8)
    )
    np.testing.assert_array_equal(one._predict(*pairs), other._predict(*pairs))


def test_ranks_by_what_is_predicted(make, ratings, catalogue):
    model = make(0.8).fit(ratings, catalogue)
    for user in (0, 5, -1):
        items, scores = model.recommend(user, 26, exclude_seen=False)
        predicted = model._predict(np.full(len(items), user), items)
        np.testing.assert_allclose(scores, predicted, atol=1e-5)


def test_an_explanation_has_a_part_for_it(make, ratings, catalogue):
    model = make(0.8).fit(ratings, catalogue)
    added = model.genre_likes_ @ model.title_genres_.T
    user, item = (int(k) for k in np.unravel_index(np.abs(added).argmax(), added.shape))
    explained = model.explain(user, item)
    stars = {part.label: part.stars for part in explained.parts}
    assert abs(added[user, item]) > 0.01
    assert stars["liking for its genres"] == pytest.approx(added[user, item], rel=1e-5)
    predicted = model._predict(np.array([user]), np.array([item])).item()
    assert explained.total == pytest.approx(predicted, abs=1e-5)
    without = make(0.0).fit(ratings, catalogue).explain(user, item)
    assert "liking for its genres" not in {part.label for part in without.parts}


def test_saves_and_loads_to_equal_predictions(make, ratings, catalogue, tmp_path):
    model = make(0.8).fit(ratings, catalogue)
    model.save(tmp_path)
    pairs = some_pairs(ratings)
    loaded = type(model).load(tmp_path)
    np.testing.assert_array_equal(loaded.predict(*pairs), model.predict(*pairs))


@pytest.mark.parametrize("family", [SVD, Hybrid])
def test_a_negative_weight_is_refused(family):
    with pytest.raises(ParameterError, match="genre_interaction must be at least 0"):
        family(genre_interaction=-0.1)
