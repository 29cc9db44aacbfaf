import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.catalogue import Catalogue
from harness.data.dataset import Dataset
from harness.data.load import load_dataset
from harness.data.ratings import Ratings, RatingScale
from harness.data.readers.columns import clean_id
from harness.data.write import new_folder, write_files
from harness.errors import DataError

# What an id may be: text without control characters, not only spaces around it, and not
# written like a float, which stands for a whole number.
IDS = st.text(
    st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12
).filter(
    # An id as a reader leaves it: without quotation marks around it, and no float.
    lambda text: clean_id(text) == text and not text.replace(".", "").isdigit()
) | st.integers(0).map(str)


def write_dataset(dataset, folder):
    with new_folder(folder) as unfinished:
        write_files(dataset, unfinished)


@st.composite
def rated_pairs(draw):
    """Different pairs of user and item, with at least two of each, and ratings."""
    users = draw(st.lists(IDS, min_size=2, max_size=5, unique=True))
    items = draw(st.lists(IDS, min_size=2, max_size=5, unique=True))
    pairs = [(u, i) for u in users for i in items]
    more = draw(st.lists(st.sampled_from(pairs), unique=True))
    chosen = list(dict.fromkeys([(users[0], items[0]), (users[1], items[1]), *more]))
    chosen = draw(st.permutations(chosen))
    stars = st.floats(-10, 10, width=32)
    ratings = draw(st.lists(stars, min_size=len(chosen), max_size=len(chosen)))
    return chosen, [-10.0, 10.0, *ratings[2:]]


def as_dataset(pairs, ratings, **more):
    made = Ratings.from_columns(
        [u for u, _ in pairs],
        [i for _, i in pairs],
        ratings,
        scale=RatingScale(-10, 10),
        **more,
    )
    return Dataset(name="x", ratings=made, catalogue=Catalogue.empty(), source="x")


def read_again(dataset):
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(dataset, Path(folder) / "written")
        return load_dataset(str(Path(folder) / "written"))


@settings(deadline=None, max_examples=60)
@given(rated_pairs())
def test_what_was_written_is_read_again(table):
    dataset = as_dataset(*table)
    again = read_again(dataset)
    assert again.ratings.fingerprint() == dataset.ratings.fingerprint()
    assert again.name == "x"


@settings(deadline=None, max_examples=40)
@given(rated_pairs(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_change_who_rated_what(table, random):
    rows = list(zip(*table, strict=True))
    shuffled = random.sample(rows, len(rows))
    read = read_again(as_dataset(*zip(*shuffled, strict=True))).ratings

    def triples(ratings):
        ids = ratings.user_ids[ratings.users], ratings.item_ids[ratings.items]
        return list(zip(*ids, ratings.values, strict=True))

    ordered = as_dataset(*table).ratings
    assert sorted(triples(read)) == sorted(triples(ordered))
    assert (np.diff(read.users) >= 0).all()
    # `rows` leads back to the rows of the file, whatever the codes.
    by_row = [triples(read)[k] for k in np.argsort(read.rows)]
    assert by_row == [(u, i, np.float32(v)) for (u, i), v in shuffled]


@pytest.fixture
def dataset():
    """Three rated titles and an unrated one, with everything a source can know."""
    ratings = Ratings.from_columns(
        ["b", "a", "b"],
        ["y", "x", "x"],
        [3.7, 4, 5],
        scale=RatingScale(0.5, 5),
        timestamps=np.array([30, 10, 20]) + 1_600_000_000,
        unrated_items=["z"],
    )
    frame = pd.DataFrame(
        {
            "unique_id": pd.Series(["y", "x", "z"], dtype="str"),
            "title": pd.Series(["None", 'A "quoted" one', "Zoë"], dtype="str"),
            "date_added": pd.Series(["2020-05-01", None, None], dtype="datetime64[s]"),
            "release_year": [1999.0, np.nan, 2020.0],
            "description": pd.Series([None, "Two, three", None], dtype="str"),
            "duration_minutes": [92.5, np.nan, 60],
            "maturity": [13.0, 7, np.nan],
        }
    )
    return Dataset(
        name="every thing",
        ratings=ratings,
        catalogue=Catalogue(frame),
        source="somewhere",
        simulated=True,
        notes=('A note with "quotes" and \x7f.', "Another."),
        predefined_test=np.array([True, False, False]),
        watch_minutes=np.array([90, 12.5, 60], dtype=np.float32),
    )


def test_nothing_that_is_known_gets_lost(dataset):
    again = read_again(dataset)
    assert again.fingerprint == dataset.fingerprint
    assert again.ratings.fingerprint() == dataset.ratings.fingerprint()
    pd.testing.assert_frame_equal(again.catalogue.frame, dataset.catalogue.frame)
    assert (again.name, again.simulated) == ("every thing", True)
    assert again.notes[: len(dataset.notes)] == dataset.notes
    np.testing.assert_array_equal(again.predefined_test, dataset.predefined_test)
    np.testing.assert_array_equal(again.watch_minutes, dataset.watch_minutes)


def test_an_existing_folder_is_left_alone(dataset, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="is there already and not empty"):
        write_dataset(dataset, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failure_leaves_nothing_behind(dataset, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(DataError, match="cannot be written: disk full"):
        write_dataset(dataset, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_written_catalogue_with_a_broken_number_is_refused(dataset, tmp_path):
    write_dataset(dataset, tmp_path / "w")
    file = tmp_path / "w" / "catalogue.csv"
    file.write_text(file.read_text().replace("1999", "nineteen"))
    with pytest.raises(DataError, match=r"catalogue\.csv, column 'release_year'"):
        load_dataset(str(tmp_path / "w"))


def test_an_optional_column_is_written_where_there_is_one():
    dataset = as_dataset([("a", "x"), ("b", "y")], [1.0, 2.0])
    titles = pd.DataFrame({"title": ["X", "Y"]}, dtype="str")
    made = titles.assign(production_company=["One, Two", None])
    for frame, expected in ((titles, False), (made, True)):
        again = read_again(replace(dataset, catalogue=Catalogue(frame))).catalogue
        assert ("production_company" in again.frame) == expected
    assert again.frame["production_company"].tolist()[0] == "One, Two"
