import pytest
from mlflow import MlflowClient

from harness.tracking.store import SyncCounts
from tests.tracking.conftest import sync, track


def log(tracker, study, trials):
    """Tell a tracker the story of a study, as the engine does."""
    tracker.on_study_start(study)
    for trial in trials:
        tracker.on_trial_end(study, trial)


def test_a_study_becomes_a_parent_run_with_a_nested_run_per_trial(
    make_study, make_trial, store_uri, read_runs
):
    trials = [make_trial(0), make_trial(1, "pruned"), make_trial(2, "failed")]
    with track(store_uri) as tracker:
        log(tracker, make_study(), trials)
        tracker.on_study_end(make_study(trials))
    [parent], children = read_runs(store_uri)
    assert [c.info.run_name for c in children] == [
        "svd-toy #0 rmse 0.9400",
        "svd-toy #1 pruned",
        "svd-toy #2 failed",
    ]
    assert [c.info.status for c in children] == ["FINISHED", "KILLED", "FAILED"]
    assert {c.data.tags["mlflow.parentRunId"] for c in children} == {parent.info.run_id}
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name == "svd-toy study, best rmse 0.9400"
    assert parent.data.metrics["n_pruned"] == 1
    assert parent.data.tags["best_n_factors"] == "10"


def test_a_run_has_the_times_values_tags_and_dataset_of_its_trial(
    make_study, make_trial, store_uri, read_runs
):
    trial = make_trial(3)
    with track(store_uri) as tracker:
        log(tracker, make_study(), [trial])
    _, [run] = read_runs(store_uri)
    assert run.info.start_time == trial.started.timestamp() * 1000
    assert run.info.end_time - run.info.start_time == 4000
    assert run.data.params == {"n_factors": "13", "learning_rate": "0.005"}
    assert run.data.metrics == {
        "rmse": 0.937,
        "rmse_fold_sd": pytest.approx(0.01),
        "mae": 0.74,
        "fit_seconds": 0.5,
        "fold_rmse": 0.94,
    }
    history = MlflowClient(store_uri).get_metric_history(run.info.run_id, "fold_rmse")
    assert [(m.step, m.value) for m in history] == [(0, 0.95), (1, 0.93), (2, 0.94)]
    tags = run.data.tags
    assert tags["family"] == "svd"
    assert tags["study"] == "svd-toy"
    assert tags["trial"] == "3"
    assert tags["seed"] == "1003"
    assert tags["split_fingerprint"] == "feedbeef"
    assert tags["code_version"] == "0.1.0+abc1234"
    [used] = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("toy", "0123456789abcdef")
    assert [(t.key, t.value) for t in used.tags] == [
        ("mlflow.data.context", "training")
    ]


def test_a_failed_trial_keeps_its_traceback(
    make_study, make_trial, store_uri, read_runs
):
    with track(store_uri) as tracker:
        log(tracker, make_study(), [make_trial(0, "failed")])
    _, [run] = read_runs(store_uri)
    assert run.data.tags["traceback"] == "Traceback\nValueError: diverged"


def test_a_study_that_continues_goes_on_in_its_run(
    make_study, make_trial, store_uri, read_runs
):
    first, second = make_trial(0), make_trial(1)
    with track(store_uri) as tracker:
        log(tracker, make_study(), [first])
        tracker.on_study_end(make_study([first]))
    with track(store_uri) as tracker:
        log(tracker, make_study([first]), [])
    [parent], _ = read_runs(store_uri)
    assert parent.info.status == "RUNNING"
    with track(store_uri) as tracker:
        log(tracker, make_study([first]), [second])
        tracker.on_study_end(make_study([first, second]))
    [parent], children = read_runs(store_uri)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["best_rmse"] == 0.939
    assert [c.data.tags["trial"] for c in children] == ["0", "1"]


def test_what_the_tracker_wrote_needs_no_sync(make_study, make_trial, store_uri):
    study = make_study([make_trial(0), make_trial(1, "pruned")])
    with track(store_uri) as tracker:
        log(tracker, make_study(), study.trials)
        tracker.on_study_end(study)
    assert sync(study, store_uri) == SyncCounts(unchanged=3)
