"""What a file with a search space must be; errors name file, line and key."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import ParameterError, SpaceError, UnknownNameError
from harness.models.base import IterativeRecommender, Recommender
from harness.search.distributions import (
    Categorical,
    Distribution,
    Epochs,
    Fixed,
    Float,
    Int,
    Value,
    is_multiple,
)
from harness.search.validation import broken_rule, first_problem

__all__ = ["Complaint", "StudyFile", "check_initial", "check_parameters"]

_KINDS: Mapping[type, str] = MappingProxyType(
    {bool: "true or false", int: "an integer", float: "a number", str: "a text"}
)


class StudyFile(BaseModel):
    """The content of such a file.

    Parameters
    ----------
    family : str
        Name of the family of models.
    parameters : mapping
        Hyperparameter to distribution, in the order of sampling.
    initial : mapping, optional
        Hyperparameters of trial 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: str
    parameters: Mapping[str, Distribution]
    initial: Mapping[str, Value] = {}


class Complaint:
    """Builds errors that name file, line and key.

    Parameters
    ----------
    path : Path
        The file.
    text : str
        Its content.
    """

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.splitlines()

    def __call__(self, key: str, rule: str) -> SpaceError:
        """Make the error for a key that breaks a rule."""
        line = self._line_of(key)
        where = f"{self._path}:{line}" if line else str(self._path)
        return SpaceError(f"{where}: {key}: {rule}")

    def _line_of(self, key: str) -> int | None:
        name = re.escape(key.rsplit(".", 1)[-1])
        pattern = re.compile(rf"""^\s*(\[.*\b)?["']?{name}["']?\s*[\]=]""")
        found = (n for n, line in enumerate(self._lines, 1) if pattern.match(line))
        return next(found, None)

    def about_validation(self, error: ValidationError) -> SpaceError:
        """Say the first thing that is wrong with the form of the file."""
        first = first_problem(error)
        rule = broken_rule(first, StudyFile)
        end = "" if rule.endswith((".", "?")) else "."
        location = [str(part) for part in first["loc"]]
        if location[:1] in (["parameters"], ["initial"]) and len(location) > 1:
            # The discriminator's tag ("int") stands between parameter and field.
            field = ".".join(location[3:])
            return self(location[1], f"{field + ': ' if field else ''}{rule}{end}")
        return self(".".join(location), f"{rule}{end}")


def _check_names(
    content: StudyFile, family: type[Recommender], complain: Complaint
) -> None:
    known = [f.name for f in fields(family) if f.init and f.name != "seed"]
    for name, distribution in content.parameters.items():
        if name not in known:
            unknown = UnknownNameError(f"hyperparameter of {family.name}", name, known)
            raise complain(name, str(unknown))
        if isinstance(distribution, Epochs) and (
            name != "n_epochs" or not issubclass(family, IterativeRecommender)
        ):
            raise complain(
                name, 'type "epochs" is for n_epochs of families trained in epochs.'
            )
    for name in content.initial:
        if name not in known:
            unknown = UnknownNameError(f"hyperparameter of {family.name}", name, known)
            raise complain(name, str(unknown))


def _check_conditions(content: StudyFile, complain: Complaint) -> None:
    above: dict[str, Distribution] = {}
    for name, distribution in content.parameters.items():
        if isinstance(distribution, Epochs) and distribution.when:
            raise complain(name, 'when: type "epochs" takes no condition.')
        for other, wanted in (distribution.when or {}).items():
            if other not in above or isinstance(above[other], Epochs):
                raise complain(
                    name, f"when: {other!r} must be a parameter that stands above it."
                )
            _check_reachable(name, other, wanted, above[other], complain)
        above[name] = distribution


def _check_reachable(
    name: str, other: str, wanted: Any, above: Distribution, complain: Complaint
) -> None:
    if not isinstance(above, Categorical | Fixed):
        return
    possible = above.corners()
    for value in wanted if isinstance(wanted, tuple) else (wanted,):
        if value not in possible:
            raise complain(
                name, f"when: {other!r} is never {value!r}: choose from {possible}."
            )


def _check_types(
    content: StudyFile, family: type[Recommender], complain: Complaint
) -> None:
    hints = get_type_hints(family)
    values = [(n, v) for n, d in content.parameters.items() for v in d.corners()]
    for name, value in [*values, *content.initial.items()]:
        allowed = list(dict.fromkeys(_kinds(hints[name])))
        if allowed and not any(_is(value, kind) for kind in allowed):
            kinds = " or ".join(_KINDS[kind] for kind in allowed if kind in _KINDS)
            raise complain(name, f"must be {kinds}, but can be {value!r} here.")


def _kinds(hint: Any) -> Iterator[type]:
    """Yield the types of TOML that a hyperparameter can have; none if unknown."""
    if get_origin(hint) is Literal:
        yield from (type(value) for value in get_args(hint))
    elif get_origin(hint) in {Union, UnionType}:
        for part in get_args(hint):
            yield from _kinds(part)
    elif hint in _KINDS:
        yield hint


def _is(value: Any, kind: type) -> bool:
    # True is an int for Python, and 1 is as good as 1.0 for people.
    return type(value) is kind or (kind is float and type(value) is int)


def _check_domains(
    content: StudyFile, family: type[Recommender], complain: Complaint
) -> None:
    for name, distribution in content.parameters.items():
        for value in distribution.corners():
            try:
                family(**{name: value})
            except (ParameterError, TypeError) as error:
                raise complain(name, str(error)) from error


def check_parameters(
    content: StudyFile, family: type[Recommender], complain: Complaint
) -> None:
    """Check names, conditions and values against the family.

    Parameters
    ----------
    content : StudyFile
        What the file says.
    family : type
        Class of the models.
    complain : Complaint
        Makes the errors.

    Raises
    ------
    SpaceError
        If the family has no such hyperparameter, or not with such a value, or a
        condition can never hold.
    """
    _check_names(content, family, complain)
    _check_conditions(content, complain)
    _check_types(content, family, complain)
    _check_domains(content, family, complain)


def check_initial(
    content: StudyFile, initial: Mapping[str, Any], complain: Complaint
) -> None:
    """Check that the initial settings lie in the space.

    Parameters
    ----------
    content : StudyFile
        What the file says.
    initial : mapping
        Hyperparameters of trial 0, the defaults included.
    complain : Complaint
        Makes the errors.

    Raises
    ------
    SpaceError
        If one lies outside its range, or between two steps.
    """
    for name, distribution in content.parameters.items():
        value = initial[name]
        if not _holds(distribution, value):
            raise complain(
                name,
                f"the initial value {value!r} must lie in the space: widen it, "
                "or set another one under [initial].",
            )
        if not isinstance(distribution, Int | Float) or distribution.step is None:
            continue
        if not is_multiple(value - distribution.low, distribution.step):
            raise complain(
                name,
                f"the initial value {value!r} must be low plus a multiple of step: "
                "change them, or set another one under [initial].",
            )


def _holds(distribution: Distribution, value: Any) -> bool:
    if isinstance(distribution, Categorical):
        return value in distribution.choices
    if isinstance(distribution, Int | Float):
        return value is not None and distribution.low <= value <= distribution.high
    return True
