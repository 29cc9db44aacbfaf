"""The people block: embeddings, and what training ratings say of directors."""

import numpy as np
import pandas as pd

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.features.genres_people import (
    director_encoding,
    director_part,
    people_parts,
)
from harness.features.parts import read_membership


def directed(*directors):
    return read_membership(Catalogue(pd.DataFrame({"director": directors})), "director")


def rated(items, values, *, unrated=()):
    return Ratings.from_columns(
        [f"u{k}" for k in range(len(items))],
        list(items),
        values,
        scale=RatingScale(1, 5),
        unrated_items=unrated,
    )


def test_a_director_is_judged_by_the_other_titles():
    # Mean 3. Titles a, b, c by one director: a has 5 5, b has 1, c none; d by another.
    ratings = rated("aabdd", [5, 5, 1, 2, 2], unrated=["c"])
    order = {item: code for code, item in enumerate(ratings.item_ids)}
    directors = ["One"] * 4
    directors[order["d"]] = "Two"
    encoded = director_encoding(ratings, directed(*directors), smoothing=2.0)
    assert encoded[order["a"]] == (1 - 3) / (1 + 2)
    assert encoded[order["b"]] == (5 - 3 + 5 - 3) / (2 + 2)
    assert encoded[order["c"]] == (2 + 2 - 2) / (3 + 2)
    assert encoded[order["d"]] == 0  # no other title


def test_a_title_of_two_directors_has_the_mean_of_both():
    ratings = rated("abc", [5, 1, 3])
    encoded = director_encoding(
        ratings, directed("One", "Two", "One, Two"), smoothing=1.0
    )
    assert encoded[2] == ((5 - 3) / 2 + (1 - 3) / 2) / 2


def test_a_titles_own_ratings_do_not_change_its_encoding():
    directors = directed("One", "One", "Two")
    low, high = rated("abc", [1, 4, 4]), rated("abc", [4, 4, 1])  # the same mean
    assert director_encoding(low, directors)[0] == director_encoding(high, directors)[0]


def test_unknown_directors_are_at_zero():
    encoded = director_encoding(rated("ab", [5, 1]), directed(None, "One"))
    assert encoded.tolist() == [0, 0]
    assert director_part(rated("ab", [5, 1]), directed(None, "One")) is None


def test_titles_with_the_same_people_are_close():
    cast = ["A, B", "B, A, Nobody else", "C, D", "D, C", None]
    (part,) = people_parts(Catalogue(pd.DataFrame({"cast": cast})))
    np.testing.assert_allclose(part.values[0], part.values[1], atol=1e-6)
    assert part.values[0] @ part.values[2] < 0
    assert not part.values[4].any()


def test_people_of_a_single_title_relate_nothing():
    assert people_parts(Catalogue(pd.DataFrame({"cast": ["A, B", "C"]}))) == ()


def test_titles_of_one_production_company_are_close():
    frame = pd.DataFrame({"production_company": ["A", "A, B", "C", "C", None]})
    (part,) = people_parts(Catalogue(frame))
    assert part.names[0] == "studio group 1"
    assert part.values[2] @ part.values[3] > 0
    np.testing.assert_allclose(part.values[2], part.values[3], atol=1e-6)
    assert part.values[0] @ part.values[1] > 0
    assert part.values[0] @ part.values[2] < 0
    assert not part.values[4].any()
