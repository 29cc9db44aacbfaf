"""``harness trials``: one table, in four forms."""

import csv
import io
import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.objects import Experiment
from harness.search.storage import read_study
from tests.experiment.records import make_record
from tests.serving.promotion_workspace import copy


@pytest.fixture
def trials(tmp_path, monkeypatch, judged_template):
    copy(judged_template, tmp_path)
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(app, ["trials", *args])


def test_all_forms_have_what_the_storage_has(trials):
    kept = read_study("optuna.log", "good").trials
    of_csv = list(csv.DictReader(io.StringIO(trials("good", "--format", "csv").stdout)))
    of_json = json.loads(trials("good", "--format", "json").stdout)
    parquet = trials("good", "--format", "parquet").stdout_bytes
    of_parquet = pd.read_parquet(io.BytesIO(parquet)).to_dict("records")
    assert len(kept) == len(of_csv) == len(of_json) == len(of_parquet) == 2
    for trial, *told in zip(kept, of_csv, of_json, of_parquet, strict=True):
        for each in told:
            assert int(each["number"]) == trial.number
            assert each["state"] == trial.state
            assert float(each["value"]) == trial.value
            assert float(each["mae"]) == trial.metrics["mae"]
            for name, value in trial.params.items():
                assert type(value)(each[f"param_{name}"]) == value
            assert pd.Timestamp(each["ended"]) == trial.ended


def test_the_table_fits_the_terminal(trials, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    result = trials("good")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 40
    best = read_study("optuna.log", "good").best
    assert f"{best.value:.4f}" in result.stdout


def test_each_family_has_a_table_of_its_own(monkeypatch):
    done = Experiment(results=make_record(), storage="unused")
    monkeypatch.setattr("harness.api.load", lambda *_: done)
    lines = CliRunner().invoke(app, ["trials", "published"]).stdout.splitlines()
    heads = {
        family: lines[lines.index(family) + 1].split()
        for family in done.results.studies
    }
    assert "user_based" in heads["cf"]
    assert "user_based" not in heads["svd"]
    assert "n_factors" in heads["svd"]


def test_hyperparameters_of_several_families_keep_their_types():
    record = make_record()
    frame = Experiment(results=record, storage="unused").trials
    assert set(frame["family"]) == set(record.studies)
    for candidate, study in record.studies.items():
        rows = frame[frame["family"] == candidate]
        for name, value in study.best.params.items():
            [told] = rows.loc[rows["number"] == study.best.number, f"param_{name}"]
            assert told == value
            assert str(told) == str(value)


def test_an_unknown_name_is_one_sentence(trials):
    result = trials("goood")
    assert result.exit_code == 2
    assert "'good'" in result.output
    assert len(result.output.splitlines()) == 1
