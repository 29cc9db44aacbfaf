import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.data.load import load_dataset

COLUMNS = (
    "show_id,type,title,director,cast,country,date_added,release_year,rating,duration,"
    "listed_in,description"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A MovieLens folder of three films, and two catalogues that hold two of them."""
    monkeypatch.chdir(tmp_path)
    films = tmp_path / "films"
    films.mkdir()
    (films / "movies.csv").write_text(
        "movieId,title,genres\n"
        '1,"Matrix, The (1999)",Action|Sci-Fi\n'
        "2,Heat (1995),Crime\n"
        "3,Unknown Film (2001),Drama\n"
    )
    ratings = ["1,1,5", "1,2,3.5", "1,3,1", "2,1,4", "2,2,0.5"]
    (films / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n"
        + "".join(f"{row},96498000{n}\n" for n, row in enumerate(ratings))
    )
    matrix = (
        "Movie,The Matrix,Lana Wachowski,Keanu Reeves,,,1999,R,136 min,Action,Wake up."
    )
    (tmp_path / "netflix_titles.csv").write_text(f"{COLUMNS}\ns1,{matrix}\n")
    heat = "Movie,Heat,Michael Mann,Al Pacino,,,1995,R,170 min,Suspense,A heist."
    (tmp_path / "other.csv").write_text(f"{COLUMNS}\ns1,{heat}\ns2,{matrix}\n")
    return tmp_path


def link(*arguments):
    return CliRunner().invoke(app, ["data", "link", *arguments])


CATALOGUES = ("--catalogue", "netflix_titles.csv", "--catalogue", "AMAZON=other.csv")


@pytest.mark.usefixtures("folder")
def test_what_is_linked_is_counted_and_loads_again():
    result = link("--data", "films", *CATALOGUES, "--out", "linked")
    assert result.exit_code == 0, result.output
    assert "2 rated titles linked" in result.stdout
    assert "4 of 5 ratings (80.0 %)" in result.stdout
    assert "Not linked: 1 title not in the catalogue, 0 ambiguous" in result.stdout
    assert "2 titles, 4 ratings by 2 users, mean 3.250" in result.stdout
    assert result.stdout.endswith("Next: harness study svd --data linked\n")
    frame = load_dataset("linked").catalogue.frame
    assert frame["director"].tolist() == ["Lana Wachowski", "Michael Mann"]
    assert frame["source"].tolist() == ["NETFLIX, AMAZON", "AMAZON"]


def test_the_links_are_written_for_a_person_to_check(folder):
    link("--data", "films", *CATALOGUES, "--out", "linked")
    lines = (folder / "linked" / "links.csv").read_text().splitlines()
    assert lines[0].startswith("item_id,title,release_year,catalogue_title")
    assert lines[1:] == [
        '1,"Matrix, The",1999,The Matrix,1999,"NFX_0, AMZ_1",exact,True,2',
        "2,Heat,1995,Heat,1995,AMZ_0,exact,True,2",
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--data", "nowhere", *CATALOGUES), "'nowhere'"),
        (("--data", "films", "--catalogue", "other.csv"), "must tell the platform"),
        (("--data", "films", "--catalogue", "netflix_titles.csv"), "at least two"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(folder, arguments, sentence):
    before = sorted(folder.iterdir())
    result = link(*arguments, "--out", "linked")
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(folder.iterdir()) == before


@pytest.mark.usefixtures("folder")
def test_a_catalogue_must_be_named():
    result = link("--data", "films", "--out", "linked")
    assert result.exit_code == 2
    assert "--catalogue" in result.stderr
