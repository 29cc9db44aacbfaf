import numpy as np
import pandas as pd
import pytest

from harness.data.catalogue import Catalogue
from harness.data.dataset import Dataset
from harness.data.linking.link import link
from harness.data.linking.spelling import genre_families, may_agree
from harness.data.ratings import Ratings


def test_title_and_year_link_a_film(rated, shown, links, kinds):
    dataset = rated(("Matrix, The", 1999), ("Léon (Professional, The)", 1994))
    catalogue = shown(("Leon", 1994), ("THE MATRIX!", 1999), ("Alien", 1979))
    assert links(dataset, catalogue) == {"m0": "NFX_1", "m1": "NFX_0"}
    assert set(kinds(dataset, catalogue).values()) == {"exact"}


@pytest.mark.parametrize(
    ("title", "years"),
    [
        ("Beauty and the Beast", (1991, 2017)),
        ("Jungle Book, The", (1967, 2016)),
        ("Cinderella", (1950, 2015)),
        ("Aladdin", (1992, 2019)),
    ],
)
def test_remakes_are_told_apart_by_their_year(rated, shown, links, title, years):
    dataset = rated(*((title, year) for year in years))
    plain = title.removesuffix(", The")
    catalogue = shown(*((plain, year) for year in reversed(years)))
    assert links(dataset, catalogue) == {"m0": "NFX_1", "m1": "NFX_0"}


def test_a_remake_is_not_linked_to_the_original(rated, shown, links, pair):
    dataset = rated(("Beauty and the Beast", 2017), *pair)
    catalogue = shown(("Beauty and the Beast", 1991), *pair)
    assert links(dataset, catalogue) == {"m1": "NFX_1", "m2": "NFX_2"}


def test_a_year_one_off_is_the_same_film(rated, shown, kinds):
    dataset = rated(("Mr. Holland's Opus", 1995), ("28 Days Later", 2002))
    catalogue = shown(("Mr. Holland's Opus", 1996), ("28 Days Later", 2001))
    assert set(kinds(dataset, catalogue).values()) == {"year"}


def test_a_year_two_off_is_another_film(rated, shown, links, pair):
    dataset = rated(("Eden", 2014), *pair)
    assert "m0" not in links(dataset, shown(("Eden", 2012), *pair))


def test_the_exact_year_is_preferred_to_its_neighbour(rated, shown, links, pair):
    dataset = rated(("Boy, The", 2016), *pair)
    catalogue = shown(("The Boy", 2015, "Macneill"), ("The Boy", 2016, "Bell"), *pair)
    assert links(dataset, catalogue)["m0"] == "NFX_1"


def test_two_films_around_the_year_are_ambiguous(rated, shown, links, pair):
    dataset = rated(("Home", 2015), *pair)
    catalogue = shown(("Home", 2014, "Frank Lin"), ("Home", 2016, "Tim Johnson"), *pair)
    assert "m0" not in links(dataset, catalogue)


def test_a_title_that_several_films_have_needs_the_exact_year(
    rated, shown, links, pair
):
    dataset = rated(("Little Women", 1949), ("Little Women", 1994), *pair)
    assert "m0" not in links(dataset, shown(("Little Women", 1950), *pair))
    # The same with the other films on the other side.
    dataset = rated(("Hide and Seek", 2005), *pair)
    catalogue = shown(("Hide and Seek", 2004), ("Hide and Seek", 1964), *pair)
    assert "m0" not in links(dataset, catalogue)


def test_a_year_one_off_needs_a_shared_genre(rated, shown, links, pair):
    dataset = rated(("Apollo 13", 1995, "Adventure, Drama"), *pair)
    documentary = {
        "title": "Apollo 13",
        "release_year": 1994,
        "listed_in": "Documentary",
    }
    assert "m0" not in links(dataset, shown(documentary, *pair))
    feature = documentary | {"listed_in": "Dramas, Thrillers"}
    assert "m0" in links(dataset, shown(feature, *pair))


def test_two_films_of_one_title_and_year_are_ambiguous_and_counted(rated, shown, pair):
    dataset = rated(("Veronica", 2017), *pair)
    catalogue = shown(
        ("Veronica", 2017, "Paco Plaza"), ("Verónica", 2017, "Algara"), *pair
    )
    result = link(dataset, catalogue)
    assert "m0" not in set(result.links["item_id"])
    assert (result.counts.ambiguous, result.counts.linked) == (1, 2)


def test_two_different_titles_that_claim_one_film_are_both_refused(rated, shown, pair):
    dataset = rated(("Emma", 1996, "Comedy, Romance"), ("Emma", 1996, "Drama"), *pair)
    result = link(dataset, shown(("Emma", 1996), *pair))
    assert set(result.links["item_id"]) == {"m2", "m3"}
    assert result.counts.ambiguous == 2


