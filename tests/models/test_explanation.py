"""Explanations: every family that can takes its predictions apart without remainder."""

import numpy as np
import pandas as pd
import pytest

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.errors import NotFittedError, UnsupportedError
from harness.models import factors as factor_module
from harness.models.base import Recommender
from harness.models.baseline.model import Baseline
from harness.models.blend import Blend
from harness.models.cf.model import CF
from harness.models.content.model import Content
from harness.models.explanation import Explanation, Part, bias_parts
from harness.models.factors import (
    explain_factors,
    interpret_factor,
    read_traits,
    turn_to_principal_axes,
)
from harness.models.families import family_names, load_family
from harness.models.hybrid.model import Hybrid
from harness.models.slope_one.model import SlopeOne
from harness.models.surprise.families import NMF, CoClustering
from harness.models.svd.model import SVD
from harness.models.svdpp.model import SVDpp

MODELS = {
    "baseline": Baseline(),
    "mean": Baseline(kind="mean"),
    "blend": Blend(weights="cf 0.3, svd 0.7"),
    "cf": CF(n_neighbors=5),
    "cf of users": CF(user_based=True, n_neighbors=5),
    "cf, too few": CF(min_neighbors=200),
    "cf basic": CF(centering="basic", similarity="cosine"),
    "cf basic, too few": CF(centering="basic", similarity="cosine", min_neighbors=200),
    "cf mean": CF(centering="mean", similarity="msd"),
    "cf zscore of users": CF(centering="zscore", similarity="pearson", user_based=True),
    "content": Content(),
    "content by similarity": Content(predictor="similarity"),
    "content by regression": Content(predictor="regression"),
    "hybrid": Hybrid(n_epochs=3, user_features="all"),
    "co_clustering": CoClustering(),
    "nmf": NMF(n_factors=8, n_epochs=10),
    "nmf with biases": NMF(n_factors=3, n_epochs=10, biased=True),
    "slope_one": SlopeOne(),
    "svdpp": SVDpp(n_factors=8, n_epochs=5),
    "svd": SVD(n_factors=8),
    "svd without biases": SVD(n_factors=3, biased=False),
    "svd with cold start": SVD(n_factors=4, cold_start=True),
    "svd without biases, with cold start": SVD(
        n_factors=3, biased=False, cold_start=True
    ),
}


@pytest.fixture(params=MODELS, scope="module")
def name(request):
    """One of the models."""
    return request.param


@pytest.fixture
def model(name, ratings, catalogue):
    """It, fitted."""
    return MODELS[name].fit(ratings, catalogue)


def test_the_parts_add_up_to_the_prediction_before_clipping(model, ratings):
    rng = np.random.default_rng(1)
    users = rng.integers(-1, ratings.n_users + 2, 60)
    items = rng.integers(-1, ratings.n_items + 2, 60)
    unclipped = model._predict(users, items)
    clipped = model.predict(users, items)
    for k, pair in enumerate(zip(users.tolist(), items.tolist(), strict=True)):
        explained = model.explain(*pair)
        assert isinstance(explained, Explanation)
        assert explained.total == pytest.approx(float(unclipped[k]), abs=2e-4, rel=1e-5)
        assert np.clip(explained.total, 0.5, 5) == pytest.approx(clipped[k], abs=2e-4)


def test_explaining_needs_a_fitted_model(name):
    with pytest.raises(NotFittedError, match="not fitted"):
        type(MODELS[name])().explain(0, 0)


def test_every_built_in_family_explains_itself():
    for name in family_names():
        assert load_family(name).explain is not Recommender.explain


def test_a_family_that_cannot_explain_says_what_it_lacks(ratings, catalogue):
    class Guess(Recommender):
        name = "guess"

        def _fit(self, ratings, catalogue):
            pass

        def _predict(self, users, items):
            return np.full(np.broadcast(users, items).shape, 3.0)

    model = Guess().fit(ratings, catalogue)
    with pytest.raises(UnsupportedError, match=r"'guess' cannot .* define explain\(\)"):
        model.explain(0, 0)


def test_a_bias_model_is_mean_and_biases():
    parts = bias_parts(3.0, (np.array([0.5]), np.array([0.0, -0.25])), (0, 1))
    assert [part.stars for part in parts] == [3.0, 0.5, -0.25]
    unknown = bias_parts(3.0, (np.array([0.5]), np.array([0.0])), (-1, 1))
    assert [part.stars for part in unknown] == [3.0, 0.0, 0.0]
    assert unknown[1].detail == "nothing is known"


