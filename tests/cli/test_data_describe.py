"""``harness data describe`` prints the tables and writes the report."""

import subprocess
import sys

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


def test_own_data_are_compared_with_the_publication_on_request_only(tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("user,item,rating\na,x,1\na,y,5\nb,x,3\n")
    out = ("--out", tmp_path / "here")
    assert "published" not in run("--data", table, *out).output
    assert "published" in run("--data", table, "--published", *out).output


def test_the_report_is_written_when_nobody_reads_all_the_output(tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("user,item,rating\na,x,1\na,y,5\nb,x,3\n")
    command = [
        sys.executable, "-c", "from harness.cli import main; main()", "data", "describe",
        "--data", str(table), "--out", str(tmp_path / "here"),
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        process.stdout.close()  # as `head` does
        assert b"Traceback" not in process.stderr.read()
    assert (tmp_path / "here" / "describe.md").is_file()


def test_data_that_are_not_there_are_one_sentence_and_nothing_is_written(tmp_path):
    out = tmp_path / "here"
    result = run("--data", tmp_path / "nothing", "--out", out)
    assert result.exit_code == 2
    assert "nothing" in result.output
    assert "Traceback" not in result.output
    assert not out.exists()
