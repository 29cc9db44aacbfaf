"""Studies in a real PostgreSQL server: owners on two machines, and lost connections."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness.errors import StudyError
from harness.search.ownership import own_study
from harness.search.records import NoListener
from harness.search.storage import read_study


def find_binaries():
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    return [*([Path(on_path).parent] if on_path else []), *folders]


@pytest.fixture(scope="module")
def server():
    """URL of an own server in a temporary folder, without a password."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    folders = find_binaries()
    if not folders:
        pytest.skip("PostgreSQL is not installed")
    # It refuses to run as root.
    user = {"user": "postgres"} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="harness-pg-") as name:
        Path(name).chmod(0o777)
        data = f"{name}/data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {name} -c fsync=off"

        def call(*words):
            subprocess.run(
                words, check=True, stdout=subprocess.DEVNULL, cwd=name, **user
            )

        call(folders[0] / "initdb", "-D", data, "-A", "trust", "-U", "tester")
        call(
            folders[0] / "pg_ctl", "-D", data, "-w", "-o", options,
            "-l", f"{name}/log", "start",
        )  # fmt: skip
        try:
            yield f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
        finally:
            call(folders[0] / "pg_ctl", "-D", data, "-m", "immediate", "stop")


@pytest.fixture
def administer(server):
    from sqlalchemy import create_engine, text

    engine = create_engine(server, isolation_level="AUTOCOMMIT")

    def run_query(query):
        with engine.connect() as connection:
            return connection.execute(text(query)).scalar()

    yield run_query
    engine.dispose()


def values_of(record):
    return [(t.number, t.state, t.params, t.fold_values) for t in record.trials]


class At(NoListener):
    def __init__(self, number, action):
        self.number = number
        self.action = action

    def on_trial_end(self, study, trial):
        del study
        if trial.number == self.number:
            self.action()


def test_a_study_on_a_server_is_the_study_in_a_file(server, plan_of, run):
    there = plan_of(storage=server, name="same")
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
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        command = ["python", "-c", script, server]
        command[0] = os.sys.executable
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    with own_study(server, "mine"):
        assert "'mine' is being run by another process" in try_elsewhere()
        with own_study(server, "another"):
            pass
    assert try_elsewhere() == "owner\n"


def test_the_lock_of_a_killed_owner_is_gone(server, administer):
    lock = own_study(server, "killed")
    lock.__enter__()
    with pytest.raises(StudyError), own_study(server, "killed"):
        pass
    administer(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype='advisory'"
    )
    with own_study(server, "killed"):
        pass


def test_an_owner_that_lost_its_lock_stops(server, plan_of, run, administer):
    cut = At(
        4,
        lambda: administer(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_locks "
            "WHERE locktype = 'advisory'"
        ),
    )
    plan = plan_of(storage=server, name="lost")
    with pytest.raises(StudyError, match="connection that locks the study 'lost' was"):
        run(plan, 12, listener=cut)
    assert values_of(run(plan, 12)) == values_of(run(plan_of(), 12))


def test_connections_that_are_cut_end_the_search_in_one_sentence(
    server, plan_of, run, administer
):
    cut = At(
        4,
        lambda: administer(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        ),
    )
    plan = plan_of(storage=server, name="cut")
    with pytest.raises(StudyError, match="same command goes on") as error:
        run(plan, 12, listener=cut)
    assert "\n" not in str(error.value)
    assert values_of(run(plan, 12)) == values_of(run(plan_of(), 12))
    assert len(read_study(server, "cut").trials) == 12
