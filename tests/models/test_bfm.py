"""Bayesian factorisation machines: equal to myFM's own predictions, good on real data."""

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix, hstack

from harness.data.catalogue import Catalogue
from harness.data.load import load_dataset
from harness.data.ratings import Ratings, RatingScale
from harness.errors import UnsupportedError
from harness.evaluation.metrics import rmse
from harness.evaluation.splits import assign_folds

# Not from myfm: its 0.4 imports pkg_resources, whose warning the engine silences.
from harness.models.bfm.engine import MyFMOrderedProbit, MyFMRegressor, RelationBlock
from harness.models.bfm.features import describe_sides
from harness.models.bfm.machine import Link, reduce_factors
from harness.models.bfm.model import BFM
from harness.models.bfm.moments import Moments

NOTHING = Catalogue.empty()
DAY = 86_400


def relations(model, ratings, catalogue):
    """Blocks of myFM for all ratings, and the size of each group of features."""
    sides = describe_sides(
        ratings,
        catalogue,
        implicit=model.implicit,
        title_features=model.title_features,
        user_profile=model.user_profile,
        user_features=model.user_features,
    )
    blocks = [
        RelationBlock(codes.tolist(), csr_matrix(hstack(side.groups), dtype=float))
        for side, codes in zip(sides, (ratings.users, ratings.items), strict=True)
    ]
    widths = [group.shape[1] for side in sides for group in side.groups]
    moments = Moments.of(ratings, model.days, model.n_age_bins)
    found = moments.rows(
        ratings.users, ratings.items, ratings.timestamps.astype(np.float64)
    )
    for name, (among_all, features) in moments.blocks().items():
        blocks.append(RelationBlock((found[name] - among_all.start).tolist(), features))
        widths.append(features.shape[1])
    return blocks, widths


@pytest.mark.parametrize(
    "settings",
    [
        {"implicit": False, "days": "none"},
        {"days": "calendar"},
        {"days": "user"},
        {"days": "user", "n_age_bins": 4},
        {"days": "none", "n_age_bins": 4},
    ],
    ids=str,
)
def test_predicts_what_myfm_predicts(ratings, catalogue, settings):
    model = BFM(n_factors=3, n_iterations=10, **settings)
    blocks, widths = relations(model, ratings, catalogue)
    model.fit(ratings, catalogue)
    reference = MyFMRegressor(rank=3, random_seed=0, init_stdev=0.1)
    reference.fit(
        None,
        ratings.on_five_stars().values.astype(float),
        X_rel=blocks,
        n_iter=10,
        n_kept_samples=8,
        group_shapes=widths,
    )
    scores = reference.predict(None, blocks)
    np.testing.assert_allclose(
        model.predict(ratings.users, ratings.items, ratings.timestamps),
        np.clip(0.5 + 1.125 * (scores - 1), 0.5, 5),
        atol=1e-4,
    )
    noise = np.mean([1 / kept.alpha for kept in reference.history_.hypers[2:]])
    assert model.noise_ == pytest.approx(noise, rel=1e-4)


def test_predicts_the_expected_level_of_an_ordered_probit(ratings, catalogue):
    model = BFM(n_factors=2, n_iterations=60, likelihood="ordered_probit")
    blocks, widths = relations(model, ratings, catalogue)
    model.fit(ratings, catalogue)
    levels = np.unique(ratings.values)
    reference = MyFMOrderedProbit(rank=2, random_seed=0, init_stdev=0.1)
    reference.fit(
        None,
        np.searchsorted(levels, ratings.values).astype(float),
        X_rel=blocks,
        n_iter=60,
        n_kept_samples=55,
        group_shapes=widths,
    )
    probable = reference.predict_proba(None, blocks)
    asked = ratings.users, ratings.items, ratings.timestamps
    assert np.array_equal(model.levels_, levels)
    # One variance stands for that of each pair.
    assert np.abs(model.predict_proba(*asked) - probable).mean() < 0.01
    assert np.abs(model.predict(*asked) - probable @ levels).mean() < 0.02


def test_stars_of_a_score_are_the_expected_level():
    # Two levels: 1 + P(score + noise > 0); half the slope where the variance is 1 + 3.
    link = Link((1.0, 1.0), np.array([1.0, 2.0]), np.array([0.0]), 0.0, 1.0)
    wide = replace(link, spread=3.0)
    probability = NormalDist().cdf
    np.testing.assert_allclose(
        link(np.array([-1.0, 0, 2])), [1 + probability(s) for s in (-1, 0, 2)]
    )
    np.testing.assert_allclose(wide(np.array([2.0])), [1 + probability(1)])
    np.testing.assert_allclose(
        wide.probabilities(np.array([2.0])), [[1 - probability(1), probability(1)]]
    )


def test_ratings_of_a_regression_are_as_probable_as_what_rounds_to_them():
    # On a scale of 0 to 2, a star is half of one on 1 to 5: 1 is a score of 3, and what
    # rounds to it lies within 1 of 3. The variance is 3 + 1.
    link = Link((0.0, 0.5), np.array([0.0, 1.0, 2.0]), np.empty(0), 3.0, 1.0)
    outside = NormalDist().cdf(-0.5)
    np.testing.assert_allclose(
        link.probabilities(np.array([3.0])), [[outside, 1 - 2 * outside, outside]]
    )


