import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.cli.options import WorkerOptions
from harness.experiment import judge as judgement
from harness.experiment.store import read_experiment
from harness.search.storage import read_study
from tests.costs import MEASURED

FILE = """\
title = "toy"
final_seeds = 2

[data]
source = "ratings.csv"

[search]
folds = 2

[budget]
trials = 3

[families.svd]
label = "the SVD"
parameters.n_epochs = { type = "epochs", high = 4, patience = 2 }
initial = { n_epochs = 3, n_factors = 16 }

[families.baseline]

[[criteria]]
metric = "rmse"
at_most = 5

[[criteria]]
metric = "rmse"
at_most = 0.001

[[claims]]
metric = "rmse"
candidate = "svd"
value = 0.5749
quotation = "a | published `figure`"
"""


def write_files(folder, ratings):
    ids = ratings.user_ids[ratings.users]
    items = ratings.item_ids[ratings.items]
    rows = zip(ids, items, ratings.values, strict=True)
    lines = [f"{user},{item},{value:g}" for user, item, value in rows]
    (folder / "ratings.csv").write_text("\n".join(["user,item,rating", *lines]))
    (folder / "toy.toml").write_text(FILE)


@pytest.fixture
def folder(small_ratings, working_folder):
    """A working folder with ratings and an experiment file."""
    write_files(working_folder, small_ratings)
    return working_folder


@pytest.fixture
def quick(monkeypatch):
    """Costs without a process for each model."""
    monkeypatch.setattr(judgement, "measure_efficiency", lambda *_, **__: MEASURED)


@pytest.fixture(scope="module")
def finished(small_ratings, tmp_path_factory):
    """A working folder in which the experiment was run, and what that printed."""
    folder = tmp_path_factory.mktemp("finished")
    write_files(folder, small_ratings)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield folder, run()


@pytest.fixture
def done(finished, monkeypatch):
    """The same folder, as the working folder."""
    monkeypatch.chdir(finished[0])
    return finished[0]


def invoke(*arguments):
    return CliRunner().invoke(app, [*arguments])


def run(*arguments):
    return invoke("run", "toy.toml", "--jobs", "1", *arguments)


def test_an_experiment_from_its_file_to_its_report_runs_and_models(finished, done):
    folder, result = finished
    assert folder == done
    assert result.exit_code == 0, result.output
    assert "2 families, 3 trials each" in result.output
    assert "the SVD" in result.output
    assert len(re.findall("^pass  ", result.output, re.MULTILINE)) == 1
    assert len(re.findall("^FAIL  ", result.output, re.MULTILINE)) == 1
    report = (folder / "reports/toy/report.md").read_text()
    assert "a | published" not in report.replace("\\|", "")
    assert (folder / "reports/toy/report.html").is_file()
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "harness"]
    runs = client.search_runs([experiment.experiment_id], max_results=100)
    names = [each.info.run_name for each in runs]
    # The experiment, two studies, their six trials, and two final models.
    assert len(runs) == 11, names
    assert sum("final" in name for name in names) == 2
    # The report names the experiment, and the judged trial and final model of each family.
    named = re.findall(r"^\| .* \| `([0-9a-f]{32})` \|$", report, re.MULTILINE)
    told = [client.get_run(run_id).info.run_name for run_id in named]
    starts = (
        "toy-svd #",
        "toy-svd final",
        "toy-baseline #",
        "toy-baseline final",
        "toy: ",
    )
    assert len(told) == len(starts)
    assert all(map(str.startswith, told, starts)), told
    top = client.list_artifacts(named[-1], "report")
    assert "report/report.md" in {each.path for each in top}
    models = client.search_logged_models([experiment.experiment_id])
    assert {m.status.name for m in models} == {"READY"}
    assert len(models) == 2


def test_an_experiment_that_is_done_is_not_done_again(done):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{done}/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "harness"]

    def runs():
        found = client.search_runs([experiment.experiment_id], max_results=100)
        return {each.info.run_id for each in found}

    before = runs()
    assert run("--check").exit_code == 1  # a criterion fails
    assert read_experiment("optuna.log", "toy").judging.openings == 1
    assert runs() == before


@pytest.mark.usefixtures("folder", "quick")
def test_one_family_at_a_time_leaves_the_test_set_sealed():
    result = run("--only", "svd")
    assert result.exit_code == 0, result.output
    assert "Not searched to the end yet: baseline" in result.output
    assert "still sealed" in result.output
    assert read_experiment("optuna.log", "toy").judging is None
    assert "still sealed" in invoke("compare").output
    assert run("--only", "baseline").exit_code == 0
    assert read_experiment("optuna.log", "toy").judging.openings == 1


