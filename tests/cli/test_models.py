import json
import re
from pathlib import Path

import pytest
from mlflow.artifacts import download_artifacts
from typer.testing import CliRunner

from harness.cli import app
from harness.serving import promotion_material
from tests.serving.promotion_workspace import COSTS, copy


@pytest.fixture
def harness(judged_template, tmp_path, monkeypatch):
    """Return a function that runs a command where three studies were judged."""
    copy(judged_template, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.setattr(
        promotion_material, "measure_efficiency", lambda *_, **__: COSTS
    )
    return lambda *args: CliRunner().invoke(app, args)


def test_lists_versions_with_aliases_figures_and_where_they_come_from(harness):
    harness("promote", "good")
    harness("promote", "reseeded", "--challenger")
    lines = harness("models").stdout.splitlines()
    newest, oldest = lines[2:4]
    number = r"\d\.\d{4}"
    assert re.match(
        rf"ratings 2 +@challenger +baseline +{number} \[{number}, {number}\] +A +"
        r"\d{4}-\d\d-\d\d +reseeded *$",
        newest,
    )
    assert re.match(r"ratings 1 +@champion +baseline .* B .* good *$", oldest)
    assert lines[0].split() == [
        *("model", "alias", "family", "RMSE", "[95", "%]", "test", "date", "from")
    ]
    assert re.match(
        r"Test set A: ratings \w{16}, split random \w{16}, 180 ratings$", lines[4]
    )


def test_says_that_figures_of_different_test_sets_cannot_be_compared(harness):
    harness("promote", "good")
    sentence = "Figures of different test sets cannot be compared."
    assert sentence not in harness("models").stdout
    harness("promote", "reseeded", "--challenger")
    assert sentence in harness("models").stdout


@pytest.fixture
def harness_with_report(harness):
    """The same, where a report of good was logged, as `harness study` does."""
    from harness.search.storage import read_study
    from harness.tracking import log_report

    Path("report").mkdir()
    Path("report/report.md").write_text("# Report")
    log_report(read_study("optuna.log", "good"), Path("report"))
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
    assert (told["name"], told["version"], told["aliases"]) == (
        "ratings",
        1,
        ["champion"],
    )
    assert told["uri"] == "models:/ratings/1"
    assert told["report"] == f"runs:/{told['run_id']}/report"
    assert told["tags"]["study"] == "good"


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
