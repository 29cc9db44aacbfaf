"""Ids of users and items: text to the outside, numbered once for each different id."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.notes import counted
from harness.data.places import Places, shorten
from harness.errors import DataError

__all__ = ["LONGEST_ID", "IdColumn", "encode_ids", "join_ids"]

LONGEST_ID = 256
"""Characters an id may have; more is a description, or a broken file."""

WHOLE_FLOAT = re.compile(r"-?\d+\.0+")
WHOLE = re.compile(r"-?\d+")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, eq=False)
class IdColumn:
    """A column of ids.

    Parameters
    ----------
    codes : ndarray of int32, shape (n_rows,)
        Positions in `ids`.
    ids : ndarray of str (object), shape (n_ids,)
        The ids, all different.
    """

    codes: npt.NDArray[np.int32]
    ids: npt.NDArray[np.object_]


def encode_ids(column: Any, name: str, places: Places) -> tuple[IdColumn, list[str]]:
    """Encode a column of ids as numbers, and check them.

    Spaces around an id are removed; ids that a program has turned into floats
    (``7.0``) become whole numbers again. Whole numbers are equal to their text.

    Parameters
    ----------
    column : pyarrow.ChunkedArray, length n_rows
        Text, whole numbers, or floats without fractions.
    name : str
        Name of the column, for messages.
    places : Places
        Names the rows.

    Returns
    -------
    column : IdColumn
        The ids.
    notes : list of str
        What was repaired.

    Raises
    ------
    DataError
        If an id is missing, longer than 256 characters, has control characters or is
        no id by its type; or if ``7`` and ``7.0`` are both there.
    """
    codes, values = _numbered(column, name, places)
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        raise _missing(name, places, missing)
    column_of_ids, notes = _cleaned(codes, values, name, places)
    _check(column_of_ids, name, places)
    return column_of_ids, notes


def _numbered(
    column: Any, name: str, places: Places
) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Return codes (-1 where missing) and the text of each different value."""
    import pyarrow as pa

    types, kind = pa.types, column.type
    if types.is_dictionary(kind):
        kind = kind.value_type
    else:
        column = column.dictionary_encode()
    array = column.unify_dictionaries().combine_chunks()
    values = array.dictionary.to_pylist()
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    if types.is_floating(kind):
        whole = [v.is_integer() for v in values]
        if not all(whole):
            row = int(np.argmax(codes == whole.index(False)))
            raise DataError(
                f"{places.of(row)}, column {name!r}: ids must be text or whole "
                f"numbers, but got {values[whole.index(False)]!r}."
            )
        values = [f"{v:.0f}.0" for v in values]
    elif not (
        types.is_integer(kind)
        or types.is_string(kind)
        or types.is_null(kind)
        or types.is_large_string(kind)
    ):
        raise DataError(
            f"{places.of(0)}, column {name!r}: ids must be text or whole numbers, but "
            f"this column holds values of type {kind}."
        )
    return codes.astype(np.int32, copy=False), [str(v) for v in values]


def _cleaned(
    codes: npt.NDArray[np.int32], values: list[str], name: str, places: Places
) -> tuple[IdColumn, list[str]]:
    notes = []
    clean = [v.strip() for v in values]
    if clean != values:
        count = sum(a != b for a, b in zip(clean, values, strict=True))
        notes.append(
            f"Spaces around {counted(count, 'different id')} of column {name!r} removed."
        )
    floats = [k for k, v in enumerate(clean) if WHOLE_FLOAT.fullmatch(v)]
    if floats:
        whole = [k for k, v in enumerate(clean) if WHOLE.fullmatch(v)]
        if whole:
            raise _mixed(clean, floats[0], whole, (codes, name, places))
        for k in floats:
            clean[k] = clean[k].partition(".")[0]
        notes.append(
            f"{counted(len(floats), 'different id')} of column {name!r} written as "
            "float (7.0) read as whole numbers."
        )
    if not notes:
        return IdColumn(codes, _objects(values)), notes
    position = {v: k for k, v in enumerate(dict.fromkeys(clean))}
    renumber = np.array([position[v] for v in clean], dtype=np.int32)
    return IdColumn(renumber[codes], _objects(list(position))), notes


def _objects(values: Sequence[str]) -> npt.NDArray[np.object_]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _check(column: IdColumn, name: str, places: Places) -> None:
    for code, value in enumerate(column.ids):
        if not value:
            raise _missing(name, places, np.flatnonzero(column.codes == code))
        if len(value) > LONGEST_ID:
            rule = f"ids must have at most {LONGEST_ID} characters"
        elif CONTROL.search(value):
            rule = "ids must not have line breaks or other control characters"
        else:
            continue
        row = int(np.argmax(column.codes == code))
        raise DataError(
            f"{places.of(row)}, column {name!r}: {rule}, but got {shorten(value)}."
        )


def _missing(name: str, places: Places, rows: npt.NDArray[np.intp]) -> DataError:
    more = f" ({counted(len(rows), 'such row')})" if len(rows) > 1 else ""
    return DataError(
        f"{places.of(int(rows[0]))}, column {name!r}: every row needs an id, but this "
        f"cell is empty{more}; fill it in or remove the row."
    )


def _mixed(
    clean: list[str],
    float_id: int,
    whole: list[int],
    where: tuple[npt.NDArray[np.int32], str, Places],
) -> DataError:
    codes, name, places = where
    same = [k for k in whole if clean[k] == clean[float_id].partition(".")[0]]
    other = (same or whole)[0]
    row = int(np.argmax(codes == float_id))
    return DataError(
        f"{places.of(row)}, column {name!r}: ids must be written in one way, but both "
        f"{shorten(clean[float_id])} and {shorten(clean[other])} are there; write all "
        "as whole numbers, or all as text."
    )


def join_ids(first: IdColumn, second: IdColumn) -> IdColumn:
    """Put one column of ids below another.

    Parameters
    ----------
    first, second : IdColumn
        Two columns that may share ids.

    Returns
    -------
    IdColumn
        With as many rows as both.
    """
    known = {v: k for k, v in enumerate(first.ids)}
    renumber = np.array(
        [known.setdefault(v, len(known)) for v in second.ids], dtype=np.int32
    )
    codes = np.concatenate([first.codes, renumber[second.codes]])
    return IdColumn(codes.astype(np.int32, copy=False), _objects(list(known)))
