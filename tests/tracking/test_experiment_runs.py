from dataclasses import replace
from datetime import UTC, datetime

import pytest
from mlflow import MlflowClient

from harness.errors import TrackingError
from harness.evaluation.measures import MEASURES, Measure
from harness.tracking import runs as tracking
from harness.tracking.live import MLflowTracker
from harness.tracking.location import locate
from harness.tracking.projection import (
    describe_standing,
    project_experiment,
    project_final,
)
from harness.tracking.store import SyncCounts
from tests.experiment.records import (
    SPLIT,
    make_record,
    make_study,
    make_study_record,
)
from tests.experiment.scores import PARAMS, TUNED

N_TRIALS = 2


def log(record, uri):
    return tracking.log_experiment(record, locate(uri))


def sync(record, uri):
    return tracking.sync(record, locate(uri))


def final_ids(logged):
    return {c: each.final_run for c, each in logged.candidates.items()}


@pytest.fixture
def small_record():
    """Return a function that makes an experiment of two families with two trials each."""

    def make(**changes):
        studies = {c: make_study(c, progress=(0.0, 1.0)) for c in ("cf", "svd")}
        return make_record(studies=studies, **changes)

    return make


@pytest.fixture
def runs_of(store_uri):
    """Return a function that reads all runs by name."""

    def read():
        client = MlflowClient(store_uri)
        experiment = client.get_experiment_by_name("harness")
        runs = client.search_runs([experiment.experiment_id])
        assert len({run.info.run_name for run in runs}) == len(runs)
        return {run.info.run_name: run for run in runs}

    return read


def parent_of(run):
    return run.data.tags.get("mlflow.parentRunId")


def test_studies_and_final_models_stand_below_their_experiment(
    small_record, store_uri, runs_of
):
    log(small_record(), store_uri)
    runs = runs_of()
    [top] = [run for run in runs.values() if parent_of(run) is None]
    assert top.info.run_name == "published: svd chosen, test rmse 0.5720"
    below = [name for name, run in runs.items() if parent_of(run) == top.info.run_id]
    assert sorted(below) == [
        "published-cf final, test rmse 0.6000",
        "published-cf study, best rmse 0.6030",
        "published-content final, test rmse 0.6800",
        "published-hybrid final, test rmse 0.5900",
        "published-svd final, test rmse 0.5720",
        "published-svd study, best rmse 0.5750",
    ]
    study = runs["published-svd study, best rmse 0.5750"]
    trials = [r for r in runs.values() if parent_of(r) == study.info.run_id]
    assert {run.data.tags["trial"] for run in trials} == {"0", "1"}


def test_says_which_run_is_whose_final_one(small_record, store_uri):
    logged = log(small_record(), store_uri)
    client = MlflowClient(store_uri)
    names = {
        c: client.get_run(run_id).info.run_name
        for c, run_id in final_ids(logged).items()
    }
    assert names == {
        "cf": "published-cf final, test rmse 0.6000",
        "content": "published-content final, test rmse 0.6800",
        "hybrid": "published-hybrid final, test rmse 0.5900",
        "svd": "published-svd final, test rmse 0.5720",
    }


def test_a_final_run_has_settings_figures_costs_and_origin(small_record, store_uri):
    record = small_record(judged={"best_trials": {"svd": 1}})
    logged = log(record, store_uri)
    run = MlflowClient(store_uri).get_run(final_ids(logged)["svd"])
    tuned = PARAMS["svd", "tuned"]
    assert run.data.params == {name: str(value) for name, value in tuned.items()}
    expected = {
        "test_rmse": 0.572,
        "test_rmse_low": 0.564,
        "test_rmse_high": 0.580,
        "search_rmse": 0.575,
        "fresh_folds_rmse": 0.577,
        "initial_test_rmse": 0.578,
        "test_gain_over_bias": 0.088,
        "fit_seconds": 0.62,
        "latency_p95_ms": 0.42,
        "peak_memory_bytes": 186.5e6,
        "model_bytes": 1.3e6,
        "test_coverage": 0.987,
        "novelty": 7.928,
    }
    found = {name: run.data.metrics[name] for name in expected}
    assert found == pytest.approx(expected)
    assert "test_rmse_users_over_20" in run.data.metrics
    tags = {"family", "study", "best_trial", "seeds", "verdict", "test_opening"}
    assert {name: run.data.tags[name] for name in tags} == {
        "family": "svd",
        "study": "published-svd",
        "best_trial": "1",
        "seeds": "7, 8, 9",
        "verdict": "chosen",
        "test_opening": "1",
    }
    # Three fits of 0.62 s each.
    assert run.info.end_time - run.info.start_time == 1860