# Neighbours


def pair_with_neighbors(model):
    """The first pair that has three neighbours at least."""
    pairs = ((u, i) for u in range(30) for i in range(24))
    return next(pair for pair in pairs if len(model.neighbors(*pair)[0]) >= 3)


@pytest.mark.parametrize("user_based", [False, True])
@pytest.mark.parametrize("centering", ["baseline", "mean", "zscore", "basic"])
def test_neighbours_are_those_of_the_prediction_and_add_what_their_part_says(
    ratings, catalogue, user_based, centering
):
    model = CF(user_based=user_based, centering=centering, n_neighbors=4)
    model.fit(ratings, catalogue)
    pair = pair_with_neighbors(model)
    explained = model.explain(*pair)
    codes, similarities, values = model.neighbors(*pair)
    assert 3 <= len(explained.neighbors) <= 4
    assert [n.code for n in explained.neighbors] == codes.tolist()
    assert [n.similarity for n in explained.neighbors] == similarities.tolist()
    assert [n.rating for n in explained.neighbors] == values.tolist()
    assert explained.neighbors_are == ("users" if user_based else "titles")
    total = sum(n.stars for n in explained.neighbors)
    assert explained.parts[-1].label == "neighbours"
    assert explained.parts[-1].stars == pytest.approx(total)


def test_without_centring_a_neighbour_adds_its_share_of_its_rating(ratings, catalogue):
    model = CF(centering="basic", similarity="cosine").fit(ratings, catalogue)
    neighbors = model.explain(*pair_with_neighbors(model)).neighbors
    total = sum(n.similarity for n in neighbors)
    for n in neighbors:
        assert n.stars == pytest.approx(n.similarity / total * n.rating)


def test_slope_one_by_hand():
    # a rates x 5, y 3, z 1; b rates x 4, z 2: to b, y is expected to be 2 below x and
    # 2 above z, which leaves b's mean of 3.
    ratings = Ratings.from_columns(
        list("aaabb"), list("xyzxz"), [5, 3, 1, 4, 2], scale=RatingScale(1, 5)
    )
    explained = SlopeOne().fit(ratings, Catalogue.empty()).explain(1, 1)
    assert [part.stars for part in explained.parts] == [3.0, 0.0]
    found = {n.code: (n.rating, n.stars, n.similarity) for n in explained.neighbors}
    assert found == {0: (4.0, -1.0, None), 2: (2.0, 1.0, None)}


def test_slope_one_names_first_what_adds_or_takes_away_most(ratings, catalogue):
    model = SlopeOne().fit(ratings, catalogue)
    explained = model.explain(2, 5)
    each = [n.stars for n in explained.neighbors]
    assert len(each) > 3
    assert np.all(np.diff(np.abs(each)) <= 0)
    assert sum(each) == pytest.approx(explained.parts[1].stars)
    own = ratings.users == 2
    mine = dict(zip(ratings.items[own], ratings.values[own], strict=True))
    assert all(n.rating == mine[n.code] for n in explained.neighbors)


# Groups and topics


def test_co_clustering_is_the_mean_of_a_block_and_two_corrections():
    # One cluster on each side: the block is everything, with the mean of all ratings.
    ratings = Ratings.from_columns(
        list("aab"), list("xyx"), [5, 3, 1], scale=RatingScale(1, 5)
    )
    model = CoClustering(n_user_clusters=1, n_item_clusters=1)
    parts = model.fit(ratings, Catalogue.empty()).explain(0, 0).parts
    # Mean 3; user a has the mean 4, title x too has 3.
    assert [part.stars for part in parts] == pytest.approx([3.0, 1.0, 0.0])
    assert parts[0].detail == "users of group 1 of 1, titles of group 1 of 1"


def test_bfm_tells_weights_by_topic_and_the_interaction(ratings, catalogue):
    model = load_family("bfm")(n_factors=2, n_iterations=10, user_features="all")
    model.fit(ratings, catalogue)
    pairs = [(0, 0), (3, 7), (-1, 2), (1, ratings.n_items), (99, 99)]
    expected = model._predict(*np.array(pairs).T)
    for pair, stars in zip(pairs, expected, strict=True):
        assert model.explain(*pair).total == pytest.approx(stars, abs=1e-4)
    explained = model.explain(3, 7)
    parts = {part.label: part.stars for part in explained.parts}
    assert {
        "global bias",
        "the user itself",
        "titles the user has rated",
        "weekend",
        "pairs of features of the user",
        "the title itself",
        "users who have rated the title",
        "genre",
        "decade",
        "pairs of features of the title",
    } <= set(parts)
    linear = model.item_topics_[7]
    assert linear.sum() == pytest.approx(model.item_bias_[7])
    assert explained.axes[0].places.shape == (ratings.n_items,)
    with pytest.raises(NotFittedError, match="not fitted"):
        load_family("bfm")().explain(0, 0)


