import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.serving import promotion_material
from tests.serving.promotion_workspace import COSTS, copy


@pytest.fixture
def promote(judged_template, tmp_path, monkeypatch):
    """Return a function that runs the command where three studies were judged."""
    copy(judged_template, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.setattr(
        promotion_material, "measure_efficiency", lambda *_, **__: COSTS
    )
    return lambda *args: CliRunner().invoke(app, ["promote", *args])


def test_a_champion_is_made_challenged_and_rolled_back(promote):
    first = promote("bad")
    assert first.exit_code == 0
    lines = first.stdout.splitlines()
    assert lines[0].startswith("bad: baseline, trial ")
    assert lines[1].startswith(
        "It does not beat user and item bias, whose RMSE on the "
    )
    assert lines[2] == (
        "pass: Latency p95 of a top 10 is 2 ms: at most 20 ms, as required."
    )
    assert lines[3].endswith("MB: at most 500 MB, as required.")
    assert lines[4] == (
        "pass: Share of test pairs with a known user and title is 1: at least 0.5, as "
        "required."
    )
    assert lines[5] == "Version 1 of ratings is @champion."
    second = promote("good")
    assert second.stdout.splitlines()[-2:] == [
        "The test set was opened for this: 3 looks so far.",
        "Version 2 of ratings is @champion; version 1 is @previous.",
    ]
    third = promote("good")
    assert third.stdout.splitlines()[-1] == "Version 2 of ratings is @champion already."
    assert promote("--rollback").stdout == (
        "Version 1 of ratings is @champion again; version 2 is @previous.\n"
    )


def test_a_refusal_says_what_failed_by_how_much_and_exits_with_1(promote):
    result = promote("good", "--max-latency-ms", "1.5", "--max-size-mb", "0.001")
    assert result.exit_code == 1
    failures = [line for line in result.stdout.splitlines() if line.startswith("FAIL")]
    assert failures[0] == (
        "FAIL: Latency p95 of a top 10 is 2 ms: 0.5 ms above the 1.5 ms allowed."
    )
    assert failures[1].endswith("MB above the 0.001 MB allowed.")
    assert result.stdout.splitlines()[-1] == (
        "Refused. Version 1 of ratings is @challenger; @champion is nobody, as before."
    )


def test_a_dry_run_says_what_would_happen(promote):
    result = promote("good", "--dry-run", "--min-coverage", "0.9")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == (
        "Dry run: it would become @champion of ratings; nothing in MLflow was changed."
    )
    assert promote("--rollback").exit_code == 2


def test_another_test_set_is_one_sentence_that_offers_to_judge_anew(promote):
    promote("good")
    result = promote("reseeded")
    assert result.exit_code == 2
    assert "so that their figures cannot be compared" in result.stderr
    assert "judge both on that of the newcomer with --rejudge" in result.stderr


def test_judged_anew_it_says_on_which_ratings(promote, monkeypatch):
    monkeypatch.setattr("harness.serving.promotion_material.FEWEST_USERS", 10)
    promote("good")
    result = promote("reseeded", "--rejudge", "--dry-run")
    assert (
        "Both were judged anew on 36 of the 180 test ratings of reseeded: the others the "
        "champion was trained on." in result.stdout
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("goof",),
            "There is no experiment or study named 'goof'. Did you mean 'good'?",
        ),
        (("good", "--rollback"), "--rollback takes no experiment or study"),
        (("--rollback", "--dry-run"), "goes with --model alone, but got --dry-run:"),
        (
            ("--rollback", "--challenger", "--min-coverage", "0"),
            "goes with --model alone, but got --challenger and --min-coverage:",
        ),
        (("good", "--model", "ratings"), "--model goes with --rollback"),
        (("--rollback", "--model", "x"), "There is no registered model named 'x'"),
        (("--rollback",), "must have a champion, but none has"),
        (
            (),
            "There is no experiment in optuna.log, but name one of its studies: good,",
        ),
        (("--storage", "nowhere.log"), "There is no study storage 'nowhere.log' here"),
        (
            ("good", "--tracking-uri", "http://127.0.0.1:9"),
            "The MLflow store http://127.0.0.1:9 must be reachable",
        ),
        (
            ("good", "--tracking-uri", "sqlite:///none.db"),
            "none.db: the MLflow database must exist",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_changes_nothing(promote, arguments, sentence):
    result = promote(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
