"""``harness data describe`` prints the tables and writes the report."""

from typer.testing import CliRunner

from harness.cli import app


def run(*arguments):
    return CliRunner().invoke(app, ["data", "describe", *map(str, arguments)])


def test_the_embedded_data_are_described_beside_the_published_figures(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = run()
    assert result.exit_code == 0, result.output
    assert "simulated" in result.output
    assert "primary genre affinity" in result.output
    assert "published" in result.output
    assert "years since its release" in result.output
    assert (tmp_path / "reports" / "data-ott" / "describe.md").is_file()


def test_own_ratings_are_described_where_the_user_wants(tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("user,item,rating\na,x,1\na,y,5\nb,x,3\n")
    out = tmp_path / "here"
    result = run("--data", table, "--out", out)
    assert result.exit_code == 0, result.output
    assert "simulated" not in result.output
    assert sorted(p.name for p in out.iterdir()) == [
        "describe.md",
        "long-tail.png",
        "ratings.png",
    ]


def test_data_that_are_not_there_are_one_sentence_and_nothing_is_written(tmp_path):
    out = tmp_path / "here"
    result = run("--data", tmp_path / "nothing", "--out", out)
    assert result.exit_code == 2
    assert "nothing" in result.output
    assert "Traceback" not in result.output
    assert not out.exists()
