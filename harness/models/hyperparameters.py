"""What values a family's hyperparameters may have, declared on its fields.

The annotation of a field is its domain: a type, a `Literal` of choices, and bounds in
the form of `annotated-types` (as pydantic takes them).

>>> from dataclasses import dataclass
>>> @dataclass(kw_only=True)
... class Shrunk:
...     strength: NonNegative = 10.0
...     kind: Literal["mean", "median"] = "mean"
>>> domains(Shrunk)["strength"].broken_rule(-1.0)
'must be at least 0'
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from math import isfinite
from numbers import Integral, Real
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le

from harness.errors import ParameterError

__all__ = [
    "Count",
    "Domain",
    "NonNegative",
    "Positive",
    "check_hyperparameters",
    "domains",
]

Count = Annotated[int, Ge(1)]
"""A number of things: at least 1."""

NonNegative = Annotated[float, Ge(0)]
"""A penalty or weight: at least 0."""

Positive = Annotated[float, Gt(0)]
"""A step or scale: greater than 0."""

_KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a text",
}


@dataclass(frozen=True, slots=True)
class Domain:
    """The values that one hyperparameter may have."""

    # Types of plain values; empty where the annotation is of another kind.
    kinds: tuple[type, ...] = ()
    # The only values allowed; empty where there is no such list.
    choices: tuple[object, ...] = ()
    bounds: tuple[Ge | Gt | Le, ...] = ()
    optional: bool = False

    def broken_rule(self, value: object) -> str | None:
        """Say which rule a value breaks.

        Parameters
        ----------
        value : object
            As it would be given to the constructor.

        Returns
        -------
        str or None
            "must be at least 1", say; None if it breaks none.
        """
        if value is None and self.optional:
            return None
        if self.choices:
            listed = ", ".join(map(repr, self.choices))
            return None if value in self.choices else f"must be one of {listed}"
        if self.kinds and not any(_is(value, kind) for kind in self.kinds):
            return f"must be {' or '.join(_KINDS[kind] for kind in self.kinds)}"
        rules = [_rule(bound, value) for bound in self.bounds]
        # A comparison with NaN is false, so that it breaks any bound.
        if not all(holds for _, holds in rules):
            return f"must {' and '.join(words for words, _ in rules)}"
        if isinstance(value, Real) and not isfinite(value):
            return "must be finite"
        return None


def _is(value: object, kind: type) -> bool:
    # True is an int for Python, but not for people, to whom 1 is as good as 1.0.
    if kind in {int, float}:
        number = Integral if kind is int else Real
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, kind)


def _rule(bound: Ge | Gt | Le, value: Any) -> tuple[str, bool]:
    match bound:
        case Ge(ge=limit):
            return f"be at least {limit}", value >= limit
        case Gt(gt=limit):
            return f"be greater than {limit}", value > limit
        case Le(le=limit):
            return f"be at most {limit}", value <= limit


@cache
def domains(family: type) -> Mapping[str, Domain]:
    """Read the domains off a family's fields.

    Parameters
    ----------
    family : type
        A dataclass.

    Returns
    -------
    mapping
        Hyperparameter to domain, in the order of the fields.
    """
    hints = get_type_hints(family, include_extras=True)
    return {
        f.name: _domain(list(_parts(hints[f.name]))) for f in fields(family) if f.init
    }


def _domain(parts: list[object]) -> Domain:
    kinds = [part for part in parts if isinstance(part, type) and part in _KINDS]
    literals = [part for part in parts if get_origin(part) is Literal]
    bounds = [part for part in parts if isinstance(part, Ge | Gt | Le)]
    optional = type(None) in parts
    known = len(kinds) + len(literals) + len(bounds) + optional == len(parts)
    if not known or (literals and kinds):
        return Domain()
    choices = tuple(value for part in literals for value in get_args(part))
    return Domain(
        tuple(kinds) or tuple(dict.fromkeys(map(type, choices))),
        choices,
        tuple(bounds),
        optional=optional,
    )


def _parts(hint: object) -> Iterator[object]:
    """Take unions and annotations apart into types, literals and bounds."""
    if get_origin(hint) in {Union, UnionType, Annotated}:
        for part in get_args(hint):
            yield from _parts(part)
    else:
        yield hint


def check_hyperparameters(model: object) -> None:
    """Check each hyperparameter of a model against its domain.

    Parameters
    ----------
    model : object
        Of a family; its class is named in the error.

    Raises
    ------
    ParameterError
        If a value is outside its domain.
    """
    family: type = type(model)
    for name, domain in domains(family).items():
        value = getattr(model, name)
        rule = domain.broken_rule(value)
        if rule:
            raise ParameterError(
                f"{family.__name__}: {name} {rule}, but got {value!r}."
            )
