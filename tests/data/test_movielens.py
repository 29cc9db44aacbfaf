import hashlib

import numpy as np
import pytest

from harness.data.load import load_dataset
from harness.data.options import ReadOptions
from harness.data.ratings import RatingScale
from harness.data.readers.movielens import parse_title
from harness.errors import DataError

FILMS = [("1", "Toy Story (1995)"), ("2", "Léon (1994)"), ("9", "unknown")]


def check(dataset, genres_of_first):
    assert list(dataset.ratings.item_ids) == ["2", "1", "9"]
    assert list(dataset.ratings.values) == [3, 4, 5]
    frame = dataset.catalogue.frame
    assert list(frame["show_id"]) == ["2", "1", "9"]
    assert list(frame["title"])[:2] == ["Léon", "Toy Story"]
    assert frame["title"].isna().tolist() == [False, False, True]
    assert list(frame["release_year"])[:2] == [1994, 1995]
    assert list(frame["listed_in"])[1] == genres_of_first
    assert frame["listed_in"].isna().tolist() == [False, False, True]
    assert set(frame["type"]) == {"Movie"}
    assert dataset.name == "films"
    assert "1 film without title." in dataset.notes


def test_the_layout_of_100k(write):
    flags = {"1": [3, 4, 5], "2": [16], "9": [0]}
    lines = [
        "|".join([i, t, "", "", "", *(str(int(g in flags[i])) for g in range(19))])
        for i, t in FILMS
    ]
    write("\n".join(lines).encode("latin-1"), "films/u.item")
    folder = write(
        "7\t2\t3\t1600000010\n7\t1\t4\t1600000020\n5\t2\t5\t1600000030\n",
        "films/u.data",
    ).parent
    dataset = load_dataset(str(folder))
    check(dataset, "Animation, Children's, Comedy")
    assert dataset.ratings.scale == RatingScale(1, 5)
    assert dataset.catalogue.users is None


@pytest.mark.parametrize(
    ("films", "ratings", "people", "lines"),
    [
        (
            "u.item",
            "7\t2\t3\t10\n5\t2\t5\t30\n5\t1\t5\t30\n",
            "u.user",
            "5|24|M|writer|85711\n6|53|F|other|94043\n",
        ),
        (
            "movies.dat",
            "7::2::3::10\n5::2::5::30\n5::1::5::30\n",
            "users.dat",
            "5::M::24::writer::85711\n6::F::53::other::94043\n",
        ),
    ],
)
def test_users_are_described_where_the_source_knows_them(
    write, films, ratings, people, lines
):
    title = "2::Léon (1994)::Drama\n"
    flags = "|".join(["2", "Léon (1994)", "", "", "", *["0"] * 19])
    write((flags if films == "u.item" else title).encode("latin-1"), f"films/{films}")
    write(lines, f"films/{people}")
    name = "u.data" if films == "u.item" else "ratings.dat"
    folder = write(ratings, f"films/{name}").parent
    users = load_dataset(str(folder)).catalogue.users
    # In the order of the ratings: 7 is not described, 6 has not rated.
    assert users["age"].tolist()[1] == 24
    assert users.iloc[1][["gender", "occupation", "region"]].tolist() == [
        "M",
        "writer",
        "8",
    ]
    assert users.iloc[0].isna().all()
    assert len(users) == 2
    write("5|24|M\n" if people == "u.user" else "5::M::x::y::z\n", f"films/{people}")
    with pytest.raises(DataError, match=people):
        load_dataset(str(folder))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize(("last", "low"), [("5", 1), ("5.0", 1), ("4.5", 0.5)])
def test_the_layout_of_1m_and_10m(write, encoding, last, low):
    genres = {"1": "Animation|Comedy", "2": "Thriller", "9": "(no genres listed)"}
    films = "".join(f"{i}::{t}::{genres[i]}\n" for i, t in FILMS)
    write(films.encode(encoding), "films/movies.dat")
    ratings = f"7::2::3::1600000010\n7::1::4::1600000020\n5::2::{last}::1600000030\n"
    dataset = load_dataset(str(write(ratings, "films/ratings.dat").parent))
    assert dataset.ratings.scale == RatingScale(low, 5)
    if low == 1:
        check(dataset, "Animation, Comedy")


