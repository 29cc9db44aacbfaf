"""Storages that fail before, at and during a search: one sentence, and nothing lost."""

import os
import sqlite3

import pytest

from harness.errors import StudyError
from harness.search import journal, storage
from harness.search.storage import read_study
from tests.listeners import After


def one_sentence(error):
    return "\n" not in str(error.value) and "Traceback" not in str(error.value)


def test_a_database_locked_by_another_program(plan_of, run, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "SQLITE_PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    path = tmp_path / "study.db"
    plan = plan_of(storage=f"sqlite:///{path}")
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def lock():
        other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(
        StudyError, match=r"study\.db failed: .*locked.*same com"
    ) as error:
        run(plan, 12, listener=After(3, lock))
    assert one_sentence(error)
    other.execute("ROLLBACK")
    other.close()
    monkeypatch.undo()
    record = run(plan, 12)
    assert len(record.trials) == 12
    whole = run(plan_of(storage=str(tmp_path / "whole.log")), 12)
    assert [t.params for t in record.trials] == [t.params for t in whole.trials]


def test_a_database_whose_tables_are_gone(plan_of, run, tmp_path):
    path = tmp_path / "study.db"

    def drop():
        other = sqlite3.connect(path)
        other.execute("DROP TABLE trials")
        other.commit()

    with pytest.raises(StudyError, match="no such table") as error:
        run(plan_of(storage=f"sqlite:///{path}"), 12, listener=After(3, drop))
    assert one_sentence(error)


def test_a_full_disk_leaves_whole_lines_and_the_study_goes_on(
    plan_of, run, tmp_path, monkeypatch
):
    def no_space(_handle):
        raise OSError(28, "No space left on device")

    plan = plan_of()
    path = tmp_path / "optuna.log"
    with monkeypatch.context() as patch:
        fill = After(3, lambda: patch.setattr(journal.os, "fsync", no_space))
        with pytest.raises(StudyError, match=r"optuna\.log .*No space left") as error:
            run(plan, 12, listener=fill)
    assert one_sentence(error)
    assert path.read_bytes().endswith(b"\n")
    whole = run(plan_of(storage=str(tmp_path / "whole.log")), 12)
    assert [t.params for t in run(plan, 12).trials] == [t.params for t in whole.trials]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(plan_of, run, tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(StudyError, match="cannot be") as error:
        run(plan_of(storage=str(folder / "optuna.log")), 1)
    assert one_sentence(error)


def test_a_journal_in_a_folder_that_is_not_there(plan_of, run, tmp_path):
    with pytest.raises(StudyError, match=r"nowhere.optuna\.log") as error:
        run(plan_of(storage=str(tmp_path / "nowhere" / "optuna.log")), 1)
    assert one_sentence(error)


@pytest.mark.parametrize(
    "line", [b"\n", b"{]\n", b'"text"\n', b'{"no": "operation"}\n', b"\xff\xfe\n"]
)
def test_a_broken_line_is_named_by_its_number(plan_of, run, tmp_path, line):
    plan = plan_of()
    run(plan, 3)
    path = tmp_path / "optuna.log"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:5], line, *lines[5:]]))
    for act in (lambda: run(plan, 4), lambda: read_study(str(path), "toy")):
        with pytest.raises(StudyError, match=r"optuna\.log:6: ") as error:
            act()
        assert one_sentence(error)
    path.write_bytes(b"".join(lines))
    assert len(run(plan, 4).trials) == 4


def test_two_studies_in_one_journal_see_each_other(plan_of, run):
    # While one collects what it writes, the other waits; none reads a line twice.
    def start_other():
        run(plan_of(name="other"), 5)

    record = run(plan_of(), 12, listener=After(4, start_other))
    assert len(record.trials) == 12
    assert read_study(plan_of().storage, "toy") == record
    assert len(read_study(plan_of().storage, "other").trials) == 5
