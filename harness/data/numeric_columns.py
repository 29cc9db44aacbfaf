"""Columns of numbers, each of them checked."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.places import Places, shorten
from harness.errors import DataError

__all__ = ["to_numbers"]

_DECIMAL_COMMA = re.compile(r"[+-]?\d{1,3},\d+", re.ASCII)


def to_numbers(column: Any, name: str, places: Places) -> npt.NDArray[np.float64]:
    """Read a column of numbers.

    Parameters
    ----------
    column : pyarrow.ChunkedArray, length n_rows
        Numbers, or text.
    name : str
        Name of the column, for messages.
    places : Places
        Names the rows.

    Returns
    -------
    ndarray of float64, shape (n_rows,)
        Finite, and finite as float32 too.

    Raises
    ------
    DataError
        If a cell is empty or no finite number.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _parsed_numbers(column.to_pylist(), name, places)
    if not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    ):
        raise _no_number(0, name, places, f"this column holds values of type {kind}")
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise _no_number(row, name, places, "this cell is empty")
    values: npt.NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    broken = np.flatnonzero(~_fits(values))
    if len(broken):
        row = int(broken[0])
        raise _no_number(row, name, places, f"got {values[row]}")
    return values


def _fits(values: Any) -> Any:
    """Say which values are finite, also as float32."""
    return np.abs(values) <= np.finfo(np.float32).max


def _parsed_numbers(
    cells: Sequence[str | None], name: str, places: Places
) -> npt.NDArray[np.float64]:
    values = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            values[row] = float(cell or "")
        except ValueError:
            if cell and _DECIMAL_COMMA.fullmatch(cell):
                raise _decimal_comma(row, name, places, cell) from None
            what = f"got {shorten(cell)}" if cell else "this cell is empty"
            raise _no_number(row, name, places, what) from None
        if not _fits(values[row]):
            raise _no_number(row, name, places, f"got {cell!r}")
    return values


def _decimal_comma(row: int, name: str, places: Places, cell: str) -> DataError:
    # Not read as a number: 1,234 is more than a thousand in half of the world.
    return DataError(
        f"{places.of(row)}, column {name!r}: must be a finite number with a decimal "
        f"point, but got {cell!r} with a comma; write {cell.replace(',', '.')!r}, and "
        "likewise in the whole column (spreadsheets: export with English number format)."
    )


def _no_number(row: int, name: str, places: Places, what: str) -> DataError:
    return DataError(
        f"{places.of(row)}, column {name!r}: must be a finite number with a decimal "
        f"point, but {what}; correct it or remove the row."
    )