def test_many_levels_are_a_regression(ratings):
    rng = np.random.default_rng(0)
    values = rng.uniform(0.5, 5, len(ratings)).astype(np.float32)
    model = BFM(n_iterations=3, likelihood="ordered_probit")
    model.fit(replace(ratings, values=values), NOTHING)
    assert len(model.levels_) == len(model.cutpoints_) == 0
    with pytest.raises(UnsupportedError, match="more than 20"):
        model.predict_proba(ratings.users, ratings.items)


def timed():
    """User a rates on days 10, 10 and 14, b on 12 alone; title z has no rating."""
    return Ratings.from_columns(
        list("aaab"),
        list("xyxy"),
        [5, 3, 4, 2],
        scale=RatingScale(1, 5),
        timestamps=DAY * np.array([10, 10, 14, 12]) + 5,
        unrated_items=["z"],
    )


def test_a_time_has_the_nearest_day():
    moments = Moments.of(timed(), "user", 1)
    # Rows 0 to 2 are days 10, 12, 14; 3 and 4 the days 10 and 14 of a, 5 that of none;
    # from 6 the usual days of a, of b, and of a stranger.
    assert moments.days.tolist() == [10, 12, 14]
    assert moments.n_rows == 6
    cases = {
        (0, 10.0): (0, 3),
        (0, 11.9): (0, 3),  # day 11: both are as near, the earlier is taken
        (0, 13.0): (1, 4),
        (0, 99.0): (2, 4),
        (0, -5.0): (0, 3),
        (1, 14.0): (2, 5),  # b has rated on one day only
        (2, 12.0): (1, 5),
        (0, np.nan): (6, 5),
        (1, np.nan): (7, 5),
        (2, np.nan): (8, 5),
    }
    users, days = np.array(list(cases)).T
    rows = moments.rows(users.astype(int), np.zeros(len(cases), int), days * DAY)
    found = zip(rows["day"].tolist(), rows["user day"].tolist(), strict=True)
    assert list(found) == list(cases.values())


def test_a_title_is_as_old_as_its_first_rating():
    moments = Moments.of(timed(), "none", 2)
    # Ages 0, 0, 4 and 2 days, with the median at 1.
    assert moments.age_cuts.tolist() == [DAY]
    items = np.array([0, 0, 1, 2, 3])  # z and a stranger were born on day 14
    when = np.array([10.0, 12, 11, 14.5, 16]) * DAY + 5
    assert moments.rows(np.zeros(5, int), items, when) == {
        "age": pytest.approx([0, 1, 0, 0, 1])
    }


def test_without_a_time_it_is_the_mean_over_the_days_of_the_user(ratings, catalogue):
    model = BFM(n_factors=2, n_iterations=10).fit(ratings, catalogue)
    for user in (0, 4):
        times = ratings.timestamps[ratings.users == user]
        items = np.arange(ratings.n_items)
        there = [
            model._predict_at(
                np.full(len(items), user), items, np.full(len(items), float(when))
            )
            for when in times
        ]
        np.testing.assert_allclose(
            model._predict(np.full(len(items), user), items),
            np.mean(there, axis=0),
            atol=1e-4,
        )


def test_ratings_without_timestamps_are_noted(ratings, catalogue):
    timeless = replace(ratings, timestamps=None)
    assert BFM.notes_on(catalogue, ratings) == []
    [note] = BFM.notes_on(catalogue, timeless)
    assert "timestamps" in note


def test_few_factors_stand_for_those_of_all_samples():
    # Spectrum 1, 1/2, 1/4 ...: the best error with 6 factors is the seventh, 1/64.
    rng = np.random.default_rng(0)
    users, items = (np.linalg.qr(rng.normal(size=(n, 40)))[0] for n in (90, 70))
    users = (users * 0.5 ** np.arange(40)).astype(np.float32)
    items = items.astype(np.float32)
    p, q = reduce_factors(users, items, n=6)
    assert (p.shape, q.shape) == ((90, 6), (70, 6))
    error = np.linalg.norm(users @ items.T - p @ q.T, ord=2)
    assert error == pytest.approx(1 / 64, rel=0.01)


def test_factors_that_are_few_stay_as_they_are():
    users, items = np.ones((9, 3), np.float32), np.ones((7, 3), np.float32)
    p, q = reduce_factors(users, items, n=48)
    assert p is users
    assert q is items


def test_every_kind_of_feature_is_used(ratings, catalogue):
    pairs = ratings.users, ratings.items
    ages = pd.DataFrame({"age": np.arange(ratings.n_users) % 5})
    catalogue = replace(catalogue, users=ages)

    def predict(**parameters):
        model = BFM(n_factors=2, n_iterations=5, **parameters)
        return model.fit(ratings, catalogue).predict(*pairs)

    everything = predict()
    for parameters in (
        {"implicit": False},
        {"title_features": False},
        {"user_features": "all"},
        {"days": "none"},
        {"n_age_bins": 3},
        {"likelihood": "ordered_probit"},
        {"user_profile": False},
    ):
        assert not np.array_equal(predict(**parameters), everything)


def test_nothing_is_printed_while_it_trains(ratings, capfd):
    BFM(n_iterations=3).fit(ratings, NOTHING)
    assert capfd.readouterr() == ("", "")


def test_beats_its_goal_on_real_ratings(real_data):
    data = load_dataset(str(real_data / "ml-100k"))
    fold = assign_folds(data.ratings)
    train, valid = data.ratings.take(fold != 0), data.ratings.take(fold == 0)
    model = BFM(n_factors=6, n_iterations=50).fit(train, data.catalogue)
    # With 10 factors and 400 samples it is better still.
    prediction = model.predict(valid.users, valid.items, valid.timestamps)
    assert rmse(valid.values, prediction) <= 0.889
