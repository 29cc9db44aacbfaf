"""Optuna storages: studies and experiments, opened for one owner and read as records."""

import secrets
import warnings
import weakref
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from harness.errors import StudyError, UnknownNameError
from harness.evaluation.metrics import OBJECTIVE
from harness.search import records
from harness.search.attributes import read_attributes, write_attribute
from harness.search.journal import Journal
from harness.search.records import StudyRecord, TrialRecord

__all__ = [
    "attributes_of_all",
    "create_experiment",
    "list_experiments",
    "list_studies",
    "name_objective",
    "open_storage",
    "owner_of_tables",
    "read_experiment_facts",
    "read_study",
    "save_experiment_facts",
    "study_record",
    "trial_record",
    "without_password",
]


_STATES: Mapping[TrialState, records.TrialState] = {
    TrialState.RUNNING: "running",
    TrialState.WAITING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


SQLITE_PATIENCE_SECONDS = 30.0


def open_storage(storage: str, *, create: bool = True) -> BaseStorage:
    """Open an Optuna storage."""
    try:
        if "://" in storage:
            return _open_database(storage, create=create)
        return _open_journal(Path(storage), create=create)
    except StudyError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StudyError(
            f"The storage {without_password(storage)} cannot be opened: {reason}"
        ) from error


def _open_database(url: str, *, create: bool) -> BaseStorage:
    from sqlalchemy.engine import make_url

    parsed = make_url(url)
    # SQLite makes a file of whatever name it is given, a misspelt one too.
    is_file = parsed.get_backend_name() == "sqlite" and parsed.database
    is_there = not is_file or Path(str(parsed.database)).exists()
    if not is_there and not create:
        raise _nothing_there(url)
    if is_there and owner_of_tables(url) == "MLflow":
        raise StudyError(
            f"{without_password(url)} is a database of MLflow, which keeps its version in "
            "a table that Optuna needs, too: name another one with --storage."
        )
    # So long does SQLite wait for another program that holds the file.
    patience = {"connect_args": {"timeout": SQLITE_PATIENCE_SECONDS}} if is_file else {}
    opened = RDBStorage(url, patience)
    # Optuna leaves its connections open; a server has few.
    weakref.finalize(opened, opened.engine.dispose)
    return opened


_TABLES = {"MLflow": {"experiments", "runs"}, "Optuna": {"studies", "trials"}}


def owner_of_tables(url: str) -> str | None:
    """Tell whose database it is: "MLflow", "Optuna", or None where neither has begun."""
    from sqlalchemy import create_engine, inspect

    engine = create_engine(url)
    try:
        there = set(inspect(engine).get_table_names())
    finally:
        engine.dispose()
    return next((name for name, tables in _TABLES.items() if tables <= there), None)


def _nothing_there(storage: str) -> StudyError:
    return StudyError(
        f"There is no study storage {storage!r} here: run a study first, "
        "or name another one with --storage."
    )


def _open_journal(path: Path, *, create: bool) -> BaseStorage:
    if not path.exists() and not create:
        raise _nothing_there(str(path))
    if path.exists() and _first_byte(path) not in (b"", b"{"):
        raise StudyError(f"{path} is not an Optuna journal: name another --storage.")
    return JournalStorage(Journal(path))


def _first_byte(path: Path) -> bytes:
    with path.open("rb") as journal:
        return journal.read(1)


def without_password(storage: str) -> str:
    """Write a storage as it may be shown."""
    if "://" not in storage:
        return storage
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(storage).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        # Not a URL after all: it may hold a password anywhere.
        return f"{storage.partition('://')[0]}://..."


def list_studies(storage: str) -> list[str]:
    """List the studies that harness has made in a storage."""
    opened = open_storage(storage, create=False)
    studies = sorted(opened.get_all_studies(), key=lambda study: study._study_id)  # noqa: SLF001
    return [s.study_name for s in studies if "harness" in s.user_attrs]


def read_study(storage: str, name: str) -> StudyRecord:
    """Read a study without changing it."""
    known = list_studies(storage)
    if name not in known:
        raise UnknownNameError("study", name, known)
    study = optuna.load_study(study_name=name, storage=open_storage(storage))
    return study_record(study, storage)


def study_record(study: optuna.Study, storage: str) -> StudyRecord:
    """Convert a study that harness has made."""
    attrs = read_attributes(study.user_attrs)
    trials = study.get_trials(deepcopy=False)
    return StudyRecord(
        name=study.study_name,
        storage=without_password(storage),
        trials=tuple(trial_record(t) for t in trials if t.state != TrialState.WAITING),
        final=attrs.get("final"),
        **attrs["harness"],
    )


def trial_record(trial: FrozenTrial) -> TrialRecord:
    """Convert a trial of a study that harness has made."""
    attrs = trial.user_attrs
    state = _STATES[trial.state]
    error = attrs.get("error")
    if state == "failed" and error is None:
        error = records.LEFT_BEHIND
    return TrialRecord(
        number=trial.number,
        state=state,
        params=attrs.get("params", trial.params),
        value=trial.value if state == "complete" else None,
        fold_values=tuple(attrs.get("fold_values", ())),
        metrics=attrs.get("metrics", {}),
        seed=attrs.get("seed", 0),
        started=_as_utc(trial.datetime_start) or datetime.now(UTC),
        ended=_as_utc(trial.datetime_complete),
        error=error,
        duplicate_of=attrs.get("duplicate_of"),
    )


def _as_utc(moment: datetime | None) -> datetime | None:
    # Optuna writes local time without a zone.
    return None if moment is None else moment.astimezone(UTC)


def name_objective(study: optuna.Study) -> None:
    """Let Optuna's dashboard write the name of the metric instead of "Objective 0"."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names([OBJECTIVE.name])


MARK = "harness_experiment"
"""Name of the attribute that an experiment has, and a study has not."""


def create_experiment(storage: str, name: str, facts: Mapping[str, Any]) -> bool:
    """Make an experiment, unless it exists."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name=name, storage=open_storage(storage), load_if_exists=True
    )
    if MARK in study.user_attrs:
        return False
    if study.trials or "harness" in study.user_attrs:
        raise StudyError(
            f"{without_password(storage)} has a study named {name!r} already: give the "
            "experiment another name with --name."
        )
    name_objective(study)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    identity = secrets.token_hex(8)
    write_attribute(study, MARK, {**facts, "started": started, "identity": identity})
    return True


def list_experiments(storage: str) -> list[str]:
    """List the experiments in a storage."""
    return [name for name, attrs in attributes_of_all(storage) if MARK in attrs]


def read_experiment_facts(storage: str, name: str) -> dict[str, Any]:
    """Read what is kept with an experiment."""
    found = {n: attrs for n, attrs in attributes_of_all(storage) if MARK in attrs}
    if name not in found:
        raise UnknownNameError("experiment", name, found)
    return found[name]


def save_experiment_facts(storage: str, name: str, key: str, value: Any) -> None:
    """Keep something with an experiment."""
    study = optuna.load_study(study_name=name, storage=open_storage(storage))
    write_attribute(study, key, value)


def attributes_of_all(storage: str) -> list[tuple[str, dict[str, Any]]]:
    """Read the attributes of all studies and experiments."""
    opened = open_storage(storage, create=False)
    studies = sorted(opened.get_all_studies(), key=lambda study: study._study_id)  # noqa: SLF001
    return [(study.study_name, read_attributes(study.user_attrs)) for study in studies]
