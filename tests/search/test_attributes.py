import json

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from harness.errors import StudyError
from harness.search.attributes import (
    MAX_TEXT,
    read_attributes,
    shorten,
    write_attribute,
)
from harness.search.storage import (
    attributes_of_all,
    create_experiment,
    list_studies,
    open_storage,
    read_experiment_facts,
    read_study,
    save_experiment_facts,
)
from tests.facts import dataset_facts

TEXT_OF_MYSQL = 65_535


@pytest.fixture
def study():
    return optuna.create_study()


def large(n):
    return {"name": 'quoted "text" \\ and ü', "rows": [[k, k / 7] for k in range(n)]}


def stored_bytes(study):
    """Sizes as Optuna's tables have them: JSON of the value."""
    return [len(json.dumps(value).encode()) for value in study.user_attrs.values()]


@pytest.mark.parametrize("n", [1, 1_000, 20_000])
def test_what_was_written_is_read_and_no_piece_is_too_large(study, n):
    study.set_user_attr("other", 1)
    write_attribute(study, "final", large(n))
    assert read_attributes(study.user_attrs) == {"other": 1, "final": large(n)}
    assert max(stored_bytes(study)) < TEXT_OF_MYSQL


def test_the_worst_text_fits(study):
    write_attribute(study, "final", ['"' * 20_000, "\\" * 20_000, "ü" * 20_000])
    assert max(stored_bytes(study)) < TEXT_OF_MYSQL
    assert len(json.dumps(shorten("ü" * 10**6)).encode()) < TEXT_OF_MYSQL


def test_a_new_value_replaces_one_that_was_larger_or_smaller(study):
    for n in (20_000, 5_000, 3, 9_000, 20_000):
        write_attribute(study, "final", large(n))
        assert read_attributes(study.user_attrs) == {"final": large(n)}


def test_whoever_is_killed_while_writing_leaves_the_old_value(study, monkeypatch):
    write_attribute(study, "final", large(9_000))
    n_pieces = len(study.user_attrs)
    for n_written in range(n_pieces):
        written = []
        original = optuna.Study.set_user_attr

        def stop(self, key, value, *, n_written=n_written, written=written, o=original):
            if len(written) == n_written:
                raise SystemExit
            written.append(key)
            o(self, key, value)

        with monkeypatch.context() as patch:
            patch.setattr(optuna.Study, "set_user_attr", stop)
            with pytest.raises(SystemExit):
                write_attribute(study, "final", large(10_000))
        assert read_attributes(study.user_attrs) == {"final": large(9_000)}


def test_small_values_are_as_optuna_users_expect_them(study):
    write_attribute(study, "final", {"rmse": 0.9})
    assert study.user_attrs == {"final": {"rmse": 0.9}}


@pytest.mark.parametrize("storage", ["optuna.log", "sqlite:///study.db"])
def test_results_of_any_size_are_kept(plan_of, run, tmp_path, monkeypatch, storage):
    monkeypatch.chdir(tmp_path)
    notes = tuple(f'note "{k}" \\ and ü' for k in range(3_000))
    plan = plan_of(storage=storage, dataset=dataset_facts(notes=notes))
    assert run(plan, 2).dataset.notes == notes
    assert run(plan, 3).dataset.notes == notes
    facts = {"spec": large(4_000), "studies": {"svd": "many-svd"}}
    create_experiment(storage, "many", facts)
    save_experiment_facts(storage, "many", "final", large(9_000))
    facts = read_experiment_facts(storage, "many")
    assert facts["final"] == large(9_000)
    studies = open_storage(storage).get_all_studies()
    assert max(size for one in studies for size in stored_bytes(one)) < TEXT_OF_MYSQL


def test_a_long_traceback_is_shortened_not_refused(plan_of, run, shifted, monkeypatch):
    def fail(_self, *_):
        raise ValueError("x" * 200_000 + " the end")

    monkeypatch.setattr(shifted, "_fit", fail)
    with pytest.raises(StudyError, match="the end"):
        run(plan_of(), 1)
    error = read_study(plan_of().storage, "toy").trials[0].error
    assert len(error) < MAX_TEXT
    assert error.endswith(" the end\n")


def studies_of(storage):
    return [
        (s.study_name, s.directions, s.user_attrs, s.system_attrs)
        for s in storage.get_all_studies()
    ]


def test_a_journal_tells_of_its_studies_what_optuna_tells(tmp_path):
    path = str(tmp_path / "optuna.log")
    for name in ("one", "two"):
        study = optuna.create_study(study_name=name, storage=open_storage(path))
        write_attribute(study, "large", "x" * 3 * MAX_TEXT)
    optunas = JournalStorage(JournalFileBackend(path))
    before = open_storage(path).get_all_studies()
    assert studies_of(open_storage(path)) == studies_of(optunas)
    # What was given does not change with the storage.
    write_attribute(study, "later", 1)
    assert "later" not in before[1].user_attrs


def test_a_reader_sees_what_others_write_and_another_file_by_the_same_name(tmp_path):
    path = tmp_path / "optuna.log"
    study = optuna.create_study(study_name="a", storage=open_storage(str(path)))
    for number in (1, 2):
        study.set_user_attr("number", number)
        [attributes] = attributes_of_all(str(path))
        assert attributes == {"number": number}
    with path.open("r+b") as file:
        file.truncate(file.read().find(b"\n") + 1)
    assert attributes_of_all(str(path)) == [{}]
    other = tmp_path / "other.log"
    optuna.create_study(study_name="b", storage=open_storage(str(other)))
    path.write_bytes(other.read_bytes())
    assert list_studies(str(path)) == []
    study = optuna.load_study(study_name="b", storage=open_storage(str(path)))
    study.set_user_attr("harness", {})
    assert list_studies(str(path)) == ["b"]
