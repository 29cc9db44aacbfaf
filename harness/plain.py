"""Dataclasses as plain data, to be written as JSON, and made of it again."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.errors import StudyError

__all__ = ["ParamValue", "Params", "from_json", "to_json"]


ParamValue = str | int | float | bool | None
Params = Mapping[str, ParamValue]
"""Hyperparameters by name, as TOML and JSON have them."""


# Building an adapter takes longer than what it does, and every study read needs two.
@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def to_json(value: Any) -> Any:
    """Convert facts or results to plain data."""
    kind: Any = type(value)
    return _adapter(kind).dump_python(value, mode="json")


def from_json(kind: Any, value: Any) -> Any:
    """Make facts or results of a type from plain data."""
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise StudyError(
            f"{where or kind} was not written by this version of harness ({first['msg']}): "
            "read it with the version that wrote it, or run it again under another name."
        ) from error
