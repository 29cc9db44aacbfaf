"""TOML files checked by pydantic, and the place of a key in their text."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict

from harness.errors import UnknownNameError

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

__all__ = [
    "Habits",
    "Part",
    "as_sentence",
    "broken_rule",
    "first_problem",
    "line_of",
]


_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?")


def line_of(text: str, key: str) -> int | None:
    r"""Find the line of a key.

    Examples
    --------
    >>> line_of("[[claims]]\nvalue = 1\n[[claims]]\nvalue = 2", "claims.1.value")
    4
    """
    wanted = key.split(".")
    best: tuple[int, int] | None = None
    table: list[str] = []
    counts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            name = header[2].replace('"', "").replace(" ", "")
            table = name.split(".")
            if header[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                table.append(str(counts[name]))
            here = table
        else:
            found = re.match(r"""^\s*["']?([\w.-]+)["']?\s*=""", line)
            here = [*table, *found[1].split(".")] if found else []
        depth = len(here)
        if here and here == wanted[:depth] and (best is None or depth > best[0]):
            best = (depth, number)
    return best[1] if best else None


class Habits:
    """What people write from habit in a table, and in the tables below it.

    `HABITS` leads from a key to the one that is meant: ``low``, or ``budget.trials`` where
    it belongs in another table, or to a sentence. A key of the table itself may be there,
    too, for a value that stands where a table should. `OTHER_KEYS` is said of all others.
    """

    HABITS: ClassVar[Mapping[str, str]] = {}
    OTHER_KEYS: ClassVar[str] = ""


class Part(Habits, BaseModel):
    """A table of the file: unknown keys are errors, so is "5" for 5; nothing changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


_UNKNOWN = "extra_forbidden"


def first_problem(error: "ValidationError") -> "ErrorDetails":
    """Choose what to say first of all that is wrong."""
    problems = error.errors()
    unknown = (p for p in problems if p["type"] == _UNKNOWN)
    return next(unknown, problems[0])


def broken_rule(problem: "ErrorDetails", model: type[BaseModel]) -> str:
    """Say which rule a value breaks."""
    if problem["type"] == _UNKNOWN:
        return _unknown_key(problem, model)
    kind, value, facts = problem["type"], problem["input"], problem.get("ctx", {})
    if kind == "union_tag_invalid":
        value = facts["tag"]
    rule = (
        _RULES[kind].format_map(facts) if kind in _RULES else _without_prefix(problem)
    )
    if kind not in _COMPLETE and isinstance(value, bool | int | float | str):
        rule += f", but is {value!r}"
    remedy = _as_table(problem, model) if kind in _NO_TABLE else ""
    return f"{rule}. {remedy}" if remedy else rule


def _unknown_key(problem: "ErrorDetails", model: type[BaseModel]) -> str:
    *above, last = problem["loc"] or ("",)
    key, found = str(last), _model_at(model, above)
    table: Any = found or Part
    known = table.model_fields
    own = _habits(table).get(key, "")
    if own in known:
        return str(UnknownNameError("key", key, known, [own]))
    meant = _habits(model).get(key, "")
    place, _, name = meant.rpartition(".")
    if place and place == ".".join(map(str, above)):
        return str(UnknownNameError("key", key, known, [name]))
    remedy = _remedy(meant or _place_of(key, model), problem["input"])
    if not remedy and not difflib.get_close_matches(key, known, n=1):
        remedy = getattr(table, "OTHER_KEYS", "")
    if remedy:
        where = "" if meant else " here"
        return f"There is no key named {key!r}{where}. {remedy}"
    return str(UnknownNameError("key", key, known))


def _as_table(problem: "ErrorDetails", model: type[BaseModel]) -> str:
    """Say how a value would be written that stands where tables are expected."""
    *above, key = problem["loc"] or ("",)
    value = problem["input"]
    names = [value] if isinstance(value, str) else value
    meant = _habits(model).get(str(key), "")
    if meant and not above:
        return _remedy(meant, value)
    is_list = isinstance(names, list) and all(isinstance(n, str) for n in names)
    if problem["type"] == "dict_type" and is_list and names:
        headers = ", ".join(f"[{key}.{name}]" for name in names)
        return f"Write a header for each: {headers}."
    return ""


def _habits(model: Any) -> Mapping[str, str]:
    found: Mapping[str, str] = getattr(model, "HABITS", {})
    return found


def _remedy(meant: str, value: object) -> str:
    """Say where a key belongs, with the value that it was given."""
    if not meant or " " in meant:
        return meant
    table, _, name = meant.rpartition(".")
    # JSON's texts, numbers and lists are TOML's, too.
    is_plain = isinstance(value, bool | int | float | str | list)
    line = f"{name} = {json.dumps(value, default=str) if is_plain else '...'}"
    if not table:
        return f"Write it at the top, above the first [table]: {line}."
    return f"Write it below [{table}]: {line}."


def _place_of(key: str, model: type[BaseModel]) -> str:
    """Find the one place of a file that has a key, as ``budget.trials``."""
    if key in model.model_fields:
        return key
    places: dict[int, list[str]] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        for below in _models_in(kind):
            if key not in below.model_fields:
                continue
            if kind is below:
                places.setdefault(0, []).append(f"{name}.{key}")
            elif get_origin(kind) is tuple:
                places.setdefault(2, []).append(f"[{name}].{key}")
            else:
                places.setdefault(1, []).append(f"{name}.NAME.{key}")
    nearest = places[min(places)] if places else []
    return nearest[0] if len(nearest) == 1 else ""


def _without_prefix(problem: "ErrorDetails") -> str:
    return problem["msg"].removeprefix("Value error, ")


_NO_TABLE = frozenset({"dict_type", "model_type", "tuple_type"})
_COMPLETE = frozenset({"missing", "too_short", "union_tag_not_found", "value_error"})
# Pydantic speaks of inputs, tuples, tags and dictionaries, which TOML does not have.
_RULES = {
    "missing": "must be given",
    "string_type": "must be text, in quotes",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "tuple_type": "must be a list, in [ ]",
    "list_type": "must be a list, in [ ]",
    "dict_type": "must be a table, in {{ }} or with a header of its own",
    "model_type": "must be a table, in {{ }} or with a header of its own",
    "model_attributes_type": 'must be a table, such as {{ type = "fixed", value = 1 }}',
    "literal_error": "must be {expected}",
    "union_tag_invalid": "type must be one of {expected_tags}",
    "union_tag_not_found": "must have a type, as in {{ type = ... }}",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "too_short": "must have {min_length} or more entries, but has {actual_length}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
}


def as_sentence(rule: str) -> str:
    """End a rule as a sentence, unless it ends already."""
    return rule if rule.endswith((".", "?")) else f"{rule}."


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
