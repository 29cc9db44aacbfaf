"""How the user wants a source to be read: options, and the small TOML beside a file."""

import difflib
import re
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.errors import DataError

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["DuplicateRule", "ReadOptions", "Sidecar", "read_sidecar"]


DuplicateRule = Literal["error", "last", "mean"]


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How to read ratings; None means: find out from the file.

    Parameters
    ----------
    user_column, item_column, rating_column : str, optional
        Names of columns; guessed from the usual names (``userId``, ``movie_id``,
        ``stars`` ...).
    timestamp_column : str, optional
        Likewise; ``"none"`` reads no times.
    scale : (float, float), optional
        Lowest and highest rating that can be given, in stars.
    duplicates : {"error", "last", "mean"}, optional
        What to do when a user has rated an item more than once: refuse the file (the
        default: only the user knows which rating counts), keep the latest, or take
        the mean.
    catalogue : tuple of str
        Catalogue files to align with the items.
    predefined : str, optional
        Name of a split that the source defines: ``"u1"`` for ``u1.base`` and
        ``u1.test``, or a column of the table that says ``train`` or ``test``.
    encoding : str, optional
        Text encoding; UTF-8 unless given.
    link : tuple of str
        Streaming catalogues to which titles are linked by name and year; titles that
        are in none of them are left out with their ratings.
    """

    user_column: str | None = None
    item_column: str | None = None
    rating_column: str | None = None
    timestamp_column: str | None = None
    scale: tuple[float, float] | None = None
    duplicates: DuplicateRule | None = None
    catalogue: tuple[str, ...] = ()
    predefined: str | None = None
    encoding: str | None = None
    link: tuple[str, ...] = ()

    def over(self, others: "ReadOptions") -> "ReadOptions":
        """Complete what is not set here from other options."""
        mine = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(others, **{k: v for k, v in mine.items() if v not in (None, ())})


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """What the TOML beside a ratings file says.

    Parameters
    ----------
    options : ReadOptions
        How to read the file.
    name : str, optional
        Name of the data set.
    simulated : bool, default False
        Whether a program made the ratings.
    notes : tuple of str
        What was repaired or left out before the file was written.
    """

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


def _validated(path: Path, text: str, content: dict[str, object]) -> Sidecar:
    from pydantic import BaseModel, ConfigDict, ValidationError

    class SidecarFile(BaseModel):
        """The keys of a TOML beside a ratings file."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        name: str | None = None
        simulated: bool = False
        notes: tuple[str, ...] = ()
        user_column: str | None = None
        item_column: str | None = None
        rating_column: str | None = None
        timestamp_column: str | None = None
        scale: tuple[float, float] | None = None
        duplicates: DuplicateRule | None = None
        catalogue: tuple[str, ...] = ()
        predefined: str | None = None
        encoding: str | None = None

    try:
        checked = SidecarFile.model_validate(content)
    except ValidationError as error:
        known = list(SidecarFile.model_fields)
        raise DataError(_first_problem(path, text, error, known)) from error
    options = checked.model_dump(exclude={"name", "simulated", "notes", "catalogue"})
    # Paths in the file are meant from where the file is, not from where one works.
    beside = tuple(str(path.parent / c) for c in checked.catalogue)
    return Sidecar(
        options=ReadOptions(**options, catalogue=beside),
        name=checked.name,
        simulated=checked.simulated,
        notes=checked.notes,
    )


def _first_problem(
    path: Path, text: str, error: "ValidationError", known: list[str]
) -> str:
    problem = error.errors()[0]
    key = str(problem["loc"][0])
    lines = text.splitlines()
    written = re.compile(rf"\s*\[*[\"']?{re.escape(key)}\b")
    line = next((n for n, row in enumerate(lines, start=1) if written.match(row)), 1)
    where = f"{path}, line {line}: {key}"
    if problem["type"] == "extra_forbidden":
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Known keys: {known}."
        return f"{where} is not a known key. {hint}"
    return f"{where}: {problem['msg']}, but got {problem['input']!r}."
