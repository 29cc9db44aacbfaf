"""Text read in blocks of lines on several threads is what one thread reads of the whole."""

import gzip
import tempfile
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.data.load import load_dataset
from harness.data.options import ReadOptions
from harness.data.readers import delimited
from harness.errors import DataError

BLOCK = 64
OPTIONS = ReadOptions(duplicates="last", missing=("0.25",))


def outcome(path, *, in_blocks=True, block=BLOCK):
    """Read a file, to what can be compared: content and notes, or the error."""
    with ExitStack() as patches:
        patches.enter_context(patch.object(delimited, "BLOCK_BYTES", block))
        if not in_blocks:
            patches.enter_context(
                patch.object(delimited.TextTable, "_read_blocks", lambda *_: None)
            )
        try:
            dataset = load_dataset(str(path), OPTIONS)
        except DataError as error:
            return str(error)
    ratings, minutes = dataset.ratings, dataset.watch_minutes
    return {
        "fingerprint": ratings.fingerprint(),  # codes, ids, values, rows and times
        "scale": ratings.scale,
        "notes": dataset.notes,
        "test": None if dataset.predefined_test is None else [*dataset.predefined_test],
        "minutes": None if minutes is None else minutes.tolist(),
    }


ANY_ID = st.sampled_from(
    ["007", "-0", "0x1F", "-3", "3000000000", "a", "\ufeff7", " 7", "7.0", "é", "", '"8"',
     '"two\nlines"', '5"', "split in two, "]
)  # fmt: skip
"""Besides 7: what is no number, or not written as one, needs cleaning or may be cut."""

IDS = st.integers(0, 30).map(str)
STARS = st.sampled_from(["1", "2.5", "5", "0.25"])
TIMES = st.integers(1_600_000_000, 1_600_000_009).map(str)
RARE = {
    "id": ANY_ID,
    "stars": st.sampled_from(["", "4,5", "nan", "four", " 3", "1e3"]),
    "time": st.sampled_from(["1600000000.5", "2024-05-01", "", "1600000000123"]),
    "row": st.sampled_from(["", "1,2", "1,2,3,4,5,6", "\xff", '"', "\r"]),
}


@st.composite
def files(draw):
    """Lines of ratings, of which a few, or those of a column, are out of the ordinary."""
    odd = draw(st.sets(st.sampled_from([*RARE])))
    rare = {name: st.sampled_from([False] * 15 + [name in odd]) for name in RARE}

    def cell(name, usual):
        return draw(RARE[name] if draw(rare[name]) else usual)

    lines = [
        draw(st.sampled_from(["user,item,rating,timestamp", '"u,ser",item,rating,ts']))
    ]
    for _ in range(draw(st.integers(4, 40))):
        row = (
            cell("id", IDS),
            cell("id", IDS),
            cell("stars", STARS),
            cell("time", TIMES),
        )
        lines.append(cell("row", st.just(",".join(row))))
    end = draw(st.sampled_from(["\n"] * 4 + ["\r\n", "\r", "\n\n"]))
    top = draw(st.sampled_from(["", "\ufeff", "# about\n", "sep=,\n"]))
    last = draw(st.sampled_from(["", end]))
    return (top + end.join(lines) + last).encode().replace("\xff".encode(), b"\xff")


