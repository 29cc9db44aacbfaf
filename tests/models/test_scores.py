"""Rankings: what a title is ranked by is its prediction before it is clipped."""

import numpy as np
import pytest

from harness.models.baseline.model import Baseline
from harness.models.cf.model import CF
from harness.models.cf.similarity import SimilarityPlan
from harness.models.content.model import Content
from harness.models.families import load_family
from harness.models.hybrid.model import Hybrid
from harness.models.kernels import best_of
from harness.models.slope_one.model import SlopeOne
from harness.models.surprise.families import NMF, CoClustering
from harness.models.svd.model import SVD
from harness.models.svdpp.model import SVDpp

MODELS = {
    "baseline": Baseline(),
    "cf": CF(n_neighbors=4),
    "cf of users": CF(n_neighbors=4, user_based=True),
    "cf, basic": CF(centering="basic", similarity="cosine", n_neighbors=4),
    "cf, zscore, too few": CF(centering="zscore", similarity="msd", min_neighbors=5),
    "co_clustering": CoClustering(),
    "content": Content(),
    "content by similarity": Content(predictor="similarity", n_neighbors=4),
    "content by regression": Content(predictor="regression"),
    "hybrid": Hybrid(n_epochs=3),
    "nmf": NMF(n_factors=3, n_epochs=9),
    "nmf with biases": NMF(n_factors=3, n_epochs=9, biased=True),
    "slope_one": SlopeOne(),
    "svd": SVD(n_factors=4),
    "svd with cold start": SVD(n_factors=4, cold_start=True),
    "svd without biases": SVD(n_factors=4, biased=False),
    "svd without biases, with cold start": SVD(
        n_factors=4, biased=False, cold_start=True
    ),
    "svd by the reference": SVD(n_factors=4, engine="surprise"),
    "svdpp": SVDpp(n_factors=3, n_epochs=3),
}


def assert_ranks_by_predictions(model, ratings):
    n = ratings.n_items
    items = np.arange(n)
    # The first has no training rating, the last two are strangers.
    for user in (0, 1, 11, ratings.n_users - 1, -1, ratings.n_users + 3):
        found, scores = model.recommend(user, n, exclude_seen=False)
        expected = model._predict(np.full(n, user), items)
        assert sorted(found) == items.tolist()
        np.testing.assert_allclose(scores, expected[found], rtol=1e-5, atol=1e-4)
    users = np.array([1, 11])
    scores = model._score_users(users)
    for user, row in zip(users, scores, strict=True):
        expected = model._predict(np.full(n, user), items)
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-4)


@pytest.fixture
def train(ratings):
    """Ratings of which neither the first user nor the first two titles have any."""
    return ratings.take((ratings.users > 0) & (ratings.items > 1))


@pytest.mark.parametrize("name", MODELS)
def test_titles_are_ranked_by_what_is_predicted_for_them(train, catalogue, name):
    assert_ranks_by_predictions(MODELS[name].fit(train, catalogue), train)


def test_those_of_bfm_too(train, catalogue):
    model = load_family("bfm")(n_factors=2, n_iterations=5)
    assert_ranks_by_predictions(model.fit(train, catalogue), train)


@pytest.mark.parametrize("user_based", [False, True])
@pytest.mark.parametrize("room", [1 << 20, 400])
def test_those_of_cf_too_where_similarities_do_not_all_fit(
    train, catalogue, user_based, room, monkeypatch
):
    plan = SimilarityPlan(dense_limit=5, list_bytes=room, list_length=4)
    monkeypatch.setattr(CF, "plan", plan)
    model = CF(n_neighbors=3, user_based=user_based)
    assert_ranks_by_predictions(model.fit(train, catalogue), train)


@pytest.mark.parametrize("n", [1, 7, 60])
def test_the_best_are_those_of_a_stable_sort_of_what_is_not_excluded(n):
    rng = np.random.default_rng(0)
    # Many ties, and fewer titles left than the longest list has places.
    scores = rng.integers(0, 9, 80).astype(np.float32)
    excluded = rng.random(80) < 0.4
    allowed = np.flatnonzero(~excluded)
    expected = allowed[np.argsort(-scores[allowed], kind="stable")][:n]
    found = np.full(n, -1, dtype=np.int32)
    assert best_of(scores, excluded, found) == len(expected) == min(n, len(allowed))
    assert found[: len(expected)].tolist() == expected.tolist()
