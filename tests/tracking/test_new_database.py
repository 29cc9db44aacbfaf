import multiprocessing
import os
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine, event
from sqlalchemy.pool import Pool

from harness.errors import TrackingError
from harness.serving.fetch import open_client
from harness.tracking.location import locate
from harness.tracking.optuna_runs import open_trial_store
from harness.tracking.store import (
    check_database,
    create_database,
    open_store,
    quieten,
    unusable,
)


def create(path):
    quieten()
    create_database(path)


def start(path):
    process = multiprocessing.get_context("spawn").Process(target=create, args=(path,))
    process.start()
    return process


def n_experiments(path):
    from mlflow import MlflowClient

    return len(MlflowClient(f"sqlite:///{path}").search_experiments())


def test_a_process_killed_while_it_creates_the_database_leaves_none(tmp_path):
    path = tmp_path / "mlflow.db"
    process = start(path)
    while process.is_alive() and not list(tmp_path.glob("*.new")):
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not path.exists()
    create(path)
    assert n_experiments(path) == 1


def test_two_processes_at_once_make_one_whole_database(tmp_path):
    path = tmp_path / "mlflow.db"
    other = start(path)
    while other.is_alive() and not list(tmp_path.glob("*.new")):
        time.sleep(0.002)
    create(path)
    other.join(60)
    assert other.exitcode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["mlflow.db"]
    assert n_experiments(path) == 1


def test_what_a_killed_process_left_is_removed_after_a_while(tmp_path):
    old, young = tmp_path / "mlflow.db.1.new", tmp_path / "mlflow.db.2.new"
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    create(tmp_path / "mlflow.db")
    assert not old.exists()
    assert young.exists()


@pytest.fixture
def waits():
    """Let connections wait for the disk, and hear which do, by the name of the file."""
    seen, full = {}, 2

    def wait(connection, _):
        connection.execute(f"PRAGMA synchronous = {full}")

    def note(connection, *_):
        [(_, _, file), *_] = connection.execute("PRAGMA database_list")
        [level] = connection.execute("PRAGMA synchronous").fetchone()
        seen.setdefault(Path(file).name, set()).add(level)

    listeners = {"connect": wait, "checkout": note}
    for kind, listener in listeners.items():
        event.listen(Pool, kind, listener)
    yield seen
    for kind, listener in listeners.items():
        event.remove(Pool, kind, listener)


def test_only_while_nobody_has_the_file_nothing_waits_for_the_disk(tmp_path, waits):
    create(tmp_path / "mlflow.db")
    other = create_engine(f"sqlite:///{tmp_path}/other.db")
    n_experiments(tmp_path / "mlflow.db")
    with other.connect():
        pass
    other.dispose()
    off, full = 0, 2
    [made] = waits.keys() - {"mlflow.db", "other.db"}
    assert waits == {made: {off}, "mlflow.db": {full}, "other.db": {full}}


def test_two_threads_create_one_database(tmp_path):
    path = tmp_path / "mlflow.db"
    with ThreadPoolExecutor(2) as pool:
        for made in [pool.submit(create_database, path) for _ in range(2)]:
            made.result()
    assert [found.name for found in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_database_lies_where_it_was_asked_for(tmp_path):
    folder = "two words, 50 % done"
    (tmp_path / folder).mkdir()
    path = tmp_path / folder / "mlflow.db"
    check_database(path)
    create(path)
    assert [p.name for p in tmp_path.iterdir()] == [folder]
    assert path.exists()


def test_a_path_that_mlflow_would_read_as_another_is_refused(tmp_path):
    (tmp_path / "a%20b").mkdir()
    with pytest.raises(TrackingError, match="%"):
        check_database(tmp_path / "a%20b" / "mlflow.db")
    assert [p.name for p in tmp_path.iterdir()] == ["a%20b"]


def test_a_database_of_another_mlflow_is_said_to_need_a_migration(store_uri):
    path = store_uri.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '75868b020152'")
    location = locate(store_uri)
    for open_it in (open_store, open_trial_store, open_client_and_ask):
        with pytest.raises(TrackingError, match="`mlflow db upgrade`"):
            open_it(location)


def open_client_and_ask(location):
    try:
        open_client(location).search_experiments()
    except MlflowException as error:
        raise unusable(location, error) from error
