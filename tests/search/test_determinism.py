"""Same seed and window, same trials: whatever runs them, and however often it stops."""

import os
import signal

import numpy as np
import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState

from harness.errors import MissingExtraError, StudyError
from harness.models.svd.model import SVD
from harness.search import executors, journal
from harness.search.engine import MAX_KILLS, Stopped
from harness.search.history import History, Outcome
from harness.search.samplers import SAMPLERS, SamplerSequence, trial_seed
from harness.search.space import SearchSpace
from harness.search.storage import open_storage, read_study
from tests.listeners import After

SPACE = """
family = "shifted"

[parameters]
shift = { type = "float", low = -1.0, high = 1.0, step = 0.03125 }
fail_above = { type = "float", low = 0.5, high = 4.0, step = 0.5 }

[initial]
fail_above = 4.0
"""

SVD_SPACE = """
family = "svd"

[parameters]
n_factors = { type = "int", low = 2, high = 40 }
n_epochs = { type = "epochs", high = 12, patience = 2 }
learning_rate = { type = "float", low = 0.001, high = 0.05, log = true }
regularization = { type = "fixed", value = 0.05 }

[initial]
n_factors = 8
"""


def samplers_here():
    """Name the samplers, those whose libraries are absent as skipped."""

    def why_not(name):
        try:
            SamplerSequence(name, seed=0, space=SearchSpace("none", {}, {}, "nowhere"))
        except MissingExtraError as error:
            return str(error)
        return ""

    reasons = {name: why_not(name) for name in SAMPLERS}
    return [
        pytest.param(name, marks=[pytest.mark.skip(reason=why)] if why else [])
        for name, why in reasons.items()
    ]


def trials_of(record):
    return [(t.number, t.state, t.params, t.fold_values) for t in record.trials]


@pytest.fixture
def study_of(plan_of, run, tmp_path, shifted):
    """Run a study in a storage of its own, in parts and with jobs as asked for."""

    def run_study(label, parts, *, jobs=1, storage="{}.log", **changes):
        path = storage.format(tmp_path / label)
        arguments = {"family": shifted, "text": SPACE, **changes}
        for n_trials in parts:
            record = run(plan_of(storage=path, **arguments), n_trials, jobs=jobs)
        return record

    return run_study


@pytest.mark.parametrize("sampler", samplers_here())
def test_the_number_of_jobs_changes_nothing(study_of, sampler):
    one = study_of("one", [14], sampler=sampler)
    assert {t.state for t in one.trials} >= {"complete", "pruned"}
    record = study_of("three", [14], sampler=sampler, jobs=3)
    assert trials_of(record) == trials_of(one)


def test_epochs_found_on_the_way_are_the_same_for_all_jobs(study_of):
    settings = {"family": SVD, "text": SVD_SPACE}
    one = study_of("one", [6], **settings)
    assert trials_of(study_of("three", [6], jobs=3, **settings)) == trials_of(one)


@pytest.mark.parametrize(
    ("sampler", "storage"),
    [
        *(
            pytest.param(*each.values, "{}.log", marks=each.marks)
            for each in samplers_here()
        ),
        # One that keeps nothing there but trials, and one that keeps its state.
        ("tpe", "sqlite:///{}.db"),
        ("cmaes", "sqlite:///{}.db"),
    ],
)
def test_a_study_in_parts_is_the_study_in_one_go(study_of, sampler, storage):
    whole = study_of("whole", [20], sampler=sampler)
    parts = study_of("parts", [1, 4, 11, 20], sampler=sampler, storage=storage)
    assert trials_of(parts) == trials_of(whole)