@settings(deadline=None, max_examples=80)
@given(files())
@example(b"user,item,rating,title\n" + b'1,2,3,"a\n4,5,3,b"\n' * 9)
@example(
    # The block of 64 bytes ends within the row that begins with a mark of UTF-8.
    b"user,item,rating\n" + b"1,20,3.0\n" * 5 + b"\xef\xbb\xbf7,2,1\n" + b"1,3,2\n"
)
def test_blocks_give_what_the_whole_gives_or_the_same_error(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ratings.csv"
        path.write_bytes(content)
        assert outcome(path) == outcome(path, in_blocks=False)


def lines(n=60, *, delimiter=",", item="{}"):
    rows = (
        [k * 7 % 11, item.format(k), 1 + k % 5, 1_600_000_000 + k] for k in range(n)
    )
    return [delimiter.join(map(str, row)) for row in rows]


HEADER = "user,item,rating,timestamp"
PLAIN = {
    "header": [HEADER, *lines()],
    "a last line without end": [HEADER, *lines(), f"1,{'7' * 90},3,1600000000"],
    "header in quotation marks": ['"user","item","rating","time"', *lines()],
    "no header": lines(),
    "comment above": ["# mine", HEADER, *lines()],
    "MovieLens 10M": lines(delimiter="::"),
    "ids of text": [HEADER, *lines(item="tt{}")],
    "ids of text at the end": [HEADER, *lines(), "1,tt7,3,1600000000"],
    "ids with zeros": [HEADER, *lines(item="0{}")],
    "more columns": [f"{HEADER},watch_minutes,split"]
    + [f"{row},{k}.5,{'train' if k % 3 else 'test'}" for k, row in enumerate(lines())],
    "times that get a fraction": [HEADER, *lines(), "1,999,3,1600000000.5"],
}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("form", PLAIN)
def test_lines_are_read_in_blocks_of_any_size(write, monkeypatch, form, end):
    path = write(end.join(PLAIN[form]))
    parsed, parse = [], delimited.TextTable._parse
    monkeypatch.setattr(
        delimited.TextTable,
        "_parse",
        lambda *a, **k: parsed.append(a) or parse(*a, **k),
    )
    expected = outcome(path, block=2**20)
    assert parsed == []  # no larger than a block
    assert not isinstance(expected, str)
    for block in (200, 500):
        assert outcome(path, block=block) == expected
        assert len(parsed) >= path.stat().st_size // block
        parsed.clear()
    packed = write(gzip.compress(path.read_bytes()), "ratings.csv.gz")
    assert outcome(packed, block=200) == expected
    assert len(parsed) > 1


@pytest.mark.parametrize(
    "content",
    [
        "\n".join([HEADER, *lines(), '"1",999,2,1600000000']).encode(),
        "\r".join([HEADER, *lines()]).encode(),
        "\n".join([HEADER, *lines()]).encode("utf-16"),
    ],
    ids=["quotation marks", "no line feeds", "two bytes a character"],
)
def test_what_cannot_be_cut_at_its_lines_is_read_as_a_whole(write, content):
    path = write(content)
    assert outcome(path) == outcome(path, in_blocks=False)
    with patch.object(delimited, "BLOCK_BYTES", BLOCK):
        table = delimited.open_delimited(path)
        assert table._read_blocks({name: pa.string() for name in table.columns}) is None


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        ("1,2,3", "3"),
        ("1,2,four,1600000000", "'four'"),
        (",2,3,1600000000", "'user'"),
        ("1,2,3,never", "'never'"),
    ],
)
def test_a_mistake_in_a_late_block_is_named_with_its_line(write, row, wrong):
    error = outcome(write("\n".join([HEADER, *lines(), row, *lines(5)])))
    assert "ratings.csv, line 62" in error
    assert wrong in error


@pytest.mark.parametrize("kind", ["int8", "uint16", "int32", "int64", "uint64"])
def test_whole_numbers_of_every_type_are_ids_in_the_order_of_their_rows(tmp_path, kind):
    users = np.array([90, 3, 90, 0, 3] * 30, dtype=kind)
    frame = pd.DataFrame(
        {"user": users, "item": range(150), "rating": [1.0, 2, 3] * 50}
    )
    frame.to_parquet(tmp_path / "r.parquet")
    ratings = load_dataset(str(tmp_path / "r.parquet")).ratings
    assert list(ratings.user_ids) == ["90", "3", "0"]
    assert list(ratings.users) == [0] * 60 + [1] * 60 + [2] * 30
    assert list(ratings.item_ids) == [str(k) for k in range(150)]
    assert list(ratings.rows[60:62]) == [1, 4]
