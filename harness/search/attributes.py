"""Attributes of studies that no storage is too small for."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

import optuna

__all__ = [
    "MAX_TEXT",
    "read_attribute",
    "read_attributes",
    "shorten",
    "why_too_small",
    "write_attribute",
]


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


def read_attribute(attributes: Mapping[str, Any], key: str) -> Any:
    """Read one attribute, put together again where it is in pieces; None without it."""
    head: Any = attributes.get(key)
    if not _is_head(head):
        return head
    names = [f"{key}:{head['side']}{number}" for number in range(head["n"])]
    return json.loads("".join(attributes[name] for name in names))


def read_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Read all attributes."""
    names = [name for name in attributes if not _is_piece(name, attributes)]
    return {name: read_attribute(attributes, name) for name in names}


def _is_head(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("kind") == _PIECES


def _is_piece(name: str, attributes: Mapping[str, object]) -> bool:
    key, _, piece = name.rpartition(":")
    return key in attributes and piece[:1] in {"a", "b"} and piece[1:].isdigit()


def why_too_small(storage: optuna.storages.BaseStorage) -> str | None:
    """Try whether a storage keeps the largest attribute; where it does not, say why.

    What is written is never committed: even a process killed here leaves nothing behind.
    """
    if not isinstance(storage, optuna.storages.RDBStorage):
        return None  # a file has room, and would keep the trial for ever
    from optuna.storages._rdb.models import StudyModel, StudyUserAttributeModel
    from sqlalchemy.exc import DataError, IntegrityError
    from sqlalchemy.orm import Session

    # Each quotation mark takes two bytes: no piece takes more.
    largest = json.dumps('"' * MAX_TEXT)
    with Session(storage.engine) as session:
        try:
            study = StudyModel(study_name=f"harness-probe-{secrets.token_hex(8)}")
            session.add(study)
            session.flush()
            kept = StudyUserAttributeModel(
                study_id=study.study_id, key="probe", value_json=largest
            )
            session.add(kept)
            session.flush()
            session.refresh(kept)
        except (DataError, IntegrityError) as error:
            # Not one that is locked or out of reach: that is another matter.
            reason = str(error.orig or error).strip()
            return reason.splitlines()[0].rstrip(".")
    if kept.value_json != largest:
        return f"it was cut to {len(kept.value_json):,} bytes"
    return None


def shorten(text: str) -> str:
    """Keep beginning and end of a text that is too long for an attribute."""
    # A character that is not ASCII takes six bytes in JSON.
    limit = MAX_TEXT // 4
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}\n...\n{text[-limit // 2 :]}"
