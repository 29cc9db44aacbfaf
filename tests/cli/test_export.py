"""``harness export``: split, predictions and errors, for other tools."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.data.load import load_dataset
from harness.errors import StudyError
from harness.evaluation.splits import split_off_test
from harness.experiment.store import read_experiment
from harness.objects import Experiment
from tests.experiment.records import make_record
from tests.serving.promotion_workspace import copy


@pytest.fixture
def export(tmp_path, monkeypatch, judged_template):
    copy(judged_template, tmp_path)
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(app, ["export", *args])


def test_split_and_errors_are_those_that_were_judged(export):
    before = n_openings()
    result = export("good", "--folder", "out", "--format", "parquet")
    assert result.exit_code == 0, result.output
    record = read_experiment("optuna.log", "good")
    assert n_openings() == before + 1
    assert f"opening {before + 1} of this test set" in result.stdout
    split = split_off_test(load_dataset("ratings.csv"), test_share=0.2, seed=7)
    for part, ratings in (("train", split.train), ("test", split.test.open())):
        frame = pd.read_parquet(f"out/split/{part}.parquet")
        assert frame["user_id"].tolist() == ratings.user_ids[ratings.users].tolist()
        assert frame["item_id"].tolist() == ratings.item_ids[ratings.items].tolist()
        assert frame["rating"].tolist() == ratings.values.tolist()
    about = json.loads(Path("out/export.json").read_text())
    assert about["split"]["fingerprint"] == record.split.fingerprint
    assert about["opening"] == before + 1
    errors = pd.read_parquet("out/user_errors.parquet")
    for told in about["models"]:
        assert told["rmse"] == told["judged_rmse"]
        assert f"{told['rmse']:.6f}  as in the report" in result.stdout
        # Squares of the users' errors, weighted by their ratings, add up to the whole.
        own = errors[errors["model"] == told["model"]]
        pooled = (own["rmse"] ** 2 * own["n_test"]).sum() / own["n_test"].sum()
        assert pooled**0.5 == pytest.approx(told["rmse"], abs=1e-9)
    assert own["n_train"].sum() <= len(split.train)


def n_openings():
    return read_experiment("optuna.log", "good").openings.number


def test_nothing_is_written_over_or_left_half(export, tmp_path):
    before = n_openings()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    result = export("good", "--folder", "out")
    assert result.exit_code == 2
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]
    (tmp_path / "ratings.csv").write_text("user,item,rating\na,b,1\nc,d,2\n")
    result = export("good", "--folder", "other")
    assert result.exit_code == 2
    assert "fingerprint" in result.output
    assert not (tmp_path / "other").exists()
    # Nothing was opened: neither folder nor data could be used.
    assert n_openings() == before


def test_a_sealed_test_set_stays_sealed(tmp_path):
    sealed = Experiment(results=make_record(opened=False), storage="unused")
    with pytest.raises(StudyError, match="sealed"):
        sealed.export(tmp_path / "out")
    assert not (tmp_path / "out").exists()
