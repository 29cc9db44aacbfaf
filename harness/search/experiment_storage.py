"""Experiments in an Optuna storage: a study without trials keeps what belongs to all."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import optuna

from harness.errors import StudyError, UnknownNameError
from harness.search.storage import open_storage, without_password

__all__ = [
    "attributes_of_all",
    "create_experiment",
    "list_experiments",
    "read_experiment_facts",
    "save_experiment_facts",
]

MARK = "harness_experiment"
"""Name of the attribute that an experiment has, and a study has not."""


def create_experiment(storage: str, name: str, facts: Mapping[str, Any]) -> bool:
    """Make an experiment, unless it exists.

    Parameters
    ----------
    storage : str
        URL or path.
    name : str
        Name of the experiment.
    facts : mapping
        JSON-like: what fixes it.

    Returns
    -------
    bool
        Whether it was made.

    Raises
    ------
    StudyError
        If the storage has a study of that name.
    """
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
    started = datetime.now(UTC).isoformat(timespec="seconds")
    identity = secrets.token_hex(8)
    study.set_user_attr(MARK, {**facts, "started": started, "identity": identity})
    return True


def list_experiments(storage: str) -> list[str]:
    """List the experiments in a storage.

    Parameters
    ----------
    storage : str
        URL or path.

    Returns
    -------
    list of str
        Names in the order of creation.
    """
    return [name for name, attrs in attributes_of_all(storage) if MARK in attrs]


def read_experiment_facts(storage: str, name: str) -> dict[str, Any]:
    """Read what is kept with an experiment.

    Parameters
    ----------
    storage : str
        URL or path.
    name : str
        Name of the experiment.

    Returns
    -------
    dict
        Under `MARK` what fixes it; beside it what `save_experiment_facts` has kept.

    Raises
    ------
    UnknownNameError
        If the storage has no such experiment.
    """
    found = {n: attrs for n, attrs in attributes_of_all(storage) if MARK in attrs}
    if name not in found:
        raise UnknownNameError("experiment", name, found)
    return found[name]


def save_experiment_facts(storage: str, name: str, key: str, value: Any) -> None:
    """Keep something with an experiment.

    Parameters
    ----------
    storage : str
        URL or path.
    name : str
        Name of the experiment, which exists.
    key : str
        What it is.
    value : JSON-like
        Replaces what was kept under that key.
    """
    study = optuna.load_study(study_name=name, storage=open_storage(storage))
    study.set_user_attr(key, value)


def attributes_of_all(storage: str) -> list[tuple[str, dict[str, Any]]]:
    """Read the attributes of all studies and experiments.

    Parameters
    ----------
    storage : str
        URL or path.

    Returns
    -------
    list of (str, dict)
        Names and attributes in the order of creation.
    """
    opened = open_storage(storage, create=False)
    studies = sorted(opened.get_all_studies(), key=lambda study: study._study_id)  # noqa: SLF001
    return [(study.study_name, dict(study.user_attrs)) for study in studies]
