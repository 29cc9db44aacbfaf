"""``harness compare`` with several experiments; of one see `test_run`."""

import re

import matplotlib.image
import pytest
from typer.testing import CliRunner

import harness
from harness.cli import app
from harness.errors import UnknownNameError
from harness.report.figures.ranks import draw_ranks
from tests.experiment.records import on_data_sets
from tests.experiment.scores import TUNED


@pytest.fixture
def invoke(monkeypatch, tmp_path):
    """The command, in a storage that has judged experiments on three data sets."""
    records = on_data_sets(dict.fromkeys(("films", "books", "music"), TUNED))

    def read_named(_, name):
        if name not in records:
            raise UnknownNameError("study or experiment", name, records)
        return records[name]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harness.api.read_named", read_named)
    return lambda *args: CliRunner().invoke(app, ["compare", *args])


@pytest.mark.parametrize("width", [60, 100])
def test_several_experiments_are_laid_side_by_side(invoke, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    result = invoke("films", "books", "music")
    assert result.exit_code == 0, result.output
    # svd: 0.572 of 0.66; first on all three.
    assert re.search(r"^svd +1\.00( +86\.67){4}$", result.output, re.MULTILINE)
    assert re.search(r"^svd +hybrid( +\d){4}$", result.output, re.MULTILINE)
    assert "description, not proof" in result.output


def test_the_figure_is_drawn_into_a_file(invoke, tmp_path):
    result = invoke("films", "books", "--figure", "ranks.png")
    assert result.exit_code == 0, result.output
    assert "ranks.png" in result.output
    assert matplotlib.image.imread(tmp_path / "ranks.png").std() > 0.05


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("films", "nope"), "'nope'"),
        (("films", "films"), "films is named twice"),
        (("films", "books", "--figure", "ranks.pdf"), "ranks.pdf"),
        (("films", "books", "--figure", "no/ranks.png"), "no/ranks.png"),
        (("films", "--figure", "ranks.png"), "two or more"),
    ],
)
def test_what_cannot_be_compared_gets_one_sentence(invoke, args, said, tmp_path):
    result = invoke(*args)
    assert result.exit_code == 2
    assert said in result.output
    assert len(result.output.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("invoke")
def test_the_front_door_gives_table_ranks_and_figure():
    found = harness.compare("films", "books")
    frame = found.to_frame()
    assert frame.groupby("experiment", sort=False).ngroups == 2
    assert "svd" in str(found)
    assert found.across.comparison.leaders == ("svd",)
    assert found.figure()._repr_png_().startswith(b"\x89PNG")


@pytest.mark.usefixtures("invoke")
def test_the_figure_names_the_measure_that_families_are_ranked_by(
    monkeypatch, tmp_path
):
    drawn = "harness.report.figures.ranks.save_figure"
    monkeypatch.setattr(drawn, lambda figure, _: figure.get_suptitle())
    found = harness.compare("films", "books").across.comparison
    title = draw_ranks(found, tmp_path, measure="NDCG@10")
    assert title.startswith("Mean rank of NDCG@10 over 2 data sets")
