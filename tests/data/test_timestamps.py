import pandas as pd
import pytest

from harness.data.load import load_source
from harness.errors import DataError

SECONDS = [1_600_000_000, 1_600_000_001, 1_600_003_600]


@pytest.mark.parametrize(
    "times",
    [
        ["1600000000", "1600000001", "1600003600"],
        ["1600000000.9", "1600000001.0", "1600003600"],
        ["1600000000999", "1600000001000", "1600003600000"],
        ["1600000000999999", "1600000001000000", "1600003600000000"],
        ["2020-09-13T12:26:40Z", "2020-09-13T12:26:41Z", "2020-09-13T13:26:40Z"],
        ["2020-09-13 12:26:40", "2020-09-13 12:26:41", "2020-09-13 13:26:40"],
        [
            "2020-09-13T12:26:40Z",
            "2020-09-13T14:26:41+02:00",
            "2020-09-13T13:26:40.500Z",
        ],
    ],
)
def test_times_become_seconds_whatever_their_unit(load_rows, times):
    pairs = ("a,x,3", "a,y,4", "b,x,5")
    rows = [f"{p},{t}" for p, t in zip(pairs, times, strict=True)]
    assert list(load_rows(*rows).ratings.timestamps) == SECONDS


def test_dates_are_midnight_utc(load_rows):
    dataset = load_rows("a,x,3,1970-01-01", "a,y,4,1970-01-02", "b,x,5,1970-01-03")
    assert list(dataset.ratings.timestamps) == [0, 86_400, 172_800]
    assert any("taken as UTC" in note for note in dataset.notes)


def test_days_may_be_written_as_one_number(load_rows):
    dataset = load_rows("a,x,3,20200913", "a,y,4,20200914", "b,x,5,20240229")
    days = [1_599_955_200, 1_600_041_600, 1_709_164_800]
    assert list(dataset.ratings.timestamps) == days
    assert any("written like 20240501" in note for note in dataset.notes)


@pytest.mark.parametrize("value", ["0", "63", "2015", "631151999", "4102444800", "-5"])
def test_a_number_that_is_no_time_since_1990_is_refused(load_rows, value):
    with pytest.raises(
        DataError, match=rf"line 3, column 'timestamp': .* {value}"
    ) as e:
        load_rows("a,x,3,1600000000", f"a,y,4,{value}", "b,x,5,1600000001")
    assert "--timestamp-column none" in str(e.value)


def test_milliseconds_are_held_to_the_same_years(load_rows):
    with pytest.raises(DataError, match=r"line 2, .* got 631151999000"):
        load_rows("a,x,3,631151999000", "a,y,4,1600000001000", "b,x,5,1600003600000")


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather", "json"])
def test_a_column_of_times_with_an_unusual_name_is_pointed_to_and_not_taken(
    tmp_path, kind
):
    days = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"])
    frame = pd.DataFrame(
        {
            "user": ["a", "a", "b"],
            "item": ["x", "y", "x"],
            "rating": [3, 4, 5],
            "price": [19.99, 7.5, 1.0],
            "watched on": days if kind in {"parquet", "feather"} else days.astype(str),
        }
    )
    path = tmp_path / f"seen.{kind}"
    write = getattr(frame, f"to_{kind}")
    write(
        path, **{"csv": {"index": False}, "json": {"orient": "records"}}.get(kind, {})
    )

    def read(**options):
        dataset = load_source(str(path), options)
        return dataset.ratings.timestamps is not None, "'watched on'" in str(
            [note for note in dataset.notes if "looks like times" in note]
        )

    assert read() == (False, True)
    assert read(timestamp_column="none") == (False, False)
    assert read(timestamp_column="watched on") == (True, False)


def test_times_can_be_left_out(load_rows):
    dataset = load_rows("a,x,3,?", "a,y,4,", "b,x,5,soon", timestamp_column="none")
    assert dataset.ratings.timestamps is None
