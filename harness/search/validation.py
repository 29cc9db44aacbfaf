"""What pydantic finds wrong with a file, in our words."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from harness.errors import UnknownNameError

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

__all__ = ["broken_rule", "first_problem"]

_UNKNOWN = "extra_forbidden"


def first_problem(error: "ValidationError") -> "ErrorDetails":
    """Choose what to say first of all that is wrong.

    Parameters
    ----------
    error : ValidationError
        What pydantic has found.

    Returns
    -------
    dict
        An unknown key if there is one: where ``high`` is missing and ``hihg`` is not
        known, the second says what to do.
    """
    problems = error.errors()
    unknown = (p for p in problems if p["type"] == _UNKNOWN)
    return next(unknown, problems[0])


def broken_rule(problem: "ErrorDetails", model: type[BaseModel]) -> str:
    """Say which rule a value breaks.

    Parameters
    ----------
    problem : dict
        One of ``ValidationError.errors()``.
    model : type
        What was validated.

    Returns
    -------
    str
        A sentence; of an unknown key, with the keys that there are.
    """
    *above, key = problem["loc"] or ("",)
    if problem["type"] == _UNKNOWN:
        found = _model_at(model, above)
        known = found.model_fields if found is not None else ()
        return str(UnknownNameError("key", str(key), known))
    rule = problem["msg"].removeprefix("Value error, ")
    value = problem["input"]
    if problem["type"] != "value_error" and isinstance(value, bool | int | float | str):
        rule += f", but it is {value!r}"
    return rule


def _model_at(model: type[BaseModel], location: list[int | str]) -> Any:
    """Follow a location through the types, to the table that it leads to."""
    here: Any = model
    for part in location:
        if _is_model(here):
            here = here.model_fields[str(part)].annotation
            continue
        members = list(_models_in(here))
        tagged = [m for m in members if part in _tags(m)]
        if tagged:
            here = tagged[0]
        elif len(members) == 1:
            here = members[0]
    members = list(_models_in(here))
    return members[0] if len(members) == 1 else None


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _models_in(kind: Any) -> Iterator[type[BaseModel]]:
    if _is_model(kind):
        yield kind
    for part in get_args(kind):
        yield from _models_in(part)


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("type")
    return get_args(field.annotation) if field is not None else ()
