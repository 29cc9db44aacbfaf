"""Each kind of bad input gets one sentence that says where, what and what is allowed."""

import gzip
import re

import pandas as pd
import pytest

from harness.data.load import load_dataset
from harness.data.options import ReadOptions
from harness.errors import DataError

GOOD = ["u1,i1,3,1600000001", "u1,i2,4,1600000002", "u2,i1,5,1600000003"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "u3,i1,abc,1600000001",
            "line 5, column 'rating': must be a finite number .* 'abc'",
        ),
        (
            'u3,i1,"3,5",1600000001',
            "line 5, column 'rating': .* '3,5' with a comma; write '3.5'",
        ),
        ("u3,i1,NaN,1600000001", "line 5, column 'rating': .* got nan"),
        ("u3,i1,-inf,1600000001", "line 5, column 'rating': .* got -inf"),
        ("u3,i1,1e39,1600000001", "line 5, column 'rating': .* got 1e\\+39"),
        ("u3,i1,,1600000001", "line 5, column 'rating': .* this cell is empty"),
        ("u3,i1,9,1600000001", "line 5, column 'rating': .* from 1 to 5, but got 9"),
        (",i1,3,1600000001", "line 5, column 'user': every row needs an id"),
        ("u3,  ,3,1600000001", "line 5, column 'item': every row needs an id"),
        (
            "u1,i1,4,1600000009",
            "line 5: .* user 'u1' and item 'i1' .*line 2.*--duplicates last",
        ),
        ("u3,i1,3,yesterday", "line 5, column 'timestamp': .* got 'yesterday'"),
        ("u3,i1,3,", "line 5, column 'timestamp': .* this cell is empty"),
        ("u3,i1,3,1600000000000", "line 2, column 'timestamp': all times .* one unit"),
        ("u3,i1,3,2020-01-01", "line 5, column 'timestamp': .* all rows alike"),
        ("u3,i1,3", "line 5: a row must have 4 cells .* this has 3"),
        ("\n\nu3,i1,3,1,", "line 7: a row must have 4 cells .* this has 5"),
        ('"u\n3",i1,3,1600000001', "line 5, column 'user': .* control characters"),
        ("u3,caf\udce9,3,1", "line 5: is not utf-8 .* reads as latin-1"),
        ("u3,\udc80uro,3,1", "line 5: is not utf-8 .* reads as cp1252"),
    ],
)
def test_a_bad_row_is_named_by_its_line(load, row, message):
    text = "\n".join(["user,item,rating,timestamp", *GOOD, row]) + "\n"
    with pytest.raises(DataError, match=rf"ratings\.csv, {message}") as caught:
        load(text.encode("utf-8", "surrogateescape"), scale=(1, 5))
    assert "\n" not in str(caught.value)


def test_lines_are_counted_as_a_person_does_behind_quoted_line_breaks(load):
    text = 'user,item,note,rating\nu1,i1,"one\ntwo",3\n\nu2,i2,none,bad\n'
    with pytest.raises(DataError, match=r"ratings\.csv, line 5, column 'rating'"):
        load(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("user,item,rating", "has a header but no rows"),
        ("user,item,rating\n", "has a header but no rows"),
        ("rating\n3\n", "single column 'rating'"),
        ("user,item,x\na,b,c\n", "no column looks like the ratings'.*--rating-column"),
        ("w,item,x\na,b,c\n", "the users' or the ratings'.*--user-column and --rating"),
        ("user,item,movie,rating\na,b,c,3\n", "could all be the items'.*--item-column"),
        ("user,user,item,rating\na,b,c,3\n", "column names must differ"),
        ("user,item,rating\na,x,3\na,y,4\n", "two users are needed, but all 2 .* 'a'"),
        ("user,item,rating\na,x,3\nb,x,4\n", "two items are needed, but all 2 .* 'x'"),
        ("user,item,rating\na,x,3\nb,y,3\n", "ratings must differ .* all 2 are 3"),
        ("user,item,rating\n1,x,3\n1.0,y,4\n", "line 3, .* both '1.0' and '1'"),
        ("user,item,rating\n2,x,3\n1.0,y,4\n", "line 3, .* both '1.0' and '2'"),
    ],
)
def test_a_bad_table_is_refused(load, text, message):
    with pytest.raises(DataError, match=message):
        load(text)


def test_utf_16_is_recognised_by_its_mark(load):
    text = "user,item,rating\na,é,3\nb,y,4\n".encode("utf-16")
    assert list(load(text).ratings.item_ids) == ["é", "y"]
    with pytest.raises(DataError, match=r"UTF-16; .* --encoding utf-16"):
        load(text, encoding="utf-8")
    assert list(load(text, encoding="utf-16").ratings.item_ids) == ["é", "y"]
    for unmarked in ("utf-16-le", "utf-16-be"):
        text = "user,item,rating\na,é,3\nb,y,4\n".encode(unmarked)
        assert list(load(text).ratings.item_ids) == ["é", "y"]
    with pytest.raises(DataError, match="no text encoding named 'klingon'"):
        load(text, encoding="klingon")


