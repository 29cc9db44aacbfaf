import json
import os
import signal
from collections import deque
from concurrent.futures import Executor, Future
from contextlib import contextmanager

import numpy as np
import optuna
import pytest

from harness.errors import StudyError, UnknownNameError
from harness.models.svd.model import SVD
from harness.plain import to_json
from harness.search import executors
from harness.search.records import NoListener
from harness.search.storage import (
    list_studies,
    open_storage,
    read_study,
    without_password,
)
from tests.facts import dataset_facts, split_facts
from tests.listeners import After

FAILING = """
family = "shifted"

[parameters]
shift = { type = "float", low = -1.0, high = 1.0 }
fail_above = { type = "fixed", value = %s }

[initial]
shift = -0.5
"""


def as_values(record):
    return [(t.number, t.state, t.params, t.fold_values) for t in record.trials]


def test_values_are_the_rmse_of_each_fold_and_their_mean(plan_of, run, fold_rmse):
    record = run(plan_of(), 1)
    assert record.trials[0].params == {"shift": 0.5}
    np.testing.assert_allclose(record.trials[0].fold_values, fold_rmse(0.5), rtol=1e-6)
    assert record.best.value == pytest.approx(np.mean(fold_rmse(0.5)))


def test_a_search_finds_what_it_looks_for(plan_of, run):
    record = run(plan_of(), 40)
    assert len(record.trials) == 40
    assert abs(record.best.params["shift"]) < 0.1


def test_the_race_drops_trials_without_missing_the_best(plan_of, run):
    raced = run(plan_of(name="raced"), 40)
    full = run(plan_of(name="full", pruner="none"), 40)
    n_folds = sum(len(t.fold_values) for t in raced.trials)
    assert n_folds < 0.6 * sum(len(t.fold_values) for t in full.trials)
    assert raced.best.value < full.best.value + 1e-3


def test_epochs_are_found_on_the_way(descending, plan_of, run):
    text = """
    family = "descending"
    [parameters]
    n_epochs = { type = "epochs", high = 50, patience = 3 }
    """
    record = run(plan_of(descending, text), 2)
    initial, searched = record.trials
    assert initial.params == {"n_epochs": 3}
    assert searched.params == {"n_epochs": 10}
    assert searched.value < initial.value


def test_trials_is_a_total_over_restarts(plan_of, run, log):
    run(plan_of(), 5)
    record = run(plan_of(), 8, listener=log)
    assert len(record.trials) == 8
    assert [t.number for t in log.trials] == [5, 6, 7]


def test_a_continued_study_is_the_one_that_was_not_interrupted(plan_of, run, tmp_path):
    whole = run(plan_of(storage=str(tmp_path / "whole"), sampler="random"), 12)
    parts = plan_of(storage=str(tmp_path / "parts"), sampler="random")
    run(parts, 5)
    assert as_values(run(parts, 12))[:5] == as_values(whole)[:5]
    continued = [t.params for t in run(parts, 12).trials]
    assert continued == [t.params for t in whole.trials]


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


def die():
    # Nobody tidies up: to the storage it looks like kill -9.
    raise SystemExit


@pytest.mark.parametrize("stop", [press_ctrl_c, die])
@pytest.mark.parametrize("storage", ["{}.log", "sqlite:///{}.db"])
@pytest.mark.parametrize("after", [0, 4])
def test_interrupted_trials_are_done_again_as_if_nothing_had_happened(
    plan_of, run, tmp_path, storage, stop, after
):
    whole = run(plan_of(storage=storage.format(tmp_path / "whole")), 16)
    plan = plan_of(storage=storage.format(tmp_path / "parts"))
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(plan, 16, listener=After(after, stop))
    kept = read_study(plan.storage, "toy").trials
    assert len(kept) < 16
    assert as_values(run(plan, 16)) == as_values(whole)


STEPS = """
family = "shifted"
[parameters]
shift = { type = "float", low = -1, high = 1, step = 0.125 }
"""