def test_the_test_part_is_an_input_of_its_own(small_record, store_uri):
    logged = log(small_record(), store_uri)
    run = MlflowClient(store_uri).get_run(final_ids(logged)["cf"])
    inputs = {
        used.dataset.name: (used.dataset.digest, used.tags[0].value)
        for used in run.inputs.dataset_inputs
    }
    assert inputs == {
        "ott": ("0123456789abcdef", "training"),
        "ott, test part": ("feedbeef", "test"),
    }


def test_an_experiment_that_goes_on_is_one_run_throughout(
    small_record, store_uri, runs_of
):
    begun = replace(small_record(opened=False), studies={})
    assert log(begun, store_uri).candidates == {}
    [run] = runs_of().values()
    assert (run.info.run_name, run.info.status) == ("published: searching", "RUNNING")
    log(small_record(), store_uri)
    ended = MlflowClient(store_uri).get_run(run.info.run_id)
    assert ended.info.status == "FINISHED"
    assert ended.data.tags["winner"] == "svd"


def test_a_second_time_changes_nothing(small_record, store_uri):
    record = small_record()
    n_runs = 1 + 2 + 2 * N_TRIALS + 4
    counts = sync(record, store_uri)
    assert counts == SyncCounts(created=n_runs)
    assert sync(record, store_uri) == SyncCounts(unchanged=n_runs)
    log(record, store_uri)
    assert sync(record, store_uri) == SyncCounts(unchanged=n_runs)


def test_a_study_that_was_logged_before_moves_below_its_experiment(
    small_record, store_uri, runs_of
):
    record = small_record()
    for study in record.studies.values():
        with MLflowTracker(locate(store_uri)) as tracker:
            tracker.on_study_start(study)
            tracker.on_study_end(study)
    assert sync(record, store_uri).repaired == 2
    [top] = [run for run in runs_of().values() if parent_of(run) is None]
    assert "harness.experiment_id" in top.data.tags


def test_what_was_judged_before_stays_on_record(small_record, store_uri, runs_of):
    first = final_ids(log(small_record(), store_uri))
    tuned = {"cf": 0.600, "content": 0.680, "hybrid": 0.590, "svd": 0.570}
    changes = {"opened": datetime(2026, 3, 2, 12, 30, tzinfo=UTC), "openings": 2}
    again = small_record(judged={"tuned": tuned, "changes": changes})
    second = final_ids(log(again, store_uri))
    assert not set(first.values()) & set(second.values())
    old = runs_of()["published-svd final, test rmse 0.5720 (superseded)"]
    assert old.data.tags["superseded_by"] == second["svd"]
    assert sync(again, store_uri).unchanged == 1 + 2 + 2 * N_TRIALS + 4


def test_experiments_of_the_same_name_on_other_splits_are_kept_apart(
    small_record, store_uri
):
    record = small_record()
    other = replace(record, split=replace(SPLIT, fingerprint="0ther"))
    sync(record, store_uri)
    counts = sync(replace(other, studies={}), store_uri)
    assert counts == SyncCounts(created=1 + 4)


def test_the_report_is_among_the_artefacts_of_the_experiment(
    small_record, store_uri, runs_of, tmp_path
):
    folder = tmp_path / "report-files"
    (folder / "figures").mkdir(parents=True)
    (folder / "report.md").write_text("# Verdict\n")
    (folder / "figures" / "rmse.png").write_bytes(b"png")
    logged = log(small_record(), store_uri)
    tracking.attach_report(logged.experiment, folder, locate(store_uri))
    run_id = runs_of()["published: svd chosen, test rmse 0.5720"].info.run_id
    client = MlflowClient(store_uri)
    found = [f.path for f in client.list_artifacts(run_id, "report")]
    assert found == ["report/figures", "report/report.md"]


def test_a_store_that_is_down_is_one_sentence(small_record):
    with pytest.raises(TrackingError, match=r"must be reachable and writable, but: "):
        log(small_record(), "http://127.0.0.1:9")


def test_the_runs_that_hold_the_numbers_are_told(small_record, store_uri, runs_of):
    logged = log(small_record(judged={"best_trials": {"cf": 1, "svd": 1}}), store_uri)
    runs = {run.info.run_id: run for run in runs_of().values()}
    assert runs[logged.experiment].info.run_name.startswith("published: svd chosen")
    svd = logged.candidates["svd"]
    assert runs[svd.trial_run].data.tags["trial"] == "1"
    assert runs[svd.trial_run].info.run_name.startswith("published-svd #1")
    assert runs[svd.final_run].info.run_name == "published-svd final, test rmse 0.5720"


