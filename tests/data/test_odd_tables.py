"""Tables as people meet them: spoilt by spreadsheets, codes for nothing, no header."""

import random

import pytest

from harness.data.load import load_dataset
from harness.data.ratings import RatingScale
from harness.data.readers.columns import clean_id
from harness.errors import DataError

RNG = random.Random(5)
PAIRS = RNG.sample([(f"m{u:02}", f"f{i:02}") for u in range(12) for i in range(9)], 60)
STARS = [RNG.choice([1, 2, 3, 3, 4, 4, 5]) for _ in PAIRS]
WANTED = sorted((u, i, float(s)) for (u, i), s in zip(PAIRS, STARS, strict=True))


def table(row="{u},{i},{s}", header="user,item,rating"):
    lines = [row.format(u=u, i=i, s=s) for (u, i), s in zip(PAIRS, STARS, strict=True)]
    return "\n".join([*([header] if header else []), *lines]) + "\n"


def triples(dataset):
    r = dataset.ratings
    found = zip(
        r.user_ids[r.users], r.item_ids[r.items], r.values.tolist(), strict=True
    )
    return sorted(found)


def said(dataset, *words):
    return any(all(word in note for word in words) for note in dataset.notes)


@pytest.mark.parametrize(
    "encoding", ["UTF-8", "utf8", "U8", "utf-8-sig", "utf_8", None]
)
def test_a_byte_order_mark_is_no_part_of_a_name_however_the_encoding_is_spelt(
    load, encoding
):
    for header in ("user,item,rating", '"user","item","rating"'):
        text = table(header=header).encode("utf-8-sig")
        assert triples(load(text, encoding=encoding)) == WANTED


@pytest.mark.parametrize(
    "cell",
    [
        '"""{}"""',
        '="{}"',
        "'{}'",
        " {}",
        "{} ",
        ' "{}"',
        '"=""{}"""',
        "\N{NO-BREAK SPACE}{}",
    ],
)
def test_marks_around_an_id_are_removed_and_this_is_said(load, cell):
    dataset = load(table("{u}," + cell.format("{i}") + ",{s}"))
    assert triples(dataset) == WANTED
    assert said(dataset, "around 9 different ids of column 'item'", "'f0")


def test_a_quoted_cell_behind_a_blank_is_the_same_id(load):
    lines = table("{u}, {i}, {s}", "user, item, rating").splitlines()
    lines[3::2] = [
        line.replace(" f", ' "f').replace(", ", '", ').replace('",', ",", 1)
        for line in lines[3::2]
    ]
    dataset = load("\n".join(lines))
    assert triples(dataset) == WANTED
    assert dataset.ratings.n_items == 9


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ('="007"', "007"),
        ('"a b"', "a b"),
        ("'it'", "it"),
        ("don't", "don't"),
        ('"', '"'),
        ('=""', '=""'),
        ("7", "7"),
        ('5"', '5"'),
    ],
)
def test_an_id_is_written_in_one_way(text, clean):
    assert clean_id(text) == clean
    assert clean_id(clean) == clean


def test_the_separator_line_of_spreadsheets_is_understood(load):
    text = "sep=;\r\n" + table("{u};{i};{s}", "user;item;rating").replace("\n", "\r\n")
    assert triples(load(text)) == WANTED
    with pytest.raises(DataError, match="line 63, column 'rating'"):
        load(text + "m99;f99;x\r\n")


def test_rows_without_anything_are_left_out(load):
    dataset = load(table() + ",,\n,,\n")
    assert triples(dataset) == WANTED
    assert said(dataset, "2 empty rows")
    with pytest.raises(
        DataError, match="line 62, column 'user': every row needs an id"
    ):
        load(table() + ",f01,3\n,,\n")


@pytest.mark.parametrize("code", ["0", "-1", "99", "NULL", "n/a", ""])
def test_a_code_for_not_rated_is_left_out_when_it_is_named(load, code):
    text = table() + f"n1,f01,{code}\nn2,f02,{code}\n"
    dataset = load(text, missing=(code,))
    assert triples(dataset) == WANTED
    assert dataset.ratings.scale == RatingScale(1, 5)
    assert said(dataset, "2 rows left out", "--missing")


def test_places_are_those_of_the_file_after_rows_were_left_out(load):
    text = "user,item,rating\na,x,0\nb,y,3\n,,\nc,z,0\nb,z,4\nd,,2\n"
    with pytest.raises(DataError, match="line 7, column 'item'"):
        load(text, missing=("0",))


@pytest.mark.parametrize("code", ["0", "-1", "99"])
def test_a_frequent_end_apart_from_the_scale_brings_a_hint(load, code):
    more = "".join(f"n{k},f0{k % 9},{code}\n" for k in range(40))
    dataset = load(table() + more)
    assert said(dataset, f"40 % of the ratings are {code}", f"--missing {code}")


@pytest.mark.parametrize(
    "values",
    [
        [1, 1, 1, 1, 1, 2, 3, 4, 5],  # the lowest is the commonest
        [0, 1] * 10,  # like or not
        [-1, 0, 1] * 10,  # thumbs
        [1, 2, 3, 4, 5, 7, 900, 12, 5000],  # counts with a long tail
        [-10 + 0.5 * k for k in range(41)],  # both signs
    ],
)
def test_a_scale_without_a_code_brings_no_hint(load, values):
    rows = [f"u{k % 7},i{k},{value}" for k, value in enumerate(values * 7)]
    assert not said(load("user,item,rating\n" + "\n".join(rows)), "--missing")