def test_the_layout_of_latest(write):
    genres = {"1": "Animation|Comedy", "2": "Thriller", "9": "(no genres listed)"}
    films = "".join(f'{i},"{t}",{genres[i]}\r\n' for i, t in FILMS)
    write("movieId,title,genres\r\n" + films, "films/movies.csv")
    rows = "userId,movieId,rating,timestamp\r\n7,2,3.0,1600000010\r\n7,1,4.0,1600000020\r\n5,2,5.0,1600000030\r\n"
    dataset = load_dataset(str(write(rows, "films/ratings.csv").parent))
    check(dataset, "Animation, Comedy")
    assert dataset.ratings.scale == RatingScale(0.5, 5)


@pytest.mark.parametrize(
    ("text", "title", "year"),
    [
        ("Death Note: Desu nôto (2006\N{EN DASH}2007)", "Death Note: Desu nôto", 2006),
        ("Land Before Time III (1995) (V)", "Land Before Time III", 1995),
        ("Word Wars (2004) ", "Word Wars", 2004),
        ("Seven (a.k.a. Se7en) (1995)", "Seven (a.k.a. Se7en)", 1995),
        ("2001: A Space Odyssey (1968)", "2001: A Space Odyssey", 1968),
        ("Babylon 5", "Babylon 5", np.nan),
        ("(500) Days of Summer (2009)", "(500) Days of Summer", 2009),
    ],
)
def test_the_year_is_taken_out_of_the_title(text, title, year):
    assert parse_title(text) == (title, pytest.approx(year, nan_ok=True))


def test_a_broken_file_of_titles_is_refused(write):
    write("1::Toy Story\n", "films/movies.dat")
    folder = write(
        "7::2::3::1600000010\n5::1::4::1600000020\n", "films/ratings.dat"
    ).parent
    with pytest.raises(DataError, match=r"movies\.dat: is not the file of titles"):
        load_dataset(str(folder))


def test_ml_100k_is_what_its_readme_says(real_data):
    dataset = load_dataset(str(real_data / "ml-100k"))
    ratings = dataset.ratings
    assert (len(ratings), ratings.n_users, ratings.n_items) == (100_000, 943, 1682)
    assert ratings.scale == RatingScale(1, 5)
    # Back in the order of the file, the ratings are the file.
    columns = (
        ratings.user_ids[ratings.users],
        ratings.item_ids[ratings.items],
        ratings.values.astype(int),
        ratings.timestamps,
    )
    order = np.argsort(ratings.rows)
    lines = zip(*(c[order] for c in columns), strict=True)
    text = "".join("\t".join(map(str, line)) + "\n" for line in lines)
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    assert digest == "6e47046882bad158b0efbb84cd5cb987"


def test_the_predefined_split_of_ml_100k(real_data):
    folder = str(real_data / "ml-100k")
    dataset = load_dataset(folder, ReadOptions(predefined="u1"))
    assert len(dataset.ratings) == 100_000
    test = dataset.ratings.take(dataset.predefined_test)
    assert len(test) == 20_000
    # First line of u1.test: 1 6 5 887431973
    first = np.argmin(test.rows)
    assert test.rows[first] == 80_000
    assert test.user_ids[test.users[first]] == "1"
    assert test.item_ids[test.items[first]] == "6"
    assert test.timestamps[first] == 887431973
    with pytest.raises(DataError, match=r"no predefined split 'u9'.*'u1'"):
        load_dataset(folder, ReadOptions(predefined="u9"))


def test_ml_latest_small_has_films_that_nobody_rated(real_data):
    dataset = load_dataset(str(real_data / "ml-latest-small"))
    ratings = dataset.ratings
    assert (len(ratings), ratings.n_users) == (100_836, 610)
    assert len(np.unique(ratings.items)) == 9724
    assert ratings.n_items == len(dataset.catalogue) == 9742
    assert ratings.scale == RatingScale(0.5, 5)
    assert list(dataset.catalogue.frame["show_id"]) == list(ratings.item_ids)
    assert "12 films without year." in dataset.notes
