"""What is known of titles and users with few ratings."""

from dataclasses import replace

import numpy as np
import pandas as pd

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.models.cold_start import describe_newcomers, describe_users


def test_features_of_a_title_do_not_change_with_its_own_ratings(ratings, catalogue):
    mine = ratings.items == 3
    other = replace(
        ratings,
        values=np.where(mine, 6 - ratings.values, ratings.values).astype(np.float32),
    )
    before, after = (describe_newcomers(r, catalogue)[0][3] for r in (ratings, other))
    # Only the centre of the column of directors moves, by as much as for any title.
    moved = before != after
    assert moved.sum() <= 1


def test_features_of_users_do_not_change_when_somebody_is_stricter(ratings, catalogue):
    stricter = replace(ratings, values=ratings.values - np.float32(0.25))
    np.testing.assert_allclose(
        describe_users(ratings, catalogue),
        describe_users(stricter, catalogue),
        atol=1e-5,
    )


def test_users_without_ratings_are_at_the_mean(ratings, catalogue):
    train = ratings.take(ratings.users != 4)
    features = describe_users(train, catalogue)
    assert (features[4] == 0).all()
    assert (features[5] != 0).any()


def test_features_of_a_user_are_as_sure_as_the_ratings_are_many():
    ratings = Ratings.from_columns(
        list("abbbccc"),
        list("xxyzxyz"),
        [4, 3, 3, 3, 5, 1, 1],
        scale=RatingScale(1, 5),
    )
    catalogue = Catalogue(pd.DataFrame({"listed_in": ["Drama", "Horror", "Horror"]}))
    once, thrice, _ = describe_users(ratings, catalogue)
    # Neither prefers a genre: both are as far from the mean, which the third one moves.
    np.testing.assert_allclose(once * 11 / 1, thrice * 13 / 3, rtol=1e-5)
    assert (once != 0).all()


def test_users_are_not_described_without_genres(ratings, catalogue):
    bare = Catalogue(catalogue.frame.drop(columns="listed_in"))
    assert describe_users(ratings, bare).shape == (ratings.n_users, 0)


def test_features_are_computed_once_for_each_fold(ratings, catalogue):
    first, second = (describe_newcomers(ratings, catalogue) for _ in range(2))
    assert first[0] is second[0]
    other = describe_newcomers(ratings.take(ratings.users > 3), catalogue)
    assert other[1] is not first[1]
