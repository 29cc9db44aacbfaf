"""Catalogues of books and the like: which column is what, and which ids meet."""

import gzip

import pandas as pd
import pytest

from harness.errors import DataError

RATINGS = "user,isbn,rating\n" + "".join(
    f"u{k % 5},{k % 6 + 1:010},{k % 4 + 1}\n" for k in range(0, 30, 1)
)
RATINGS = "\n".join(dict.fromkeys(RATINGS.splitlines())) + "\n"


@pytest.fixture
def with_titles(load, write):
    def load_both(catalogue, ratings=RATINGS, **options):
        path = write(catalogue, "books.csv")
        return load(ratings, catalogue=(str(path),), **options)

    return load_both


def said(dataset, *words):
    return any(all(word in note for word in words) for note in dataset.notes)


def catalogue(header, row, ids=range(1, 7)):
    return header + "\n" + "".join(row.format(id=f"{k:010}", k=k) + "\n" for k in ids)


def test_a_column_called_as_the_ratings_column_of_items_holds_the_ids(with_titles):
    ratings = RATINGS.replace("isbn", "code")
    text = catalogue("id,code,title", "{k},{id},Book {k}")
    dataset = with_titles(text, ratings, item_column="code")
    assert dataset.catalogue.frame["title"].notna().all()


def test_columns_can_be_said(with_titles):
    text = catalogue("nr,head,who,blurb", "{id},Book {k},Ann Author;Bo Writer,Text {k}")
    columns = ("id=nr", "title=head", "people=who", "text=blurb")
    frame = with_titles(text, catalogue_column=columns).catalogue.frame
    assert sorted(frame["title"]) == [f"Book {k}" for k in range(1, 7)]
    assert set(frame["cast"]) == {"Ann Author, Bo Writer"}
    assert min(frame["description"]) == "Text 1"


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("people", "NAME=COLUMN"),
        ("peopel=who", "Did you mean 'people'"),
        ("people=whoo", "no column named 'whoo'.* 'who'"),
    ],
)
def test_a_mistake_in_a_column_is_one_sentence(with_titles, column, message):
    text = catalogue("isbn,title,who", "{id},Book {k},Ann")
    with pytest.raises(DataError, match=message):
        with_titles(text, catalogue_column=(column,))


@pytest.mark.parametrize("cell", ['="{id}"', '"""{id}"""', " {id} ", "'{id}'"])
def test_ids_meet_however_they_are_marked(with_titles, cell):
    dataset = with_titles(catalogue("isbn,title", cell + ",Book {k}"))
    assert dataset.ratings.n_items == 6
    assert not said(dataset, "the catalogue knows")
    marked = RATINGS.replace(",0", ',="0').replace(",", ",", 1)
    marked = "\n".join(
        line
        if line.startswith("user")
        else line[: line.rindex(",")] + '"' + line[line.rindex(",") :]
        for line in marked.splitlines()
    )
    again = with_titles(catalogue("isbn,title", cell + ",Book {k}"), marked)
    assert sorted(again.ratings.item_ids) == sorted(dataset.ratings.item_ids)


def test_ids_of_a_catalogue_that_became_floats_are_whole_numbers_again(with_titles):
    ratings = RATINGS.replace(",000000000", ",")
    dataset = with_titles(catalogue("isbn,title", "{k}.0,Book {k}"), ratings)
    assert not said(dataset, "the catalogue knows")


def test_how_many_rated_titles_are_known_is_said_with_two_examples(with_titles):
    text = catalogue("isbn,title", "{id},Book {k}", ids=range(1, 4))
    dataset = with_titles(text)
    unknown = ("'0000000004'", "'0000000005'")
    assert said(dataset, "knows 3 of 6 rated titles", *unknown)
    assert not said(dataset, "leading zeros")


def test_lost_zeros_are_suspected(with_titles):
    text = catalogue("isbn,title", "{id},Book {k}", ids=range(1, 4))
    text += "4,Book 4\n5,Book 5\n"
    assert said(with_titles(text), "knows 3 of 6", "leading zeros 2 more")


def test_an_unknown_catalogue_names_its_own_column_and_an_id(with_titles):
    text = catalogue("ISBN,title", "x{id},Book {k}")
    with pytest.raises(DataError, match=r"\['ISBN'\].*'x0000000001'") as caught:
        with_titles(text)
    assert "unique_id" not in str(caught.value)


def test_what_stands_for_no_genre_is_no_genre(with_titles):
    genres = ["(no genres listed)", "Drama|Comedy", "unknown", r"\N", "N/A|Crime", ""]
    text = "isbn,title,genres\n" + "".join(
        f"{k:010},Book {k},{genre}\n" for k, genre in enumerate(genres, 1)
    )
    frame = with_titles(text).catalogue.frame.sort_values("title")
    found = frame["listed_in"].fillna("-").tolist()
    assert found == ["-", "Drama, Comedy", "-", "-", "Crime", "-"]


def test_a_note_never_lists_hundreds_of_values(with_titles):
    columns = ",".join(f"extra{k}" for k in range(600))
    text = catalogue(
        f"isbn,title,rating,{columns}", "{id},Book {k},odd{k}," + "," * 599
    )
    assert max(map(len, with_titles(text).notes)) < 500


def test_a_catalogue_may_be_any_kind_of_file(load, write, tmp_path):
    frame = pd.DataFrame(
        {
            "isbn": [f"{k:010}" for k in range(1, 7)],
            "title": [f"Book {k}" for k in range(1, 7)],
            "genres": [["Drama", "Crime"], ["Drama"], [], None, ["N/A"], ["Crime"]],
            "year": [1999.0, None, 2001, 2002, 2003, 2004],
        }
    )
    frame.to_parquet(tmp_path / "books.parquet")
    write(frame.to_json(orient="records", lines=True), "books.json")
    write(gzip.compress(frame.to_csv(index=False).encode()), "books.csv.gz")
    for name in ("books.parquet", "books.json"):
        dataset = load(RATINGS, catalogue=(str(tmp_path / name),))
        found = dataset.catalogue.frame.sort_values("title")
        genres = found["listed_in"].fillna("-").tolist()
        assert genres == ["Drama, Crime", "Drama", "-", "-", "-", "Crime"]
        assert found["release_year"].fillna(0).tolist() == [
            1999,
            0,
            2001,
            2002,
            2003,
            2004,
        ]
    packed = load(RATINGS, catalogue=(str(tmp_path / "books.csv.gz"),))
    assert packed.catalogue.frame["title"].notna().all()
