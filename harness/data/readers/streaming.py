"""Catalogue files: the streaming platforms' published form, own columns, or written by harness."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import (
    CATALOGUE_COLUMNS,
    DERIVED_COLUMNS,
    LIST_COLUMNS,
    OPTIONAL_COLUMNS,
)
from harness.data.readers.columns import clean_ids, plain_word
from harness.data.readers.repairs import derive_columns, repair
from harness.data.readers.table import open_table
from harness.data.wording import counted, listed, shorten
from harness.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Titles", "read_catalogues", "read_streaming_catalogue"]


STREAMING_COLUMNS = CATALOGUE_COLUMNS[2:]
"""The 12 columns in which each platform publishes its titles."""


class Platform(NamedTuple):
    """A streaming platform, the prefix of its ids, and words of its files' names."""

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
    """Read columns of a file as text, exactly as it is there."""
    import pandas as pd
    import pyarrow as pa

    table = open_table(path)
    lacking = [c for c in required if c not in table.columns]
    if lacking:
        raise DataError(
            f"{path}: a catalogue needs the columns {[*required]}, but {lacking} "
            f"{'is' if len(lacking) == 1 else 'are'} not among its "
            f"{listed(table.columns)}."
        )
    present = [c for c in wanted if c in table.columns]
    read = table.read(dict.fromkeys(present, pa.string()))
    return pd.DataFrame({c: _as_text(read[c]) for c in present}, dtype="str")


def _as_text(column: Any) -> list[str]:
    """Write typed cells as text: lists with commas, whole numbers without fraction."""
    return [_cell_as_text(cell) for cell in column.to_pylist()]


def _cell_as_text(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, list):
        return ", ".join(map(str, cell))
    if isinstance(cell, float):
        return "" if math.isnan(cell) else f"{cell:.15g}"
    return "" if cell is None else str(cell)


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

NO_GENRE = {"", "(no genres listed)", "unknown", "none", "n/a", "\\n"}
"""What stands in a list of genres, in lower case, where there is none."""

SHORT_NAMES = {
    "id": "unique_id",
    "people": "cast",
    "text": "description",
    "genres": "listed_in",
    "year": "release_year",
}
"""Names that ``--catalogue-column`` takes besides those of the 14 columns."""

KEYS = ("unique_id", "show_id")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Titles:
    """Catalogues as they were read: one row a title, and their own names of columns."""

    frame: "pd.DataFrame"
    notes: list[str]
    source: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    def keyed(
        self, item_ids: npt.NDArray[np.object_]
    ) -> tuple[list[str | None], list[str]]:
        """Find the id of each title among those of the rated items.

        Returns the ids of the rows, written as `clean_id` does, and notes on how many
        of the rated titles are known.
        """
        wanted = set(item_ids.tolist())
        cleaned = {
            k: _clean_keys(self.frame[k], self.names.get(k, k))
            for k in KEYS
            if k in self.frame
        }
        known = {k: wanted & set(ids) for k, (ids, _) in cleaned.items()}
        key = max(known, key=lambda k: len(known[k]), default="unique_id")
        if not known.get(key):
            raise self._nothing_known(item_ids, cleaned)
        ids, notes = cleaned[key]
        self._refuse_twice(ids, wanted, self.names.get(key, key))
        unknown = [i for i in item_ids if i not in known[key]]
        if unknown:
            notes = [*notes, self._partly_known(len(wanted), unknown, ids)]
        return ids, notes

    def _nothing_known(
        self,
        item_ids: npt.NDArray[np.object_],
        cleaned: Mapping[str, tuple[list[str | None], list[str]]],
    ) -> DataError:
        columns = [self.names.get(k, k) for k in cleaned]
        ids = next((ids for ids, _ in cleaned.values()), [])
        return DataError(
            f"{self.source}: none of the {len(item_ids):,} rated items (such as "
            f"{shorten(str(item_ids[0]))}) is in its columns {columns} (such as "
            f"{shorten(ids[0]) if ids else 'nothing'}); name the column of ids with "
            "--catalogue-column id=COLUMN, or link ratings and catalogue by title with "
            "`harness data link`."
        )

    def _partly_known(
        self, n_wanted: int, unknown: Sequence[str], ids: Sequence[str | None]
    ) -> str:
        examples = " and ".join(shorten(i) for i in unknown[:2])
        note = (
            f"{self.source}: the catalogue knows {n_wanted - len(unknown):,} of "
            f"{n_wanted:,} rated titles; unknown: {examples}."
        )
        bare = {i.lstrip("0") for i in ids if i}
        n_zeros = sum(i.startswith("0") and i.lstrip("0") in bare for i in unknown)
        if n_zeros:
            note += (
                f" Without leading zeros {n_zeros:,} more would be known: a "
                "spreadsheet may have removed them."
            )
        return note

    def _refuse_twice(
        self, ids: Sequence[str | None], wanted: set[str], column: str
    ) -> None:
        counts = Counter(i for i in ids if i in wanted)
        twice = [i for i, n in counts.items() if n > 1]
        if twice:
            n_more = sum(counts[i] - 1 for i in twice)
            raise DataError(
                f"{self.source}: each title must be there once, but {column} "
                f"{shorten(str(twice[0]))} is there several times ({n_more:,} rows too "
                "many); remove them."
            )


