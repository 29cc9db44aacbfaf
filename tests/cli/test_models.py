import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.artifacts import download_artifacts
from typer.testing import CliRunner

from harness.cli import app
from harness.experiment.store import read_experiment
from harness.tracking.location import locate
from harness.tracking.runs import attach_report, log_experiment
from tests.serving.promotion_workspace import copy


@pytest.fixture
def harness(judged_template, tmp_path, monkeypatch):
    """Return a function that runs a command where three studies were judged."""
    copy(judged_template, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return lambda *args: CliRunner().invoke(app, args)


def test_lists_versions_with_aliases_figures_and_where_they_come_from(harness):
    harness("promote", "good")
    harness("promote", "reseeded", "--challenger")
    lines = harness("models").stdout.splitlines()
    newest, oldest = lines[2:4]
    number = r"\d\.\d{4}"
    date = r"\d{4}-\d\d-\d\d"
    assert re.match(
        rf"ratings 2 +@challenger +baseline +{number} +\[{number}, {number}\] +A +"
        rf"training part +{date} +reseeded *$",
        newest,
    )
    assert re.match(r"ratings 1 +@champion +baseline .* B .* good *$", oldest)
    assert lines[0].split() == [
        *("model", "alias", "family", "RMSE", "95", "%", "test", "fitted", "to"),
        *("date", "from"),
    ]
    assert re.match(
        r"Test set A: ratings \w{16}, split random \w{16}, 180 ratings$", lines[4]
    )


@pytest.mark.parametrize(
    ("width", "left_out"),
    [
        (60, {"date", "from", "fitted to"}),
        (80, {"date"}),
        (120, set()),
    ],
)
def test_columns_fold_away_and_numbers_stay_whole(
    harness, monkeypatch, width, left_out
):
    harness("promote", "good")
    whole = harness("models").stdout.splitlines()[2]
    rmse, low, high = re.search(r"(\d\.\d{4}) +\[(.{6}), (.{6})\]", whole).groups()
    monkeypatch.setenv("COLUMNS", str(width))
    lines = harness("models").stdout.splitlines()
    table = lines[: next(k for k, line in enumerate(lines) if "Test set" in line)]
    assert max(map(len, table)) <= width
    assert "…" not in "".join(table)
    said = [line for line in table if line.startswith("No room for: ")]
    named = said[0].removeprefix("No room for: ").rstrip(".") if said else ""
    assert set(filter(None, named.split(", "))) == left_out
    assert f"{rmse}  [{low}, {high}]" in table[2]


def test_shows_what_a_test_set_is_still_good_for(harness):
    harness("promote", "bad")
    assert "left" not in harness("models").stdout
    harness("promote", "good", "--dry-run")
    [line] = [s for s in harness("models").stdout.splitlines() if "left" in s]
    assert "1 promotion: 0.025 of the error budget of 0.05 left" in line
    # Without the storage, what the versions know: nothing of a dry run.
    assert "left" not in harness("models", "--storage", "nowhere.log").stdout


def test_says_which_model_is_served_and_whose_figures_are_shown(harness):
    harness("promote", "good", "--refit-all")
    shown = harness("models").stdout
    assert "all ratings" in shown.splitlines()[2]
    assert "the figures are those of the same settings" in shown


def test_says_that_figures_of_different_test_sets_cannot_be_compared(harness):
    harness("promote", "good")
    sentence = "Figures of different test sets cannot be compared."
    assert sentence not in harness("models").stdout
    harness("promote", "reseeded", "--challenger")
    assert sentence in harness("models").stdout


@pytest.fixture
def harness_with_report(harness):
    """The same, where a report of good was logged, as `harness study` does."""
    Path("report").mkdir()
    Path("report/report.md").write_text("# Report")
    runs = log_experiment(read_experiment("optuna.log", "good"), locate())
    attach_report(runs.experiment, Path("report"), locate())
    return harness


def test_says_where_the_reports_are(harness_with_report, tmp_path):
    harness_with_report("promote", "good")
    harness_with_report("promote", "reseeded", "--challenger")
    [line] = [
        s for s in harness_with_report("models").stdout.splitlines() if "Report" in s
    ]
    uri = line.removeprefix("Report of good: ")
    store = f"sqlite:///{tmp_path}/mlflow.db"
    found = download_artifacts(artifact_uri=f"{uri}/report.md", tracking_uri=store)
    assert Path(found).read_text() == "# Report"


def test_json_has_everything(harness_with_report):
    harness_with_report("promote", "good")
    [told] = json.loads(harness_with_report("models", "--format", "json").stdout)
    runs = log_experiment(read_experiment("optuna.log", "good"), locate())
    assert (told["name"], told["version"], told["aliases"]) == (
        "ratings",
        1,
        ["champion"],
    )
    assert told["uri"] == "models:/ratings/1"
    assert told["report"] == f"runs:/{runs.experiment}/report"
    assert told["facts"]["study"] == "good"
    assert told["facts"]["test_set"]["split"]


def test_json_of_no_models_is_an_empty_list(harness):
    assert json.loads(harness("models", "--format", "json").stdout) == []


def test_without_models_says_how_to_register_one(harness):
    assert harness("models").stdout == (
        "No models in sqlite:///mlflow.db: `harness promote` registers them.\n"
    )


def test_a_model_that_is_not_registered_has_a_hint(harness):
    harness("promote", "good")
    result = harness("models", "rating")
    assert result.exit_code == 2
    assert "There is no registered model named 'rating'. Did you mean 'ratings'?" in (
        result.stderr
    )


def test_an_unreachable_registry_is_one_sentence(harness):
    result = harness("models", "--tracking-uri", "http://127.0.0.1:9")
    assert result.exit_code == 2
    assert "must be reachable and writable, but: " in result.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE model_versions",
        "UPDATE logged_model_tags SET tag_value = '{' WHERE tag_key LIKE '%.facts'",
        """UPDATE logged_model_tags SET tag_value = '{"ratings": {}}'
        WHERE tag_key LIKE '%.facts'""",
    ],
    ids=["a table is gone", "no JSON", "no facts"],
)
def test_a_store_in_a_bad_state_is_one_sentence(harness, statement):
    harness("promote", "good")
    change(statement)
    for command in (("models",), ("promote", "bad")):
        result = harness(*command)
        assert result.exit_code == 2, command
        # MLflow was imported before it could be told to log nothing.
        assert result.stderr.splitlines()[-1].startswith("Error: ")


def test_a_store_of_another_version_of_mlflow_is_one_sentence(harness):
    change("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    result = harness("models")
    assert result.exit_code == 2
    assert "mlflow db upgrade" in result.stderr.splitlines()[-1]


def change(statement, *values):
    """Change the store behind MLflow's back."""
    with closing(sqlite3.connect("mlflow.db")) as database:
        database.execute(statement, values)
        database.commit()


def test_artifacts_that_cannot_be_written_are_one_sentence(harness):
    # A file where a folder should be: whoever may do anything can write to any folder.
    where = (Path("ratings.csv").absolute() / "artifacts").as_uri()
    change("UPDATE experiments SET artifact_location = ?", where)
    result = harness("promote", "good")
    assert result.exit_code == 2
    assert "ratings.csv/artifacts" in result.stderr.splitlines()[-1]
