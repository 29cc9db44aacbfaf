import pickle

import pandas as pd
import pytest

from harness.data.catalogue import Catalogue
from harness.data.load import load_dataset
from harness.data.options import ReadOptions
from harness.errors import DataError
from harness.features.parts import split_names

RATINGS = "user,item,rating\na,s2,3\nb,s1,4\nb,s2,5\n"
HEADER = (
    "show_id,type,title,director,cast,country,date_added,release_year,rating,"
    "duration,listed_in,description\n"
)


def hulu(*ids):
    rows = (
        f's{i},Movie,T{i},,,,"May 1, 2020",2019,PG,90 min,Drama,Text\n' for i in ids
    )
    return HEADER + "".join(rows)


@pytest.fixture
def load_with(write):
    """Load the ratings with a catalogue."""

    def load(*catalogues):
        options = ReadOptions(catalogue=tuple(map(str, catalogues)))
        return load_dataset(str(write(RATINGS)), options)

    return load


def test_row_k_describes_item_k_and_unrated_titles_follow(load_with, write):
    dataset = load_with(write(hulu(1, 2, 3), "hulu.csv"))
    assert list(dataset.ratings.item_ids) == ["s2", "s1", "s3"]
    assert dataset.catalogue.frame["title"].tolist() == ["T2", "T1", "T3"]
    assert dataset.catalogue.frame["unique_id"].tolist() == ["HLU_1", "HLU_0", "HLU_2"]
    assert dataset.catalogue.frame["maturity"].tolist() == [7, 7, 7]


def test_an_item_without_title_is_a_row_of_missing_values(load_with, write):
    dataset = load_with(write(hulu(2), "hulu.csv"))
    assert list(dataset.ratings.item_ids) == ["s2", "s1"]
    assert dataset.catalogue.frame.iloc[1].isna().all()


def test_unique_ids_match_as_well(write):
    write(hulu(1, 2), "hulu.csv")
    write(hulu(1), "netflix.csv")
    ratings = write("user,item,rating\na,HLU_1,3\nb,NFX_0,4\n")
    files = ("hulu.csv", "netflix.csv")
    options = ReadOptions(catalogue=tuple(str(ratings.with_name(f)) for f in files))
    frame = load_dataset(str(ratings), options).catalogue.frame
    assert frame["source"].tolist() == ["HULU", "NETFLIX", "HULU"]


def test_an_own_catalogue_needs_an_id_and_a_title(load_with, write):
    own = write("item_id,title,genres,year,price\ns1,One,A|B,1999,3\n", "own.csv")
    dataset = load_with(own)
    row = dataset.catalogue.frame.iloc[1]
    assert (row["title"], row["listed_in"], row["release_year"]) == (
        "One",
        "A, B",
        1999,
    )
    assert "own.csv: 1 column left out: ['price']." in dataset.notes
    with pytest.raises(DataError, match="needs a column of ids"):
        load_with(write("name,genres\nOne,A\n", "own.csv"))


@pytest.mark.parametrize("separator", [", ", ";", "|", " ; ", ","])
def test_lists_of_an_own_catalogue_may_be_separated_in_any_usual_way(
    load_with, write, separator
):
    lists = "genres", "actors", "directors", "country", "production_companies"
    cell = f'"Ann A{separator}Bob B"'
    header = ",".join(("item_id", "movie_title", *lists, "plot"))
    own = write(f"{header}\ns1,One{',' + ','.join([cell] * 5)},A; B | C\n", "own.csv")
    frame = load_with(own).catalogue.frame
    columns = ["listed_in", "cast", "director", "country", "production_company"]
    for column in columns:
        assert split_names(frame[column].iloc[1]) == ["Ann A", "Bob B"]
    # A description is no list.
    assert frame["description"].iloc[1] == "A; B | C"


@pytest.mark.parametrize(
    ("usual", "name"),
    [
        ("actors", "cast"),
        ("directors", "director"),
        ("plot", "description"),
        ("synopsis", "description"),
        ("overview", "description"),
        ("studio", "production_company"),
        ("production_companies", "production_company"),
        ("production_company", "production_company"),
    ],
)
def test_columns_with_usual_names_are_taken(load_with, write, usual, name):
    own = write(f"id,item_title,{usual}\ns1,One,Some Words\n", "own.csv")
    row = load_with(own).catalogue.frame.iloc[1]
    assert (row["title"], row[name]) == ("One", "Some Words")


@pytest.mark.parametrize("header", ["item,Title", "Item ID,TITLE", "movieId,name"])
def test_ids_and_titles_are_found_however_they_are_written(load_with, write, header):
    own = write(f"{header},Release Year\ns1,One,1999\n", "own.csv")
    row = load_with(own).catalogue.frame.iloc[1]
    assert (row["title"], row["release_year"]) == ("One", 1999)


@pytest.mark.parametrize("header", ["id,movieId,name,Title", "Title,name,movieId,id"])
def test_the_more_telling_name_goes_before_others(load_with, write, header):
    cells = {"id": "7", "movieId": "s1", "name": "none", "Title": "One"}
    row = ",".join(cells[column] for column in header.split(","))
    frame = load_with(write(f"{header}\n{row}\n", "own.csv")).catalogue.frame
    assert frame["title"].iloc[1] == "One"


def test_a_comma_within_a_name_of_a_list_does_not_separate(load_with, write):
    own = write('id,title,studio\ns1,One,"Ann, Inc.|Bob B"\n', "own.csv")
    companies = load_with(own).catalogue.frame["production_company"].iloc[1]
    assert split_names(companies) == ["Ann Inc.", "Bob B"]


@pytest.mark.parametrize("columns", ["plot,description", "description,plot"])
def test_the_name_itself_goes_before_others_for_it(load_with, write, columns):
    text = f"id,title,{columns}\ns1,One,{columns}\n"
    dataset = load_with(write(text, "own.csv"))
    assert dataset.catalogue.frame["description"].iloc[1] == "description"
    assert "own.csv: 1 column left out: ['plot']." in dataset.notes


def test_a_catalogue_that_matches_nothing_is_refused_with_a_remedy(load_with, write):
    with pytest.raises(DataError, match=r"none of the 2 rated items .*data link"):
        load_with(write(hulu(7, 8), "hulu.csv"))


def test_ids_that_are_there_twice_are_refused(load_with, write):
    with pytest.raises(DataError, match=r"show_id 's1' is there several times"):
        load_with(write(hulu(1, 2), "hulu.csv"), write(hulu(1), "netflix.csv"))


def test_a_catalogue_is_read_once_and_when_somebody_asks():
    asked = []

    def load():
        asked.append("once")
        return pd.DataFrame({"title": ["One", None]}), None

    catalogue = Catalogue.later(load)
    assert not asked
    assert len(catalogue) == 2
    assert catalogue.has("title")
    assert catalogue.users is None
    assert catalogue.frame is catalogue.frame
    assert asked == ["once"]
    with pytest.raises(AttributeError, match="titles"):
        _ = catalogue.titles


@pytest.mark.parametrize("n_times", [1, 2])
def test_a_catalogue_that_was_sent_is_the_same(n_times):
    people = pd.DataFrame({"age": [30.0, None]})
    sent = catalogue = Catalogue(pd.DataFrame({"title": ["One", None]}), people)
    for _ in range(n_times):
        sent = pickle.loads(pickle.dumps(sent))
    assert sent.fingerprint() == catalogue.fingerprint()
    pd.testing.assert_frame_equal(sent.frame, catalogue.frame)
    pd.testing.assert_frame_equal(sent.users, people)