def test_ages_in_a_fourth_column_are_no_times(load):
    dataset = load(table("{u},{i},{s},{s}3,1", header=None))
    assert triples(dataset) == WANTED
    assert dataset.ratings.timestamps is None
    assert said(dataset, "user '1', item '2', rating '3', no times")
    assert said(dataset, "['4', '5'] are not used")


def test_times_in_a_fourth_column_are_found(load):
    dataset = load(table("{u},{i},{s},16000000{s}0", header=None))
    assert (dataset.ratings.timestamps >= 1_600_000_010).all()
    assert said(dataset, "time '4'")


def test_columns_without_header_are_named_by_number(load):
    options = {"user_column": "2", "item_column": "1", "rating_column": "4"}
    dataset = load(table("{i},{u},x,{s},1", header=None), **options)
    assert triples(dataset) == WANTED
    # Those that are not named are taken in order from what is left.
    moved = load(table("{i},{u},{s}", header=None), user_column="2", item_column="1")
    assert triples(moved) == WANTED
    with pytest.raises(DataError, match="by their numbers, 1 to 3"):
        load(table(header=None), user_column="4")
    with pytest.raises(DataError, match="named twice"):
        load(table(header=None), user_column="1", item_column="1")


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("corner", ["user", "", "who"])
def test_a_matrix_is_told(load, header, corner):
    rows = [
        f"m{k}," + ",".join(str((k * j) % 5 + 1) for j in range(2, 20))
        for k in range(8)
    ]
    titles = [f"{corner}," + ",".join(map(str, range(1, 19)))]
    with pytest.raises(DataError, match="matrix of users and titles"):
        load("\n".join([*(titles if header else []), *rows]))


@pytest.mark.parametrize("gap", ["", "NA", "n/a", "-", "?"])
def test_a_matrix_with_gaps_and_titles_is_told(load, gap):
    text = "userId,Alien,Heat,Up,Jaws,Big\n" + "".join(
        f"u{k},{k % 5 + 1},{gap},3,{gap},{k % 3 + 1}\n" for k in range(9)
    )
    with pytest.raises(DataError, match="matrix of users and titles"):
        load(text)


def test_words_above_numbers_are_a_header_also_in_the_third_column(load):
    names = {"user_column": "who", "item_column": "what", "rating_column": "liked"}
    assert triples(load(table(header="who,what,liked"), **names)) == WANTED


def test_blanks_separate_where_nothing_else_does(load):
    assert triples(load(table("{u} {i} {s}", header=None))) == WANTED
    assert triples(load(table("{u} {i} {s}", "user item rating"))) == WANTED


def test_without_times_the_latest_is_the_last_in_the_file_and_this_is_said(load_rows):
    rows = ["a,x,1,?", "b,x,2,?", "a,x,5,?", "a,y,4,?"]
    dataset = load_rows(*rows, duplicates="last", timestamp_column="none")
    assert list(dataset.ratings.values) == [2, 5, 4]
    assert said(dataset, "last in the file")


def test_parts_put_together_are_told(write):
    write("user,item,rating\na,x,3\nb,x,4\n", "split/train.csv")
    folder = write("user,item,rating\na,z,5\n", "split/test.csv").parent
    assert said(
        load_dataset(str(folder)), "train.csv and test.csv", "--split predefined"
    )
    column = "user,item,rating,split\nb,y,3,test\na,x,4,train\nb,x,5,train\n"
    assert said(load_dataset(str(write(column))), "'split'", "--split predefined")


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ((0, float("inf")), RatingScale(0, 5)),
        ((float("-inf"), 10), RatingScale(1, 10)),
        ((float("-inf"), float("inf")), RatingScale(1, 5)),
    ],
)
def test_an_open_end_of_the_scale_is_that_of_the_values(load, given, taken):
    dataset = load(table(), scale=given)
    assert dataset.ratings.scale == taken
    assert said(dataset, "open end", f"{taken.low:g} to {taken.high:g}")


def test_ratings_outside_a_half_open_scale_are_refused(load):
    with pytest.raises(DataError, match="from 2 to 5, but got 1"):
        load(table(), scale=(2, float("inf")))


def test_a_name_that_is_no_path_is_looked_for_where_downloads_go(
    write, tmp_path, monkeypatch
):
    write(table(), "harness-data/mine/ratings.csv")
    monkeypatch.chdir(tmp_path)
    assert triples(load_dataset("mine")) == WANTED


@pytest.mark.parametrize("mark", ["#", "%", "# "])
def test_comments_at_the_top_are_skipped_and_a_header_may_be_one(load, mark):
    comment = f"{mark}made by a program\n{mark}in 2020\n"
    assert triples(load(comment + table())) == WANTED
    assert triples(load(comment + table(header=None))) == WANTED
    assert triples(load(f"{mark}user,item,rating\n" + table(header=None))) == WANTED
    with pytest.raises(DataError, match="line 64, column 'rating'"):
        load(comment + table() + "m99,f99,x\n")


def test_what_stands_in_brackets_belongs_to_no_name(load):
    assert triples(load(table(header="User ID,Item (code),Rating (1-5)"))) == WANTED


def test_ids_that_differ_in_capital_letters_only_are_told(load):
    text = table() + "m00,F01,3\nm01,F01,4\n"
    dataset = load(text)
    assert dataset.ratings.n_items == 10
    assert said(dataset, "1 id of column 'item'", "'F01' and 'f01'")


def test_lines_quoted_as_a_whole_are_told(load):
    text = "".join(f'"{line}"\n' for line in table().splitlines())
    with pytest.raises(DataError, match="each line is quoted as a whole"):
        load(text)


def test_aligned_columns_are_told(load):
    with pytest.raises(DataError, match="aligned with blanks"):
        load(table("{u}   {i}   {s}", "user  item  rating"))
