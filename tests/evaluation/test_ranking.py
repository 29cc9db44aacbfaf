import threading
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.errors import TrainingError
from harness.evaluation import ranking
from harness.evaluation.ranking import ndcg, rank_test_users, recall, recommend_to
from harness.models.base import Recommender

NOTHING_KNOWN = Catalogue.empty()


@dataclass(kw_only=True)
class Table(Recommender):
    """Scores each pair by a table."""

    name: ClassVar[str] = "table"
    scores: Any

    def _fit(self, ratings, catalogue):
        del ratings, catalogue

    def _predict(self, users, items):
        return self.scores[users, items]


def make_parts(train, test, *, n_users, n_items):
    """Make two parts of {(user, item): stars}, with codes as they are."""
    columns = [(*pair, stars) for part in (train, test) for pair, stars in part.items()]
    users, items, values = np.array(columns).T
    order = np.argsort(users, kind="stable")
    whole = Ratings(
        users=users[order].astype(np.int32),
        items=items[order].astype(np.int32),
        values=values[order].astype(np.float32),
        rows=order.astype(np.int32),
        user_ids=np.array([f"u{k}" for k in range(n_users)], dtype=object),
        item_ids=np.array([f"i{k}" for k in range(n_items)], dtype=object),
        scale=RatingScale(1, 5),
    )
    in_test = whole.rows >= len(train)
    return whole.take(~in_test), whole.take(in_test)


def rank(scores, train, test, catalogue=NOTHING_KNOWN, **options):
    n_users, n_items = scores.shape
    parts = make_parts(train, test, n_users=n_users, n_items=n_items)
    model = Table(scores=scores).fit(parts[0], catalogue)
    found, n_users = rank_test_users(model, *parts, catalogue, **options)
    return {name: each.value for name, each in found.items()}, n_users


def rank_measures(*given, **options):
    return rank(*given, **options)[0]


