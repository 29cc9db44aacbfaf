import gzip

import numpy as np
import pandas as pd
import pytest

from harness.data.load import load_dataset
from harness.data.options import ReadOptions
from harness.data.ratings import RatingScale, distinct, renumber, sort_stably
from harness.errors import DataError

TABLE = (
    "user,item,rating,timestamp\nb,y,3,1600000010\na,x,4,1600000020\nb,x,5,1600000030\n"
)


def facts(dataset):
    r = dataset.ratings
    return list(
        zip(r.user_ids[r.users], r.item_ids[r.items], r.values, r.rows, strict=True)
    )


def test_ratings_are_sorted_by_user_with_codes_in_order_of_appearance(load):
    dataset = load(TABLE)
    assert facts(dataset) == [("b", "y", 3, 0), ("b", "x", 5, 2), ("a", "x", 4, 1)]
    assert list(dataset.ratings.timestamps) == [1600000010, 1600000030, 1600000020]
    assert dataset.ratings.users.dtype == np.int32
    assert dataset.ratings.values.dtype == np.float32
    assert dataset.name == "ratings"


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_delimiter_and_line_end_gives_the_same_ratings(load, delimiter, line_end):
    text = TABLE.replace(",", delimiter).replace("\n", line_end)
    assert load(text).ratings.fingerprint() == load(TABLE).ratings.fingerprint()


def test_a_byte_order_mark_blank_lines_and_compression_change_nothing(load, write):
    expected = load(TABLE).ratings.fingerprint()
    assert load(TABLE.encode("utf-8-sig")).ratings.fingerprint() == expected
    spaced = "\n" + TABLE.replace("\n", "\n\n")
    assert load(spaced).ratings.fingerprint() == expected
    packed = write(gzip.compress(TABLE.encode()), "packed.csv.gz")
    assert load_dataset(str(packed)).ratings.fingerprint() == expected


def test_parquet_holds_the_same_ratings_as_text(load, tmp_path):
    frame = pd.DataFrame(
        {"userId": [7, 5, 7], "movieId": [1, 2, 2], "rating": [3.0, 4.0, 5.0]}
    )
    frame.to_parquet(tmp_path / "r.parquet")
    text = load(frame.to_csv(index=False))
    assert (
        load_dataset(str(tmp_path / "r.parquet")).ratings.fingerprint()
        == text.ratings.fingerprint()
    )


def test_columns_are_found_by_their_usual_names_or_by_the_given_ones(load):
    expected = facts(load(TABLE))
    usual = TABLE.replace("user,item,rating,timestamp", "User ID,movie_id,Stars,ts")
    assert facts(load(usual)) == expected
    own = TABLE.replace("user,item,rating,timestamp", "who,what,liked,when")
    options = {"user_column": "who", "item_column": "what", "rating_column": "liked"}
    dataset = load(own, **options)
    assert facts(dataset) == expected
    assert dataset.ratings.timestamps is None


def test_a_table_without_header_is_user_item_rating_and_time(load):
    expected = load(TABLE).ratings.fingerprint()
    bare = TABLE.partition("\n")[2]
    assert load(bare).ratings.fingerprint() == expected
    assert load(bare.replace(",", "::"), "r.dat").ratings.fingerprint() == expected


def test_ids_stay_the_text_they_are(load_rows):
    dataset = load_rows(
        "01,None,3,1600000001", "1,True,4,1600000001", "nan,NA,4,1600000001"
    )
    assert list(dataset.ratings.user_ids) == ["01", "1", "nan"]
    assert list(dataset.ratings.item_ids) == ["None", "True", "NA"]


def test_ids_that_became_floats_are_whole_numbers_again(load_rows):
    dataset = load_rows(
        "1.0,x,3,1600000001", "2.0,x,4,1600000001", " 2.0,y,4,1600000001"
    )
    assert list(dataset.ratings.user_ids) == ["1", "2"]
    assert any("read as whole numbers" in note for note in dataset.notes)
    assert any("Blanks around 1 different id" in note for note in dataset.notes)


def test_the_scale_is_that_of_the_values_unless_given(load):
    assert load(TABLE).ratings.scale == RatingScale(3, 5)
    assert load(TABLE, scale=(0, 10)).ratings.scale == RatingScale(0, 10)


def test_the_latest_of_several_ratings_is_that_with_the_highest_time(load_rows):
    rows = [
        "a,x,1,1600000050",
        "b,x,2,1600000010",
        "a,x,5,1600000040",
        "a,y,4,1600000010",
    ]
    dataset = load_rows(*rows, duplicates="last")
    assert facts(dataset) == [("a", "x", 1, 0), ("a", "y", 4, 2), ("b", "x", 2, 1)]
    assert any("1 pair of user and item" in note for note in dataset.notes)


def test_several_ratings_become_their_mean(load_rows):
    rows = [
        "a,x,1,1600000050",
        "b,x,2,1600000010",
        "a,x,5,1600000060",
        "a,y,4,1600000010",
    ]
    dataset = load_rows(*rows, duplicates="mean")
    assert facts(dataset) == [("b", "x", 2, 0), ("a", "x", 3, 1), ("a", "y", 4, 2)]
    assert dataset.ratings.scale == RatingScale(1, 5)


def test_a_column_can_tell_train_from_test(load):
    text = "user,item,rating,split\nb,y,3,test\na,x,4,train\nb,x,5,train\n"
    assert list(load(text).predefined_test) == [True, False, False]
    named = text.replace("split", "part")
    assert list(load(named, predefined="part").predefined_test) == [True, False, False]
    assert load(named).predefined_test is None


def test_train_and_test_files_make_a_predefined_split(write):
    write("user,item,rating\na,x,3\nb,x,4\n", "split/train.csv")
    folder = write("user,item,rating\na,z,5\n", "split/test.csv").parent
    dataset = load_dataset(str(folder))
    assert dataset.name == "split"
    assert facts(dataset) == [("a", "x", 3, 0), ("a", "z", 5, 2), ("b", "x", 4, 1)]
    assert list(dataset.predefined_test) == [False, True, False]


def test_a_pair_in_both_parts_of_a_split_is_refused_whatever_the_rule(write):
    write("user,item,rating\na,x,3\nb,x,4\n", "split/train.csv")
    folder = write("user,item,rating\nb,x,5\n", "split/test.csv").parent
    for rule in ("error", "last", "mean"):
        with pytest.raises(DataError, match=r"test\.csv, line 2: .*from the test part"):
            load_dataset(str(folder), ReadOptions(duplicates=rule))


def test_different_values_are_given_once_and_in_order():
    assert distinct(np.array([5, 2, 5, 9, 2])).tolist() == [2, 5, 9]
    assert distinct(np.empty(0, dtype=np.int64)).tolist() == []


def test_codes_are_sorted_and_numbered_as_python_does_it():
    codes = np.random.default_rng(0).integers(5, 300, 1000).astype(np.int32)
    expected = sorted(range(1000), key=lambda k: codes[k])
    in_order, positions = sort_stably(codes)
    assert list(positions) == expected
    assert list(in_order) == sorted(codes)
    numbers, order = renumber(codes, 400)
    assert list(order) == list(dict.fromkeys(codes))
    assert list(order[numbers]) == list(codes)
    again, same = renumber(numbers, len(order))
    assert list(again) == list(numbers)
    assert list(same) == list(range(len(order)))