# Factors


def test_svdpp_tells_what_a_user_likes_from_what_a_user_has_rated_at_all(
    ratings, catalogue
):
    model = SVDpp(n_factors=3, n_epochs=5).fit(ratings, catalogue)
    explained = model.explain(4, 6)
    implicit, explicit = explained.parts[-1], explained.parts[3:-1]
    assert implicit.label == "implicit feedback"
    title = model.item_factors_[6]
    assert implicit.stars == pytest.approx(model.implicit_factors_[4] @ title)
    own = model.user_factors_[4] - model.implicit_factors_[4]
    assert sum(part.stars for part in explicit) == pytest.approx(own @ title)
    n_rated = int((ratings.users == 4).sum())
    assert f"these {n_rated} titles" in implicit.detail


def test_factors_of_nmf_only_add_up_and_are_those_it_has_learnt(ratings, catalogue):
    model = NMF(n_factors=7, n_epochs=10).fit(ratings, catalogue)
    explained = model.explain(4, 6)
    each = model.user_factors_[4] * model.item_factors_[6]
    order = np.argsort(-each)
    assert [axis.label for axis in explained.axes] == [
        f"factor {k + 1}" for k in order[:5]
    ]
    first, *parts = explained.parts
    # Half stars from 0.5 to 5 are brought to 1 to 5: nine eighths of a star a star.
    assert (first.label, first.stars) == ("zero stars", 0.5 - 1.125)
    assert [part.stars for part in parts[:5]] == pytest.approx(each[order[:5]].tolist())
    assert parts[-1].label == "2 more factors"
    assert all(part.stars >= 0 for part in parts)
    axis = explained.axes[0]
    words = f"user {axis.user:.2f} times title {axis.title:.2f}"
    assert parts[0].detail == words


def test_turning_factors_changes_no_product_and_puts_the_strongest_first():
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(7, 5)), rng.normal(size=(4, 5))
    turned_users, turned_items = turn_to_principal_axes((users, items))
    assert turned_users @ turned_items.T == pytest.approx(users @ items.T)
    strengths = np.linalg.svd(users @ items.T, compute_uv=False)
    sizes = np.linalg.norm(turned_users, axis=0) * np.linalg.norm(turned_items, axis=0)
    assert sizes == pytest.approx(strengths)
    assert np.all(turned_items.max(axis=0) >= -turned_items.min(axis=0))


def test_turned_factors_do_not_depend_on_how_they_were_turned_before():
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(7, 3)), rng.normal(size=(6, 3))
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    one = explain_factors((2, 4), (), (users, items))
    other = explain_factors((2, 4), (), (users @ rotation, items @ rotation))
    assert [p.label for p in one.parts] == [p.label for p in other.parts]
    assert [p.stars for p in one.parts] == pytest.approx([p.stars for p in other.parts])


def test_factors_are_turned_once_for_all_titles_and_anew_after_a_change(monkeypatch):
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(7, 3)), rng.normal(size=(6, 3))
    turned = []

    def count(factors):
        turned.append(factors)
        return turn_to_principal_axes(factors)

    monkeypatch.setattr(factor_module, "turn_to_principal_axes", count)
    for item in range(6):
        # As a family does that makes its factors for each title.
        explain_factors((2, item), (), (users.copy(), items))
    assert len(turned) == 1
    users[2] = 0.0
    explained = explain_factors((2, 1), (), (users, items))
    assert len(turned) == 2
    assert explained.total == 0.0


