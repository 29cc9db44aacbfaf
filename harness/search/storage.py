"""Optuna storages: studies and experiments, opened for one owner and read as records."""

import os
import secrets
import warnings
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from harness.data.dataset import DatasetFacts
from harness.errors import StudyError, UnknownNameError
from harness.evaluation.metrics import OBJECTIVE, Metric
from harness.evaluation.splits import SplitFacts
from harness.formatting import hide_password
from harness.plain import from_json
from harness.search import records
from harness.search.attributes import read_attribute, read_attributes, write_attribute
from harness.search.journal import Journal
from harness.search.records import SearchSettings, StudyRecord, TrialRecord

__all__ = [
    "ExperimentMark",
    "attributes_of_all",
    "create_experiment",
    "create_study",
    "database_errors",
    "list_experiments",
    "list_studies",
    "name_objectives",
    "open_storage",
    "owner_of_tables",
    "read_experiment_facts",
    "read_study",
    "save_experiment_facts",
    "storage_errors",
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
        raise StudyError(
            f"The storage {without_password(storage)} cannot be opened: "
            f"{_reason_of(error)}"
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


class _NothingThereError(StudyError):
    """A storage that nobody has written to yet."""


def _nothing_there(storage: str) -> StudyError:
    return _NothingThereError(
        f"There is no study storage {storage!r} here: run a study first, "
        "or name another one with --storage."
    )


def _open_journal(path: Path, *, create: bool) -> BaseStorage:
    if not path.exists() and not create:
        raise _nothing_there(str(path))
    if path.exists() and _first_byte(path) not in (b"", b"{"):
        raise StudyError(f"{path} is not an Optuna journal: name another --storage.")
    return _JournalStorage(Journal(path))


class _JournalStorage(JournalStorage):
    """Optuna's storage, whose list of studies does not copy what is kept with them.

    Each look at a storage would cost 20 ms for each study in it; nobody changes them here.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.journal = journal

    def get_all_studies(self) -> list[FrozenStudy]:
        with self._thread_lock:
            self._sync_with_backend()
            studies = [copy(study) for study in self._replay_result.get_all_studies()]
            for study in studies:
                study.user_attrs = dict(study.user_attrs)
                study.system_attrs = dict(study.system_attrs)
            return studies


_MOST_OPENED = 4
_opened: dict[tuple[int, Path, int, int], _JournalStorage] = {}


def _open_to_read(storage: str) -> BaseStorage:
    """Open a storage, or take it as it was opened last.

    To open a journal is to read it to the end: what is opened already reads on from where
    it is. The owner of a study opens its own, whose writes may be collected.
    """
    if "://" in storage:
        return open_storage(storage, create=False)
    try:
        facts = Path(storage).stat()
    except OSError:
        return open_storage(storage, create=False)
    # A path that was relative leads nowhere from another folder.
    key = (os.getpid(), Path.cwd(), facts.st_dev, facts.st_ino)
    if key in _opened and _opened[key].journal.is_continued():
        return _opened[key]
    opened = open_storage(storage, create=False)
    assert isinstance(opened, _JournalStorage)
    _opened.pop(key, None)
    while len(_opened) >= _MOST_OPENED:
        del _opened[next(iter(_opened))]
    _opened[key] = opened
    return opened


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
        # SQLAlchemy hides the password before the host, not that among the parameters.
        return hide_password(make_url(storage).render_as_string(hide_password=True))
    except (ArgumentError, ValueError):
        # Not a URL after all: it may hold a password anywhere.
        return f"{storage.partition('://')[0]}://..."


def database_errors(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """Name what a storage raises: a journal needs no SQLAlchemy until something is wrong."""
    from sqlalchemy.exc import SQLAlchemyError

    return (StorageInternalError, SQLAlchemyError, *more)


@contextmanager
def storage_errors(storage: str) -> Iterator[None]:
    """Say in one sentence that a storage fails on the way."""
    try:
        yield
    except database_errors() as error:
        raise StudyError(
            f"The storage {without_password(storage)} failed: {_reason_of(error)}. "
            "What was told is kept: the same command goes on from there."
        ) from error


def _reason_of(error: BaseException) -> str:
    """Find what the driver of the database says."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else None
    cause = getattr(cause or error, "orig", None) or cause or error
    # PyMySQL's arguments are a number and a sentence.
    reason = str(cause.args[-1] if cause.args else "").strip() or type(cause).__name__
    return reason.splitlines()[0].rstrip(".")


def list_studies(storage: str) -> list[str]:
    """List the studies that harness has made in a storage."""
    return _names_of_studies(_open_to_read(storage))


def _names_of_studies(opened: BaseStorage) -> list[str]:
    studies = sorted(opened.get_all_studies(), key=lambda study: study._study_id)  # noqa: SLF001
    return [s.study_name for s in studies if "harness" in s.user_attrs]


def read_study(storage: str, name: str) -> StudyRecord:
    """Read a study without changing it."""
    opened = _open_to_read(storage)
    known = _names_of_studies(opened)
    if name not in known:
        raise UnknownNameError("study", name, known)
    return study_record(optuna.load_study(study_name=name, storage=opened), storage)


def read_studies(storage: str, names: Iterable[str]) -> dict[str, StudyRecord]:
    """Read those of some studies that are there, without changing them."""
    try:
        opened = _open_to_read(storage)
    except _NothingThereError:
        return {}
    known = set(_names_of_studies(opened))
    return {
        name: study_record(optuna.load_study(study_name=name, storage=opened), storage)
        for name in names
        if name in known
    }


PATIENCE = "patience"
"""Name of the attribute that says what ended a study, and since when patience counts."""


def study_record(study: optuna.Study, storage: str) -> StudyRecord:
    """Convert a study that harness has made."""
    kept = read_attributes(study.user_attrs)
    facts = kept["harness"]
    parts = {
        "dataset": from_json(DatasetFacts, facts["dataset"]),
        "split": from_json(SplitFacts, facts["split"]),
        "settings": from_json(SearchSettings, facts["settings"]),
        "patience_since": kept.get(PATIENCE, {}).get("since", 0),
    }
    trials = study.get_trials(deepcopy=False)
    return StudyRecord(
        name=study.study_name,
        storage=without_password(storage),
        trials=tuple(trial_record(t) for t in trials if t.state != TrialState.WAITING),
        **(facts | parts),
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
        value=trial.values[0] if state == "complete" else None,
        fold_values=tuple(attrs.get("fold_values", ())),
        metrics=attrs.get("metrics", {}),
        seed=attrs.get("seed", 0),
        started=_as_utc(trial.datetime_start) or datetime.now(UTC),
        ended=_as_utc(trial.datetime_complete),
        error=error,
        duplicate_of=attrs.get("duplicate_of"),
        rung=attrs.get("rung"),
        sample_values=tuple(attrs.get("sample_values", ())),
        violations=trial.constraints,
        more_values=tuple(trial.values[1:]) if state == "complete" else (),
    )


def _as_utc(moment: datetime | None) -> datetime | None:
    # Optuna writes local time without a zone.
    return None if moment is None else moment.astimezone(UTC)


def create_study(
    storage: BaseStorage, name: str, objectives: Sequence[Metric]
) -> optuna.Study:
    """Make a study with its directions, or find the one that is there."""
    return optuna.create_study(
        study_name=name,
        storage=storage,
        directions=[metric.direction for metric in objectives],
        load_if_exists=True,
    )


def name_objectives(study: optuna.Study, objectives: Sequence[Metric]) -> None:
    """Let Optuna's dashboard write the names of the metrics instead of "Objective 0"."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names([metric.name for metric in objectives])


MARK = "harness_experiment"
"""Name of the attribute that holds what fixes an experiment.

It is kept with the study of the first family: a study of its own would show up in
optuna-dashboard, without trials.
"""


class ExperimentMark(TypedDict):
    """What fixes an experiment, as JSON has it; `create_experiment` adds what is not required."""

    dataset: Any
    split: Any
    environment: Any
    # None for a study.
    file: str | None
    seed: int
    jobs: int | None
    n_folds: int
    code_version: str
    # Candidate to name.
    studies: dict[str, str]
    name: NotRequired[str]
    started: NotRequired[str]
    identity: NotRequired[str]


def create_experiment(
    storage: str,
    name: str,
    facts: ExperimentMark,
    objectives: Sequence[Metric] = (OBJECTIVE,),
) -> bool:
    """Make an experiment, unless it exists."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    opened = open_storage(storage)
    homes = _homes(opened)
    if name in homes:
        return False
    names = list(facts["studies"].values())
    home = names[0]
    taken = {study.study_name for study in opened.get_all_studies()}
    # A name means one thing: an experiment, or a study within another one.
    clash = next((n for n in {name, *names} & ({*taken, *homes} - {home})), None)
    if clash is not None:
        raise _taken(storage, name, clash)
    study = create_study(opened, home, objectives)
    if study.trials or study.user_attrs:
        raise _taken(storage, name, home)
    name_objectives(study, objectives)
    own = {
        "name": name,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "identity": secrets.token_hex(8),
    }
    write_attribute(study, MARK, {**facts, **own})
    return True


def _taken(storage: str, name: str, taken: str) -> StudyError:
    why = "" if name == taken else f", which {name!r} needs for one of its families"
    return StudyError(
        f"{without_password(storage)} has a study named {taken!r} already{why}: choose "
        "another name with --name."
    )


def list_experiments(storage: str) -> list[str]:
    """List the experiments in a storage, studies of one family included."""
    return list(_homes(_open_to_read(storage)))


def read_experiment_facts(storage: str, name: str) -> dict[str, Any]:
    """Read what is kept with an experiment."""
    homes = _homes(_open_to_read(storage))
    if name not in homes:
        raise UnknownNameError("experiment", name, homes)
    return read_attributes(homes[name].user_attrs)


def save_experiment_facts(storage: str, name: str, key: str, value: Any) -> None:
    """Keep something with an experiment."""
    opened = _open_to_read(storage)
    with storage_errors(storage):
        home = _homes(opened)[name].study_name
        study = optuna.load_study(study_name=home, storage=opened)
        write_attribute(study, key, value)


def _homes(opened: BaseStorage) -> dict[str, FrozenStudy]:
    """Find the studies that experiments are kept with, by name of the experiment."""
    studies = sorted(opened.get_all_studies(), key=lambda study: study._study_id)  # noqa: SLF001
    marks = [(read_attribute(study.user_attrs, MARK), study) for study in studies]
    return {mark["name"]: study for mark, study in marks if mark is not None}


def attributes_of_all(storage: str) -> list[Mapping[str, Any]]:
    """Give the attributes of all studies, as `read_attribute` takes them."""
    return [study.user_attrs for study in _open_to_read(storage).get_all_studies()]