def test_one_film_entered_twice_is_linked_twice(rated, shown, links):
    dataset = rated(("Chasing Amy", 1997, "Drama"), ("Chasing Amy", 1997, "Drama"))
    assert links(dataset, shown(("Chasing Amy", 1997))) == {
        "m0": "NFX_0",
        "m1": "NFX_0",
    }


def test_a_film_goes_to_the_title_of_its_own_year(rated, shown, links, pair):
    dataset = rated(("Alone", 2019), ("Alone", 2020), *pair)
    found = links(dataset, shown(("Alone", 2020), *pair))
    assert "m0" not in found
    assert found["m1"] == "NFX_0"


def test_a_missing_article_needs_the_exact_year_and_a_shared_genre(
    rated, shown, links, kinds, pair
):
    film = {"title": "The Perfect Blue", "release_year": 1997, "listed_in": "Drama"}
    drama = rated(("Perfect Blue", 1997, "Drama, Romance"), *pair)
    assert kinds(drama, shown(film, *pair))["Perfect Blue"] == "article"
    anime = rated(("Perfect Blue", 1997, "Animation, Horror"), *pair)
    assert "m0" not in links(anime, shown(film, *pair))
    earlier = rated(("Perfect Blue", 1996, "Drama"), *pair)
    assert "m0" not in links(earlier, shown(film, *pair))


def test_with_and_without_article_the_title_as_written_is_preferred(
    rated, shown, links, pair
):
    dataset = rated(("Score, The", 2001), *pair)
    catalogue = shown(("Score", 2001, "de Emmony"), ("The Score", 2001, "Oz"), *pair)
    assert links(dataset, catalogue)["m0"] == "NFX_1"


def test_an_alternative_title_in_brackets_links_in_the_same_year_only(
    rated, shown, links, kinds, pair
):
    dataset = rated(("And Your Mother Too (Y tu mamá también)", 2001), *pair)
    (kind,) = set(
        kinds(dataset, shown(("Y Tu Mama Tambien", 2001), *pair)).values()
    ) - {"exact"}
    assert kind == "alternative"
    assert "m0" not in links(dataset, shown(("Y Tu Mama Tambien", 2002), *pair))


def test_the_episodes_of_star_wars_are_found(rated, shown, links):
    dataset = rated(
        ("Star Wars: Episode IV - A New Hope", 1977),
        ("Star Wars: Episode V - The Empire Strikes Back", 1980),
    )
    catalogue = shown(
        ("Star Wars: The Empire Strikes Back (Episode V)", 1980),
        ("Star Wars: A New Hope (Episode IV)", 1977),
    )
    assert links(dataset, catalogue) == {"m0": "NFX_1", "m1": "NFX_0"}


def test_shows_and_films_without_a_year_are_not_linked(rated, shown, pair):
    dataset = rated(("Fargo", 1996), ("Babylon 5", np.nan), *pair)
    show = {"title": "Fargo", "release_year": 1996, "type": "TV Show"}
    result = link(dataset, shown(show, ("Babylon 5", 1998), *pair))
    assert set(result.links["item_id"]) == {"m2", "m3"}
    counts = result.counts
    assert (counts.unmatched, counts.undated, counts.ambiguous) == (1, 1, 0)


def test_unrated_titles_are_not_linked_but_compete(rated, shown, links, pair):
    dataset = rated(("Alone", 2019), *pair)
    frame = pd.concat(
        [
            dataset.catalogue.frame,
            pd.DataFrame({"title": ["Alone"], "release_year": [2020.0]}),
        ],
        ignore_index=True,
    )
    ratings = dataset.ratings
    more = Ratings.from_columns(
        ratings.user_ids[ratings.users], ratings.item_ids[ratings.items], ratings.values,
        scale=ratings.scale, unrated_items=["m9"],
    )  # fmt: skip
    dataset = Dataset(
        name="toy", ratings=more, catalogue=Catalogue(frame), source="toy"
    )
    assert set(links(dataset, shown(("Alone", 2020), *pair))) == {"m1", "m2"}


def test_genres_of_different_vocabularies_are_compared():
    movielens = genre_families("Action, Sci-Fi, Film-Noir")
    assert may_agree(movielens, genre_families("Thrillers, International Movies"))
    assert may_agree(movielens, genre_families("Science Fiction"))
    assert not may_agree(movielens, genre_families("Romantic Movies"))
    assert may_agree(movielens, genre_families(None))
