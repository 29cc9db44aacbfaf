import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from harness.data.catalogue import Catalogue
from harness.data.dataset import Dataset
from harness.errors import StudyError, UnknownNameError
from harness.evaluation.final import judge_entries
from harness.evaluation.metrics import rmse
from harness.evaluation.splits import assign_folds, cut_fold
from harness.experiment import fitting
from harness.experiment import judge as remeasure
from harness.experiment.judge import judge_experiment
from harness.experiment.run import RunSettings, prepare_study, study_spec
from harness.models.svd.model import SVD
from harness.report.context import Context
from harness.report.searches import optimism
from harness.search.attributes import why_too_small
from harness.search.fidelity import Fidelity
from harness.search.ownership import own_study
from harness.search.records import NoListener
from harness.search.storage import open_storage, read_experiment_facts


@pytest.fixture
def prepared(small_ratings, tmp_path):
    """A study of the baseline, ready to run."""
    dataset = Dataset(
        name="toy", ratings=small_ratings, catalogue=Catalogue.empty(), source="toy"
    )
    spec = study_spec("baseline", n_trials=3, seed=7)
    settings = RunSettings(storage=str(tmp_path / "optuna.log"))
    return prepare_study(spec, settings, load=lambda _: dataset)


def search(prepared):
    prepared.begin()
    return prepared.search("baseline", NoListener())


def judge(prepared):
    return judge_experiment(prepared, on_step=lambda _: None).record


def family_of(prepared):
    return prepared.plans["baseline"].family


def test_the_best_is_measured_again_on_folds_that_the_search_has_not_seen(
    prepared, monkeypatch
):
    found = search(prepared)
    folds = []

    def note(train, **arguments):
        folds.append((train, assign_folds(train, **arguments)))
        return folds[-1][1]

    threads = []

    def note_threads(*given, jobs, **how):
        threads.append(jobs)
        return judge_entries(*given, jobs=jobs, **how)

    monkeypatch.setattr(remeasure, "assign_folds", note)
    monkeypatch.setattr(remeasure, "judge_entries", note_threads)
    judged = judge(replace(prepared, settings=replace(prepared.settings, jobs=2)))
    assert threads == [2]
    # The first deal is for the best settings, the next for the floor.
    train, fresh = folds[0]
    assert train is prepared.split.train
    searched = assign_folds(train, n_folds=5, seed=7)
    # Two independent deals into five folds agree on a fifth of the ratings.
    assert np.mean(fresh == searched) == pytest.approx(0.2, abs=0.06)
    assert judged.fresh_folds["baseline"] != found.best.value


def test_a_failure_on_fresh_folds_is_one_sentence(prepared, monkeypatch):
    search(prepared)

    def fail(*_arguments):
        raise ValueError("no luck")

    monkeypatch.setattr(family_of(prepared), "_fit", fail)
    with pytest.raises(StudyError, match=r"failed on fold 0.*no luck"):
        judge(prepared)


def test_names_are_resolved_before_the_data_is_loaded(tmp_path):
    def load(_):
        raise AssertionError("loaded")

    for change in (
        {"reference": "baselin"},
        {"search": {"sampler": "tpa"}},
        {"search": {"pruner": "rase"}},
        {"entry": {"space": "baselin"}},
    ):
        spec = study_spec(**({"reference": "baseline"} | change))
        with pytest.raises(UnknownNameError, match="Did you mean"):
            prepare_study(spec, RunSettings(storage=str(tmp_path / "o.log")), load=load)
    with pytest.raises(UnknownNameError, match="Did you mean 'inline'"):
        prepare_study(study_spec("baseline"), RunSettings(executor="inlin"), load=load)


def test_the_floor_is_the_best_of_several_regularizations(prepared):
    search(prepared)
    judged = judge(prepared)
    floor = judged.baseline().params
    chosen = (floor["user_regularization"], floor["item_regularization"])
    rmse = {}
    for user in (1.0, 3.0, 10.0, 30.0):
        for item in (1.0, 3.0, 10.0, 30.0):
            train = prepared.split.train
            fold_of = assign_folds(train, n_folds=5, seed=7)
            values = []
            for fold in range(5):
                learnt, held_out = (
                    train.take(fold_of != fold),
                    train.take(fold_of == fold),
                )
                model = family_of(prepared)(
                    kind="bias", user_regularization=user, item_regularization=item
                ).fit(learnt, Catalogue.empty())
                errors = model.predict(held_out.users, held_out.items) - held_out.values
                values.append(np.sqrt(np.mean(errors.astype(float) ** 2)))
            rmse[user, item] = np.mean(values)
    assert chosen == min(rmse, key=rmse.get)


