"""Streaming catalogues: several platforms' files in the published 14-column form."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.data.catalogue import CATALOGUE_COLUMNS, DERIVED_COLUMNS
from harness.data.delimited import sniff
from harness.data.repairs import derive_columns, repair
from harness.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PLATFORMS", "STREAMING_COLUMNS", "Platform", "read_streaming_catalogue"]

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
    """Read streaming catalogues of 12 columns, and combine them.

    Parameters
    ----------
    paths : iterable of str or Path
        Files whose names tell the platform (``hulu_titles.csv``), or with the platform
        before an equals sign: ``HULU=titles.csv``.

    Returns
    -------
    frame : DataFrame
        The 14 columns of `CATALOGUE_COLUMNS` and the 3 of `DERIVED_COLUMNS`.
        ``unique_id`` is the platform's prefix and the number of the row in its file
        from 0: ``AMZ_0``, ``NFX_0``, ``DSN_0``, ``HLU_0``.
    notes : list of str
        What was repaired, counted, one sentence each, beginning with the platform.

    Raises
    ------
    DataError
        If a file cannot be read, lacks a column, its platform cannot be told, or two
        files are of the same platform.
    """
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
    """Read columns of a CSV file as text, exactly as it is there.

    Parameters
    ----------
    path : Path
        The file.
    wanted : sequence of str
        Columns to read where they are there.
    required : sequence of str
        Columns that must be there.

    Returns
    -------
    DataFrame
        Text ("None" and "True" stay what they are); "" where a cell is empty.

    Raises
    ------
    DataError
        If the file cannot be read, or lacks a required column.
    """
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