@pytest.mark.parametrize("sampler", ["random", "cmaes", "qmc", "grid"])
def test_every_sampler_goes_on_after_a_kill_with_what_it_had_drawn(
    plan_of, run, tmp_path, sampler
):
    steps = {"text": STEPS} if sampler == "grid" else {}
    whole, parts = (
        plan_of(sampler=sampler, storage=str(tmp_path / name), **steps)
        for name in ("whole", "parts")
    )
    with pytest.raises(SystemExit):
        run(parts, 12, listener=After(5, die))
    assert as_values(run(parts, 12)) == as_values(run(whole, 12))


def test_a_trial_that_has_its_process_killed_each_time_fails_in_the_end(
    plan_of, run, monkeypatch
):
    monkeypatch.setattr("harness.search.engine.MAX_KILLS", 2)
    plan = plan_of()
    run(plan, 1, timeout=0.0)
    study = optuna.load_study(study_name="toy", storage=open_storage(plan.storage))
    for _ in range(3):
        study.ask()  # the first time a new one, then that which was put back
        record = run(plan, 1, timeout=0.0)
    assert [(t.number, t.state) for t in record.trials] == [(0, "failed")]
    record = run(plan, 1)
    assert [(t.number, t.state) for t in record.trials[1:]] == [(1, "complete")]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"seed": 1}, "seed"),
        ({"n_folds": 4}, "n_folds"),
        ({"sampler": "random"}, "sampler"),
        ({"pruner": "none"}, "pruner"),
        ({"dataset": dataset_facts(fingerprint="other")}, "dataset"),
        ({"split": split_facts(fingerprint="other")}, "split"),
    ],
)
def test_a_study_is_not_continued_with_other_settings(plan_of, run, changes, what):
    run(plan_of(), 1)
    with pytest.raises(StudyError, match=f"exists with another {what}: .*--name"):
        run(plan_of(**changes), 2)


def test_a_failing_trial_is_recorded_and_the_study_goes_on(plan_of, run, shifted):
    record = run(plan_of(shifted, FAILING % "0.0", sampler="random"), 12)
    states = [t.state for t in record.trials]
    failed = [t for t in record.trials if t.state == "failed"]
    assert failed
    assert len(states) - len(failed) == 12
    assert all("ValueError: shift" in t.error for t in failed)
    assert all(t.params["shift"] > 0 for t in failed)


class Lazy(Executor):
    """Carries out one call at a time, when it is told to."""

    def __init__(self):
        self.line = deque()
        self.begun = []

    def submit(self, fn, task):
        future = Future()
        self.line.append((future, fn, task))
        return future

    def carry_out_one(self):
        while self.line:
            future, fn, task = self.line.popleft()
            if future.set_running_or_notify_cancel():
                self.begun.append((task.params["shift"], task.fold))
                future.set_result(fn(task))
                return


def test_no_fold_is_begun_after_one_by_which_its_trial_fails(
    plan_of, run, shifted, monkeypatch
):
    lazy, wait = Lazy(), executors.TaskRunner.wait

    @contextmanager
    def open_lazy(_choice, _module):
        # Four workers, so that folds run ahead of the verdicts.
        yield executors.Workers(lazy, lambda: 4, executors._share_memory)

    def carry_out(runner):
        lazy.carry_out_one()
        return wait(runner)

    entry = executors.ExecutorEntry(open_lazy, is_isolated=False)
    monkeypatch.setattr(executors, "EXECUTORS", {"inline": entry})
    monkeypatch.setattr(executors.TaskRunner, "wait", carry_out)
    plan = plan_of(shifted, FAILING % "0.0", sampler="random", pruner="none")
    for trial in run(plan, 6).trials:
        folds = [fold for shift, fold in lazy.begun if shift == trial.params["shift"]]
        assert folds == ([0] if trial.params["shift"] > 0 else [0, 1, 2, 3, 4])
    assert {shift > 0 for shift, _ in lazy.begun} == {True, False}


def test_a_study_whose_trials_all_fail_stops_and_says_why(plan_of, run, shifted):
    with pytest.raises(StudyError, match=r"last 10 trials .* ValueError: shift .* too"):
        run(plan_of(shifted, FAILING % "-2.0"), 50)


def test_failures_between_successes_do_not_stop_a_study(
    plan_of, run, shifted, monkeypatch
):
    monkeypatch.setattr("harness.search.engine.MAX_FAILURES_IN_A_ROW", 4)
    record = run(plan_of(shifted, FAILING % "0.6", sampler="random"), 40)
    assert sum(t.state == "failed" for t in record.trials) > 4


