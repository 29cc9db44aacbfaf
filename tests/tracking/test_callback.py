"""The callback, with MLflow's own database and with a server that is killed."""

import json
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from datetime import datetime

import optuna
import pytest

import harness
from harness import MLflowCallback, sync_study
from harness.errors import TrackingError
from harness.tracking.optuna_runs import Names, allowed_name
from harness.tracking.store import SyncCounts

HEAVY = ("numba", "pandas", "lightfm", "surprise", "scipy", "sklearn", "mlflow")
FINISHED, FAILED, KILLED, RUNNING = "FINISHED", "FAILED", "KILLED", "RUNNING"


@pytest.fixture(autouse=True)
def _mlflow_as_before(monkeypatch):
    """Undo what `run` sets for the process, and keep Optuna silent."""
    import mlflow

    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(verbosity)
    from mlflow.tracking import fluent
    from mlflow.tracking._tracking_service import utils

    assert mlflow.active_run() is None
    fluent._active_experiment_id = None
    utils._tracking_uri = None


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path / 'study.db'}"


def square(trial):
    return trial.suggest_float("x", -2, 2) ** 2


def eventful(trial):
    """Complete, complete, prune, fail, and so on."""
    x = trial.suggest_float("x", -2, 2)
    for step in range(3):
        trial.report(x + step, step)
    if trial.number % 4 == 2:
        raise optuna.TrialPruned
    if trial.number % 4 == 3:
        raise ZeroDivisionError("no luck")
    return x


def runs_of(read_runs, uri, experiment="harness"):
    """Return the runs of studies, and those of trials by number."""
    tops, children = read_runs(uri, experiment)
    by_number = {int(run.data.tags["optuna.trial"]): run for run in children}
    assert len(by_number) == len(children), "a trial was logged twice"
    return tops, by_number


def milliseconds(moment):
    return int(moment.timestamp() * 1000)