@pytest.mark.usefixtures("folder", "quick")
def test_a_family_that_was_stopped_half_way_keeps_the_test_set_sealed():
    run("--only", "svd", "--trials", "2")
    result = run("--only", "baseline")
    assert result.exit_code == 0, result.output
    assert "Not searched to the end yet: svd" in result.output
    assert read_experiment("optuna.log", "toy").judging is None


@pytest.mark.usefixtures("done")
@pytest.mark.parametrize("width", [60, 80, 120])
def test_compare_shows_models_best_first_and_no_number_is_cut(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    result = invoke("compare", "toy")
    assert result.exit_code == 0
    table, _, _ = result.output.partition("*: chosen")
    assert max(map(len, table.splitlines())) <= width
    tuned = re.findall(r" (\d\.\d{4}) +\d\.\d{3}-\d\.\d{3}", table)
    record = read_experiment("optuna.log", "toy")
    assert len(tuned) == len(record.spec.families) + 2
    assert tuned == sorted(tuned)
    assert len(re.findall(r"^\* ", table, re.MULTILINE)) == 1
    # The verdict stands last.
    assert result.output.partition("s: training.")[2].strip()


@pytest.mark.usefixtures("folder")
def test_the_command_line_may_change_the_budget():
    run("--trials", "4", "--only", "svd")
    assert len(read_study("optuna.log", "toy-svd").trials) == 4


def test_a_report_is_written_again_without_data_or_training(done, tmp_path):
    first = (done / "reports/toy/report.md").read_text()
    (done / "ratings.csv").rename(tmp_path / "ratings.csv")
    try:
        assert run("--report-only", "--reports", "again").exit_code == 0
    finally:
        (tmp_path / "ratings.csv").rename(done / "ratings.csv")
    assert (done / "again/toy/report.md").read_text() == first
    result = invoke("report", "toy", "--out", "third")
    assert result.output.strip() == "third/report.md"
    assert (done / "third/report.md").read_text() == first


def test_a_misspelt_experiment_is_found_out_before_workers_and_imports(monkeypatch):
    monkeypatch.setattr(WorkerOptions, "prepare", lambda *_, **__: pytest.fail("late"))
    result = invoke("run", "quik")
    assert result.exit_code == 2
    assert "Did you mean 'quick'?" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["toyy.toml"], "There is no experiment named 'toyy'"),
        (["toy.toml", "--only", "svdd"], "Did you mean 'svd'?"),
        (["toy.toml", "--data", "nowhere.csv"], "no file or folder 'nowhere.csv'"),
        (["toy.toml", "--report-only"], "no study storage 'optuna.log'"),
        (["toy.toml", "--name", "a/b"], "choose another --name"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(folder, arguments, message):
    result = invoke("run", *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1
    there = sorted(path.name for path in folder.iterdir())
    assert there == ["mlflow.db", "ratings.csv", "toy.toml"]


@pytest.mark.usefixtures("quick")
def test_a_family_whose_trials_all_fail_does_not_cost_the_others_their_verdict(
    folder, monkeypatch
):
    from harness.models.svd.model import SVD

    def fail(*_arguments):
        raise ValueError("no luck")

    monkeypatch.setattr(SVD, "_begin", fail)
    (folder / "toy.toml").write_text(FILE.replace("trials = 3", "trials = 12"))
    result = run()
    assert result.exit_code == 0, result.output
    assert "no luck" in result.output
    record = read_experiment("optuna.log", "toy")
    assert record.model("svd") is None
    assert record.model("baseline") is not None


@pytest.mark.usefixtures("folder", "quick")
def test_a_tracking_server_that_is_down_costs_runs_only():
    result = run("--tracking-uri", "http://127.0.0.1:9")
    assert result.exit_code == 0, result.output
    # Once, although it is tried for each of two families, and for the experiment.
    assert result.output.count("harness sync") == 1
    assert "run_id" not in Path("reports/toy/report.md").read_text()
    assert read_experiment("optuna.log", "toy").judging is not None


@pytest.mark.usefixtures("folder")
def test_without_an_experiment_compare_says_what_to_do():
    result = invoke("compare")
    assert result.exit_code == 2
    assert "optuna.log" in result.output


@pytest.mark.usefixtures("folder")
def test_options_that_report_only_could_not_follow_are_refused():
    result = invoke("run", "toy.toml", "--report-only", "--trials", "9", "--seed", "1")
    assert result.exit_code == 2
    assert all(option in result.output for option in ("budget", "seed"))
