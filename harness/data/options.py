"""How a source is to be read: options declared once, and the small TOML beside a file."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import Field as DeclaredField
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    Self,
    TypeVar,
    get_type_hints,
)

from harness.errors import DataError

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "DuplicateRule",
    "OptionHelp",
    "ReadOptions",
    "Sidecar",
    "help_of_option",
    "parse_scale",
    "read_option",
    "read_sidecar",
    "sidecar_file",
    "with_read_options",
]


DuplicateRule = Literal["error", "last", "mean"]
Scale = tuple[float, float]


@dataclass(frozen=True, slots=True)
class OptionHelp:
    """What the command line says about an option, and whether a TOML may set it."""

    help: str
    metavar: str | None = None
    in_sidecar: bool = True


def read_option(
    text: str,
    metavar: str | None = None,
    *,
    many: bool = False,
    in_sidecar: bool = True,
) -> Any:
    """Declare an option of a dataclass: not given unless the user says so."""
    said = {"option": OptionHelp(text, metavar, in_sidecar)}
    return field(default=() if many else None, metadata=said)


def help_of_option(declared: "DeclaredField[Any]") -> OptionHelp | None:
    """Tell what was declared with `read_option`."""
    return declared.metadata.get("option")


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How to read ratings; what is not given is found out from the file.

    Each field is an option of the command line, a key of the TOML beside a file and a
    key of ``[data]`` in an experiment file: all three are derived from it.
    """

    user_column: str | None = read_option(
        "Column of user ids; by number where there is no header.", "NAME"
    )
    item_column: str | None = read_option("Column of item ids.", "NAME")
    rating_column: str | None = read_option("Column of ratings.", "NAME")
    timestamp_column: str | None = read_option(
        "Column of times, or 'none' to read no times.", "NAME"
    )
    scale: Scale | None = read_option(
        "Lowest and highest rating that can be given, such as 1:5, or 0:inf for counts. "
        "Default: that of MovieLens, or that of the values.",
        "LOW:HIGH",
    )
    missing: tuple[str, ...] = read_option(
        "Value of the rating column that means 'not rated'; rows with it are left out. "
        "Repeatable.",
        "VALUE",
        many=True,
    )
    duplicates: DuplicateRule | None = read_option(
        "What to do with several ratings of one item by one user: refuse them (error, the "
        "default), keep the latest (last), or take their mean."
    )
    catalogue: tuple[str, ...] = read_option(
        "Catalogue of titles, matched by id. Repeatable.", "[PLATFORM=]FILE", many=True
    )
    catalogue_column: tuple[str, ...] = read_option(
        "What a column of your catalogue holds, such as unique_id=code, people=author or "
        "description=blurb. Repeatable.",
        "NAME=COLUMN",
        many=True,
    )
    predefined: str | None = read_option(
        "Split that the data define: u1 for u1.base and u1.test, or a column that "
        "says train or test.",
        "NAME",
    )
    encoding: str | None = read_option(
        "Text encoding of the ratings. Default: UTF-8.", "NAME"
    )
    link: tuple[str, ...] = read_option(
        "Streaming catalogue to which titles are linked by name and year, as `harness "
        "data link` does. Repeatable.",
        "[PLATFORM=]FILE",
        many=True,
        in_sidecar=False,
    )

    @classmethod
    def of(cls, given: Mapping[str, object]) -> Self:
        """Take plain values, as a command line or a file has them."""
        known = {f.name for f in fields(cls) if f.init}
        taken: Any = {
            k: v for k, v in given.items() if v not in (None, (), []) and k in known
        }
        for name, value in taken.items():
            if name == "scale":
                taken[name] = parse_scale(value)
            elif isinstance(value, list):
                taken[name] = tuple(value)
        return cls(**taken)

    def given(self) -> dict[str, object]:
        """Collect what was given, JSON-like: the way back from `of`."""
        plain: dict[str, object] = {}
        for option in fields(ReadOptions):
            value = getattr(self, option.name)
            if value in (None, (), []):
                continue
            if option.name == "scale":
                value = ":".join(str(end).removesuffix(".0") for end in value)
            plain[option.name] = [*value] if isinstance(value, tuple) else value
        return plain

    def over(self, others: "ReadOptions") -> "ReadOptions":
        """Complete what is not set here from other options."""
        mine = {f.name: getattr(self, f.name) for f in fields(ReadOptions)}
        return replace(others, **{k: v for k, v in mine.items() if v not in (None, ())})


def parse_scale(given: Any) -> Scale:
    """Read a scale, written ``1:5`` or as a list of two numbers."""
    ends = given.split(":") if isinstance(given, str) else given
    try:
        low, high = map(float, ends)
    except (TypeError, ValueError):
        raise DataError(
            f"The scale must be LOW:HIGH, such as 1:5 or 0.5:5, but got {given!r}."
        ) from None
    return low, high