def test_importing_the_package_or_the_callback_imports_nothing_heavy():
    code = f"""
        import sys, harness
        assert "harness.tracking" not in sys.modules
        harness.MLflowCallback("sqlite:///x.db")
        print([name for name in {HEAVY} if name in sys.modules])
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "[]\n"


def test_the_front_door_lists_its_names_and_has_no_other():
    assert {"MLflowCallback", "sync_study"} <= set(dir(harness))
    with pytest.raises(AttributeError, match="nothing_of_the_sort"):
        _ = harness.nothing_of_the_sort


def test_each_trial_is_a_run_with_what_optuna_knows_of_it(store_uri, read_runs):
    study = optuna.create_study(
        study_name="eventful", sampler=optuna.samplers.RandomSampler(seed=1)
    )
    with MLflowCallback(store_uri) as callback:
        study.optimize(
            eventful, n_trials=8, callbacks=[callback], catch=(ZeroDivisionError,)
        )
    (top,), trials = runs_of(read_runs, store_uri)
    assert sorted(trials) == list(range(8))
    status = {"COMPLETE": FINISHED, "PRUNED": KILLED, "FAIL": FAILED}
    for trial in study.trials:
        run = trials[trial.number]
        x = trial.params["x"]
        assert run.info.status == status[trial.state.name]
        assert run.info.start_time == milliseconds(trial.datetime_start)
        assert run.info.end_time == milliseconds(trial.datetime_complete)
        assert run.data.params == {"x": str(x)}
        assert run.data.tags["mlflow.parentRunId"] == top.info.run_id
        assert "low=-2.0" in run.data.tags["optuna.distribution.x"]
        wanted = {"intermediate_value": x + 2}
        if trial.state.name == "COMPLETE":
            wanted["value"] = x
        assert run.data.metrics == pytest.approx(wanted)
        failed = trial.state.name == "FAIL"
        assert ("no luck" in run.data.tags.get("optuna.error", "")) == failed
    assert top.info.status == FINISHED
    assert top.info.end_time == max(run.info.end_time for run in trials.values())
    tags = top.data.tags
    assert tags["optuna.sampler"] == "RandomSampler"
    assert tags["optuna.pruner"] == "MedianPruner"
    assert tags["optuna.directions"] == "MINIMIZE"
    counts = {
        k: tags[f"optuna.n_{k}"] for k in ("trials", "complete", "pruned", "fail")
    }
    assert counts == {"trials": "8", "complete": "4", "pruned": "2", "fail": "2"}
    assert tags["optuna.best_trial"] == str(study.best_trial.number)
    assert json.loads(tags["optuna.best_params"]) == study.best_params
    assert top.data.metrics == pytest.approx({"best_value": study.best_value})


def test_intermediate_values_are_the_steps_of_a_metric(store_uri, read_runs):
    from mlflow import MlflowClient

    def objective(trial):
        for step, value in {
            0: 4.0,
            10: float("nan"),
            20: float("inf"),
            30: 1.0,
        }.items():
            trial.report(value, step)
        return 1.0

    study = optuna.create_study()
    with MLflowCallback(store_uri) as callback:
        study.optimize(objective, n_trials=1, callbacks=[callback])
    run = runs_of(read_runs, store_uri)[1][0]
    history = MlflowClient(store_uri).get_metric_history(
        run.info.run_id, "intermediate_value"
    )
    found = {point.step: point.value for point in history}
    assert set(found) == {0, 10, 20, 30}
    assert (found[0], found[30]) == (4.0, 1.0)
    assert found[10] != found[10]
    assert found[20] > 1e308
    assert sync_study(study, store_uri) == SyncCounts(unchanged=2)


def test_the_study_shows_each_improvement(store_uri, read_runs):
    from mlflow import MlflowClient

    values = [3.0, 5.0, 2.0, 2.0, 1.0]
    study = optuna.create_study(direction="minimize")
    with MLflowCallback(store_uri, metric_name="loss") as callback:
        study.optimize(lambda t: values[t.number], n_trials=5, callbacks=[callback])
    (top,), _ = runs_of(read_runs, store_uri)
    history = MlflowClient(store_uri).get_metric_history(top.info.run_id, "best_loss")
    found = sorted((point.step, point.value) for point in history)
    assert found == [(1, 3.0), (3, 2.0), (5, 1.0)]


def test_user_attributes_are_metrics_where_they_are_numbers_else_tags(
    store_uri, read_runs
):
    def objective(trial):
        trial.set_user_attr("accuracy", 0.75)
        trial.set_user_attr("value", 7)
        trial.set_user_attr("ok", value=True)
        trial.set_user_attr("layers", [64, 32])
        trial.set_user_attr("mlflow.parentRunId", "elsewhere")
        return 1.0

    study = optuna.create_study(study_name="attrs")
    study.set_user_attr("owner", "ann")
    with MLflowCallback(store_uri, tags={"team": "search"}) as callback:
        study.optimize(objective, n_trials=1, callbacks=[callback])
    (top,), trials = runs_of(read_runs, store_uri)
    assert trials[0].data.metrics == {"value": 1.0, "accuracy": 0.75, "value_2": 7.0}
    tags = trials[0].data.tags
    assert (tags["ok"], tags["layers"]) == ("true", "[64, 32]")
    assert tags["user.mlflow.parentRunId"] == "elsewhere"
    assert tags["mlflow.parentRunId"] == top.info.run_id
    assert top.data.tags["owner"] == "ann"
    assert top.data.tags["team"] == tags["team"] == "search"


def test_several_objectives_and_constraints(store_uri, read_runs):
    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        trial.set_constraint("budget", x - 0.5)
        return x, 1 - x

    study = optuna.create_study(directions=["minimize", "maximize"])
    for x in (0.25, 0.5, 0.75):
        study.enqueue_trial({"x": x})
    with MLflowCallback(store_uri, metric_name=["cost", "gain"]) as callback:
        study.optimize(objective, n_trials=3, callbacks=[callback])
    (top,), trials = runs_of(read_runs, store_uri)
    assert [trials[k].data.metrics for k in range(3)] == [
        {"cost": 0.25, "gain": 0.75, "constraint.budget": -0.25},
        {"cost": 0.5, "gain": 0.5, "constraint.budget": 0.0},
        {"cost": 0.75, "gain": 0.25, "constraint.budget": 0.25},
    ]
    feasible = [trials[k].data.tags["optuna.feasible"] for k in range(3)]
    assert feasible == ["true", "true", "false"]
    # 0.25 costs less and gains more than the others: it is the front.
    assert top.data.tags["optuna.best_trials"] == "0"
    assert top.data.tags["optuna.directions"] == "MINIMIZE, MAXIMIZE"
    again = sync_study(study, store_uri, metric_name=["cost", "gain"])
    assert again == SyncCounts(unchanged=4)


def test_the_best_trial_is_feasible(store_uri, read_runs):
    def objective(trial):
        trial.set_constraint("c", 1.0 if trial.number == 0 else -1.0)
        return float(trial.number)

    study = optuna.create_study()
    with MLflowCallback(store_uri) as callback:
        study.optimize(objective, n_trials=3, callbacks=[callback])
    (top,), _ = runs_of(read_runs, store_uri)
    assert top.data.tags["optuna.best_trial"] == "1" == str(study.best_trial.number)


def test_ask_and_tell(store_uri, read_runs):
    study = optuna.create_study()
    with MLflowCallback(store_uri) as callback:
        for _ in range(3):
            trial = study.ask()
            callback(study, study.tell(trial, square(trial)))
        pruned = study.ask()
        callback(study, study.tell(pruned, state=optuna.trial.TrialState.PRUNED))
        with pytest.raises(TypeError, match=r"study.tell\(\)"):
            callback(study, study.ask())
    _, trials = runs_of(read_runs, store_uri)
    assert [trials[k].info.status for k in range(4)] == [FINISHED] * 3 + [KILLED]


def test_a_trial_that_is_handed_over_twice_is_logged_once(store_uri, read_runs):
    study = optuna.create_study()
    callback = MLflowCallback(store_uri)
    study.optimize(square, n_trials=2, callbacks=[callback, callback])
    other = MLflowCallback(store_uri)
    callback.flush()
    for trial in study.trials:
        other(study, trial)
    assert callback.flush()
    assert other.flush()
    assert sorted(runs_of(read_runs, store_uri)[1]) == [0, 1]


def test_after_the_with_block_no_thread_is_left_and_the_callback_can_go_on(
    store_uri, read_runs
):
    before = set(threading.enumerate())
    study = optuna.create_study()
    callback = MLflowCallback(store_uri)
    for _ in range(2):
        with callback:
            study.optimize(square, n_trials=2, callbacks=[callback])
        for thread in set(threading.enumerate()) - before:
            thread.join(10)
        assert set(threading.enumerate()) <= before
    assert sorted(runs_of(read_runs, store_uri)[1]) == [0, 1, 2, 3]


def test_a_study_that_cannot_be_logged_does_not_hold_up_another(store_uri, read_runs):
    callback = MLflowCallback(store_uri)
    # Its first trial waits, so that it cannot be identified yet.
    odd, good = optuna.create_study(), optuna.create_study()
    odd.enqueue_trial({"x": 1})
    odd.add_trial(optuna.trial.create_trial(value=1.0))
    callback(odd, odd.trials[1])
    good.optimize(square, n_trials=1, callbacks=[callback])
    assert not callback.flush()
    assert sorted(runs_of(read_runs, store_uri)[1]) == [0]
    odd.optimize(square, n_trials=1)
    assert callback.flush()
    assert len(read_runs(store_uri)[1]) == 3


def test_threads(store_uri, read_runs):
    study = optuna.create_study()
    with MLflowCallback(store_uri) as callback:
        study.optimize(
            eventful, 12, n_jobs=4, callbacks=[callback], catch=(ZeroDivisionError,)
        )
    tops, trials = runs_of(read_runs, store_uri)
    assert (len(tops), sorted(trials)) == (1, list(range(12)))
    errors = {k for k, run in trials.items() if "optuna.error" in run.data.tags}
    assert errors == {3, 7, 11}


def test_several_processes_on_one_storage(store_uri, storage, read_runs):
    optuna.create_study(study_name="shared", storage=storage)
    code = f"""
        import optuna
        from harness import MLflowCallback
        study = optuna.load_study(study_name="shared", storage={storage!r})
        study.optimize(
            lambda t: t.suggest_float("x", 0, 1), 5,
            callbacks=[MLflowCallback({store_uri!r})],
        )
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    workers = [subprocess.Popen(command) for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    tops, trials = runs_of(read_runs, store_uri)
    assert (len(tops), sorted(trials)) == (1, list(range(10)))
    assert {run.data.tags["mlflow.parentRunId"] for run in trials.values()} == {
        tops[0].info.run_id
    }
    study = optuna.load_study(study_name="shared", storage=storage)
    assert sync_study(study, store_uri) == SyncCounts(unchanged=11)


def test_two_runs_of_one_study_become_one(store_uri, storage, read_runs):
    study = optuna.create_study(study_name="race", storage=storage)
    study.optimize(square, n_trials=2)
    sync_study(study, store_uri)
    (top,), trials = runs_of(read_runs, store_uri)
    from mlflow import MlflowClient

    # What two processes leave that have looked at the same moment.
    client = MlflowClient(store_uri)
    tags = {k: v for k, v in top.data.tags.items() if k != "mlflow.runName"}
    client.create_run(top.info.experiment_id, tags=tags)
    tags = {k: v for k, v in trials[1].data.tags.items() if k != "mlflow.runName"}
    client.create_run(top.info.experiment_id, tags=tags)
    counts = sync_study(study, store_uri)
    assert counts.created == 0
    tops, trials = runs_of(read_runs, store_uri)
    assert (len(tops), sorted(trials)) == (1, [0, 1])
    assert all(
        run.data.tags["mlflow.parentRunId"] == tops[0].info.run_id
        for run in trials.values()
    )
    assert sync_study(study, store_uri) == SyncCounts(unchanged=3)


def test_a_study_that_goes_on_continues_its_run(store_uri, storage, read_runs):
    for n in (1, 2):
        study = optuna.create_study(
            study_name="long", storage=storage, load_if_exists=True
        )
        with MLflowCallback(store_uri) as callback:
            study.optimize(square, n_trials=2, callbacks=[callback])
        (top,), trials = runs_of(read_runs, store_uri)
        assert sorted(trials) == list(range(2 * n))
        assert top.data.tags["optuna.n_trials"] == str(2 * n)
        assert top.info.end_time == milliseconds(study.trials[-1].datetime_complete)


def test_a_resumed_study_brings_in_what_was_not_logged(store_uri, storage, read_runs):
    study = optuna.create_study(study_name="late", storage=storage)
    study.optimize(square, n_trials=2)
    with MLflowCallback(store_uri) as callback:
        study.optimize(square, n_trials=1, callbacks=[callback])
    assert sorted(runs_of(read_runs, store_uri)[1]) == [0, 1, 2]


def test_studies_of_one_name_are_told_apart(store_uri, read_runs):
    for _ in range(2):
        study = optuna.create_study(study_name="twin")
        with MLflowCallback(store_uri) as callback:
            study.optimize(square, n_trials=1, callbacks=[callback])
    tops, children = read_runs(store_uri)
    assert (len(tops), len(children)) == (2, 2)


def test_without_nesting_there_are_only_trials(store_uri, read_runs):
    study = optuna.create_study()
    with MLflowCallback(store_uri, nested=False) as callback:
        study.optimize(square, n_trials=2, callbacks=[callback])
    tops, children = read_runs(store_uri)
    assert (len(tops), len(children)) == (2, 0)
    assert sync_study(study, store_uri, nested=False) == SyncCounts(unchanged=2)


def test_an_error_that_ends_the_study_is_logged(store_uri, read_runs):
    def objective(trial):
        if trial.number == 2:
            raise ZeroDivisionError("at number two")
        return square(trial)

    study = optuna.create_study()
    with (
        pytest.raises(ZeroDivisionError),
        MLflowCallback(store_uri) as callback,
    ):
        study.optimize(objective, n_trials=5, callbacks=[callback])
    _, trials = runs_of(read_runs, store_uri)
    assert [trials[k].info.status for k in range(3)] == [FINISHED, FINISHED, FAILED]
    assert "at number two" in trials[2].data.tags["optuna.error"]


def test_an_error_at_the_first_trial_is_logged_if_the_study_is_known(
    store_uri, read_runs
):
    def objective(_trial):
        raise ZeroDivisionError("at once")

    study, other = optuna.create_study(), optuna.create_study()
    with MLflowCallback(store_uri, study=study):
        for each in (study, other):
            with pytest.raises(ZeroDivisionError):
                each.optimize(objective, n_trials=1)
    (top,), trials = runs_of(read_runs, store_uri)
    assert top.data.tags["optuna.study"] == study.study_name
    assert trials[0].info.status == FAILED
    assert "at once" in trials[0].data.tags["optuna.error"]


def test_a_process_that_ends_without_a_word_has_logged_everything(store_uri, read_runs):
    code = f"""
        import optuna
        from harness import MLflowCallback
        def objective(trial):
            if trial.number == 3:
                raise RuntimeError("the end")
            return trial.suggest_float("x", 0, 1)
        optuna.create_study().optimize(
            objective, 9, callbacks=[MLflowCallback({store_uri!r})]
        )
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "RuntimeError: the end" in ran.stderr
    _, trials = runs_of(read_runs, store_uri)
    assert [trials[k].info.status for k in range(4)] == [FINISHED] * 3 + [FAILED]


def test_within_run_mlflow_logs_to_the_trials_own_run(store_uri, read_runs):
    import mlflow

    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        with callback.run(trial) as run:
            assert mlflow.active_run().info.run_id == run.info.run_id
            mlflow.log_metric("epoch_loss", x + 1, step=trial.number)
            mlflow.log_param("x", "mine")
            mlflow.set_tag("note", str(trial.number))
            if trial.number == 1:
                raise optuna.TrialPruned
            if trial.number == 2:
                raise ZeroDivisionError("within")
        assert mlflow.active_run() is None
        return x

    study = optuna.create_study()
    callback = MLflowCallback(store_uri, "own")
    study.optimize(
        objective, 8, n_jobs=4, callbacks=[callback], catch=(ZeroDivisionError,)
    )
    assert callback.flush()
    _, trials = runs_of(read_runs, store_uri, "own")
    assert sorted(trials) == list(range(8))
    for trial in study.trials:
        run = trials[trial.number]
        x = trial.params["x"]
        assert run.data.metrics["epoch_loss"] == pytest.approx(x + 1)
        assert run.data.params == {"x": "mine"}
        assert run.data.tags["optuna.param.x"] == str(x)
        assert run.data.tags["note"] == str(trial.number)
        assert run.info.start_time == milliseconds(trial.datetime_start)
        assert run.info.end_time == milliseconds(trial.datetime_complete)
    assert (trials[1].info.status, trials[2].info.status) == (KILLED, FAILED)
    assert "optuna.error" not in trials[1].data.tags
    assert "within" in trials[2].data.tags["optuna.error"]
    assert sync_study(study, store_uri, "own") == SyncCounts(unchanged=9)


def test_a_run_below_a_run_of_the_user(store_uri, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(store_uri)
    mlflow.set_experiment("mine")
    callback = MLflowCallback()
    study = optuna.create_study()
    with mlflow.start_run() as outer:
        trial = study.ask()
        with callback.run(trial) as run:
            mlflow.start_run(nested=True)  # and never ended
        assert mlflow.active_run().info.run_id == outer.info.run_id
        callback(study, study.tell(trial, 1.0))
        assert callback.flush()
    own = mlflow.get_run(run.info.run_id)
    assert own.info.status == FINISHED
    # Where `mlflow.set_experiment` has said, though the callback was told nothing.
    assert own.info.experiment_id == outer.info.experiment_id


def test_an_id_of_one_store_says_nothing_about_another(
    store_uri, tmp_path, monkeypatch, read_runs
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/first.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "4711")
    callback = MLflowCallback(store_uri)
    study = optuna.create_study()
    study.optimize(
        lambda trial: trial.suggest_float("x", 0, 1), 2, callbacks=[callback]
    )
    assert callback.flush()
    assert len(read_runs(store_uri)[1]) >= 2


def test_sync_writes_what_is_missing_and_then_nothing(store_uri, storage, read_runs):
    study = optuna.create_study(study_name="later", storage=storage)
    study.optimize(eventful, 8, catch=(ZeroDivisionError,))
    running = study.ask()
    assert sync_study(study, store_uri) == SyncCounts(created=9)
    before = read_runs(store_uri)
    assert sync_study(study, store_uri) == SyncCounts(unchanged=9)
    after = read_runs(store_uri)
    assert [r.to_dictionary() for r in before[1]] == [
        r.to_dictionary() for r in after[1]
    ]
    assert after[0][0].info.status == RUNNING
    study.tell(running, 0.0)
    assert sync_study(study, store_uri) == SyncCounts(
        created=1, repaired=1, unchanged=8
    )
    assert read_runs(store_uri)[0][0].info.status == FINISHED


def test_sync_takes_a_study_not_its_name(store_uri):
    with pytest.raises(TrackingError, match=r"load_study.*'later'"):
        sync_study("later", store_uri)


def test_sync_mends_a_run_that_lacks_something(store_uri, read_runs):
    from mlflow import MlflowClient

    study = optuna.create_study()
    study.optimize(eventful, 2)
    sync_study(study, store_uri)
    client = MlflowClient(store_uri)
    _, trials = runs_of(read_runs, store_uri)
    client.set_tag(trials[0].info.run_id, "optuna.state", "RUNNING")
    client.update_run(trials[1].info.run_id, status="RUNNING")
    assert sync_study(study, store_uri) == SyncCounts(repaired=2, unchanged=1)
    assert sync_study(study, store_uri) == SyncCounts(unchanged=3)


def test_sync_keeps_the_sampler_that_searched(store_uri, storage, read_runs):
    sampler = optuna.samplers.RandomSampler()
    study = optuna.create_study(study_name="s", storage=storage, sampler=sampler)
    with MLflowCallback(store_uri) as callback:
        study.optimize(square, 2, callbacks=[callback])
    loaded = optuna.load_study(study_name="s", storage=storage)
    assert type(loaded.sampler).__name__ == "TPESampler"
    assert sync_study(loaded, store_uri) == SyncCounts(unchanged=3)
    assert read_runs(store_uri)[0][0].data.tags["optuna.sampler"] == "RandomSampler"


def test_large_trials(store_uri, read_runs):
    def objective(trial):
        for k in range(230):
            trial.suggest_float(f"x{k}", 0, 1)
        for step in range(2300):
            trial.report(float(step), step)
        return 0.0

    sampler = optuna.samplers.RandomSampler()
    study = optuna.create_study(sampler=sampler)
    with MLflowCallback(store_uri) as callback:
        study.optimize(objective, 1, callbacks=[callback])
    _, trials = runs_of(read_runs, store_uri)
    assert len(trials[0].data.params) == 230
    assert trials[0].data.metrics["intermediate_value"] == 2299.0


@pytest.mark.parametrize(
    ("wanted", "allowed"),
    [
        ("lr", "lr"),
        ("layers[0]/size", "layers_0_/size"),
        ("a//b", "a__b"),
        ("/a", "_a"),
        ("a/", "a_"),
        ("../a", "__a"),
        (".", "_"),
        ("", "_"),
        ("lärm", "lärm"),
        ("x" * 300, "x" * 250),
    ],
)
def test_names_that_mlflow_does_not_take_are_changed(wanted, allowed):
    from mlflow.utils.validation import _validate_metric_name

    assert allowed_name(wanted) == allowed
    _validate_metric_name(allowed_name(wanted))


def test_two_names_do_not_become_one():
    names = Names()
    given = [names.give(name) for name in ("a[0]", "a(0)", "a_0_", "a_0__2")]
    assert len(set(given)) == 4


def test_passwords_are_in_no_run_and_no_message(store_uri, read_runs, caplog):
    secret = "hunter2"
    study = optuna.create_study(study_name=f"http://ann:{secret}@host/study")

    def objective(trial):
        url = f"postgresql://ann:{secret}@db/x?password={secret}"
        trial.suggest_categorical("url", [url])
        trial.set_user_attr("source", url)
        raise ZeroDivisionError(url)

    with MLflowCallback(store_uri, tags={"db": f"mysql://u:{secret}@h"}) as callback:
        study.optimize(objective, 1, callbacks=[callback], catch=(ZeroDivisionError,))
    tops, children = read_runs(store_uri)
    assert len(tops) == len(children) == 1
    for run in tops + children:
        assert secret not in json.dumps(run.to_dictionary())
    caplog.clear()
    bad = f"http://ann:{secret}@127.0.0.1:{free_port()}"
    callback = MLflowCallback(bad)
    study.optimize(square, 1, callbacks=[callback])
    assert not callback.flush()
    with pytest.raises(TrackingError) as raised:
        sync_study(study, bad)
    with pytest.raises(TrackingError) as wrong:
        MLflowCallback(f"postgres://ann:{secret}@host/db")
    said = [r.getMessage() for r in caplog.records if r.name == "harness.callback"]
    assert len(said) == 1
    assert secret not in f"{said}{raised.value}{wrong.value}"


@pytest.mark.parametrize("names", ["", ["a", "a"], ["a", ""], [1], 5, {"a": 1}])
def test_what_names_no_metric_is_refused_at_once(store_uri, names):
    with pytest.raises(TrackingError, match="metric_name must be"):
        MLflowCallback(store_uri, metric_name=names)


def test_metric_names_must_fit_the_objectives(store_uri, caplog):
    study = optuna.create_study(directions=["minimize", "minimize"])
    with pytest.raises(TrackingError, match=r"2 names instead of \['loss'\]"):
        MLflowCallback(store_uri, metric_name="loss", study=study)
    callback = MLflowCallback(store_uri, metric_name="loss")
    for _ in range(2):
        with pytest.raises(TrackingError, match="2 names"):
            study.optimize(lambda _: (1, 2), 1, callbacks=[callback])

    def inside(trial):
        with callback.run(trial):
            raise AssertionError("not reached")

    with pytest.raises(TrackingError, match="2 names"):
        study.optimize(inside, 1)
    # Nothing waits to be written, so nothing is promised.
    assert callback.flush()
    assert not [r for r in caplog.records if r.name == "harness.callback"]
    with pytest.raises(TrackingError, match="2 names"):
        sync_study(study, store_uri, metric_name="loss")
    assert sync_study(study, store_uri, metric_name=["a", "b"]).created == 4


def test_a_study_whose_first_trial_waits_cannot_be_logged(store_uri):
    study = optuna.create_study()
    with pytest.raises(TrackingError, match="Run a trial first"):
        sync_study(study, store_uri)


def test_the_callback_can_be_sent_to_another_process(store_uri):
    callback = pickle.loads(pickle.dumps(MLflowCallback(store_uri, metric_name="a")))
    study = optuna.create_study()
    study.optimize(square, 1, callbacks=[callback])
    assert callback.flush()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_a_fork_both_processes_log(store_uri, read_runs):
    code = f"""
        import os, optuna
        from harness import MLflowCallback
        callback = MLflowCallback({store_uri!r})
        study = optuna.create_study(study_name="fork")
        study.optimize(lambda t: 1.0, 1, callbacks=[callback])
        callback.flush()
        child = os.fork()
        other = optuna.create_study(study_name="child" if child == 0 else "parent")
        other.optimize(lambda t: 1.0, 2, callbacks=[callback])
        ok = callback.flush()
        if child == 0:
            os._exit(0 if ok else 3)
        assert os.waitpid(child, 0)[1] == 0 and ok
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    subprocess.run(command, check=True)
    tops, children = read_runs(store_uri)
    assert {run.info.run_name for run in tops} == {"fork", "child", "parent"}
    assert len(children) == 5


# ---- a server that is down, slow or killed


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@pytest.fixture
def server(store_uri, tmp_path):
    """Return a function that starts `mlflow server` on one port, and its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    started = []

    def start():
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--port", str(port)),
                *("--backend-store-uri", store_uri, "--workers", "1"),
                *("--artifacts-destination", str(tmp_path / "artifacts")),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(process)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
            except OSError:
                assert process.poll() is None, "the server has ended"
                time.sleep(0.2)
            else:
                return process
        raise TimeoutError

    yield address, start
    for process in started:
        kill(process)


def kill(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_server_that_is_killed_and_comes_back(server, store_uri, read_runs, caplog):
    address, start = server
    first = start()
    callback = MLflowCallback(address)
    study = optuna.create_study(study_name="survivor")

    def objective(trial):
        if trial.number == 5:
            assert callback.flush()
            kill(first)
        return square(trial)

    caplog.set_level(logging.WARNING, logger="harness.callback")
    study.optimize(objective, 20, callbacks=[callback])
    assert len(study.trials) == 20
    assert not callback.flush(timeout=5)
    assert sorted(runs_of(read_runs, store_uri)[1]) == list(range(5))
    with pytest.raises(TrackingError, match="refused"):
        sync_study(study, address)
    said = [r for r in caplog.records if r.name == "harness.callback"]
    assert len(said) == 1
    second = start()
    assert callback.flush()
    (top,), trials = runs_of(read_runs, store_uri)
    assert sorted(trials) == list(range(20))
    assert {run.info.status for run in trials.values()} == {FINISHED}
    assert top.data.tags["optuna.n_trials"] == "20"
    assert sync_study(study, address) == SyncCounts(unchanged=21)
    kill(second)


def test_a_server_that_does_not_answer_lets_the_study_end():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        callback = MLflowCallback(f"http://127.0.0.1:{silent.getsockname()[1]}")
        study = optuna.create_study()
        reached = threading.Event()
        study.optimize(
            square,
            50,
            callbacks=[callback, lambda _s, t: t.number == 49 and reached.set()],
        )
        assert reached.is_set()


def test_run_gives_none_where_the_server_is_down():
    callback = MLflowCallback(f"http://127.0.0.1:{free_port()}")
    seen = []

    def objective(trial):
        with callback.run(trial) as run:
            seen.append(run)
        return square(trial)

    study = optuna.create_study()
    study.optimize(objective, 2, callbacks=[callback])
    assert seen == [None, None]
    assert len(study.trials) == 2


def test_times_are_those_of_the_clock(store_uri, read_runs):
    before = datetime.now().timestamp()  # noqa: DTZ005  # Optuna's are naive as well
    study = optuna.create_study()
    with MLflowCallback(store_uri) as callback:
        study.optimize(square, 1, callbacks=[callback])
    run = runs_of(read_runs, store_uri)[1][0]
    now = time.time()
    assert before - 1 <= run.info.start_time / 1000 <= run.info.end_time / 1000 <= now
