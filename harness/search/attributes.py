"""Attributes of studies that no storage is too small for."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

__all__ = ["MAX_TEXT", "has_room", "read_attributes", "shorten", "write_attribute"]


MAX_TEXT = 30_000
"""Characters of JSON in one attribute. MySQL's TEXT holds 65,535 bytes, and quotation marks
in a piece are escaped once more."""

_PIECES = "harness:pieces"


def write_attribute(study: optuna.Study, key: str, value: Any) -> None:
    """Keep a value with a study, in pieces where it is large.

    The pieces are written before what names them, and beside those of the value before:
    whoever is killed in between leaves the old value.
    """
    text = json.dumps(value)
    if len(text) <= MAX_TEXT:
        study.set_user_attr(key, value)
        return
    there = study.user_attrs.get(key, {})
    side = "b" if _is_head(there) and there["side"] == "a" else "a"
    pieces = [text[k : k + MAX_TEXT] for k in range(0, len(text), MAX_TEXT)]
    for number, piece in enumerate(pieces):
        study.set_user_attr(f"{key}:{side}{number}", piece)
    study.set_user_attr(key, {"kind": _PIECES, "side": side, "n": len(pieces)})


def read_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Put attributes together again that were written in pieces."""
    whole = dict(attributes)
    for key, head in attributes.items():
        if _is_head(head):
            names = [f"{key}:{head['side']}{number}" for number in range(head["n"])]
            whole[key] = json.loads("".join(attributes[name] for name in names))
    names = [name for name in whole if _is_piece(name, attributes)]
    for name in names:
        del whole[name]
    return whole


def _is_head(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("kind") == _PIECES


def _is_piece(name: str, attributes: Mapping[str, object]) -> bool:
    key, _, piece = name.rpartition(":")
    return key in attributes and piece[:1] in {"a", "b"} and piece[1:].isdigit()


def has_room(storage: optuna.storages.BaseStorage) -> bool:
    """Try whether a storage keeps the largest attribute, and leave nothing behind."""
    if isinstance(storage, optuna.storages.JournalStorage):
        return True  # a file has room, and would keep the trial for ever
    # Each quotation mark takes two bytes: no piece takes more.
    largest = '"' * MAX_TEXT
    name = f"harness-probe-{secrets.token_hex(8)}"
    minimize = optuna.study.StudyDirection.MINIMIZE
    study = storage.create_new_study([minimize], name)
    try:
        storage.set_study_user_attr(study, "probe", largest)
        return bool(storage.get_study_user_attrs(study).get("probe") == largest)
    except (StorageInternalError, SQLAlchemyError, ValueError):
        # Refused, or cut so that it is no JSON any more.
        return False
    finally:
        storage.delete_study(study)


def shorten(text: str) -> str:
    """Keep beginning and end of a text that is too long for an attribute."""
    # A character that is not ASCII takes six bytes in JSON.
    limit = MAX_TEXT // 4
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}\n...\n{text[-limit // 2 :]}"