def test_the_strongest_factors_come_one_by_one_and_the_rest_together():
    users, items = np.diag([3.0, 2.0, 1.0]), np.diag([1.0, 1.0, 1.0]) + 0.1
    before = (Part(label="mean", stars=3.0),)
    explained = explain_factors((0, 0), before, (users, items), n_strongest=2)
    assert len(explained.parts) == 4
    assert explained.parts[0] == before[0]
    assert explained.parts[-1].label == "1 more factors"
    roles = [part.role for part in explained.parts[1:]]
    assert roles == ["reason", "reason", "remainder"]
    assert [a.label for a in explained.axes] == [p.label for p in explained.parts[1:3]]
    for axis, part in zip(explained.axes, explained.parts[1:], strict=False):
        assert axis.user * axis.title == pytest.approx(part.stars)
    assert explained.total == pytest.approx(3.0 + users[0] @ items[0])


def test_of_mean_and_biases_only_that_of_the_title_is_a_reason():
    parts = bias_parts(3.0, (np.array([0.5]), np.array([0.2])), (0, 0))
    assert {part.stars: part.role for part in parts} == {
        3.0: "level",
        0.5: "level",
        0.2: "reason",
    }


def test_words_say_on_which_sides_user_and_title_are():
    positive, negative = np.array([[1.0]]), np.array([[-1.0], [2.0]])
    same = explain_factors((0, 1), (), (positive, negative)).parts[0]
    apart = explain_factors((0, 0), (), (positive, negative)).parts[0]
    assert same.detail == "user on its + side, title on its + side"
    assert apart.detail == "user on its + side, title on its - side"


def horror_of_the_nineties():
    """40 titles: the first 20 horror, every other one of the 1990s, 5 unknown."""
    return Catalogue(
        pd.DataFrame(
            {
                "listed_in": ["Horror"] * 20
                + ["Drama"] * 8
                + ["Comedy"] * 7
                + [None] * 5,
                "release_year": [1994, 1985] * 20,
            }
        )
    )


def test_a_factor_is_about_the_genre_that_goes_with_it():
    noise = np.random.default_rng(0).normal(0, 0.1, 40)
    places = np.where(np.arange(40) < 20, 1.0, -1.0) + noise
    meaning = interpret_factor(places, read_traits(horror_of_the_nineties()))
    assert meaning.trait == "Horror"
    r = np.corrcoef(places[:35], np.arange(35) < 20)[0, 1]
    assert meaning.correlation == pytest.approx(r)
    assert meaning.positive == tuple(np.argsort(-places)[:3])
    assert meaning.negative == tuple(np.argsort(places)[:3])


def test_a_factor_may_be_about_a_decade():
    places = np.where(np.arange(40) % 2, 1.0, -1.0) + np.linspace(0, 0.1, 40)
    meaning = interpret_factor(places, read_traits(horror_of_the_nineties()))
    assert meaning.trait in {"1980s", "1990s"}
    assert abs(meaning.correlation) > 0.99


def test_chance_is_not_given_a_meaning():
    traits = read_traits(horror_of_the_nineties())
    rng = np.random.default_rng(0)
    named = [interpret_factor(rng.normal(size=40), traits).trait for _ in range(200)]
    # At 5 % about 10 of 200 are expected; 20 is three standard deviations more.
    assert sum(trait is not None for trait in named) < 20


def test_a_factor_of_few_titles_or_without_a_catalogue_has_no_meaning():
    traits = read_traits(Catalogue.empty())
    meaning = interpret_factor(np.array([1.0, 0.0, 2.0, -1.0]), traits)
    assert (meaning.trait, meaning.correlation) == (None, None)
    assert meaning.positive == (2, 0)
    assert meaning.negative == (3,)
    few = interpret_factor(np.eye(1, 40)[0], read_traits(horror_of_the_nineties()))
    assert few.trait is None


def test_svd_finds_the_genre_that_divides_an_audience():
    rng = np.random.default_rng(3)
    items = np.tile(np.arange(40), 60)
    users = np.repeat(np.arange(60), 40)
    taste = np.where(users % 2, 1, -1) * np.where(items < 20, 1, -1)
    stars = 3 + 1.5 * taste + rng.normal(0, 0.2, len(items))
    ratings = Ratings.from_columns(
        [f"u{user}" for user in users],
        [f"i{item}" for item in items],
        np.clip(np.round(stars), 1, 5),
        scale=RatingScale(1, 5),
    )
    catalogue = horror_of_the_nineties()
    model = SVD(n_factors=4, n_epochs=60, learning_rate=0.02).fit(ratings, catalogue)
    axis = model.explain(1, 3).axes[0]
    meaning = interpret_factor(axis.places, read_traits(catalogue))
    assert axis.label == "factor 1"
    assert axis.user * axis.title > 1
    assert meaning.trait == "Horror"
