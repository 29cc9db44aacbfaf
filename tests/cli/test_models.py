import re

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.workflow import promotion_material
from tests.promotion_workspace import COSTS, copy


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
    assert re.match(r"A: ratings \w{16}, split random \w{16}, 180 ratings$", lines[4])


def test_says_that_figures_of_different_test_sets_cannot_be_compared(harness):
    harness("promote", "good")
    sentence = "Figures of different test sets cannot be compared."
    assert sentence not in harness("models").stdout
    harness("promote", "reseeded", "--challenger")
    assert sentence in harness("models").stdout


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
