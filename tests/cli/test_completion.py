"""The Tab key, and options from the environment."""

import subprocess
import sys

import pytest
import typer.main
from typer.testing import CliRunner

from harness.cli import app
from harness.evaluation.objectives import OBJECTIVES
from harness.models.families import family_names
from harness.plain import to_json
from harness.search.storage import create_experiment
from tests.facts import dataset_facts, no_test

NAMES = ["quick", "quick-cf", "quick-svd"]


def keep(storage):
    facts = {
        "dataset": to_json(dataset_facts()),
        "split": to_json(no_test(seed=0)),
        "studies": {"cf": "quick-cf"},
    }
    create_experiment(storage, "quick", facts)
    facts["studies"] = {"svd": "quick-svd"}
    create_experiment(storage, "quick-svd", facts)


@pytest.fixture
def complete(tmp_path, monkeypatch):
    """Return a function that says what a shell would show."""
    monkeypatch.chdir(tmp_path)

    def ask(line, **environment):
        asked = {"_HARNESS_COMPLETE": "complete_fish", "_TYPER_COMPLETE_ARGS": line}
        asked |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args", **environment}
        result = CliRunner().invoke(app, [], env=asked, prog_name="harness")
        return [each.split("\t")[0] for each in result.stdout.split()]

    return ask


@pytest.mark.parametrize("storage", ["optuna.log", "sqlite:///kept.db"])
def test_names_of_studies_and_experiments_are_completed(complete, storage):
    keep(storage)
    told = ("--storage", storage)
    for command in ("report", "trials", "export", "compare", "explain", "promote"):
        assert complete(f"harness {command} {' '.join(told)} q") == NAMES
    assert complete("harness sync quick-c", HARNESS_STORAGE=storage) == ["quick-cf"]


@pytest.mark.parametrize("command", ["study svd", "run quick"])
def test_measures_are_completed(complete, command):
    assert complete(f"harness {command} --metric ndc") == ["ndcg_at_10"]
    assert set(complete(f"harness {command} --metric ")) == set(OBJECTIVES)
    assert complete(f"harness {command} --metric rmse,model") == ["rmse,model_bytes"]


def test_families_and_files_are_completed(complete, tmp_path):
    # A blend has no study of its own, but may be named to `run`.
    assert complete("harness study ") == [n for n in family_names() if n != "blend"]
    assert complete("harness run --only sv") == ["svd", "svdpp"]
    (tmp_path / "mine.toml").write_text("")
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "other.toml").write_text("")
    assert complete("harness run q") == ["quick"]
    assert complete("harness run mi") == ["mine.toml", "mixed/"]
    assert complete("harness run mixed/") == ["mixed/other.toml"]
    assert complete("harness study svd --space svd_") == ["svd_cold"]


@pytest.mark.parametrize(
    "storage", ["nowhere.log", "sqlite:///nowhere.db", "postgresql://a:b@127.0.0.1:9/c"]
)
def test_what_cannot_be_read_at_once_is_not_completed(complete, storage, tmp_path):
    assert complete(f"harness report --storage {storage} q") == []
    assert not list(tmp_path.iterdir())


def test_nothing_heavy_is_imported_for_it(tmp_path):
    keep(str(tmp_path / "optuna.log"))
    code = (
        "import sys, typer; from harness.cli import completion as c\n"
        "class Context: params = {}\n"
        "print(c.complete_names(Context, 'quick-'), c.complete_families('svdp'),"
        " c.complete_experiment_files('qui'))\n"
        "heavy = {'mlflow', 'numba', 'numpy', 'optuna', 'pandas', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "['quick-cf', 'quick-svd'] ['svdpp'] ['quick']\n[]\n"


SECRET = "op3n-sesame"
VARIABLES = {
    "HARNESS_STORAGE": f"postgresql://ann:{SECRET}@127.0.0.1:9/studies",
    "HARNESS_TRACKING_URI": f"http://ann:{SECRET}@127.0.0.1:9",
    "HARNESS_EXPERIMENT": SECRET,
}


@pytest.mark.parametrize("name", sorted(typer.main.get_command(app).commands))
def test_help_names_the_variables_and_not_what_they_hold(name):
    result = CliRunner().invoke(
        app, [name, "--help"], env=VARIABLES | {"COLUMNS": "200"}
    )
    assert result.exit_code == 0
    assert SECRET not in result.stdout
    command = typer.main.get_command(app).commands[name]
    options = {
        option for each in getattr(command, "params", []) for option in each.opts
    }
    for option in ("--storage", "--jobs", "--tracking-uri", "--experiment"):
        variable = f"HARNESS_{option[2:].replace('-', '_').upper()}"
        assert (option in options) == (variable in result.stdout), option


def test_options_come_from_the_environment_unless_they_are_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keep("mine.log")
    invoke = CliRunner().invoke
    result = invoke(app, ["compare", "nope"], env={"HARNESS_STORAGE": "mine.log"})
    assert "'quick-svd'" in result.output
    given = ["compare", "nope", "--storage", "other.log"]
    result = invoke(app, given, env={"HARNESS_STORAGE": "mine.log"})
    assert "'other.log'" in result.output
    result = invoke(app, ["study", "svd"], env={"HARNESS_JOBS": "0"})
    assert result.exit_code == 2
    assert "HARNESS_JOBS" in result.output


@pytest.mark.parametrize("kind", ["tracking_uri", "experiment"])
def test_variables_of_harness_come_before_those_of_mlflow(kind, monkeypatch):
    from harness.cli.options import StoreOptions

    theirs = {
        "tracking_uri": "MLFLOW_TRACKING_URI",
        "experiment": "MLFLOW_EXPERIMENT_NAME",
    }
    own = {"tracking_uri": "http://own:1", "experiment": "own"}
    monkeypatch.setenv(theirs[kind], "http://theirs:2")
    ours = StoreOptions(**{kind: own[kind]}).location()
    assert getattr(ours, kind) == own[kind]
    assert getattr(StoreOptions().location(), kind) == "http://theirs:2"