def test_a_gaussian_process_is_the_same_in_parts(study_of, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    settings = {"sampler": "gp", "pruner": "none", "window": 2}
    whole = study_of("whole", [15], **settings)
    assert trials_of(study_of("parts", [13, 15], **settings)) == trials_of(whole)
    # Ten complete trials are seen from the one after on: from there on it is fitted.
    kept = optuna.load_study(
        study_name="toy", storage=open_storage(str(tmp_path / "whole.log"))
    ).trials
    fitted = [any("gp:" in name for name in t.system_attrs) for t in kept]
    assert fitted.index(True) >= 10
    assert all(fitted[fitted.index(True) :])


def test_the_window_is_a_setting_of_the_study(study_of):
    small, large = study_of("a", [16], window=2), study_of("b", [16], window=12)
    assert small.settings.window == 2
    assert trials_of(small)[:3] == trials_of(large)[:3]
    assert trials_of(small) != trials_of(large)
    with pytest.raises(Exception, match="exists with another window"):
        study_of("a", [17], window=3)


class KilledError(BaseException):
    """Stands for kill -9: nobody tidies up."""


@pytest.mark.parametrize("whole_lines", [False, True])
def test_a_kill_in_the_middle_of_any_write_changes_nothing(
    study_of, monkeypatch, whole_lines
):
    write = journal.Journal._write
    all_writes = []

    def count(self, lines):
        all_writes.extend([lines] if lines else [])
        return write(self, lines)

    with monkeypatch.context() as patch:
        patch.setattr(journal.Journal, "_write", count)
        whole = study_of("whole", [10])
    # The first three make the study.
    for last in range(4, len(all_writes)):
        writes = []

        def write_half(self, lines, *, last=last, writes=writes):
            if not lines:
                return None
            writes.append(lines)
            if len(writes) > last:
                raise KilledError
            if len(writes) < last:
                return write(self, lines)
            content = b"".join(lines[: len(lines) // 2])
            if not whole_lines:
                content += lines[len(lines) // 2][:-9]
            with self._path.open("ab") as file:
                file.write(content)
            raise KilledError

        with monkeypatch.context() as patch:
            patch.setattr(journal.Journal, "_write", write_half)
            with pytest.raises(KilledError):
                study_of(f"killed-{last}", [10])
        assert trials_of(study_of(f"killed-{last}", [10])) == trials_of(whole)


def test_lost_workers_are_blamed_on_no_trial_however_often(study_of, monkeypatch):
    whole = study_of("whole", [6])
    wait = executors.TaskRunner.wait

    def lose(runner):
        if runner.n_pending > 1:
            raise StudyError("the scheduler is gone")
        return wait(runner)

    with monkeypatch.context() as patch:
        patch.setattr(executors.TaskRunner, "wait", lose)
        # One trial that had killed so many processes would have failed by now.
        for _ in range(MAX_KILLS + 2):
            with pytest.raises(StudyError, match="is gone"):
                study_of("lost", [6])
    assert trials_of(study_of("lost", [6])) == trials_of(whole)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_study_between_trials(plan_of, run, study_of, name):
    plan = plan_of(text=SPACE, storage=plan_of().storage)
    before = signal.getsignal(getattr(signal, name))
    with pytest.raises(Stopped) as stopped:
        run(
            plan,
            12,
            listener=After(3, lambda: signal.raise_signal(getattr(signal, name))),
        )
    assert stopped.value.signal == getattr(signal, name)
    assert signal.getsignal(getattr(signal, name)) == before
    kept = optuna.load_study(study_name="toy", storage=open_storage(plan.storage))
    assert {t.state.name for t in kept.trials} <= {
        "COMPLETE",
        "PRUNED",
        "FAIL",
        "WAITING",
    }
    assert trials_of(run(plan, 12)) == trials_of(study_of("whole", [12]))


def test_a_trial_costs_one_durable_write_in_a_journal(study_of, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(1), fsync(handle)))
    counts = {}
    for n_trials in (5, 45):
        synced.clear()
        study_of(str(n_trials), [n_trials], text=SPACE, sampler="random")
        counts[n_trials] = len(synced)
    assert counts[45] - counts[5] <= 40 * 1.25


def test_a_trial_costs_two_transactions_in_a_database(study_of, tmp_path):
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    # What only reads commits, too: count those that have written.
    written = []
    changes = ("INSERT", "UPDATE", "DELETE")

    def note_statement(connection, _cursor, statement, *_):
        if statement.lstrip().upper().startswith(changes):
            connection.info["written"] = True

    def note_commit(connection):
        if connection.info.pop("written", False):
            written.append(1)

    event.listen(Engine, "before_cursor_execute", note_statement)
    event.listen(Engine, "commit", note_commit)
    try:
        counts = {}
        for n_trials in (5, 25):
            written.clear()
            study_of(
                f"n{n_trials}", [n_trials], sampler="random", storage="sqlite:///{}.db"
            )
            counts[n_trials] = len(written)
    finally:
        event.remove(Engine, "before_cursor_execute", note_statement)
        event.remove(Engine, "commit", note_commit)
    n_extra = len(read_study(f"sqlite:///{tmp_path / 'n25.db'}", "toy").trials)
    n_extra -= len(read_study(f"sqlite:///{tmp_path / 'n5.db'}", "toy").trials)
    assert counts[25] - counts[5] == 2 * n_extra


def test_best_params_of_optuna_make_the_model_that_was_judged(study_of, tmp_path):
    record = study_of("svd", [8], family=SVD, text=SVD_SPACE)
    storage = open_storage(str(tmp_path / "svd.log"))
    study = optuna.load_study(study_name="toy", storage=storage)
    assert study.best_trial.number == record.best.number
    assert study.best_params == record.best.params
    assert set(study.best_params) == {
        "n_factors",
        "n_epochs",
        "learning_rate",
        "regularization",
    }
    SVD(**study.best_params)
    for frozen, trial in zip(study.trials, record.trials, strict=True):
        assert frozen.params == trial.params
    assert study.metric_names == ["rmse"]


def test_settings_enqueued_in_optuna_are_tried(study_of, tmp_path):
    study_of("toy", [3])
    storage = open_storage(str(tmp_path / "toy.log"))
    study = optuna.load_study(study_name="toy", storage=storage)
    study.enqueue_trial({"shift": 0.125, "fail_above": 2.5})
    study.enqueue_trial({"shift": -0.125})
    record = study_of("toy", [6])
    assert record.trials[3].params == {"shift": 0.125, "fail_above": 2.5}
    assert record.trials[4].params["shift"] == -0.125
    assert len(record.trials) == 6


def test_tpe_draws_what_optuna_draws(study_of, tmp_path):
    # One trial at a time, and no more trials than it remembers: Optuna's own sampler,
    # seeded as ours, must draw the same for the last trial.
    record = study_of("own", [30], window=1, pruner="none")
    frozen = optuna.load_study(
        study_name="toy", storage=open_storage(str(tmp_path / "own.log"))
    ).trials
    study = optuna.create_study()
    study.add_trials(frozen[:-1])
    study.sampler = optuna.samplers.TPESampler(
        seed=trial_seed(0, 29), multivariate=False, constant_liar=True
    )
    trial = study.ask()
    shift = trial.suggest_float("shift", -1, 1, step=0.03125)
    fail_above = trial.suggest_float("fail_above", 0.5, 4, step=0.5)
    assert record.trials[29].params == {"shift": shift, "fail_above": fail_above}


def test_a_limited_memory_shows_the_latest_trials_and_the_best(space_of, shifted):
    space = space_of(SPACE, shifted)
    samplers = SamplerSequence("tpe", seed=0, space=space)
    history = History(
        directions=[StudyDirection.MINIMIZE], space=space, samplers=samplers, window=2
    )
    rng = np.random.default_rng(0)
    values = {}
    for number in range(180):
        history.ask(number, fixed={})
        values[number] = float(rng.random())
        outcome = Outcome(state=TrialState.COMPLETE, values=(values[number],))
        history.tell(number, outcome)
    shown = [t.number for t in history._storage.get_all_trials(0, deepcopy=False)]
    # 100 before the last one, and the last one itself.
    latest, old = set(range(79, 180)), sorted(range(79), key=values.get)[:25]
    assert set(shown) == latest | set(old)
    assert shown == sorted(shown)