@pytest.mark.parametrize("split", ["temporal", "cold-items", "user-temporal"])
def test_folds_are_of_the_kind_of_the_split(small_ratings, tmp_path, split):
    dataset = Dataset(
        name="toy", ratings=small_ratings, catalogue=Catalogue.empty(), source="toy"
    )
    spec = study_spec("baseline", n_trials=1, split={"method": split})
    settings = RunSettings(storage=str(tmp_path / "o.log"))
    prepared = prepare_study(spec, settings, load=lambda _: dataset)
    (trial,) = search(prepared).trials
    judged = judge(prepared)
    train = prepared.split.train
    fold_of = assign_folds(train, method=split)
    expected = []
    for fold in range(5):
        learnt, held_out = cut_fold(fold_of, fold)
        valid = train.take(held_out)
        model = family_of(prepared)(**trial.params).fit(
            train.take(learnt), Catalogue.empty()
        )
        errors = model.predict(valid.users, valid.items) - valid.values
        expected.append(np.sqrt(np.mean(errors.astype(float) ** 2)))
    np.testing.assert_allclose(trial.fold_values, expected, rtol=1e-5)
    timed = split != "cold-items"
    assert (judged.fresh_folds["baseline"] is None) == timed


def test_a_storage_without_room_is_refused_before_anything_is_kept(
    small_dataset, tmp_path
):
    storage = f"sqlite:///{tmp_path}/small.db"
    open_storage(storage)
    database = sqlite3.connect(tmp_path / "small.db")
    # As a column of MySQL refuses what is too long for it.
    database.execute(
        "CREATE TRIGGER small BEFORE INSERT ON study_user_attributes "
        "WHEN length(NEW.value_json) > 30000 BEGIN SELECT RAISE(ABORT, 'Data too long'); END"
    )
    prepared = prepare_study(
        study_spec("baseline"),
        RunSettings(storage=storage),
        load=lambda _: small_dataset,
    )
    with pytest.raises(StudyError, match=r"60,000 bytes.*: Data too long\."):
        prepared.begin()
    assert not database.execute("SELECT * FROM studies").fetchall()
    database.execute("DROP TRIGGER small")
    database.commit()
    prepared.begin()
    names = database.execute("SELECT study_name FROM studies").fetchall()
    assert names == [(prepared.name,)]


def test_a_process_killed_while_it_tries_a_storage_leaves_nothing_in_it(
    tmp_path, monkeypatch
):
    storage = open_storage(f"sqlite:///{tmp_path}/small.db")
    seen = []

    class KilledError(BaseException):
        """Stands for kill -9: nobody tidies up."""

    def kill(session, *_):
        seen.append(
            session.scalar(
                text("SELECT max(length(value_json)) FROM study_user_attributes")
            )
        )
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Session, "refresh", kill)
        patch.setattr(Session, "rollback", lambda _: None)
        patch.setattr(Session, "close", lambda _: None)
        with pytest.raises(KilledError):
            why_too_small(storage)
    assert seen == [60_002]
    with sqlite3.connect(tmp_path / "small.db") as database:
        assert not database.execute("SELECT * FROM studies").fetchall()
        assert not database.execute("SELECT * FROM study_user_attributes").fetchall()


