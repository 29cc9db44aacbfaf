from dataclasses import replace

import pytest
from mlflow import MlflowClient

from harness.errors import TrackingError
from harness.tracking.store import SyncCounts
from tests.tracking.conftest import sync


def test_creates_what_is_missing_and_then_changes_nothing(
    make_study, make_trial, store_uri
):
    first = [make_trial(0), make_trial(1, "pruned")]
    assert sync(make_study(first), store_uri) == SyncCounts(created=3)
    assert sync(make_study(first), store_uri) == SyncCounts(unchanged=3)
    more = [*first, make_trial(2, "failed")]
    counts = sync(make_study(more), store_uri)
    assert counts == SyncCounts(created=1, repaired=1, unchanged=2)
    assert sync(make_study(more), store_uri) == SyncCounts(unchanged=4)


def test_an_empty_study_has_a_run_too(make_study, store_uri):
    assert sync(make_study(), store_uri) == SyncCounts(created=1)
    assert sync(make_study(), store_uri) == SyncCounts(unchanged=1)


def test_leaves_a_trial_alone_that_still_runs(
    make_study, make_trial, store_uri, read_runs
):
    running = make_trial(1, "running", value=None, ended=None)
    study = make_study([make_trial(0), running])
    assert sync(study, store_uri) == SyncCounts(created=2)
    [parent], [child] = read_runs(store_uri)
    assert parent.info.status == "RUNNING"
    assert child.data.tags["trial"] == "0"


def test_repairs_what_somebody_has_changed(
    make_study, make_trial, store_uri, read_runs
):
    study = make_study([make_trial(0), make_trial(1), make_trial(2)])
    sync(study, store_uri)
    client = MlflowClient(store_uri)
    _, (renamed, deleted, revalued) = read_runs(store_uri)
    client.update_run(renamed.info.run_id, name="grumpy-cat-12")
    client.delete_run(deleted.info.run_id)
    client.log_metric(revalued.info.run_id, "rmse", 0.1, step=5)
    assert sync(study, store_uri) == SyncCounts(created=1, repaired=2, unchanged=1)
    assert sync(study, store_uri) == SyncCounts(unchanged=4)
    _, children = read_runs(store_uri)
    assert [c.info.run_name for c in children] == [
        "svd-toy #0 rmse 0.9400",
        "svd-toy #1 rmse 0.9390",
        "svd-toy #2 rmse 0.9380",
    ]
    assert children[2].data.metrics["rmse"] == 0.938


def test_removes_a_run_that_is_there_twice(
    make_study, make_trial, store_uri, read_runs
):
    study = make_study([make_trial(0)])
    sync(study, store_uri)
    client = MlflowClient(store_uri)
    parents, children = read_runs(store_uri)
    for run in [*parents, *children]:
        client.create_run(run.info.experiment_id, tags=run.data.tags)
    sync(study, store_uri)
    assert sync(study, store_uri) == SyncCounts(unchanged=2)
    parents, children = read_runs(store_uri)
    assert (len(parents), len(children)) == (1, 1)


def test_studies_of_the_same_name_in_two_storages_are_kept_apart(
    make_study, make_trial, store_uri, read_runs
):
    one = make_study([make_trial(0)], identity="one")
    two = make_study([make_trial(0), make_trial(1)], identity="two")
    assert sync(one, store_uri) == SyncCounts(created=2)
    assert sync(two, store_uri) == SyncCounts(created=3)
    assert sync(one, store_uri) == SyncCounts(unchanged=2)
    parents, children = read_runs(store_uri)
    assert (len(parents), len(children)) == (2, 3)


def test_settings_changed_on_the_way_are_told_beside_the_first_ones(
    make_study, make_trial, store_uri, read_runs
):
    study = make_study([make_trial(0)])
    sync(study, store_uri)
    settings = replace(study.settings, sampler={"name": "random"})
    sync(replace(study, settings=settings), store_uri)
    [parent], _ = read_runs(store_uri)
    assert parent.data.params["sampler"] == "tpe"
    assert parent.data.tags["resumed.sampler"] == "random"


def test_reads_more_runs_than_one_page_holds(
    make_study, make_trial, store_uri, monkeypatch
):
    monkeypatch.setattr("harness.tracking.store._PAGE", 3)
    study = make_study([make_trial(n) for n in range(10)])
    sync(study, store_uri)
    assert sync(study, store_uri) == SyncCounts(unchanged=11)


def test_a_deleted_experiment_is_not_silently_used(make_study, store_uri):
    sync(make_study(), store_uri)
    client = MlflowClient(store_uri)
    client.delete_experiment(client.get_experiment_by_name("harness").experiment_id)
    with pytest.raises(TrackingError, match=r"is deleted.*or choose another"):
        sync(make_study(), store_uri)


def test_a_folder_that_does_not_exist_is_named(make_study, tmp_path):
    with pytest.raises(TrackingError, match=r"nowhere/mlflow.db: the folder"):
        sync(make_study(), f"sqlite:///{tmp_path}/nowhere/mlflow.db")
