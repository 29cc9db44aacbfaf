"""The genre block."""

import numpy as np
import pandas as pd

from harness.data.catalogue import Catalogue
from harness.features.genres_people import (
    genre_cooccurrence,
    genre_parts,
    genre_popularity,
)
from harness.features.parts import read_membership

LISTED = [
    "Drama, Romance",
    "Drama, Romance",
    "Action, War",
    "Action, War",
    "Drama",
    None,
]


def genres():
    catalogue = Catalogue(pd.DataFrame({"listed_in": LISTED}))
    return read_membership(catalogue, "listed_in")


def test_popularity_is_the_share_of_titles_on_a_logarithmic_scale():
    found = dict(zip(genres().names, genre_popularity(genres()), strict=True))
    assert found["Drama"] == np.log(4) / np.log(6)  # 3 of 5 titles with a genre
    assert found["War"] == np.log(3) / np.log(6)


def test_genres_that_occur_together_are_close():
    placed = genre_cooccurrence(genres())
    place = dict(zip(genres().names, placed, strict=True))
    apart = np.linalg.norm(place["Drama"] - place["War"])
    assert np.linalg.norm(place["Action"] - place["War"]) < 0.1 * apart
    assert np.linalg.norm(place["Drama"] - place["Romance"]) < 0.7 * apart


def test_coordinates_reproduce_the_mutual_information():
    placed = genre_cooccurrence(genres())
    names = genres().names
    action, war = names.index("Action"), names.index("War")
    # 2 titles have both; with the pairs of each with itself, both sum to 4, all to 17.
    np.testing.assert_allclose(placed[action] @ placed[war], np.log(2 * 17 / (4 * 4)))
    drama = names.index("Drama")
    np.testing.assert_allclose(placed[drama] @ placed[war], 0, atol=1e-12)


def test_titles_of_equal_genres_are_equal_and_unknown_ones_at_the_mean():
    parts = genre_parts(Catalogue(pd.DataFrame({"listed_in": LISTED})))
    assert len(parts) == 3
    for part in parts:
        np.testing.assert_array_equal(part.values[0], part.values[1])
        assert not part.values[5].any()


def test_no_genre_at_all_is_no_part():
    assert genre_parts(Catalogue(pd.DataFrame({"title": ["a", "b"]}))) == ()
