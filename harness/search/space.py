"""Search spaces: read from TOML, checked against their family, sampled with Optuna."""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

import optuna
from pydantic import ValidationError

from harness.errors import SpaceError, UnknownNameError
from harness.models.base import Recommender
from harness.search.distributions import (
    Categorical,
    Distribution,
    Epochs,
    Fixed,
    Float,
    Int,
)
from harness.search.space_checks import (
    Complaint,
    StudyFile,
    check_initial,
    check_parameters,
)

__all__ = ["SearchSpace", "find_space", "load_space"]


@dataclass(frozen=True)
class SearchSpace:
    """What a study samples, and where it starts.

    Parameters
    ----------
    family : str
        Name of the family of models.
    distributions : mapping
        Name of a hyperparameter to its distribution, in the order of sampling.
    initial : mapping
        Hyperparameters of trial 0; those not named have their defaults.
    source : str
        The file it was read from.
    """

    family: str
    distributions: Mapping[str, Int | Float | Categorical | Fixed | Epochs]
    initial: Mapping[str, Any]
    source: str

    @property
    def epochs(self) -> Epochs | None:
        """How the number of epochs is found on the way, where it is."""
        found = (d for d in self.distributions.values() if isinstance(d, Epochs))
        return next(found, None)

    @property
    def searched(self) -> dict[str, Int | Float | Categorical]:
        """The distributions that a sampler draws from."""
        return {
            name: d
            for name, d in self.distributions.items()
            if isinstance(d, Int | Float | Categorical)
        }

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Draw the active hyperparameters, and record them on `trial`.

        Parameters
        ----------
        trial : optuna.Trial
            A running trial.

        Returns
        -------
        dict
            Hyperparameters drawn or fixed; those not named keep their defaults.
        """
        params: dict[str, Any] = {}
        for name, distribution in self.distributions.items():
            if not distribution.is_active(params):
                continue
            if isinstance(distribution, Fixed):
                params[name] = distribution.value
            elif not isinstance(distribution, Epochs):
                params[name] = distribution.suggest(trial, name)
        return params

    def initial_point(self) -> dict[str, Any]:
        """Collect what trial 0 has for the hyperparameters that are searched.

        Returns
        -------
        dict
            Values to enqueue.
        """
        return {name: self.initial[name] for name in self.searched}

    def describe(self) -> dict[str, dict[str, Any]]:
        """Convert to plain data for storages and reports.

        Returns
        -------
        dict of dict
            By hyperparameter: type, low, high, log, step, choices, value, when.
        """
        return {
            name: d.model_dump(mode="json", exclude_none=True)
            for name, d in self.distributions.items()
        }


def find_space(name: str) -> Path:
    """Look up a search space: a path, then ``./studies``, then the shipped ones.

    Parameters
    ----------
    name : str
        A path to a TOML file, or the name of a file in ``studies`` without suffix.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UnknownNameError
        If there is no such file.
    """
    if name.endswith(".toml"):
        if Path(name).is_file():
            return Path(name)
        raise SpaceError(f"{name}: there is no such file.")
    folders = [Path("studies"), *_shipped_folders()]
    for folder in folders:
        if (folder / f"{name}.toml").is_file():
            return folder / f"{name}.toml"
    known = {path.stem for folder in folders for path in folder.glob("*.toml")}
    raise UnknownNameError("search space", name, known)


def _shipped_folders() -> list[Path]:
    package = Path(str(files("harness")))
    # In a wheel the spaces lie inside the package, in a checkout beside it.
    return [package / "shipped" / "studies", package.parent / "studies"]


def load_space(
    path: Path,
    family: type[Recommender],
    *,
    parameters: Mapping[str, Distribution] = MappingProxyType({}),
    initial: Mapping[str, Any] = MappingProxyType({}),
) -> SearchSpace:
    """Read a search space, and check it against its family.

    Parameters
    ----------
    path : Path
        A TOML file with ``family``, ``[parameters]`` and optionally ``[initial]``.
    family : type
        Class of the models whose hyperparameters it names.
    parameters, initial : mapping, optional
        Distributions, and settings of trial 0, that replace or complete those of the
        file: what an experiment changes.

    Returns
    -------
    SearchSpace
        Ready to be sampled.

    Raises
    ------
    SpaceError
        If anything in the file is not what it must be: names file, line and key.
    """
    text = _read(path)
    complain = Complaint(path, text)
    try:
        content = StudyFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SpaceError(f"{path}: is not valid TOML: {error}.") from error
    except ValidationError as error:
        raise complain.about_validation(error) from error
    if content.family != family.name:
        raise complain("family", f"must be {family.name!r}, but is {content.family!r}.")
    content = content.model_copy(
        update={
            "parameters": {**content.parameters, **parameters},
            "initial": {**content.initial, **initial},
        }
    )
    check_parameters(content, family, complain)
    start = _initial(content, family)
    check_initial(content, start, complain)
    return SearchSpace(family.name, content.parameters, start, str(path))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: cannot be read: {error}.") from error


def _initial(content: StudyFile, family: type[Recommender]) -> dict[str, Any]:
    defaults = {
        f.name: f.default
        for f in fields(family)
        if f.init and f.name != "seed" and f.default is not MISSING
    }
    fixed = {
        name: d.value for name, d in content.parameters.items() if isinstance(d, Fixed)
    }
    names = {*content.parameters, *content.initial}
    complete = defaults | fixed | dict(content.initial)
    return {name: value for name, value in complete.items() if name in names}