Model = TypeVar("Model", bound="BaseModel")


def with_read_options(
    options: type[ReadOptions] = ReadOptions, *, sidecar: bool = False
) -> Callable[[type[Model]], type[Model]]:
    """Give a pydantic model the reading options as keys, beside its own."""

    def extend(model: type[Model]) -> type[Model]:
        from pydantic import create_model

        hints = get_type_hints(options)
        keys: dict[str, Any] = {
            f.name: (_in_a_file(f.name, hints[f.name], said.help), f.default)
            for f in fields(options)
            if (said := help_of_option(f)) and (said.in_sidecar or not sidecar)
        }
        return create_model(
            model.__name__,
            __base__=model,
            __doc__=model.__doc__,
            __module__=model.__module__,
            **keys,
        )

    return extend


def _in_a_file(name: str, kind: Any, text: str) -> Any:
    from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

    said = Field(description=text)
    if name == "scale":
        ends = {"type": "array", "items": {"type": "number"}, "minItems": 2}
        written = {"anyOf": [{"type": "string"}, {**ends, "maxItems": 2}]}
        return Annotated[
            kind,
            BeforeValidator(_scale_in_a_file),
            PlainSerializer(_text),
            WithJsonSchema({**written, "description": text}, mode="validation"),
        ]
    # TOML has lists, which a strict tuple would refuse.
    lax = Field(strict=False, description=text)
    return Annotated[kind, lax if kind == tuple[str, ...] else said]


def _scale_in_a_file(given: Any) -> Scale | None:
    try:
        return None if given is None else parse_scale(given)
    except DataError as error:
        raise ValueError(str(error).removesuffix(".")) from error


def _text(scale: Scale | None) -> str | None:
    found = ReadOptions(scale=scale).given().get("scale")
    return None if found is None else str(found)


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """What the TOML beside a ratings file says."""

    options: ReadOptions
    name: str | None = None
    simulated: bool = False
    notes: tuple[str, ...] = ()


def read_sidecar(ratings_file: Path) -> Sidecar:
    """Read the TOML beside a ratings file: ``ratings.toml`` beside ``ratings.csv``."""
    path = ratings_file.with_name(ratings_file.name.partition(".")[0] + ".toml")
    if not path.is_file():
        return Sidecar(options=ReadOptions())
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: must be a TOML file in UTF-8: {error}.") from error
    return _validated(path, text, content)


@cache
def sidecar_file() -> Any:
    """Make the pydantic model of a TOML beside a ratings file."""
    from pydantic import Field

    from harness.toml import Part

    @with_read_options(sidecar=True)
    class SidecarFile(Part):
        """How to read the ratings beside this file, and what to say of them.

        Parameters
        ----------
        name : str, optional
            Name of the data set. Default: that of the file.
        simulated : bool, default False
            Whether a program made the ratings; every report says so.
        notes : tuple of str
            What readers of a report should know of the data.
        """

        HABITS: ClassVar[Mapping[str, str]] = {
            "data": "Write its keys at the top of this file, without a header.",
            "source": "This file is beside its ratings, and is found by their name.",
            "title": "name",
            "rating_scale": "scale",
            "user": "user_column",
            "item": "item_column",
            "rating": "rating_column",
            "time": "timestamp_column",
            "timestamp": "timestamp_column",
            "separator": "The separator is found out from the ratings.",
            "delimiter": "The separator is found out from the ratings.",
        }

        name: str | None = None
        simulated: bool = False
        notes: Annotated[tuple[str, ...], Field(strict=False)] = ()

    return SidecarFile


def _validated(path: Path, text: str, content: dict[str, object]) -> Sidecar:
    from pydantic import ValidationError

    from harness.toml import as_sentence, broken_rule, first_problem, line_of

    try:
        checked = sidecar_file().model_validate(content)
    except ValidationError as error:
        problem = first_problem(error)
        key = ".".join(map(str, problem["loc"]))
        line = line_of(text, key) or 1
        rule = as_sentence(broken_rule(problem, sidecar_file()))
        if "families" in content:
            rule = (
                "this file has the name of the ratings beside it, and so describes how to "
                "read them. Give the experiment another name."
            )
        raise DataError(f"{path}:{line}: {key}: {rule}") from error
    said = checked.model_dump()
    # Paths in the file are meant from where the file is, not from where one works.
    said["catalogue"] = [str(path.parent / c) for c in said["catalogue"]]
    return Sidecar(
        options=ReadOptions.of(said),
        name=checked.name,
        simulated=checked.simulated,
        notes=checked.notes,
    )