def test_a_storage_that_cuts_what_is_too_long_is_found_out(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/small.db")
    with sqlite3.connect(tmp_path / "small.db") as database:
        # As MySQL does where it is not strict.
        database.execute(
            "CREATE TRIGGER small AFTER INSERT ON study_user_attributes BEGIN UPDATE "
            "study_user_attributes SET value_json = substr(value_json, 1, 50000); END"
        )
    assert why_too_small(storage) == "it was cut to 50,000 bytes"


def test_what_a_file_says_is_not_changed_under_a_process_that_runs_it(
    small_dataset, tmp_path
):
    storage = str(tmp_path / "o.log")

    def prepare(n_trials):
        return prepare_study(
            study_spec("baseline", n_trials=n_trials),
            RunSettings(storage=storage),
            load=lambda _: small_dataset,
        )

    prepare(5).begin()
    with own_study(storage, "baseline-toy"):
        prepare(5).begin()
        with pytest.raises(StudyError, match="by another process"):
            prepare(6).begin()
    kept = read_experiment_facts(storage, "baseline-toy")["spec"]
    assert kept["budget"]["trials"] == 5
    prepare(6).begin()
    kept = read_experiment_facts(storage, "baseline-toy")["spec"]
    assert kept["budget"]["trials"] == 6


def test_what_needs_times_is_not_searched_in_data_without(small_ratings, tmp_path):
    def searched(ratings):
        dataset = Dataset(
            name="toy", ratings=ratings, catalogue=Catalogue.empty(), source="toy"
        )
        settings = RunSettings(storage=str(tmp_path / "optuna.log"))
        study = prepare_study(study_spec("svd"), settings, load=lambda _: dataset)
        return set(study.plans["svd"].space.searched)

    times = 10**9 + np.arange(len(small_ratings))
    dated = replace(small_ratings, timestamps=times)
    timeless = replace(small_ratings, timestamps=None)
    assert searched(dated) - searched(timeless) == {"time", "time_regularization"}


def test_auto_goes_on_as_a_study_was_begun_and_full_does_not(small_ratings, tmp_path):
    dataset = Dataset(
        name="toy", ratings=small_ratings, catalogue=Catalogue.empty(), source="toy"
    )
    settings = RunSettings(storage=f"sqlite:///{tmp_path / 'new.db'}")

    def prepare(fidelity):
        spec = study_spec("svd", n_trials=1, search={"fidelity": fidelity})
        return prepare_study(spec, settings, load=lambda _: dataset)

    old = prepare("auto")
    assert not (tmp_path / "new.db").exists()
    begun = Fidelity(samples=(1 / 4,), one_fold=True)
    plan = replace(old.plans["svd"], fidelity=begun)
    old = replace(old, plans={"svd": plan})
    old.begin()
    old.search("svd", NoListener())
    assert prepare("auto").plans["svd"].fidelity == begun
    with pytest.raises(StudyError, match="another fidelity"):
        prepare("full").begin()


@pytest.mark.parametrize(("half_a_digit", "n_seeds"), [(1.0, 1), (0.0, 3)])
def test_large_data_have_one_fresh_fold_and_the_seeds_that_can_change_a_digit(
    small_ratings, tmp_path, monkeypatch, half_a_digit, n_seeds
):
    dataset = Dataset(
        name="toy", ratings=small_ratings, catalogue=Catalogue.empty(), source="toy"
    )
    spec = study_spec("svd", n_trials=1, seed=7)
    settings = RunSettings(storage=str(tmp_path / "optuna.log"))
    small = prepare_study(spec, settings, load=lambda _: dataset)
    plan = replace(
        small.plans["svd"], fidelity=Fidelity(samples=(1 / 4,), one_fold=True)
    )
    large = replace(small, plans={"svd": plan})
    large.begin()
    [trial] = large.search("svd", NoListener()).trials
    monkeypatch.setattr(remeasure, "HALF_A_DIGIT", half_a_digit)
    record = judge(large)
    # Once more by hand: the last of the fresh folds, with two seeds.
    train = large.split.train
    first_seed = 7 + remeasure.FRESH_SEED_OFFSET
    learnt, held_out = cut_fold(assign_folds(train, seed=first_seed), 4)
    valid = train.take(held_out)
    params = {k: v for k, v in trial.params.items() if k != "seed"}
    scores = [
        rmse(valid.values, model.predict(valid.users, valid.items, valid.timestamps))
        for seed in (first_seed, first_seed + 1)
        for model in [SVD(**params, seed=seed)]
        if model.fit(train.take(learnt), Catalogue.empty())
    ]
    assert record.fresh_folds["svd"] == pytest.approx(scores[0], abs=1e-9)
    assert record.seed_gaps["svd"] == pytest.approx(
        abs(scores[1] - scores[0]), abs=1e-9
    )
    assert record.judging.seeds == (7, 8, 9)[:n_seeds]
    text = optimism(Context(record=record, folder=tmp_path))
    assert f"{record.seed_gaps['svd']:.6f}" in text
    assert f"{len(train) // 5:,} ratings" in text


@pytest.mark.parametrize(("split", "n_workers"), [("none", 5), ("random", 16)])
def test_without_a_test_set_no_more_workers_judge_than_there_are_fresh_folds(
    split, n_workers, prepared, tmp_path, monkeypatch
):
    class Opened(Exception):  # noqa: N818
        """All that is asked is known."""

    def open_fitter(_data, *, jobs):
        asked.append(jobs)
        raise Opened

    asked = []
    monkeypatch.setattr(remeasure, "open_fitter", open_fitter)
    monkeypatch.setattr(fitting, "SHORT_SECONDS", 0.0)
    spec = study_spec("baseline", n_trials=1, split={"method": split})
    settings = RunSettings(storage=str(tmp_path / "o.log"))
    prepared = prepare_study(spec, settings, load=lambda _: prepared.dataset)
    search(prepared)
    with pytest.raises(Opened):
        judge(replace(prepared, settings=replace(settings, jobs=16)))
    assert asked == [n_workers]