def _clean_keys(
    column: "pd.Series[str]", name: str
) -> tuple[list[str | None], list[str]]:
    ids, notes = clean_ids(column.fillna("").tolist(), name)
    return [i or None for i in ids], notes


def read_catalogues(
    paths: Sequence[str], *, columns: Sequence[str] = (), item_column: str | None = None
) -> Titles:
    """Read catalogues to be laid beside ratings.

    Streaming catalogues of 12 columns get their source and unique ids, as
    `read_streaming_catalogue` does it. Any other table needs an id and a title: those
    that `columns` name (``"cast=author"``), that are called as the ratings' column of
    items, or that have usual names; lists may be separated by ``,``, ``;`` or ``|``.
    """
    import pandas as pd

    chosen = _chosen_columns(columns)
    streaming, read = list[str](), list[Titles]()
    for named in paths:
        path = Path(named)
        there = open_table(path).columns if path.is_file() or "=" not in named else ()
        if not there or (
            set(STREAMING_COLUMNS) <= set(there) and "unique_id" not in there
        ):
            streaming.append(named)
        elif set(DERIVED_COLUMNS) <= set(there):
            read.append(Titles(frame=read_written_catalogue(path), notes=[]))
        else:
            known = _name_columns(there, chosen, item_column)
            read.append(_read_own(path, there, known))
    if streaming:
        frame, notes = read_streaming_catalogue(streaming)
        read.append(Titles(frame=frame, notes=notes))
    return Titles(
        frame=pd.concat([each.frame for each in read], ignore_index=True),
        notes=[note for each in read for note in each.notes],
        source=", ".join(paths),
        names={k: v for each in read for k, v in each.names.items()},
    )


def _chosen_columns(given: Sequence[str]) -> dict[str, str]:
    known = [*CATALOGUE_COLUMNS, *OPTIONAL_COLUMNS, *SHORT_NAMES]
    chosen = {}
    for each in given:
        name, equals, column = each.partition("=")
        if not (equals and column):
            raise DataError(
                f"--catalogue-column takes NAME=COLUMN, such as people=author, but got "
                f"{each!r}."
            )
        if name not in known:
            raise DataError(
                f"--catalogue-column {each}: {UnknownNameError('column', name, known)}"
            )
        chosen[SHORT_NAMES.get(name, name)] = column
    return chosen


_NEEDED = {
    "id": "a column of ids (unique_id, show_id, item_id, movieId ...)",
    "title": "a column of titles (title, name)",
}


def _read_own(path: Path, columns: Sequence[str], known: dict[str, str]) -> Titles:
    lacking = [column for column in known.values() if column not in columns]
    if lacking:
        raise DataError(f"{path}: {UnknownNameError('column', lacking[0], columns)}")
    is_there = {"id": bool({*KEYS} & known.keys()), "title": "title" in known}
    missing = [name for name in _NEEDED if not is_there[name]]
    if missing:
        options = " and ".join(f"--catalogue-column {name}=COLUMN" for name in missing)
        raise DataError(
            f"{path}: a catalogue needs {' and '.join(map(_NEEDED.__getitem__, missing))}, "
            f"but its columns are {listed(columns)}; name "
            f"{'it' if len(missing) == 1 else 'them'} with {options}."
        )
    text = read_text_columns(path, [*known.values()], required=[*known.values()])
    text = text.rename(columns={c: n for n, c in known.items()})
    for column in filter(text.__contains__, LIST_COLUMNS):
        text[column] = _with_commas(text[column])
    if "listed_in" in text:
        text["listed_in"] = text["listed_in"].map(_without_no_genre)
    frame, notes = repair(text)
    frame, more = derive_columns(frame)
    taken = ", ".join(f"{n} from {c!r}" for n, c in known.items() if n != c)
    left = [c for c in columns if c not in known.values()]
    notes = [*([f"Columns taken: {taken}."] if taken else []), *notes, *more]
    if left:
        notes.append(f"{counted(len(left), 'column')} left out: {listed(left)}.")
    return Titles(frame=frame, notes=[f"{path.name}: {n}" for n in notes], names=known)


def _without_no_genre(genres: str) -> str:
    kept = [g for g in genres.split(",") if g.strip().lower() not in NO_GENRE]
    return ", ".join(g.strip() for g in kept)


def _name_columns(
    columns: Sequence[str], chosen: Mapping[str, str], item_column: str | None
) -> dict[str, str]:
    """Find the column of each name: named so by the user, by the ratings, or usually."""
    taken = (*CATALOGUE_COLUMNS, *OPTIONAL_COLUMNS)
    meanings = {name.replace("_", ""): name for name in taken} | OTHER_NAMES
    written = {plain_word(c): c for c in reversed(columns) if c not in chosen.values()}
    known = dict(chosen)
    if item_column and (same := written.get(plain_word(item_column))):
        known.setdefault("unique_id", same)
    for plain, name in meanings.items():
        if plain in written and written[plain] not in known.values():
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