@st.composite
def cases(draw):
    """Scores of 6 users and 14 titles, all different, and ratings in two parts."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    part = rng.choice(3, size=(6, 14), p=[0.5, 0.2, 0.3])
    # So that both parts have ratings.
    part[0, :2] = 1, 2
    stars = rng.integers(1, 6, size=(6, 14)).astype(float)
    train, test = (
        {(u, i): stars[u, i] for u, i in np.argwhere(part == k).tolist()}
        for k in (1, 2)
    )
    scores = rng.permutation(6 * 14).reshape(6, 14) / 10
    return scores, train, test


class InBlocks(Table):
    """Makes two blocks of lists side by side, and fails for one user, if that is asked."""

    name: ClassVar[str] = "in-blocks"

    def recommend_to_many(self, users, n=10, **asked):
        if self.side_by_side is not None and users[0] < 8:
            self.side_by_side.wait(timeout=10)
        if self.fails_for in users.tolist():
            raise TrainingError("user 9")
        return super().recommend_to_many(users, n, **asked)


def test_lists_are_made_side_by_side_in_the_order_of_the_users(monkeypatch):
    monkeypatch.setattr(ranking, "_USERS_AT_ONCE", 4)
    scores = np.random.default_rng(0).random((10, 6))
    train, _ = make_parts({(0, 0): 3}, {(1, 1): 3}, n_users=10, n_items=6)
    model = InBlocks(scores=scores).fit(train, NOTHING_KNOWN)
    # One at a time would wait for the other for ever.
    model.side_by_side, model.fails_for = threading.Barrier(2), None
    lists = recommend_to(model, range(1, 10), 3, jobs=2)
    best = np.argsort(-scores[1:], axis=1)[:, :3]
    np.testing.assert_array_equal(lists.items, best)
    model.side_by_side, model.fails_for = None, 9
    for jobs in (1, 2):
        with pytest.raises(TrainingError, match="user 9"):
            recommend_to(model, range(1, 10), 3, jobs=jobs)


# The first list loads a compiled loop.
@settings(deadline=None)
@given(cases())
def test_ndcg_equals_that_of_scikit_learn(case):
    scores, train, test = case
    relevant = np.zeros(scores.shape)
    ranked = scores.copy()
    for pair, stars in test.items():
        relevant[pair] = stars >= 4
    for pair in train:
        ranked[pair] = -1.0  # what was seen is not recommended
    asked = relevant.any(axis=1)
    found, n_users = rank(scores, train, test)
    assert n_users == asked.sum()
    if asked.any():
        expected = ndcg_score(relevant[asked], ranked[asked], k=10)
        assert found["ndcg_at_10"] == pytest.approx(expected)


def test_ndcg_agrees_with_the_documented_example_of_rectools():
    # rectools.metrics.NDCG(k=3): users 3 and 4, who have three relevant titles each.
    hits = np.array([[True, False, True], [True, True, True]])
    assert ndcg(hits, np.array([3, 3])) == pytest.approx([0.70391809, 1.0])


def test_a_list_of_nothing_but_relevant_titles_is_ideal_even_if_there_are_more():
    assert ndcg(np.array([[True, True]]), np.array([9])).tolist() == [1.0]


def test_recall_is_the_share_of_the_relevant_titles():
    hits = np.array([[False, True, True], [False, False, False]])
    assert recall(hits, np.array([4, 1])).tolist() == [0.5, 0.0]


def test_lists_are_judged_by_the_titles_that_were_liked():
    scores = np.array([[0.9, 0.8, 0.7, 0.1]])
    # The best three are seen, disliked and liked; the other title liked is the last.
    test = {(0, 1): 2.0, (0, 2): 4.0, (0, 3): 5.0}
    found = rank_measures(scores, {(0, 0): 5.0}, test, n=2)
    assert found["recall_at_2"] == 1 / 2
    # Found in the second place, of two titles that could fill both.
    gain, ideal = 1 / np.log2(3), 1 + 1 / np.log2(3)
    assert found["ndcg_at_2"] == pytest.approx(gain / ideal)


@pytest.mark.parametrize(("relevant_from", "expected"), [(None, 1.0), (4.5, 0.0)])
def test_four_of_five_stars_are_relevant_unless_said_otherwise(relevant_from, expected):
    scores = np.array([[0.0, 0.9, 0.1]])
    test = {(0, 1): 4.0, (0, 2): 5.0}
    found = rank_measures(scores, {(0, 0): 3.0}, test, n=1, relevant_from=relevant_from)
    assert found["ndcg_at_1"] == expected


def test_means_are_over_users_with_a_relevant_title():
    scores = np.array([[0.0, 0.9, 0.1], [0.0, 0.9, 0.1], [0.0, 0.9, 0.1]])
    test = {(0, 1): 5.0, (1, 1): 1.0, (2, 2): 5.0}
    found, n_users = rank(scores, {(0, 0): 3.0}, test, n=1)
    assert (n_users, found["recall_at_1"]) == (2, 1 / 2)


def test_the_standard_error_of_ndcg_is_that_of_a_mean_over_users():
    scores = np.array([[0.0, 0.9, 0.1]] * 3)
    # Found, not found, found: a deviation of root 1/3 among three users.
    test = {(0, 1): 5.0, (1, 2): 5.0, (2, 1): 5.0}
    parts = make_parts({(0, 0): 3.0}, test, n_users=3, n_items=3)
    model = Table(scores=scores).fit(parts[0], NOTHING_KNOWN)
    found = rank_test_users(model, *parts, NOTHING_KNOWN, n=1)[0]["ndcg_at_1"]
    # Of Student's t with two degrees of freedom, 97.5 % lie below 4.3027.
    assert found.high - found.value == pytest.approx(4.3027 / 3, abs=1e-4)
    assert found.value - found.low == pytest.approx(4.3027 / 3, abs=1e-4)


def test_a_single_user_leaves_nothing_to_estimate_an_error_from():
    scores = np.array([[0.0, 0.9, 0.1]] * 2)
    test = {(0, 1): 5.0, (1, 1): 1.0}
    parts = make_parts({(0, 0): 3.0}, test, n_users=2, n_items=3)
    model = Table(scores=scores).fit(parts[0], NOTHING_KNOWN)
    alone = rank_test_users(model, *parts, NOTHING_KNOWN, n=1)[0]["ndcg_at_1"]
    assert np.isnan([alone.low, alone.high]).all()


def test_without_a_relevant_title_there_is_no_accuracy_of_ranking():
    found, n_users = rank(np.array([[0.0, 0.9]]), {(0, 0): 3.0}, {(0, 1): 1.0})
    assert n_users == 0
    assert not {"ndcg_at_10", "recall_at_10", "serendipity"} & found.keys()
    assert found["catalogue_coverage"] == 1 / 2


def test_diversity_needs_a_catalogue():
    scores = np.array([[0.0, 0.9, 0.8]])
    train, test = {(0, 0): 3.0}, {(0, 1): 5.0}
    assert "intra_list_diversity" not in rank_measures(scores, train, test)
    genres = pd.DataFrame({"listed_in": ["Drama", "Drama", "Comedy"]})
    found = rank_measures(scores, train, test, Catalogue(genres))
    assert found["intra_list_diversity"] == 1.0
