import pandas as pd
import pytest

from harness.data.catalogue import CATALOGUE_COLUMNS, DERIVED_COLUMNS
from harness.data.readers.streaming import read_streaming_catalogue
from harness.errors import DataError

HEADER = "show_id,type,title,director,cast,country,date_added,release_year,rating,duration,listed_in,description\n"
PLAIN = 's1,Movie,A,D,C,Spain,"May 1, 2020",2019,PG-13,90 min,Drama,About something\n'
FILES = ("amazon_prime", "disney_plus", "hulu", "netflix")


@pytest.fixture
def read(write):
    """Read rows of a catalogue of Hulu."""

    def read_rows(*rows, name="hulu_titles.csv"):
        return read_streaming_catalogue([write(HEADER + "".join(rows), name)])

    return read_rows


def test_a_plain_catalogue_needs_no_repair(read):
    frame, notes = read(PLAIN)
    assert notes == []
    assert list(frame) == [*CATALOGUE_COLUMNS, *DERIVED_COLUMNS]
    row = frame.iloc[0]
    assert (row["unique_id"], row["source"], row["show_id"]) == ("HLU_0", "HULU", "s1")
    assert row["date_added"] == pd.Timestamp("2020-05-01")
    assert (row["release_year"], row["duration_minutes"], row["maturity"]) == (
        2019,
        90,
        13,
    )
    assert pd.isna(row["n_seasons"])


def test_durations_leave_the_column_of_content_ratings(read):
    frame, notes = read(
        PLAIN.replace("PG-13,90 min", "91 min,"),
        PLAIN.replace("PG-13,90 min", "2 Seasons,"),
    )
    assert frame["duration"].tolist() == ["91 min", "2 Seasons"]
    assert frame["rating"].isna().all()
    assert frame["duration_minutes"].iloc[0] == 91
    assert frame["n_seasons"].iloc[1] == 2
    assert frame["type"].tolist() == ["Movie", "TV Show"]
    assert notes == [
        "HULU: 2 durations moved out of the column of content ratings (1 in minutes, 1 in seasons).",
        "HULU: 1 show with seasons retyped from Movie to TV Show.",
    ]


def test_placeholders_go_and_odd_names_stay(read):
    frame, notes = read(
        PLAIN.replace(",A,D,C,", ",True,None,1,"),
        PLAIN.replace(",A,D,C,", ',X,1,"1, 2, 3",').replace("About something", "1"),
        PLAIN.replace(",A,D,C,", ",41,About something,RZA,"),
    )
    assert frame["title"].tolist() == ["True", "X", "41"]
    assert frame["director"].iloc[0] == "None"
    assert frame["director"].isna().tolist() == [False, True, True]
    assert frame["cast"].isna().tolist() == [True, True, False]
    assert frame["description"].isna().tolist() == [False, True, False]
    assert notes == [
        "HULU: 1 placeholder in director set to missing ('1' 1).",
        "HULU: 2 placeholders in cast set to missing ('1' 1, '1, 2, 3' 1).",
        "HULU: 1 placeholder in description set to missing ('1' 1).",
        "HULU: 1 director set to missing: a copy of the description.",
    ]


def test_what_nobody_sees_is_removed(read):
    frame, notes = read(
        PLAIN.replace(",A,", ",\u200bA  B\u00a0,").replace('"May', '" May'),
        PLAIN.replace("About something", '"About\r\nsomething"'),
    )
    assert frame["title"].iloc[0] == "A B"
    assert frame["date_added"].notna().all()
    assert frame["description"].iloc[1] == "About something"
    assert notes == [
        "HULU: Invisible characters removed from 1 cell (title 1).",
        "HULU: Line breaks removed from 1 cell (description 1).",
        "HULU: Spaces at the ends removed from 2 cells (title 1, date_added 1).",
    ]


def test_what_cannot_be_understood_is_missing_and_counted(read):
    frame, notes = read(
        PLAIN.replace("2019", "199"),
        PLAIN.replace("May 1, 2020", "someday"),
        PLAIN.replace("90 min", "long"),
        PLAIN.replace("PG-13", "XYZ"),
        PLAIN.replace("90 min", "0 min"),
    )
    missing = frame[["release_year", "date_added", "duration_minutes", "maturity"]]
    assert missing.isna().sum().tolist() == [1, 1, 2, 1]
    assert notes == [
        "HULU: 1 title of 0 to 3 minutes kept.",
        "HULU: 1 duration of 0 min set to missing.",
        "HULU: 1 film without duration.",
        "HULU: 1 cell of release_year set to missing: it cannot be read, such as '199'.",
        "HULU: 1 cell of date_added set to missing: it cannot be read, such as 'someday'.",
        "HULU: 1 cell of duration set to missing: it cannot be read, such as 'long'.",
        "HULU: 1 content rating of no known system: ['XYZ'].",
    ]


