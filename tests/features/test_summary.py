"""Named features in numbers: by hand on two users and three titles."""

import numpy as np
import pandas as pd
import pytest

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.features.pairs import FeatureSummary, summarize_features

DAY = 86_400


@pytest.fixture
def ratings():
    """Anna: x 5, y 3, on a Thursday of 1970. Bo: x 3 a year later. Nobody rates z."""
    return Ratings.from_columns(
        list("aab"),
        list("xyx"),
        [5, 3, 3],
        scale=RatingScale(1, 5),
        timestamps=np.array([1, 2, 366 * DAY + 1]),
        unrated_items=["z"],
    )


@pytest.fixture
def catalogue():
    """x is a drama of 1960, y a show of both genres of unknown year."""
    return Catalogue(
        pd.DataFrame(
            {
                "listed_in": ["Drama", "Drama, Comedy", "Comedy"],
                "release_year": [1960.0, np.nan, 2000.0],
                "type": ["Movie", "TV Show", None],
                "duration_minutes": [90.0, np.nan, 100.0],
            }
        )
    )


def summary(ratings, catalogue):
    found = summarize_features(ratings, catalogue)
    assert len({(each.owner, each.name) for each in found}) == len(found)
    return {(each.owner, each.name): each for each in found}


def test_of_users(ratings, catalogue):
    found = summary(ratings, catalogue)
    counts = found["user", "n_ratings"]  # 2 and 1
    assert (counts.known, counts.mean, counts.spread) == (1, 1.5, 0.5)
    means = found["user", "mean"]  # 4 and 3
    assert (means.mean, means.spread) == (3.5, 0.5)
    # Anna: drama (1 - 1) / (5 + 2), comedy -1 / (5 + 1); Bo has one rating: 0.
    assert found["user", "prefers"].mean == 0


def test_of_titles_with_a_rating(ratings, catalogue):
    found = summary(ratings, catalogue)
    # The mean is 11 / 3: x is 1 / 3 * 2 above in sum of two, y 2 / 3 below.
    bias = found["title", "bias"]
    assert bias.mean == pytest.approx(((2 / 3) / 12 + (-2 / 3) / 11) / 2)
    assert found["title", "popularity"].mean == pytest.approx(np.log([3, 2]).mean())
    assert found["title", "genres"].mean == 1.5
    assert found["title", "type"].mean == 0.5
    year = found["title", "release_year"]
    assert (year.known, year.mean, year.spread) == (0.5, 1960, 0)
    assert found["title", "duration"].mean == 90


def test_of_pairs(ratings, catalogue):
    found = summary(ratings, catalogue)
    # x was 10 and 11 years old; of y that is not known.
    years = found["pair", "since_release"]
    assert (years.known, years.mean, years.spread) == (pytest.approx(2 / 3), 10.5, 0.5)
    # Anna likes drama 0 and comedy -1 / 6: x 0, y -1 / 12; Bo 0.
    liking = found["pair", "user_genre"]
    assert (liking.known, liking.mean) == (1, pytest.approx(-1 / 36))


def test_only_what_the_data_allows(ratings):
    bare = Ratings.from_columns(
        list("aab"), list("xyx"), [5, 3, 3], scale=RatingScale(1, 5)
    )
    found = summary(bare, Catalogue.empty())
    assert [name for _, name in found] == [
        "n_ratings",
        "mean",
        "variance",
        "bias",
        "bias",
        "popularity",
    ]
    timed = summary(ratings, Catalogue.empty())
    assert ("user", "weekend") in timed
    assert ("pair", "since_release") not in timed


def test_what_is_known_of_nothing_is_left_out(ratings, catalogue):
    frame = catalogue.frame.assign(release_year=[np.nan, np.nan, 2000.0], type=None)
    found = summary(ratings, Catalogue(frame))
    assert ("title", "release_year") not in found
    assert ("title", "type") not in found
    assert ("pair", "since_release") not in found


def test_nothing_known_has_no_summary():
    assert FeatureSummary.of("user", "x", "nothing", np.array([np.nan])) is None
