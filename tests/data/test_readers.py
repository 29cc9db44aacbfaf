"""Every reader recognises its sources by their content, whatever they are called."""

import gzip
import io
import json
import tarfile
import zipfile

import pandas as pd
import pytest

from harness.data.load import load_dataset
from harness.data.options import ReadOptions
from harness.data.readers import READERS
from harness.errors import DataError

ROWS = [
    ("b", "y", 3, 1_600_000_010),
    ("a", "x", 4, 1_600_000_020),
    ("b", "x", 5, 1_600_000_030),
    ("a", "y", 2, 1_600_000_040),
]
NAMES = ("user", "item", "rating", "timestamp")
FRAME = pd.DataFrame(ROWS, columns=NAMES)
CSV = FRAME.to_csv(index=False)


def packed(write, **options):
    buffer = io.BytesIO()
    write(buffer, **options)
    return buffer.getvalue()


def json_lines():
    return "".join(
        json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in ROWS
    )


FILES = {
    "parquet": packed(FRAME.to_parquet),
    "arrow": packed(FRAME.to_feather),
    "json": json_lines().encode(),
    "text": CSV.encode(),
}
FOLDERS = {
    "MovieLens folder": {
        "ratings.csv": CSV,
        "movies.csv": "movieId,title,genres\nx,X (1999),Drama\ny,Y (1999),Drama\n",
    },
    "folder of train and test": {
        "train.csv": "".join(CSV.splitlines(keepends=True)[:3]),
        "test.csv": "".join(
            CSV.splitlines(keepends=True)[:1] + CSV.splitlines(keepends=True)[3:]
        ),
    },
    "folder of one table": {"whatever.csv": CSV},
}
EXAMPLES = {**FILES, **FOLDERS}


@pytest.fixture(params=READERS, ids=lambda reader: reader.name)
def reader(request):
    return request.param


@pytest.fixture
def source(reader, write, tmp_path):
    """A source of this reader, of a name that says nothing."""
    example = EXAMPLES[reader.name]  # whoever adds a reader adds an example here
    if isinstance(example, bytes):
        return write(example, "named.by-nobody")
    for name, text in example.items():
        write(text, f"folder/{name}")
    return tmp_path / "folder"


def columns_of(dataset):
    r = dataset.ratings
    table = zip(
        r.user_ids[r.users], r.item_ids[r.items], r.values, r.timestamps, strict=True
    )
    return sorted(table)


def test_the_content_decides_which_reader_reads(reader, source):
    assert next(each for each in READERS if each.recognises(source)) is reader


def test_all_readers_find_the_same_ratings(source):
    assert columns_of(load_dataset(str(source))) == sorted(ROWS)


def test_what_the_columns_were_taken_for_is_said_in_one_line(source):
    notes = load_dataset(str(source)).notes
    assert any("user 'user', item 'item', rating 'rating'" in note for note in notes)


def test_options_reach_every_reader(source):
    dataset = load_dataset(str(source), ReadOptions(missing=("3",), scale=(0, 10)))
    assert columns_of(dataset) == sorted(ROWS[1:])
    assert dataset.ratings.scale.high == 10


def test_a_column_that_is_not_there_is_one_short_sentence(source):
    with pytest.raises(DataError, match="no column named 'usr'") as caught:
        load_dataset(str(source), ReadOptions(user_column="usr"))
    assert len(str(caught.value)) < 1000


def zipped(content, name="inner.csv"):
    def write(buffer):
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(name, content)
            archive.writestr("__MACOSX/._inner.csv", b"rubbish")

    return packed(write)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize(
    "pack", [gzip.compress, zipped, lambda b: zipped(gzip.compress(b))]
)
def test_files_may_be_packed_whatever_their_name(write, kind, pack):
    for name in ("r", "r.csv", "R.CSV.GZ", "r.PARQUET", "r.csv.zip"):
        path = write(pack(FILES[kind]), name)
        assert columns_of(load_dataset(str(path))) == sorted(ROWS)


@pytest.mark.parametrize("name", ["R.PARQUET", "r.pq", "r.csv", "r"])
@pytest.mark.parametrize("kind", FILES)
def test_first_bytes_decide_not_the_ending(write, kind, name):
    assert columns_of(load_dataset(str(write(FILES[kind], name)))) == sorted(ROWS)


def test_an_archive_of_several_files_is_told(write):
    def two(buffer):
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("a.csv", CSV)
            archive.writestr("b.csv", CSV)

    with pytest.raises(DataError, match=r"archive of 2 files \['a.csv', 'b.csv'\]"):
        load_dataset(str(write(packed(two), "r.csv")))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"SQLite format 3\x00" + bytes(100), "SQLite"),
        (b"%PDF-1.7\n", "PDF"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS"),
        (b"\xd0\xcf\x11\xe0" + bytes(100), "Excel"),
    ],
)
def test_what_is_no_table_is_named(write, content, what):
    with pytest.raises(DataError, match=what):
        load_dataset(str(write(content, "ratings.csv")))


def test_a_spreadsheet_is_named(write):
    content = zipped("<x/>", "[Content_Types].xml")
    with pytest.raises(DataError, match=r"spreadsheet \(\.xlsx\)"):
        load_dataset(str(write(content, "ratings.csv")))


def test_json_may_be_one_array(write):
    rows = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
    for indent in (None, 2):
        path = write(json.dumps(rows, indent=indent), "r.json")
        assert columns_of(load_dataset(str(path))) == sorted(ROWS)


def test_a_broken_line_of_json_is_named(write):
    lines = json_lines().splitlines()
    lines[1] = lines[1][:-5]
    with pytest.raises(DataError, match=r"r\.json, line 2: each line must be a JSON"):
        load_dataset(str(write("\n".join(lines), "r.json")))
    lines[1] = '{"user": "a", "item": "x", "rating": "good", "timestamp": 1600000020}'
    with pytest.raises(DataError, match=r"r\.json, line 2, column 'rating': .* 'good'"):
        load_dataset(str(write("\n".join(lines), "r.json")))


def test_five_thousand_columns_make_no_long_message(write):
    header = ",".join(f"c{k}" for k in range(5000))
    row = ",".join("word" for _ in range(5000))
    path = write(f"{header}\n{row}\n")
    for options in (
        ReadOptions(),
        ReadOptions(user_column="x"),
        ReadOptions(predefined="y"),
    ):
        with pytest.raises(DataError) as caught:
            load_dataset(str(path), options)
        assert len(str(caught.value)) < 1500


def test_json_may_hold_columns(write):
    as_lists = {name: FRAME[name].tolist() for name in NAMES}
    for text in (
        json.dumps(as_lists),
        FRAME.to_json(),
        FRAME.to_json(orient="records"),
    ):
        assert columns_of(load_dataset(str(write(text, "r.json")))) == sorted(ROWS)


def test_nested_values_are_no_ids(write):
    rows = [{"user": [1], "item": {"id": k}, "rating": k} for k in range(3)]
    with pytest.raises(DataError, match="entry 1, column 'user': ids must be text"):
        load_dataset(str(write(json.dumps(rows), "r.json")))


def test_a_tar_archive_is_told(write):
    def write_tar(buffer):
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            member = tarfile.TarInfo("ratings.csv")
            member.size = len(CSV)
            archive.addfile(member, io.BytesIO(CSV.encode()))

    with pytest.raises(DataError, match="tar archive"):
        load_dataset(str(write(packed(write_tar), "r.tar.gz")))
