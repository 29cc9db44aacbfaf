import json
import re

import pytest
from typer.testing import CliRunner

from harness.cli import app
from tests.serving.promotion_workspace import copy


@pytest.fixture
def promote(judged_template, tmp_path, monkeypatch):
    """Return a function that runs the command where three studies were judged."""
    copy(judged_template, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return lambda *args: CliRunner().invoke(app, ["promote", *args])


def test_a_champion_is_made_challenged_and_rolled_back(promote):
    first = promote("bad")
    assert first.exit_code == 0
    lines = first.stdout.splitlines()
    assert lines[0].startswith("bad: baseline, trial ")
    assert [line.split()[0] for line in lines[1:4]] == ["pass"] * 3
    assert [line.partition("required: ")[2] for line in lines[1:4]] == [
        "<= 20 ms)",
        "<= 500 MB)",
        ">= 0.5)",
    ]
    assert lines[4] == "Version 1 of ratings is @champion."
    second = promote("good").stdout.splitlines()
    assert "opening no. 3." in second[-3]
    # 0.05 / 2 is left after one, and the second is at 0.05 / (2 * 3 * 2).
    assert "0.025 of the error budget of 0.05 is left" in second[-3]
    assert "level 0.0042" in second[-3]
    assert second[-1] == ("Version 2 of ratings is @champion; version 1 is @previous.")
    third = promote("good")
    assert third.stdout.splitlines()[-1] == "Version 2 of ratings is @champion already."
    assert promote("--rollback").stdout == (
        "Version 1 of ratings is @champion again; version 2 is @previous.\n"
    )


def test_it_says_why_the_mean_over_seeds_is_not_the_figure_of_the_comparison(promote):
    promote("bad")
    lines = promote("good").stdout.splitlines()
    assert "mean over 3 seeds" in lines[0]
    mean = re.search(r"RMSE (\d\.\d{4})", lines[0])[1]
    [said] = [line for line in lines if "seed 7" in line]
    assert f"mean over 3 seeds is {mean}" in said


def test_a_refusal_says_what_failed_by_how_much_and_exits_with_1(promote):
    result = promote("good", "--max-latency-ms", "1.5", "--max-size-mb", "0.001")
    assert result.exit_code == 1
    failures = [line for line in result.stdout.splitlines() if line.startswith("FAIL")]
    assert failures[0].endswith("2 ms (required: <= 1.5 ms)")
    assert failures[1].endswith("(required: <= 0.001 MB)")
    assert result.stdout.splitlines()[-1] == (
        "Refused. Version 1 of ratings is @challenger; @champion is nobody, as before."
    )


def test_what_is_undecided_says_so_and_can_be_forced(promote):
    promote("good")
    result = promote("bad", "--margin", "0.5", "--dry-run")
    difference = float(re.search(r"([+]0\.\d{4}) stars, at most", result.stdout)[1])
    margin = ("--margin", str(difference))
    refused = promote("bad", *margin)
    assert refused.exit_code == 1
    assert "undecided" in refused.stdout
    assert "test users" in refused.stdout
    assert "--force-undecided" in refused.stdout
    forced = promote("bad", *margin, "--force-undecided")
    assert forced.exit_code == 0
    assert "FORCED" in forced.stdout
    listed = CliRunner().invoke(app, ["models"]).stdout
    assert re.search(
        r"^ratings 2 was promoted by force: .*champion", listed, re.MULTILINE
    )
    [told] = [
        each
        for each in json.loads(
            CliRunner().invoke(app, ["models", "--format", "json"]).stdout
        )
        if each["version"] == 2
    ]
    assert told["facts"]["forced"] == ["undecided"]


def test_a_refit_on_all_ratings_is_said_to_be_served(promote):
    result = promote("good", "--refit-all")
    assert result.exit_code == 0
    assert "fitted to all ratings" in result.stdout.splitlines()[-1]
    assert re.search(r"judged model, models:/m-\w{32}", result.stdout)


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
    assert "figures cannot be compared" in result.stderr
    assert "with --rejudge" in result.stderr


def test_judged_anew_it_says_on_which_ratings(promote, monkeypatch):
    monkeypatch.setattr("harness.serving.promotion_source.FEWEST_USERS", 10)
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
            "named 'goof'. Did you mean 'good'?",
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
        ((), "good"),
        (("good", "--margin", "9"), "margin must be between 0 and"),
        (("--storage", "nowhere.log"), "There is no study storage 'nowhere.log' here"),
        (
            ("good", "--tracking-uri", "http://127.0.0.1:9"),
            "The MLflow store http://127.0.0.1:9 must be reachable",
        ),
        (
            ("good", "--tracking-uri", "sqlite:///none.db"),
            "none.db: there is no such MLflow database",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_changes_nothing(promote, arguments, sentence):
    result = promote(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
