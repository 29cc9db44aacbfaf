"""Catalogue files: the streaming platforms' published form, own columns, or written by harness."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.data.catalogue import (
    CATALOGUE_COLUMNS,
    DERIVED_COLUMNS,
    LIST_COLUMNS,
    OPTIONAL_COLUMNS,
)
from harness.data.readers.repairs import derive_columns, repair
from harness.data.readers.text import sniff
from harness.data.wording import counted
from harness.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_catalogues", "read_streaming_catalogue"]


STREAMING_COLUMNS = CATALOGUE_COLUMNS[2:]
"""The 12 columns in which each platform publishes its titles."""


class Platform(NamedTuple):
    """A streaming platform.

    Parameters
    ----------
    source : str
        Its name in the column ``source``.
    prefix : str
        Beginning of its unique ids.
    words : tuple of str
        Words that tell it from a file name.
    """

    source: str
    prefix: str
    words: tuple[str, ...]


PLATFORMS = (
    Platform("NETFLIX", "NFX", ("netflix",)),
    Platform("AMAZON", "AMZ", ("amazon", "prime")),
    Platform("DISNEY", "DSN", ("disney",)),
    Platform("HULU", "HLU", ("hulu",)),
)
"""``AMAZON`` with ``AMZ_0`` is the published sample; the others follow its pattern."""


def read_streaming_catalogue(
    paths: Iterable[str | Path],
) -> tuple["pd.DataFrame", list[str]]:
    """Read streaming catalogues of 12 columns, and combine them."""
    import pandas as pd

    frames: dict[str, pd.DataFrame] = {}
    notes: list[str] = []
    for named in paths:
        path, platform = _platform_of(str(named))
        if platform.source in frames:
            raise DataError(
                f"{path}: there must be one catalogue of each platform, but this is "
                f"the second of {platform.source}; join the files first."
            )
        frame, more = _read_platform(path, platform)
        frames[platform.source] = frame
        notes += [f"{platform.source}: {note}" for note in more]
    if not frames:
        raise DataError("At least one catalogue is needed, but none was named.")
    return pd.concat(frames.values(), ignore_index=True), notes


def _platform_of(named: str) -> tuple[Path, Platform]:
    known = {p.source: p for p in PLATFORMS}
    label, equals, rest = named.partition("=")
    if equals and not Path(named).exists():
        if label.upper() not in known:
            raise DataError(str(UnknownNameError("platform", label, known)))
        return Path(rest), known[label.upper()]
    path = Path(named)
    name = path.name.lower()
    found = [p for p in PLATFORMS if any(word in name for word in p.words)]
    if len(found) != 1:
        raise DataError(
            f"{path}: the file name must tell the platform (one of {sorted(known)}); "
            f"rename it, or write it before the path: NETFLIX={path}."
        )
    return path, found[0]


def _read_platform(path: Path, platform: Platform) -> tuple["pd.DataFrame", list[str]]:
    text = read_text_columns(path, STREAMING_COLUMNS, required=STREAMING_COLUMNS)
    frame, notes = repair(text)
    frame, more = derive_columns(frame)
    frame["source"] = platform.source
    frame["unique_id"] = [f"{platform.prefix}_{row}" for row in range(len(frame))]
    return frame[[*CATALOGUE_COLUMNS, *DERIVED_COLUMNS]], notes + more


def read_text_columns(
    path: Path, wanted: Sequence[str], *, required: Sequence[str]
) -> "pd.DataFrame":
    """Read columns of a CSV file as text, exactly as it is there."""
    import pyarrow as pa

    table = sniff(path)
    lacking = [c for c in required if c not in table.columns]
    if lacking:
        raise DataError(
            f"{path}: a catalogue needs the columns {[*required]}, but {lacking} "
            f"{'is' if len(lacking) == 1 else 'are'} not among its {[*table.columns]}."
        )
    present = [c for c in wanted if c in table.columns]
    frame: pd.DataFrame = (
        table.read(dict.fromkeys(present, pa.string())).to_pandas().astype("str")
    )
    return frame


OTHER_NAMES = {
    "genres": "listed_in",
    "genre": "listed_in",
    "year": "release_year",
    "movietitle": "title",
    "itemtitle": "title",
    "name": "title",
    "overview": "description",
    "plot": "description",
    "synopsis": "description",
    "actors": "cast",
    "directors": "director",
    "countries": "country",
    "productioncompanies": "production_company",
    "studio": "production_company",
    "itemid": "unique_id",
    "movieid": "unique_id",
    "titleid": "unique_id",
    "productid": "unique_id",
    "contentid": "unique_id",
    "bookid": "unique_id",
    "asin": "unique_id",
    "isbn": "unique_id",
    "item": "unique_id",
    "id": "unique_id",
}
"""Usual names in other catalogues, in lower case, without spaces, hyphens and underscores,
and what they are called here; of several for the same the first goes before the others."""

OTHER_SEPARATORS = r"\s*[;|]\s*"
"""What stands between the entries of a list where it is no comma."""

NUMBERS = ("release_year", *DERIVED_COLUMNS)


def read_catalogues(paths: Sequence[str]) -> tuple["pd.DataFrame", list[str]]:
    """Read catalogues to be laid beside ratings.

    Streaming catalogues of 12 columns get their source and unique ids, as
    `harness.data.readers.streaming.read_streaming_catalogue` does it. Any other table needs an
    id and a title; columns with usual names are taken, the others left out, and lists
    may be separated by ``,``, ``;`` or ``|``.
    """
    import pandas as pd

    streaming, frames, notes = list[str](), list[pd.DataFrame](), list[str]()
    for named in paths:
        path = Path(named)
        columns = sniff(path).columns if path.is_file() or "=" not in named else ()
        if not columns or (
            set(STREAMING_COLUMNS) <= set(columns) and "unique_id" not in columns
        ):
            streaming.append(named)
        elif set(DERIVED_COLUMNS) <= set(columns):
            frames.append(read_written_catalogue(path))
        else:
            frame, more = _read_own(path, columns)
            frames.append(frame)
            notes += [f"{path.name}: {note}" for note in more]
    if streaming:
        frame, more = read_streaming_catalogue(streaming)
        frames.append(frame)
        notes += more
    return pd.concat(frames, ignore_index=True), notes


def _read_own(path: Path, columns: Sequence[str]) -> tuple["pd.DataFrame", list[str]]:
    known = _name_columns(columns)
    if "title" not in known or not {"unique_id", "show_id"} & known.keys():
        raise DataError(
            f"{path}: a catalogue needs a column of ids (unique_id, show_id, item_id, "
            f"movieId ...) and one named title, but its columns are {[*columns]}."
        )
    text = read_text_columns(path, [*known.values()], required=[*known.values()])
    text = text.rename(columns={c: n for n, c in known.items()})
    for column in filter(text.__contains__, LIST_COLUMNS):
        text[column] = _with_commas(text[column])
    frame, notes = repair(text)
    frame, more = derive_columns(frame)
    ignored = [c for c in columns if c not in known.values()]
    if ignored:
        more.append(f"{counted(len(ignored), 'column')} left out: {ignored}.")
    return frame, notes + more


def _name_columns(columns: Sequence[str]) -> dict[str, str]:
    """Find the column of each name: so called, or else by the most telling other name."""
    taken = (*CATALOGUE_COLUMNS, *OPTIONAL_COLUMNS)
    meanings = {name.replace("_", ""): name for name in taken} | OTHER_NAMES
    written = {re.sub(r"[\s_-]", "", c).lower(): c for c in reversed(columns)}
    known: dict[str, str] = {}
    for plain, name in meanings.items():
        if plain in written:
            known.setdefault(name, written[plain])
    return known


def _with_commas(lists: "pd.Series[str]") -> "pd.Series[str]":
    """Separate lists by commas; where it is done otherwise, a comma belongs to a name."""
    is_other = lists.str.contains(OTHER_SEPARATORS, regex=True, na=False)
    inside = lists.str.replace(",", "", regex=False)
    return lists.mask(is_other, inside).str.replace(OTHER_SEPARATORS, ", ", regex=True)


def read_written_catalogue(path: Path) -> "pd.DataFrame":
    """Read a catalogue as harness writes it: repaired, with derived columns."""
    known = (*CATALOGUE_COLUMNS, *OPTIONAL_COLUMNS, *DERIVED_COLUMNS)
    frame = read_text_columns(path, known, required=["unique_id"])
    frame = frame.mask(frame == "")
    _convert(path, frame)
    # A column without a value says nothing; not every catalogue has all of them.
    return frame.dropna(axis=1, how="all")


def _convert(path: Path, frame: "pd.DataFrame") -> None:
    import pandas as pd

    column = "date_added"
    try:
        if column in frame:
            dates = pd.to_datetime(frame[column], format="ISO8601")
            frame[column] = dates.dt.as_unit("s")
        for column in filter(frame.__contains__, NUMBERS):
            frame[column] = pd.to_numeric(frame[column]).astype("float64")
    except ValueError as error:
        what = "dates like 2021-09-25" if column == "date_added" else "numbers"
        raise DataError(
            f"{path}, column {column!r}: must hold {what} or nothing: {error}."
        ) from error
