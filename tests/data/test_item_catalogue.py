import pytest

from harness.data.loading import load_dataset
from harness.data.read_options import ReadOptions
from harness.errors import DataError

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


def test_a_catalogue_that_matches_nothing_is_refused_with_a_remedy(load_with, write):
    with pytest.raises(DataError, match=r"none of the 2 rated items .*data link"):
        load_with(write(hulu(7, 8), "hulu.csv"))


def test_ids_that_are_there_twice_are_refused(load_with, write):
    with pytest.raises(DataError, match=r"show_id 's1' is there several times"):
        load_with(write(hulu(1, 2), "hulu.csv"), write(hulu(1), "netflix.csv"))
