"""Fitted models on disk: a JSON header and NumPy arrays, without pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import DataError

__all__ = ["read_state", "write_state"]


def write_state(
    folder: Path, header: Mapping[str, Any], learnt: Mapping[str, Any]
) -> None:
    """Write ``model.json`` and ``model.npz``.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    header : mapping
        JSON-like facts about the model, its ``family`` among them.
    learnt : mapping
        Attributes: arrays, and JSON-like values.
    """
    arrays = {k: v for k, v in learnt.items() if isinstance(v, np.ndarray)}
    plain = {k: v for k, v in learnt.items() if k not in arrays}
    arrays |= {k: v.astype(np.str_) for k, v in arrays.items() if v.dtype == np.object_}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**header, "learnt": plain}, indent=2)
    (folder / "model.json").write_text(text)
    np.savez(folder / "model.npz", allow_pickle=False, **arrays)


def read_state(folder: Path, family: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what `write_state` has written.

    Parameters
    ----------
    folder : Path
        Where it is.
    family : str
        Name of the family that it must be of.

    Returns
    -------
    header, learnt : dict
        As they were written; ids are text again.

    Raises
    ------
    DataError
        If the folder does not hold a model of this family.
    """
    path = folder / "model.json"
    try:
        header = json.loads(path.read_text())
        archive = np.load(folder / "model.npz", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: no saved model can be read: {error}") from error
    if header["family"] != family:
        raise DataError(
            f"{path}: holds a model of family {header['family']!r}, not {family!r}."
        )
    learnt = dict(header["learnt"])
    with archive:
        for name in archive.files:
            array = archive[name]
            learnt[name] = array.astype(object) if array.dtype.kind == "U" else array
    return header, learnt