def test_a_spreadsheet_is_no_text(load):
    with pytest.raises(DataError, match="export it as CSV"):
        load(b"PK\x03\x04\x00\x06\x00\xff\xfe,\x00,\n")


@pytest.mark.parametrize("length", [257, 2**20, 10 * 2**20])
def test_a_huge_id_is_refused_without_being_printed(load_rows, length):
    with pytest.raises(DataError, match=r"line 3, .* at most 256 characters") as caught:
        load_rows("u1,i1,3,1600000001", "x" * length + ",i2,4,1600000002")
    assert f"({length:,} characters)" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_constant_table_on_a_given_scale_is_refused(load_rows):
    with pytest.raises(DataError, match="ratings must differ"):
        load_rows("a,x,3,1600000001", "b,y,3,1600000001", scale=(1, 5))


def test_an_empty_scale_is_refused(load_rows):
    with pytest.raises(DataError, match="low < high"):
        load_rows(*GOOD, scale=(5, 1))


def test_a_misspelt_column_brings_a_proposal(load_rows):
    with pytest.raises(DataError, match=r"no column named 'usr'\. Did you mean 'user'"):
        load_rows(*GOOD, user_column="usr")


def test_columns_of_a_table_without_header_cannot_be_named(load):
    with pytest.raises(DataError, match="has no header"):
        load("1,2,3\n2,3,4\n", user_column="user")


def test_a_split_column_must_say_train_or_test(load):
    text = "user,item,rating,part\na,x,3,train\nb,y,4,valid\n"
    with pytest.raises(DataError, match=r"line 3, column 'part': must say 'train'"):
        load(text, predefined="part")
    with pytest.raises(DataError, match="has no column 'prt'"):
        load(text, predefined="prt")


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("user", [1.5, 2.0], r"row 1, column 'user': .* but got 1\.5"),
        ("user", [None, 2.0], "row 1, column 'user': every row needs an id"),
        ("user", [True, False], "column 'user': .* values of type bool"),
        ("rating", [True, False], "column 'rating': .* values of type bool"),
        ("rating", [3.0, None], "row 2, column 'rating': .* this cell is empty"),
        ("rating", ["3", "x"], "row 2, column 'rating': .* got 'x'"),
        ("timestamp", [1.0, float("inf")], "row 2, column 'timestamp': .* got inf"),
    ],
)
def test_rows_of_parquet_are_numbered_from_one(tmp_path, column, values, message):
    frame = pd.DataFrame({"user": [1, 2], "item": [1, 2], "rating": [3, 4]})
    path = tmp_path / "r.parquet"
    frame.assign(**{column: values}).to_parquet(path)
    with pytest.raises(DataError, match=message):
        load_dataset(str(path))


def test_a_cut_off_archive_is_refused(write):
    rows = "".join(f"{u},{u * 7919 % 1000003},{u % 5}\n" for u in range(50_000))
    packed = gzip.compress(("user,item,rating\n" + rows).encode())
    for length in (15, len(packed) // 2, len(packed) - 4):
        with pytest.raises(DataError, match=r"ratings\.csv\.gz: "):
            load_dataset(str(write(packed[:length], "ratings.csv.gz")))
    with pytest.raises(DataError, match=r"ratings\.csv\.gz: cannot be read"):
        load_dataset(str(write("user,item,rating\n", "ratings.csv.gz")))


def test_a_broken_parquet_file_is_refused(write):
    with pytest.raises(DataError, match="not a parquet file"):
        load_dataset(str(write(b"PAR1 and no more", "r.parquet")))
    with pytest.raises(DataError, match="single column 'no'"):
        load_dataset(str(write("no", "r.parquet")))


def test_a_source_that_does_not_exist_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(DataError, match="harness data get ml-100k"):
        load_dataset("ml-100k")
    with pytest.raises(DataError, match=r"no file or folder .*'ott'"):
        load_dataset(str(tmp_path / "nowhere.csv"))
    with pytest.raises(DataError, match=re.escape(f"{tmp_path}: no ratings found")):
        load_dataset(str(tmp_path))
    with pytest.raises(DataError, match="source of the data is empty"):
        load_dataset("")


def test_the_embedded_data_set_takes_no_options():
    with pytest.raises(DataError, match="takes no option scale"):
        load_dataset("ott", ReadOptions(scale=(1, 5)))