def test_the_platform_comes_from_the_file_name_or_is_given(read, write):
    for name, first in (
        ("netflix_titles.csv", "NFX_0"),
        ("Amazon.csv", "AMZ_0"),
        ("disney_plus.csv", "DSN_0"),
        ("my-hulu.csv", "HLU_0"),
    ):
        assert read(PLAIN, name=name)[0]["unique_id"].tolist() == [first]
    path = write(HEADER + PLAIN, "titles.csv")
    frame, _ = read_streaming_catalogue([f"netflix={path}"])
    assert frame["source"].tolist() == ["NETFLIX"]
    with pytest.raises(DataError, match=r"must tell the platform .* NETFLIX="):
        read_streaming_catalogue([path])
    with pytest.raises(DataError, match=r"no platform named 'NETFLX'\. Did you mean"):
        read_streaming_catalogue([f"NETFLX={path}"])


def test_unusable_catalogues_are_refused(write):
    hulu = write(HEADER + PLAIN, "hulu.csv")
    with pytest.raises(DataError, match="the second of HULU"):
        read_streaming_catalogue([hulu, hulu])
    with pytest.raises(
        DataError, match=r"needs the columns .* but \['rating'\] is not"
    ):
        read_streaming_catalogue(
            [write(HEADER.replace("rating", "stars") + PLAIN, "hulu.csv")]
        )
    with pytest.raises(DataError, match="cannot be read"):
        read_streaming_catalogue(["nowhere/hulu.csv"])
    with pytest.raises(DataError, match="At least one catalogue"):
        read_streaming_catalogue([])


@pytest.fixture(scope="module")
def published():
    """The four published catalogues; skipped where they are not."""
    import os
    from pathlib import Path

    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("HARNESS_TEST_DATA", beside)) / "catalogue"
    if not folder.is_dir():
        pytest.skip(f"the catalogues are not at {folder}; set HARNESS_TEST_DATA")
    return read_streaming_catalogue(folder / f"{n}_titles.csv" for n in FILES)


def test_the_published_catalogues_are_complete(published):
    frame, _ = published
    counts = {"AMAZON": 9668, "DISNEY": 1450, "HULU": 3073, "NETFLIX": 8807}
    assert frame["source"].value_counts().to_dict() == counts
    assert frame["unique_id"].is_unique
    assert frame["unique_id"].iloc[0] == "AMZ_0"
    assert (frame["director"] == "None").sum() == 1
    assert (frame["title"] == "True").sum() == 1


@pytest.mark.parametrize(
    "note",
    [
        "HULU: 292 durations moved out of the column of content ratings (230 in minutes, 62 in seasons).",
        "HULU: 62 shows with seasons retyped from Movie to TV Show.",
        "HULU: 187 films without duration.",
        "HULU: 3 directors set to missing: a copy of the description.",
        "NETFLIX: 3 durations moved out of the column of content ratings (3 in minutes, 0 in seasons).",
        "NETFLIX: Spaces at the ends removed from 89 cells (title 1, date_added 88).",
        "AMAZON: 16 placeholders in director set to missing ('1' 16).",
        "AMAZON: 35 placeholders in cast set to missing ('1' 34, '1, 2, 3' 1).",
        "AMAZON: 23 placeholders in description set to missing ('1' 15, '2' 5, 'a' 2, '1a' 1).",
        "AMAZON: 30 titles of 0 to 3 minutes kept.",
    ],
)
def test_repairs_of_the_published_catalogues_are_counted(published, note):
    assert note in published[1]


def test_gaps_of_the_published_catalogues_stay_gaps(published):
    frame, _ = published
    gaps = frame.isna().groupby(frame["source"]).sum()
    assert gaps.loc["NETFLIX", "director"] == 2634
    assert gaps.loc["NETFLIX", "cast"] == 825
    assert gaps.loc["AMAZON", "country"] == 8996
    assert gaps.loc["AMAZON", "date_added"] == 9513
    assert gaps.loc["HULU", "cast"] == 3073
    assert gaps.loc["HULU", "director"] == 3073
    for column in ("release_year", "title", "show_id"):
        assert gaps[column].sum() == 0
    # Every title of the right type has its length, but for 187 and 10 films.
    films = frame["type"] == "Movie"
    assert frame.loc[films, "duration_minutes"].isna().sum() == 187 + 10
    assert frame.loc[~films, "n_seasons"].notna().all()


def test_all_published_content_ratings_are_known(published):
    frame, notes = published
    assert not any("no known system" in note for note in notes)
    ages = frame.groupby("rating")["maturity"].first()
    for order in (
        ["TV-Y", "TV-Y7", "TV-14", "TV-MA"],
        ["G", "PG", "PG-13", "R", "NC-17"],
        ["ALL", "7+", "13+", "16+", "18+"],
    ):
        assert ages[order].is_monotonic_increasing
        assert ages[order].is_unique
    assert ages["AGES_16_"] == ages["16"] == ages["16+"] == 16
    assert ages[["NR", "UR", "TV-NR", "UNRATED", "NOT_RATE"]].isna().all()