def test_predictions_that_are_no_numbers_fail_the_trial(
    plan_of, run, shifted, monkeypatch
):
    monkeypatch.setattr(
        shifted, "_predict", lambda _self, users, _items: np.full(len(users), np.nan)
    )
    with pytest.raises(StudyError, match=r"shifted: a prediction is not a finite"):
        run(plan_of(), 3)


def test_equal_settings_are_computed_once(plan_of, run, shifted, monkeypatch):
    fits = []
    original = shifted._fit
    monkeypatch.setattr(
        shifted, "_fit", lambda self, *a: (fits.append(self.shift), original(self, *a))
    )
    text = 'family = "shifted"\n[parameters]\n'
    text += 'shift = { type = "categorical", choices = [0.5, 0.25, 0.0] }'
    record = run(plan_of(shifted, text, sampler="random", pruner="none"), 20)
    assert len(record.trials) == 20
    assert len(fits) == 3 * 5
    copies = [t for t in record.trials if t.duplicate_of is not None]
    assert len(copies) == 17
    for copy in copies:
        original_trial = record.trials[copy.duplicate_of]
        assert copy.value == original_trial.value
        assert copy.params == original_trial.params


def test_settings_that_failed_are_tried_again_and_then_shared(
    plan_of, run, shifted, monkeypatch
):
    fits = []
    original = shifted._fit

    def fail_once(self, *arguments):
        fits.append(self.shift)
        if len(fits) == 1:
            raise ValueError("bad luck")
        original(self, *arguments)

    monkeypatch.setattr(shifted, "_fit", fail_once)
    text = 'family = "shifted"\n[parameters]\n'
    text += 'shift = { type = "categorical", choices = [0.5] }'
    record = run(plan_of(shifted, text, sampler="random", pruner="none"), 6)
    # The first fails on its first fold; the second has all five, the others copy it.
    assert [t.state for t in record.trials] == ["failed"] + 6 * ["complete"]
    assert len(fits) == 1 + 5
    assert [t.duplicate_of for t in record.trials] == [None, None] + 5 * [1]


def test_a_study_killed_between_the_first_enqueuing_and_asking_goes_on(plan_of, run):
    plan = plan_of()
    run(plan, 1, timeout=0.0)
    study = optuna.load_study(study_name="toy", storage=open_storage(plan.storage))
    study.enqueue_trial(plan.space.initial_point())
    record = run(plan, 3)
    assert [t.number for t in record.trials] == [0, 1, 2]
    assert record.trials[0].params == {"shift": 0.5}


class Joining(NoListener):
    """Starts the same study again when it hears of a trial."""

    def __init__(self, start):
        self.start = start
        self.errors = []

    def on_trial_end(self, study, trial):
        del study, trial
        try:
            self.start()
        except StudyError as error:
            self.errors.append(str(error))


@pytest.mark.parametrize("storage", ["optuna.log", "sqlite:///study.db"])
def test_a_study_has_one_owner_at_a_time(plan_of, run, tmp_path, monkeypatch, storage):
    monkeypatch.chdir(tmp_path)
    plan = plan_of(storage=storage)
    joining = Joining(lambda: run(plan, 9))
    record = run(plan, 2, listener=joining)
    assert len(record.trials) == 2
    assert len(joining.errors) == 2
    assert f"run by another process ({os.getpid()}): wait" in joining.errors[0]
    # Another study in the same storage is welcome, and so is the next owner.
    other = Joining(lambda: run(plan_of(name="other", storage=storage), 1))
    assert len(run(plan, 3, listener=other).trials) == 3
    assert not other.errors
    assert not list(tmp_path.glob("*.owner"))


def test_an_engine_without_a_look_inside_has_the_epochs_it_was_trained_for(
    plan_of, run
):
    text = """
    family = "svd"
    [parameters]
    n_factors = { type = "int", low = 2, high = 4 }
    n_epochs = { type = "epochs", high = 7, patience = 2 }
    engine = { type = "fixed", value = "surprise" }
    [initial]
    n_factors = 2
    """
    assert run(plan_of(SVD, text), 2).trials[1].params["n_epochs"] == 7


