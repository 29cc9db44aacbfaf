"""What a file said before the test set was opened, and what it says otherwise since."""

import json
from typing import Any

from harness.experiment.record import ExperimentRecord
from harness.experiment.spec import ExperimentSpec

__all__ = ["changed_since_opened", "declare"]

_WORDS = {
    "decision": "decision rule",
    "criteria": "acceptance criteria",
    "claims": "published claims",
    "families": "families",
}
"""What can be changed without another look, and how it is called."""


def declare(spec: ExperimentSpec) -> dict[str, Any]:
    """Collect what a conclusion depends on besides what is measured.

    Parameters
    ----------
    spec : ExperimentSpec
        What the file says.

    Returns
    -------
    dict
        JSON-like: ``decision``, ``criteria``, ``claims``, and the keys of ``families``.
    """
    said = spec.as_json()
    declared = {key: said.get(key) for key in ("decision", "criteria", "claims")}
    plain: dict[str, Any] = json.loads(json.dumps(declared))
    return plain | {"families": sorted(spec.families)}


def changed_since_opened(record: ExperimentRecord) -> tuple[str, ...]:
    """Find what was changed after the test set had been opened for the first time.

    A rule that was made when the scores were known can be made for one of them: the
    change is allowed, and said.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.

    Returns
    -------
    tuple of str
        Such as ``("decision rule",)``; empty before the test set was opened.
    """
    before = (record.final or {}).get("declared")
    if before is None:
        return ()
    now = declare(record.spec)
    return tuple(word for key, word in _WORDS.items() if before.get(key) != now[key])
