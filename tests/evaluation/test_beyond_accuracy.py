from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_distances

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.evaluation.ranking import (
    TopLists,
    catalogue_coverage,
    intra_list_diversity,
    judge_users,
    novelty,
    serendipity,
    title_traits,
)

N_USERS, N_ITEMS = 5, 9


def lists_of(*items, n_items=N_ITEMS):
    table = np.array(items, dtype=np.int32)
    users = np.arange(len(table), dtype=np.int32)
    return TopLists(users=users, items=table, n_items=n_items)


def rated(pairs, n_items=N_ITEMS):
    """Rate pairs of user and item, given in order of users, with 3 stars."""
    users, items = np.array(sorted(pairs), dtype=np.int32).reshape(-1, 2).T
    return Ratings(
        users=users,
        items=items,
        values=np.full(len(users), 3, dtype=np.float32),
        rows=np.arange(len(users), dtype=np.int32),
        user_ids=np.array([f"u{k}" for k in range(N_USERS)], dtype=object),
        item_ids=np.array([f"i{k}" for k in range(n_items)], dtype=object),
        scale=RatingScale(1, 5),
    )


def catalogue_of(genres, years=None):
    frame = pd.DataFrame({"listed_in": genres})
    if years is not None:
        frame["release_year"] = years
    return Catalogue(frame)


@st.composite
def situations(draw):
    """Lists of unseen titles, some of them short; what is relevant; what was rated."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    seen = rng.random((N_USERS, N_ITEMS)) < 0.5
    seen[0, 0] = True
    items = np.full((N_USERS, 4), -1, dtype=np.int32)
    for user in range(N_USERS):
        unseen = rng.permutation(np.flatnonzero(~seen[user]))[:4]
        items[user, : len(unseen)] = unseen
    relevant = rng.random((N_USERS, N_ITEMS)) < 0.5
    return lists_of(*items), relevant, rated(np.argwhere(seen).tolist())


# Coverage


def test_coverage_is_the_share_of_titles_that_anybody_gets():
    lists = lists_of([0, 1], [1, 2], [2, -1], n_items=6)
    assert catalogue_coverage(lists) == 3 / 6


# Diversity


def test_titles_of_one_genre_and_decade_are_not_diverse():
    traits = title_traits(catalogue_of(["Drama", "Drama", "War"], [1991, 1999, 1990]))
    found = intra_list_diversity(lists_of([0, 1], n_items=3), traits)
    assert found == pytest.approx(0.0, abs=1e-12)


def test_titles_without_a_common_genre_or_decade_are_as_diverse_as_can_be():
    traits = title_traits(catalogue_of(["Drama", "War", "Drama"], [1985, 1991, 1990]))
    assert intra_list_diversity(lists_of([0, 1], n_items=3), traits) == 1.0


def test_one_trait_of_two_in_common_is_half_way():
    traits = title_traits(catalogue_of(["Drama", "War", "Drama"], [1991, 1999, 2005]))
    # Cosine of (Drama, 1990s) with (War, 1990s): 1 / (sqrt 2 * sqrt 2).
    assert intra_list_diversity(lists_of([0, 1], n_items=3), traits) == pytest.approx(
        1 / 2
    )


def test_titles_of_which_nothing_is_known_are_left_out():
    traits = title_traits(catalogue_of(["Drama", None, "War", None]))
    lists = lists_of([0, 1, 2], [0, 1, 3], n_items=4)
    # The first list has one pair that can be compared, the second one has none.
    assert intra_list_diversity(lists, traits) == 1.0
    assert intra_list_diversity(lists_of([0, 1], n_items=4), traits) is None


def test_one_list_that_can_be_compared_does_not_tell_how_lists_differ():
    catalogue = catalogue_of(["Drama", None, "War", None])
    lists = lists_of([0, 1, 2], [0, 1, 3], n_items=4)
    nobody = rated([], n_items=4)
    value, influence = judge_users(
        "intra_list_diversity", lists, nobody, nobody, catalogue
    )
    assert value == 1.0
    assert np.isnan(influence).all()


def test_a_catalogue_without_genre_and_year_tells_nothing():
    traits = title_traits(Catalogue(pd.DataFrame({"title": ["A", "B"]})))
    assert intra_list_diversity(lists_of([0, 1], n_items=2), traits) is None


@given(situations())
def test_diversity_is_the_mean_cosine_distance_that_scikit_learn_finds(situation):
    lists, _, _ = situation
    genres = ["A, B", "B", "A, C", "C", "A, B, C", "D", None, "B, D", "A"]
    traits = title_traits(catalogue_of(genres, [1950 + 7 * k for k in range(9)]))
    distances = cosine_distances(traits.toarray())
    means = [
        np.mean([distances[pair] for pair in combinations(row[row >= 0], 2)])
        for row in lists.items
        if (row >= 0).sum() > 1
    ]
    found = intra_list_diversity(lists, traits)
    assert found == (pytest.approx(np.mean(means)) if means else None)


# Novelty


def test_novelty_agrees_with_the_documented_example_of_rectools():
    # rectools.metrics.MeanInvUserFreq(k=3) of three users, titles numbered from 0.
    lists = lists_of([2, -1], [1, 2], [0, 1])
    train = rated([(0, 0), (0, 1), (1, 0), (2, 0)])
    expected = np.mean([1.5849625, 1.5849625, 0.79248125])
    assert novelty(lists, train) == pytest.approx(expected)


def test_half_as_many_raters_are_one_bit():
    train = rated([(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1)])
    assert novelty(lists_of([0]), train) == 0.0
    assert novelty(lists_of([1]), train) == 1.0


def test_empty_lists_are_not_novel():
    assert novelty(lists_of([-1, -1]), rated([(0, 0)])) is None


# Serendipity


def test_what_is_in_the_charts_is_no_luck():
    # Title 0 has three raters, title 1 two, title 2 one; users 3 and 4 know none.
    train = rated([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)])
    lists = TopLists(
        users=np.array([3, 4], dtype=np.int32),
        items=np.array([[0, 1], [1, 2]], dtype=np.int32),
        n_items=N_ITEMS,
    )
    hits = np.ones((2, 2), dtype=bool)
    # The two most popular titles are 0 and 1.
    assert serendipity(lists, hits, train).tolist() == [0.0, 1 / 2]


def test_the_charts_leave_out_what_the_user_has_seen():
    train = rated([(0, 0), (1, 0), (1, 1), (2, 1), (2, 2)])
    # User 0 has seen title 0, so that a list of two of the charts is 1 and 2.
    hits = np.ones((1, 2), dtype=bool)
    assert serendipity(lists_of([2, 3]), hits, train).tolist() == [1 / 2]


@given(situations())
def test_serendipity_is_what_a_search_through_the_charts_finds(situation):
    lists, relevant, train = situation
    hits = lists.filled & relevant[lists.users[:, None], lists.items]
    n_raters = np.bincount(train.items, minlength=N_ITEMS)
    charts = sorted(range(N_ITEMS), key=lambda item: -n_raters[item])
    expected = []
    for user, row in zip(lists.users, lists.items, strict=True):
        seen = set(train.items[train.users == user])
        popular = [item for item in charts if item not in seen][:4]
        lucky = [i for i in row if i >= 0 and i not in popular and relevant[user, i]]
        expected.append(len(lucky) / max(1, (row >= 0).sum()))
    assert serendipity(lists, hits, train) == pytest.approx(expected)
