"""Studies in real PostgreSQL and MariaDB servers: owners on two machines, lost connections.

HARNESS_SLOW=1 adds a whole command that is killed, continued and judged.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import StudyError
from harness.experiment.store import read_experiment
from harness.search.attributes import why_too_small
from harness.search.ownership import own_study
from harness.search.storage import (
    open_storage,
    read_study,
)
from tests.facts import dataset_facts
from tests.listeners import After
from tests.search.conftest import free_port, slow

PASSWORD = "geheim"


@dataclass(frozen=True)
class Server:
    """A database server of our own, and how its administrator finds connections."""

    url: str
    # The connections that hold advisory locks.
    lock_holders: str
    others: str
    kill: str
    # Leaves no room for large attributes.
    narrow: str

    def query(self, query):
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                result = connection.execute(text(query))
                return result.scalars().all() if result.returns_rows else []
        finally:
            engine.dispose()

    def cut(self, which):
        """End connections, as an administrator or a network does."""
        for number in self.query(which):
            self.query(self.kill.format(number))


def call(*words, **more):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, **more)


@contextmanager
def start_postgresql(folder):
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    folders = [*([Path(on_path).parent] if on_path else []), *folders]
    if not folders:
        pytest.skip("PostgreSQL is not installed")
    # It refuses to run as root.
    user = {"user": "postgres"} if os.geteuid() == 0 else {}
    port, data = free_port(), f"{folder}/data"
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
    pg_ctl = (folders[0] / "pg_ctl", "-D", data)
    call(
        *(folders[0] / "initdb", "-D", data, "-A", "trust", "-U", "tester"),
        cwd=folder,
        **user,
    )
    call(
        *(*pg_ctl, "-w", "-o", options, "-l", f"{folder}/log", "start"),
        cwd=folder,
        **user,
    )
    try:
        yield Server(
            f"postgresql+psycopg://tester:{PASSWORD}@127.0.0.1:{port}/postgres",
            lock_holders="SELECT pid FROM pg_locks WHERE locktype = 'advisory'",
            others=(
                "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND backend_type = 'client backend'"
            ),
            kill="SELECT pg_terminate_backend({})",
            narrow=(
                "ALTER TABLE study_user_attributes "
                "ALTER COLUMN value_json TYPE VARCHAR(50000)"
            ),
        )
    finally:
        call(*pg_ctl, "-m", "immediate", "stop", cwd=folder, **user)


@contextmanager
def start_mariadb(folder):
    pytest.importorskip("pymysql", reason="PyMySQL is not installed")
    program, install = shutil.which("mariadbd"), shutil.which("mariadb-install-db")
    if program is None or install is None:
        pytest.skip("MariaDB is not installed")
    port, data = free_port(), f"{folder}/data"
    user = ("--user=mysql",) if os.geteuid() == 0 else ()
    call(install, "--no-defaults", f"--datadir={data}", "--skip-test-db", *user)
    (folder / "begin.sql").write_text(
        "INSTALL SONAME 'metadata_lock_info';\nCREATE DATABASE studies;\n"
        f"CREATE USER tester@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
        "GRANT ALL ON *.* TO tester@'127.0.0.1';\n"
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            (
                program, "--no-defaults", f"--datadir={data}", f"--port={port}",
                f"--socket={folder}/socket", "--bind-address=127.0.0.1",
                f"--init-file={folder}/begin.sql", "--skip-name-resolve",
                "--innodb-flush-log-at-trx-commit=0", *user,
            ),
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while "ready for connections" not in (folder / "log").read_text():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield Server(
            f"mysql+pymysql://tester:{PASSWORD}@127.0.0.1:{port}/studies",
            lock_holders=(
                "SELECT thread_id FROM information_schema.metadata_lock_info "
                "WHERE lock_type = 'User lock'"
            ),
            others=(
                "SELECT id FROM information_schema.processlist "
                "WHERE user = 'tester' AND id <> connection_id()"
            ),
            kill="KILL {}",
            narrow=(
                "ALTER TABLE study_user_attributes MODIFY value_json VARCHAR(9000)"
            ),
        )
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module", params=[start_postgresql, start_mariadb])
def server(request):
    with tempfile.TemporaryDirectory(prefix="harness-db-") as name:
        Path(name).chmod(0o777)
        with request.param(Path(name)) as started:
            yield started


def values_of(record):
    return [(t.number, t.state, t.params, t.fold_values) for t in record.trials]


def test_a_study_on_a_server_is_the_study_in_a_file(server, plan_of, run):
    there = plan_of(storage=server.url, name="same")
    run(there, 5)
    assert values_of(run(there, 12)) == values_of(run(plan_of(), 12))


def test_a_second_owner_is_refused_whatever_machine_it_is_on(server, tmp_path):
    # Nothing of the lock is on this machine's disk: TMPDIR and host do not matter.
    script = (
        "import sys\nfrom harness.errors import StudyError\n"
        "from harness.search.ownership import own_study\n"
        "try:\n    with own_study(sys.argv[1], 'mine'): print('owner')\n"
        "except StudyError as error: print(error)\n"
    )

    def try_elsewhere():
        done = subprocess.run(
            [sys.executable, "-c", script, server.url],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    with own_study(server.url, "mine"):
        assert "'mine' is being run by another process" in try_elsewhere()
        with own_study(server.url, "another"):
            pass
    assert try_elsewhere() == "owner\n"


def test_a_study_of_that_name_in_another_database_is_another_study(server):
    names = [f"a_database_with_a_long_name_{k}" for k in "ab"]
    urls = [f"{server.url.rpartition('/')[0]}/{name}" for name in names]
    for name in names:
        server.query(f"CREATE DATABASE {name}")
    with own_study(urls[0], "mine"), own_study(urls[1], "mine"):
        pass


def test_an_owner_that_is_idle_for_long_keeps_its_lock(server):
    if not server.url.startswith("mysql"):
        pytest.skip("PostgreSQL ends no connection that is idle")
    server.query("SET GLOBAL wait_timeout = 1")
    try:
        with own_study(server.url, "idle") as ownership:
            time.sleep(2)
            ownership.require()
    finally:
        server.query("SET GLOBAL wait_timeout = 28800")


def test_the_lock_of_a_killed_owner_is_gone(server):
    lock = own_study(server.url, "killed")
    lock.__enter__()
    with pytest.raises(StudyError), own_study(server.url, "killed"):
        pass
    server.cut(server.lock_holders)
    with own_study(server.url, "killed"):
        pass


def test_an_owner_that_lost_its_lock_stops(server, plan_of, run):
    cut = After(4, lambda: server.cut(server.lock_holders))
    plan = plan_of(storage=server.url, name="lost")
    with pytest.raises(StudyError, match="connection that locks the study 'lost' was"):
        run(plan, 12, listener=cut)
    assert values_of(run(plan, 12)) == values_of(run(plan_of(), 12))


def test_connections_that_are_cut_end_the_search_in_one_sentence(server, plan_of, run):
    cut = After(4, lambda: server.cut(server.others))
    plan = plan_of(storage=server.url, name="cut")
    with pytest.raises(StudyError, match="same command goes on") as error:
        run(plan, 12, listener=cut)
    assert "\n" not in str(error.value)
    assert PASSWORD not in str(error.value)
    assert values_of(run(plan, 12)) == values_of(run(plan_of(), 12))
    assert len(read_study(server.url, "cut").trials) == 12


def test_results_of_any_size_are_kept(server, plan_of, run):
    notes = tuple(f'note "{k}" \\ and ü' for k in range(3_000))
    plan = plan_of(storage=server.url, name="large", dataset=dataset_facts(notes=notes))
    assert run(plan, 2).dataset.notes == notes


def test_a_server_is_asked_whether_the_largest_text_has_room(server):
    server.query("CREATE DATABASE narrow")
    url = f"{server.url.rpartition('/')[0]}/narrow"
    opened = open_storage(url)
    assert why_too_small(opened) is None
    assert opened.get_all_studies() == []
    with opened.engine.connect() as connection:
        connection.execute(text(server.narrow))
        connection.commit()
    assert why_too_small(opened)
    assert opened.get_all_studies() == []


def test_a_server_that_does_not_answer_is_one_sentence_without_the_password(server):
    # A database that is missing, and a port where nobody listens.
    host, _, _ = server.url.rpartition(":")
    for url in (f"{server.url}_missing", f"{host}:1/studies"):
        for ask in (open_storage, lambda url: own_study(url, "any").__enter__()):
            with pytest.raises(StudyError) as error:
                ask(url)
            assert "\n" not in str(error.value)
            assert PASSWORD not in str(error.value)


@slow
def test_an_owner_killed_in_the_middle_goes_on_to_the_verdict(
    server, tmp_path, monkeypatch, small_ratings
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    table = zip(
        small_ratings.users, small_ratings.items, small_ratings.values, strict=True
    )
    rows = "".join(f"u{user},i{item},{value}\n" for user, item, value in table)
    Path("mine.csv").write_text("user,item,rating\n" + rows)
    study = ("study", "svd", "--data", "mine.csv", "--jobs", "1", "--folds", "2")
    study += ("--storage", server.url, "--name", "killed")
    main = "from harness.cli import main; main()"
    owner = subprocess.Popen(
        (sys.executable, "-c", main, *study, "--trials", "2000"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    n_done = "SELECT count(*) FROM trials JOIN studies USING (study_id) "
    n_done += "WHERE study_name = 'killed' AND state <> 'RUNNING'"
    while server.query(n_done)[0] < 3:
        assert owner.poll() is None
        time.sleep(0.1)
    owner.send_signal(signal.SIGKILL)
    assert owner.wait() == -signal.SIGKILL
    n_trials = server.query(n_done)[0] + 2
    done = CliRunner().invoke(app, [*study, "--trials", str(n_trials)])
    assert done.exit_code == 0, done.output
    assert PASSWORD not in done.output
    record = read_study(server.url, "killed")
    states = [trial.state for trial in record.trials]
    assert states.count("complete") + states.count("pruned") == n_trials
    assert [trial.number for trial in record.trials] == list(range(len(states)))
    judged = read_experiment(server.url, "killed")
    assert judged.judging is not None
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes(), path
