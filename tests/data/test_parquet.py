"""Parquet as other programs write it."""

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from harness.data.load import load_dataset

USERS, ITEMS, STARS = ["b", "a", "b"], ["y", "x", "x"], [3.0, 4.0, 5.0]


@pytest.fixture
def loaded(tmp_path):
    def load(**columns):
        table = pa.table({"user": USERS, "item": ITEMS, "rating": STARS, **columns})
        parquet.write_table(table, tmp_path / "r.parquet")
        ratings = load_dataset(str(tmp_path / "r.parquet")).ratings
        names = zip(ratings.user_ids[ratings.users], ratings.values, strict=True)
        return list(names)

    return load


WANTED = [("b", 3), ("b", 5), ("a", 4)]


@pytest.mark.parametrize(
    "index", [pa.int8(), pa.uint8(), pa.uint16(), pa.uint32(), pa.int64()]
)
def test_ids_may_be_categories_with_codes_of_any_width(loaded, index):
    users = pa.array(USERS).dictionary_encode().cast(pa.dictionary(index, pa.string()))
    assert loaded(user=users) == WANTED


@pytest.mark.parametrize("kind", [pa.string_view(), pa.large_string(), pa.string()])
def test_ids_may_be_text_of_any_arrow_type(loaded, kind):
    assert loaded(user=pa.array(USERS).cast(kind)) == WANTED


def test_ids_may_be_large_text_in_categories(loaded):
    kind = pa.dictionary(pa.uint32(), pa.large_string())
    assert loaded(user=pa.array(USERS).dictionary_encode().cast(kind)) == WANTED


@pytest.mark.parametrize(
    "stars",
    [
        pd.Categorical([3, 4, 5]),
        pd.Categorical(["3", "4", "5.0"]),
        pd.array([3, 4, 5], dtype="Int8"),
    ],
)
def test_ratings_may_be_categories_or_nullable(tmp_path, stars):
    frame = pd.DataFrame({"user": USERS, "item": ITEMS, "rating": stars})
    frame.to_parquet(tmp_path / "r.pq")
    assert list(load_dataset(str(tmp_path / "r.pq")).ratings.values) == [3, 5, 4]


def test_ratings_may_be_decimals(loaded):
    assert loaded(rating=pa.array(STARS).cast(pa.decimal128(3, 1))) == WANTED