def test_grid_visits_every_point_and_stops(plan_of, run):
    text = 'family = "shifted"\n[parameters]\n'
    text += 'shift = { type = "float", low = -1, high = 1, step = 0.5 }'
    record = run(plan_of(text=text, sampler="grid", pruner="none"), 100)
    # The initial settings, then each of the five points once: then it is over.
    assert len(record.trials) == 6
    assert {t.params["shift"] for t in record.trials} == {-1, -0.5, 0, 0.5, 1}


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "qmc"])
@pytest.mark.parametrize("pruner", ["race", "wilcoxon", "median", "none"])
def test_every_sampler_works_with_every_pruner(plan_of, run, sampler, pruner):
    record = run(plan_of(sampler=sampler, pruner=pruner), 12)
    assert len({t.params["shift"] for t in record.trials}) == 12
    assert record.settings.sampler["name"] == sampler
    assert record.settings.pruner["name"] == pruner


def test_no_trial_starts_after_the_timeout(plan_of, run):
    assert len(run(plan_of(), 1000, timeout=0.0).trials) == 0


def test_the_record_read_back_is_the_record_returned(plan_of, run):
    plan = plan_of()
    record = run(plan, 3)
    assert list_studies(plan.storage) == ["toy"]
    assert read_study(plan.storage, "toy") == record
    json.dumps(to_json(record.settings))


def test_unknown_names_are_refused_with_a_hint(plan_of, run):
    for changes in ({"sampler": "tpr"}, {"pruner": "racer"}):
        with pytest.raises(UnknownNameError, match="Did you mean"):
            run(plan_of(**changes), 1)
    plan = plan_of()
    run(plan, 1)
    with pytest.raises(UnknownNameError, match="There is no study named 'toi'"):
        read_study(plan.storage, "toi")


def test_a_database_url_is_a_storage_too(plan_of, run, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    run(plan_of(storage=url), 2)
    assert len(run(plan_of(storage=url), 4).trials) == 4
    assert read_study(url, "toy").best is not None


def test_reading_does_not_make_a_database(tmp_path):
    path = tmp_path / "typo.db"
    with pytest.raises(StudyError, match="There is no study storage"):
        list_studies(f"sqlite:///{path}")
    assert not path.exists()


@pytest.mark.parametrize(
    ("storage", "shown"),
    [
        ("optuna.log", "optuna.log"),
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        ("x://me:secret@host:port", "x://..."),
    ],
)
def test_no_password_is_shown(storage, shown):
    assert without_password(storage) == shown


def test_half_a_line_at_the_end_of_the_journal_is_cut_off(plan_of, run, tmp_path):
    plan = plan_of()
    before = run(plan, 3)
    with (tmp_path / "optuna.log").open("ab") as journal:
        journal.write(b'{"op_code":5,"wor')
    after = run(plan, 5)
    assert as_values(after)[:3] == as_values(before)
    assert len(after.trials) == 5


def test_a_storage_that_cannot_be_opened_is_one_sentence(plan_of, run, tmp_path):
    with pytest.raises(StudyError, match="There is no study storage"):
        list_studies(str(tmp_path / "nothing.log"))
    (tmp_path / "not-a-database").write_text("hello")
    url = f"sqlite:///{tmp_path / 'not-a-database'}"
    with pytest.raises(StudyError, match=r"cannot be opened: .*not a database"):
        run(plan_of(storage=url), 1)


def test_where_there_is_nothing_to_search_one_trial_is_enough(plan_of, run):
    text = 'family = "shifted"\n[parameters]\nshift = { type = "fixed", value = 0.5 }'
    assert len(run(plan_of(text=text), 20).trials) == 1


def test_half_a_line_is_cut_off_while_the_journal_is_open(plan_of, run, tmp_path):
    # Another study in the same journal may be killed while this one goes on.
    def tear(study, trial):
        del study
        if trial.number == 2:
            with (tmp_path / "optuna.log").open("ab") as journal:
                journal.write(b'{"op_code":5,"wor')

    listener = NoListener()
    listener.on_trial_end = tear
    assert len(run(plan_of(), 6, listener=listener).trials) == 6
    assert len(read_study(str(tmp_path / "optuna.log"), "toy").trials) == 6
