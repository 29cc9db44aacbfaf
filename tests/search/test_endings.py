"""Why a search ends, and names that are not known."""

import sqlite3
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
import scipy.stats  # noqa: F401 - when it is imported, SciPy asks "torch" for its Tensor
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import (
    MissingExtraError,
    SpaceError,
    StudyError,
    TrackingError,
    UnknownNameError,
)
from harness.search import samplers
from harness.search.records import why_exhausted
from harness.search.storage import open_storage, owner_of_tables
from harness.tracking.location import locate
from harness.tracking.store import check_database, create_database, require_apart

STEPS = """
family = "shifted"
[parameters]
shift = { type = "float", low = -1, high = 1, step = 0.5 }
"""
FIXED = """
family = "shifted"
[parameters]
shift = { type = "fixed", value = 0.5 }
"""
EPOCHS = """
family = "descending"
[parameters]
n_epochs = { type = "epochs", high = 20, patience = 3 }
"""


def test_an_exhausted_grid_says_so(plan_of, run):
    record = run(plan_of(text=STEPS, sampler="grid"), 4)
    assert why_exhausted(record) is None
    record = run(plan_of(text=STEPS, sampler="grid"), 100)
    assert len(record.trials) == 6
    assert "5 points" in why_exhausted(record)
    assert len(run(plan_of(text=STEPS, sampler="grid"), 200).trials) == 6


def test_points_of_a_grid_that_fail_are_not_tried_again(plan_of, run, shifted):
    text = (
        STEPS + 'fail_above = { type = "fixed", value = 0.2 }\n[initial]\nshift = 0.0\n'
    )
    record = run(plan_of(shifted, text, sampler="grid", pruner="none"), 100)
    assert len(record.trials) == 6
    failed = [t for t in record.trials if t.state == "failed"]
    assert {t.params["shift"] for t in failed} == {0.5, 1.0}


def test_a_grid_that_is_too_large_is_refused(plan_of, run):
    text = STEPS.replace("0.5", "0.0005")
    text += 'fail_above = { type = "float", low = 8, high = 10, step = 0.0005 }\n'
    with pytest.raises(SpaceError, match="16,008,001"):
        run(plan_of(text=text, sampler="grid"), 1)


def test_a_family_without_parameters_says_so(plan_of, run):
    record = run(plan_of(text=FIXED), 20)
    assert len(record.trials) == 1
    assert "no hyperparameters" in why_exhausted(record)


def test_a_family_with_nothing_but_epochs_says_so(plan_of, run, descending):
    record = run(plan_of(descending, EPOCHS), 20)
    assert len(record.trials) == 2
    assert "epochs" in why_exhausted(record)


def test_a_search_that_goes_on_says_nothing(plan_of, run):
    assert why_exhausted(run(plan_of(), 3)) is None


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("bayes", "'gp' or 'tpe'"),
        ("Sobol", "'qmc'"),
        ("cma-es", "'cmaes'"),
        ("rand", "'random'"),
    ],
)
def test_other_names_of_samplers_lead_to_ours(plan_of, run, name, meant):
    with pytest.raises(UnknownNameError, match=rf"Did you mean {meant}\?"):
        run(plan_of(sampler=name), 1)


@pytest.mark.parametrize(
    ("sampler", "absent"),
    [("gp", "torch"), ("auto", "torch"), ("auto", "optunahub"), ("cmaes", "cmaes")],
)
def test_a_sampler_without_its_library_says_what_to_install(
    plan_of, run, monkeypatch, sampler, absent
):
    samplers._auto_sampler.cache_clear()
    for name in {"torch", "optunahub"} - {absent}:
        stand_in = ModuleType(name)
        stand_in.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, stand_in)
    monkeypatch.setitem(sys.modules, absent, None)
    plan = plan_of(sampler=sampler)
    with pytest.raises(MissingExtraError, match=absent) as refused:
        run(plan, 1)
    assert f"recommender-harness[{sampler}]" in str(refused.value)
    assert not Path(plan.storage).exists()


def test_a_hub_out_of_reach_is_one_sentence(plan_of, run, monkeypatch):
    def load_module(name):
        raise OSError(f"fatal: unable to access {name}\nCould not resolve host")

    samplers._auto_sampler.cache_clear()
    for name in ("torch", "optunahub"):
        stand_in = ModuleType(name)
        stand_in.__spec__ = ModuleSpec(name, None)
        stand_in.load_module = load_module
        monkeypatch.setitem(sys.modules, name, stand_in)
    with pytest.raises(MissingExtraError, match="'gp' or 'tpe'") as refused:
        run(plan_of(sampler="auto"), 1)
    assert "\n" not in str(refused.value)


def test_a_database_of_mlflow_is_no_storage(plan_of, run, tmp_path):
    path = tmp_path / "mlflow.db"
    create_database(path)
    url = f"sqlite:///{path}"
    before = path.read_bytes()
    with pytest.raises(StudyError, match="is a database of MLflow"):
        run(plan_of(storage=url), 1)
    assert path.read_bytes() == before
    assert owner_of_tables(url) == "MLflow"


def test_a_database_of_others_may_hold_studies(plan_of, run, tmp_path):
    path = tmp_path / "mine.db"
    with sqlite3.connect(path) as mine:
        mine.execute("CREATE TABLE runs (distance REAL)")
    url = f"sqlite:///{path}"
    assert owner_of_tables(url) is None
    assert len(run(plan_of(storage=url), 1).trials) == 1
    open_storage(url)
    assert owner_of_tables(url) == "Optuna"


def test_a_database_of_optuna_is_no_store_of_mlflow(plan_of, run, tmp_path):
    path = tmp_path / "study.db"
    run(plan_of(storage=f"sqlite:///{path}"), 1)
    before = path.read_bytes()
    with pytest.raises(TrackingError, match="database of Optuna"):
        check_database(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("word", ["study", "run"])
def test_one_database_for_both_is_refused_before_it_is_made(
    tmp_path, monkeypatch, word
):
    monkeypatch.chdir(tmp_path)
    target = "svd" if word == "study" else "quick"
    words = [word, target, "--storage", f"sqlite:///{tmp_path}/mlflow.db"]
    result = CliRunner().invoke(app, words)
    message = str(result.exception) + result.output
    assert result.exit_code != 0
    assert "cannot hold both" in message
    assert not list(tmp_path.iterdir())


def test_databases_on_a_server_are_told_apart_by_their_names():
    for storage, is_refused in (
        ("mysql://me:secret@host/one", True),
        ("mysql+pymysql://you@host/one", True),
        ("mysql://me@host/two", False),
        ("postgresql://me@host/one", False),
        ("optuna.log", False),
    ):
        if not is_refused:
            require_apart(locate("mysql://me@host/one"), storage)
            continue
        with pytest.raises(TrackingError) as error:
            require_apart(locate("mysql://me@host/one"), storage)
        assert "secret" not in str(error.value)
