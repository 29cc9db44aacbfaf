"""Nearest neighbours: by hand, by brute force, against scikit-surprise, on real ratings."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.evaluation.metrics import rmse
from harness.evaluation.splits import assign_folds
from harness.models.baseline.model import Baseline
from harness.models.cf import kernels
from harness.models.cf.contenders import Contenders
from harness.models.cf.model import CF
from harness.models.cf.similarity import ArrayCache, SimilarityPlan

NOTHING = Catalogue.empty()
MEASURES = ("cosine", "msd", "pearson", "pearson_baseline")
CENTERINGS = ("basic", "mean", "zscore", "baseline")

every_measure = pytest.mark.parametrize("similarity", MEASURES)
every_centering = pytest.mark.parametrize("centering", CENTERINGS)
both_orientations = pytest.mark.parametrize(
    "user_based", [False, True], ids=["items", "users"]
)


def rate(table):
    """Make ratings of a text table: users down, items across, a dot for none."""
    rows = [line.split() for line in table.strip().splitlines()]
    triples = [
        (f"u{u}", f"i{i}", float(value))
        for u, row in enumerate(rows)
        for i, value in enumerate(row)
        if value != "."
    ]
    return Ratings.from_columns(
        *(list(column) for column in zip(*triples, strict=True)),
        scale=RatingScale(1, 5),
    )


def every_pair(ratings):
    shape = ratings.n_users, ratings.n_items
    return np.divmod(np.arange(shape[0] * shape[1]), shape[1])


def code(ids, name):
    return int(np.flatnonzero(ids == name)[0])


def similarity_of(model, one, other):
    return model._averages.similarities.row(one)[other]


def use_plan(monkeypatch, **limits):
    monkeypatch.setattr(CF, "plan", SimilarityPlan(cache=ArrayCache(0), **limits))


class OnDemand(CF):
    """Compares users when it is asked, however few there are."""

    plan = SimilarityPlan(dense_limit=0, cache=ArrayCache(0))


# By hand


TWO_ITEMS = """
1 2
2 4
5 .
"""


@pytest.mark.parametrize(
    ("similarity", "expected"),
    [
        ("cosine", 1.0),  # (1 2 + 2 4) / (sqrt(1 + 4) sqrt(4 + 16)) = 10 / 10
        ("msd", 1 / 3.5),  # 1 / ((1 + 4) / 2 + 1)
        ("pearson", 1.0),  # two points always lie on a line
    ],
)
def test_similarities_by_hand(similarity, expected):
    ratings = rate(TWO_ITEMS)
    model = CF(similarity=similarity).fit(ratings, NOTHING)
    assert similarity_of(model, 0, 1) == pytest.approx(expected, abs=1e-12)
    assert similarity_of(model, 1, 0) == similarity_of(model, 0, 1)


def test_too_few_common_ratings_count_as_none():
    model = CF(similarity="msd", min_support=3).fit(rate(TWO_ITEMS), NOTHING)
    assert similarity_of(model, 0, 1) == 0


def test_shrinkage_takes_its_share():
    ratings = rate("1 1\n2 3\n5 4\n4 4")
    plain = CF(shrinkage=0).fit(ratings, NOTHING)
    shrunk = CF(shrinkage=6).fit(ratings, NOTHING)
    # Four common ratings: (4 - 1) / (4 - 1 + 6) = 1 / 3.
    assert similarity_of(plain, 0, 1) > 0
    assert similarity_of(shrunk, 0, 1) == pytest.approx(
        similarity_of(plain, 0, 1) / 3, rel=1e-12
    )


def test_averages_the_users_ratings_of_similar_items_by_hand():
    ratings = rate("1 1 3\n1 2 3\n4 2 .")
    model = CF(similarity="msd", centering="basic").fit(ratings, NOTHING)
    # Item 2 against 0: 1 / ((4 + 4) / 2 + 1) = 1/5; against 1: 1 / ((4 + 1) / 2 + 1) = 2/7.
    expected = (1 / 5 * 4 + 2 / 7 * 2) / (1 / 5 + 2 / 7)
    assert model.predict(np.array([2]), np.array([2]))[0] == pytest.approx(expected)
    codes, similarities, values = model.neighbors(2, 2)
    assert codes.tolist() == [1, 0]
    np.testing.assert_allclose(similarities, [2 / 7, 1 / 5])
    assert values.tolist() == [2, 4]


def test_of_equally_similar_neighbours_those_rated_first_are_asked():
    # Items 0 and 1 are alike to 2; the last user gave them 2 and 4, in that order.
    ratings = rate("3 3 3\n5 5 5\n2 4 .")
    model = CF(similarity="msd", centering="basic", n_neighbors=1)
    assert model.fit(ratings, NOTHING).predict(np.array([2]), np.array([2])) == [2.0]
    turned = ratings.take(np.array([0, 1, 2, 3, 4, 5, 7, 6]))
    assert model.fit(turned, NOTHING).predict(np.array([2]), np.array([2])) == [4.0]


def test_with_too_few_neighbours_it_expects():
    ratings = rate("1 1 3\n1 2 3\n4 2 .")
    pair = np.array([2]), np.array([2])
    for centering, expected in (("basic", 17 / 8), ("mean", 3.0)):
        model = CF(similarity="msd", centering=centering, min_neighbors=3)
        assert model.fit(ratings, NOTHING).predict(*pair)[0] == pytest.approx(expected)


def test_dissimilar_items_are_not_asked():
    # Item 1 is the opposite of item 2, item 0 its like.
    ratings = rate("1 5 1\n3 3 3\n5 1 5\n4 4 .")
    model = CF(similarity="pearson", centering="basic").fit(ratings, NOTHING)
    assert model.neighbors(3, 2)[0].tolist() == [0]
    assert model.predict(np.array([3]), np.array([2]))[0] == pytest.approx(4.0)


# Against the reference


@both_orientations
@every_measure
@every_centering
@pytest.mark.parametrize("few", [False, True], ids=["many", "few"])
def test_equals_scikit_surprise(ratings, user_based, similarity, centering, few):
    limits = (
        {"n_neighbors": 3, "min_neighbors": 2, "min_support": 3, "shrinkage": 7}
        if few
        else {}
    )
    params = {
        "user_based": user_based,
        "similarity": similarity,
        "centering": centering,
        **limits,
    }
    ours = CF(**params).fit(ratings, NOTHING)
    reference = CF(**params, engine="surprise").fit(ratings, NOTHING)
    pairs = every_pair(ratings)
    np.testing.assert_allclose(
        ours.predict(*pairs), reference.predict(*pairs), rtol=0, atol=1e-5
    )


@both_orientations
@pytest.mark.parametrize(
    ("similarity", "centering"),
    list(zip(MEASURES, CENTERINGS, strict=True)),
)
def test_equals_scikit_surprise_on_real_ratings(
    ml_100k, user_based, similarity, centering
):
    fold = assign_folds(ml_100k)
    train, valid = ml_100k.take(fold != 0), ml_100k.take(fold == 0)
    valid = valid.take(np.arange(len(valid)) % 10 == 0)  # the reference takes its time
    params = {
        "user_based": user_based,
        "similarity": similarity,
        "centering": centering,
        "n_neighbors": 25,
        "min_support": 2,
    }
    ours = CF(**params).fit(train, NOTHING)
    reference = CF(**params, engine="surprise").fit(train, NOTHING)
    pairs = valid.users, valid.items
    np.testing.assert_allclose(
        ours.predict(*pairs), reference.predict(*pairs), rtol=0, atol=1e-5
    )


def test_the_reference_saves_and_loads(ratings, tmp_path):
    model = CF(engine="surprise").fit(ratings, NOTHING)
    model.save(tmp_path)
    pairs = every_pair(ratings)
    np.testing.assert_array_equal(
        CF.load(tmp_path).predict(*pairs), model.predict(*pairs)
    )


# Where the reference gives up


@both_orientations
@every_centering
def test_who_has_no_ratings_gets_the_bias_model(ratings, user_based, centering):
    train = ratings.take((ratings.users != 0) & (ratings.items != 0))
    model = CF(user_based=user_based, centering=centering).fit(train, NOTHING)
    biases = Baseline().fit(train, NOTHING)
    users, items = every_pair(ratings)
    unrated = ratings.n_items - 2  # the generated titles that nobody has rated
    cold = (users == 0) | (items == 0) | (items >= unrated)
    np.testing.assert_array_equal(
        model.predict(users[cold], items[cold]),
        biases.predict(users[cold], items[cold]),
    )
    assert len(model.neighbors(0, 1)[0]) == 0


def test_constant_ratings_have_a_spread_of_one():
    ratings = rate("4 4 4\n4 4 .\n4 . 4")
    model = CF(centering="zscore", similarity="cosine").fit(ratings, NOTHING)
    assert model.predict(np.array([1]), np.array([2])) == [4.0]


# Three ways to have similarities


WAYS = {
    "lists": {"user_based": False},
    "on demand": {"user_based": True},
}


@pytest.mark.parametrize("way", WAYS)
@every_measure
@pytest.mark.parametrize("n_neighbors", [3, 40])
def test_all_ways_predict_alike(ratings, monkeypatch, way, similarity, n_neighbors):
    # Ratings without ties: single precision could break them another way.
    rng = np.random.default_rng(5)
    values = rng.uniform(0.5, 5, len(ratings)).astype(np.float32)
    ratings = replace(ratings, values=values)
    model = CF(similarity=similarity, n_neighbors=n_neighbors, **WAYS[way])
    pairs = every_pair(ratings)
    dense = model.fit(ratings, NOTHING).predict(*pairs)
    matrix = np.array(
        [
            model._averages.similarities.row(x)
            for x in range(model._averages.similarities.n)
        ]
    )
    use_plan(monkeypatch, dense_limit=0)
    model.fit(ratings, NOTHING)
    rows = np.array(
        [
            model._averages.similarities.row(x)
            for x in range(model._averages.similarities.n)
        ]
    )
    np.testing.assert_allclose(rows, matrix, rtol=0, atol=1e-6)
    np.testing.assert_allclose(model.predict(*pairs), dense, rtol=0, atol=1e-5)


@every_measure
def test_a_part_at_a_time_is_compared_alike(ratings, similarity):
    model = OnDemand(user_based=True, similarity=similarity).fit(ratings, NOTHING)
    similarities = model._averages.similarities
    lists = similarities.by_x.arrays, similarities.by_y.arrays
    kind, weights = similarities.measure
    row = np.empty(ratings.n_users)
    for user in range(ratings.n_users):
        totals = kernels.new_totals(7, kind)
        kernels.fill_row(user, *lists, (kind, weights), totals, row)
        np.testing.assert_array_equal(row, similarities.row(user))


def test_lists_keep_the_most_similar(ratings, monkeypatch):
    dense = CF().fit(ratings, NOTHING)._averages.similarities
    n_kept = 5
    use_plan(monkeypatch, dense_limit=0, list_bytes=8 * ratings.n_items * n_kept)
    lists = CF().fit(ratings, NOTHING)._averages.similarities
    for x in range(ratings.n_items):
        kept = lists.row(x)
        best = np.sort(dense.row(x))[::-1][:n_kept]
        np.testing.assert_allclose(
            np.sort(kept)[::-1][:n_kept], best, rtol=0, atol=1e-7
        )
        assert (kept > 0).sum() <= n_kept


@pytest.mark.parametrize("n_kept", [2, 5, 26])
def test_lists_recommend_what_they_predict(ratings, monkeypatch, tmp_path, n_kept):
    use_plan(monkeypatch, dense_limit=0, list_bytes=8 * ratings.n_items * n_kept)
    model = CF(n_neighbors=3).fit(ratings, NOTHING)
    model.save(tmp_path)
    for user in range(ratings.n_users):
        items, scores = model.recommend(user, ratings.n_items, exclude_seen=False)
        prediction = model.predict(np.full(len(items), user), items)
        np.testing.assert_allclose(
            ratings.scale.clip(scores), prediction, rtol=0, atol=1e-6
        )
        np.testing.assert_array_equal(
            CF.load(tmp_path).recommend(user)[0], items_of(model, user)
        )


def items_of(model, user):
    return model.recommend(user)[0]


def test_a_long_catalogue_is_scored_in_blocks(generate, monkeypatch):
    # Blocks have 32,768 / (number of ratings of the user) items: here about 550.
    ratings = generate(n_users=40, n_items=1_500, density=0.04)
    use_plan(monkeypatch, dense_limit=0)
    model = CF(n_neighbors=5, shrinkage=2).fit(ratings, NOTHING)
    for user in (0, 20):
        items, scores = model.recommend(user, ratings.n_items, exclude_seen=False)
        assert len(items) > 2 * 32_768 // len(model.seen(user))
        prediction = model.predict(np.full(len(items), user), items)
        np.testing.assert_allclose(
            ratings.scale.clip(scores), prediction, rtol=0, atol=1e-5
        )


@every_measure
def test_one_user_is_scored_as_pairs_are(generate, similarity):
    # Blocks have 16,384 / (number of ratings of the user) items: here about 55.
    ratings = generate(n_users=30, n_items=600, density=0.5)
    model = CF(similarity=similarity, n_neighbors=20).fit(ratings, NOTHING)
    items = np.arange(ratings.n_items, dtype=np.int32)
    for user in (0, 20):
        assert len(model.seen(user)) > 250
        scores = model._score_all_items(user)
        pairs = model._predict(np.full_like(items, user), items)
        np.testing.assert_array_equal(scores, pairs)


# Short lists


def brute_force(model, user, n, excluded):
    """Score everything by the way of `predict`, and sort."""
    items = np.arange(len(excluded))
    scores = model._predict(np.full_like(items, user), items).astype(np.float32)
    best = np.lexsort((items, -scores, excluded))[: min(n, (~excluded).sum())]
    return best, scores[best]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    # Users beyond the first 512 are visited in steps.
    size=st.sampled_from([(40, 30), (700, 60), (1_100, 100)]),
    n_stars=st.sampled_from([2, 5, 1_000]),
    params=st.fixed_dictionaries(
        {
            "similarity": st.sampled_from(MEASURES),
            "centering": st.sampled_from(CENTERINGS),
            "n_neighbors": st.sampled_from([1, 3, 40]),
            "min_neighbors": st.sampled_from([1, 2, 4]),
            "shrinkage": st.sampled_from([0.0, 2.0, 100.0]),
        }
    ),
    n=st.sampled_from([1, 10, 25]),
    exclude_seen=st.booleans(),
)
def test_a_short_list_of_similar_users_is_that_of_brute_force(
    seed, size, n_stars, params, n, exclude_seen
):
    rng = np.random.default_rng(seed)
    # Few raters of some titles and many of others; few stars bring ties.
    rated = rng.random(size) < rng.choice([0.005, 0.02, 0.1, 0.6], size[1])
    rated[0] |= ~rated.any()
    users, items = np.nonzero(rated)
    quality = rng.normal(0, rng.choice([0.0, 0.3]), size[1])[items]
    values = np.clip(rng.random(len(users)) + quality, 0, 1)
    ratings = Ratings.from_columns(
        users.astype(str),
        items.astype(str),
        1 + np.round(values * (n_stars - 1)) * 4 / (n_stars - 1),
        scale=RatingScale(1, 5),
        unrated_items=["nobody", "no one"],
    )
    model = OnDemand(user_based=True, **params).fit(ratings, NOTHING)
    among = rng.random(ratings.n_items) < 0.9
    for user in rng.choice(ratings.n_users, 3, replace=False).tolist():
        excluded = ~among
        if exclude_seen:
            excluded[model.seen(user)] = True
        found = model.recommend(user, n, exclude_seen=exclude_seen, among=among)
        for ours, theirs in zip(
            found, brute_force(model, user, n, excluded), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_few_titles_of_a_short_list_are_scored(generate):
    ratings = generate(n_users=1_500, n_items=300, density=0.2)
    model = OnDemand(user_based=True, n_neighbors=5).fit(ratings, NOTHING)
    nothing = np.zeros(ratings.n_items, dtype=bool)
    for user in (0, 700):
        scores = model._score_contenders(user, 5, nothing, None)
        exact = model._score_all_items(user)
        # The others have an upper bound in its place.
        assert (scores == exact).sum() < 60
        assert (scores >= exact - 1e-5).all()


def test_many_users_get_their_short_lists(generate):
    ratings = generate(n_users=600, n_items=50)
    model = OnDemand(user_based=True).fit(ratings, NOTHING)
    among = np.arange(ratings.n_items) % 3 > 0
    users = np.array([3, -1, 599])
    items, scores = model.recommend_to_many(users, 40, among=among)
    assert items.shape == scores.shape == (3, 40)
    for user, row, stars in zip(users.tolist(), items, scores, strict=True):
        excluded = ~among
        excluded[model.seen(user)] = True
        best, expected = brute_force(model, user, 40, excluded)
        np.testing.assert_array_equal(row[row >= 0], best)
        np.testing.assert_array_equal(stars[row >= 0], expected)
        assert np.isnan(stars[row < 0]).all()


def test_threads_that_ask_first_prepare_short_lists_once(generate, monkeypatch):
    model = OnDemand(user_based=True).fit(generate(n_users=60, n_items=20), NOTHING)
    made, both_inside = [], threading.Barrier(2)
    of_lists = Contenders.of_lists

    def prepare(*args):
        made.append(args)
        with suppress(threading.BrokenBarrierError):
            both_inside.wait(timeout=0.1)
        return of_lists(*args)

    monkeypatch.setattr(Contenders, "of_lists", prepare)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: items_of(model, 0), range(2))
    assert len(made) == 1
    np.testing.assert_array_equal(first, second)


# Sharing


def count_comparisons(monkeypatch):
    from harness.models.cf import similarity as similarity_choice

    done = []

    class Counting(similarity_choice.AllSimilarities):
        @staticmethod
        def compare(by_x, rule):
            done.append(rule)
            return similarity_choice_compare(by_x, rule)

    similarity_choice_compare = similarity_choice.AllSimilarities.compare
    monkeypatch.setattr(similarity_choice, "AllSimilarities", Counting)
    return done


def test_trials_share_similarities_where_they_can(ratings, monkeypatch):
    monkeypatch.setattr(CF, "plan", SimilarityPlan(cache=ArrayCache(1 << 20)))
    done = count_comparisons(monkeypatch)
    for params in (
        {},
        {"n_neighbors": 7, "min_neighbors": 2, "centering": "mean"},
        {"shrinkage": 3.0, "min_support": 4},
    ):
        CF(**params).fit(ratings, NOTHING)
    assert len(done) == 1
    for params in (
        {"similarity": "msd"},
        {"user_based": True},
        {"item_regularization": 3.0},
    ):
        CF(**params).fit(ratings, NOTHING)
    assert len(done) == 4
    CF().fit(ratings.take(np.arange(len(ratings) - 1)), NOTHING)
    assert len(done) == 5


def test_shared_similarities_change_no_prediction(ratings, monkeypatch):
    pairs = every_pair(ratings)
    trials = [
        {"similarity": similarity, "shrinkage": shrinkage, "min_support": support}
        for similarity in MEASURES
        for shrinkage, support in ((100.0, 1), (5.0, 3))
    ]
    shared = [CF(**p).fit(ratings, NOTHING).predict(*pairs) for p in trials]
    use_plan(monkeypatch)
    alone = [CF(**p).fit(ratings, NOTHING).predict(*pairs) for p in trials]
    np.testing.assert_array_equal(shared, alone)


def test_the_cache_drops_what_was_not_used_for_longest():
    cache = ArrayCache(max_bytes=16)
    made = []

    def make(name):
        def compute():
            made.append(name)
            return (np.zeros(1),)  # 8 bytes

        return compute

    for name in "ababcab":
        cache.get(name, make(name))
    # c takes the place of a, then a that of b, then b that of c.
    assert made == list("abcab")
    assert cache.n_bytes == 16
    cache.clear()
    assert cache.n_bytes == 0


def test_the_cache_does_not_keep_what_is_too_large():
    cache = ArrayCache(max_bytes=7)
    cache.get("a", lambda: (np.zeros(1),))
    assert cache.n_bytes == 0


# Quality


def test_reaches_its_literature_on_real_ratings(ml_100k):
    fold = assign_folds(ml_100k)
    scores = []
    for held_out in range(5):
        train, valid = ml_100k.take(fold != held_out), ml_100k.take(fold == held_out)
        model = CF(
            shrinkage=1000,
            n_neighbors=45,
            min_neighbors=10,
            user_regularization=5,
            item_regularization=2,
        ).fit(train, NOTHING)
        scores.append(rmse(valid.values, model.predict(valid.users, valid.items)))
    assert np.mean(scores) <= 0.915
