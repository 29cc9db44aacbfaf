"""``harness families`` with plug-ins of others."""

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.models import families

PLUG_INS = {
    "no_class": "def make():\n    pass\n",
    "no_recommender": "class make:\n    pass\n",
    "broken": "raise RuntimeError('no licence')\n",
    "empty": "",
}


@pytest.fixture(params=PLUG_INS)
def plug_in(request, tmp_path, monkeypatch):
    """A plug-in that is no family, installed."""
    name = request.param
    (tmp_path / f"{name}_plug_in.py").write_text(PLUG_INS[name])
    info = tmp_path / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        f"[{families.GROUP}]\n{name} = {name}_plug_in:make\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_plug_in_that_is_no_family_is_one_line_among_the_others(plug_in):
    result = CliRunner().invoke(app, ["families"])
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert f"{plug_in}_plug_in:make" in lines[plug_in]
    assert {"baseline", "cf", "svd"} <= set(lines)


def test_a_plug_in_that_is_no_family_cannot_be_tuned(plug_in, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["study", plug_in, "--trials", "1"])
    assert result.exit_code == 2
    assert not result.output.count("Traceback")


def test_families_stand_in_two_aligned_columns_of_plain_text():
    lines = CliRunner().invoke(app, ["families"]).stdout.splitlines()
    starts = {len(line) - len(line.split(maxsplit=1)[1]) for line in lines}
    assert len(starts) == 1
    assert not any("]_" in line for line in lines)