def test_a_final_run_that_is_superseded_does_not_hold_the_numbers(
    small_record, store_uri
):
    first = small_record(judged={"best_trials": {"cf": 1, "svd": 0}})
    old = log(first, store_uri).candidates
    again = small_record(
        judged={"best_trials": {"cf": 1, "svd": 1}, "tuned": TUNED | {"svd": 0.57}}
    )
    new = log(again, store_uri).candidates
    assert new["cf"] == old["cf"]
    assert new["svd"].final_run != old["svd"].final_run
    assert new["svd"].trial_run != old["svd"].trial_run


def test_a_toy_measure_is_a_metric_of_the_final_run(
    small_record, store_uri, monkeypatch
):
    toy = Measure(name="worst", label="worst error", compute=lambda _: 1.25)
    monkeypatch.setitem(MEASURES, "worst", toy)
    logged = log(small_record(judged={"best_trials": {"svd": 1}}), store_uri)
    run = MlflowClient(store_uri).get_run(logged.candidates["svd"].final_run)
    assert run.data.metrics["test_worst"] == 1.25


def test_a_study_by_itself_holds_its_verdict_and_a_final_run(
    small_record, store_uri, runs_of
):
    study = small_record(judged={"best_trials": {"cf": 1, "svd": 1}}).only("svd")
    logged = log(study, store_uri)
    runs = {run.info.run_id: run for run in runs_of().values()}
    top = runs[logged.experiment]
    assert parent_of(top) is None
    assert top.info.run_name == "published-svd study, best rmse 0.5750"
    assert top.data.metrics["test_rmse"] == pytest.approx(0.572)
    assert parent_of(runs[logged.candidates["svd"].final_run]) == logged.experiment
    n_runs = 1 + N_TRIALS + 1
    assert sync(study, store_uri) == SyncCounts(unchanged=n_runs)


def test_a_study_that_was_continued_shows_its_newest_figures(small_record, store_uri):
    """Of two values at one step MLflow shows the larger."""
    first = small_record(judged={"best_trials": {"cf": 1, "svd": 0}}).only("svd")
    log(first, store_uri)
    changes = {"openings": 2, "opened": datetime(2026, 3, 2, 12, 30, tzinfo=UTC)}
    again = small_record(
        judged={
            "best_trials": {"cf": 1, "svd": 1},
            "tuned": TUNED | {"svd": 0.56},
            "changes": changes,
        }
    ).only("svd")
    top = log(again, store_uri).experiment
    metrics = MlflowClient(store_uri).get_run(top).data.metrics
    assert metrics["test_rmse"] == pytest.approx(0.56)
    assert sync(again, store_uri) == SyncCounts(unchanged=1 + N_TRIALS + 1)


def test_a_run_does_not_call_chosen_what_beats_no_baseline():
    shown = project_experiment(
        make_record(judged={"tuned": dict.fromkeys(TUNED, 0.67)})
    )
    assert "not above the baselines" in shown.name
    assert "not shown to beat" in shown.tags["mlflow.note.content"]
    good = project_experiment(make_record())
    assert "svd chosen" in good.name
    assert "not shown" not in good.tags["mlflow.note.content"]
    assert not any(" " in point.key for point in good.points)


def test_a_standing_says_that_a_baseline_is_not_beaten():
    record = make_study_record("cf", judged={"tuned": {"cf": 0.67}})
    said = describe_standing(record, "cf")
    # 0.66 of the bias baseline.
    assert "not shown to beat the user and item bias baseline" in said
    assert "not shown to beat" not in describe_standing(make_study_record(), "svd")


def test_a_standing_gives_the_interval_that_it_is_read_off():
    # svd 0.5720, cf 0.5725: 0.0005 of a standard error of 0.004, the only pair left open.
    record = make_record(judged={"tuned": TUNED | {"cf": 0.5725}})
    assert "worse by 0.0005, adjusted interval -0.0073 to 0.0083, margin 0" in (
        describe_standing(record, "cf")
    )
    assert "`cf` (undecided)" in describe_standing(record, "svd")
    assert project_final(record, "cf").tags["worse_than_best_by"] == (
        "0.0005 [-0.0073, 0.0083]"
    )
