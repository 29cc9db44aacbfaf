"""What the sections of a report are written from: models, quantities, figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.experiment.claims import JudgedClaim, judge_claims
from harness.experiment.decision import Decision, decide
from harness.experiment.measures import BLOCK, DATA, PARAM, label_of
from harness.experiment.results import ExperimentRecord
from harness.formatting import Comparison, duration, metric, milliseconds, size
from harness.report.data import NAMES as DATA_NAMES
from harness.report.markdown import code, escape

__all__ = [
    "LONGEST",
    "Draft",
    "baselines",
    "compare",
    "label",
    "name_of",
    "paragraphs",
    "quantity_label",
    "rivals",
    "tuned_models",
    "write",
    "write_difference",
    "write_published",
    "write_tolerance",
]


LONGEST = 5000
"""Longest paragraph of foreign text, in characters."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A report that is being written.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    folder : Path
        Where figures go.
    decision : Decision or None
        What the rule of the file chooses; None before the test set was opened.
    claims : sequence of JudgedClaim
        The published figures, judged.
    """

    record: ExperimentRecord
    folder: Path
    decision: Decision | None
    claims: Sequence[JudgedClaim]

    @classmethod
    def of(cls, record: ExperimentRecord, folder: Path) -> "Draft":
        """Draw the conclusions from an experiment."""
        return cls(
            record=record,
            folder=folder,
            decision=decide(record),
            claims=judge_claims(record),
        )

    def figure(
        self, draw: Callable[[ExperimentRecord, Path], bool], name: str, caption: str
    ) -> str:
        """Draw a figure."""
        return f"![{caption}]({name})" if draw(self.record, self.folder / name) else ""

    def published(
        self, metric: str, candidate: str | None = None
    ) -> float | str | None:
        """Find a published figure."""
        values = (
            claim.value
            for claim in self.record.spec.claims
            if (claim.metric, claim.candidate) == (metric, candidate)
        )
        return next(values, None)


def paragraphs(*parts: str) -> str:
    """Join parts of markdown, without those that are empty."""
    return "\n\n".join(part for part in parts if part)


Model = Mapping[str, Any]


def tuned_models(record: ExperimentRecord) -> list[Model]:
    """List the tuned models, the lowest RMSE on the test set first."""
    tuned = [m for m in record.models if m["role"] == "tuned"]
    return sorted(tuned, key=_rmse)


def baselines(record: ExperimentRecord) -> list[Model]:
    """List the baselines, the lowest RMSE on the test set first."""
    found = [m for m in record.models if m["role"] == "baseline"]
    return sorted(found, key=_rmse)


def rivals(record: ExperimentRecord) -> list[Model]:
    """List the tuned models, and after them the bias baseline."""
    bias = record.baseline()
    return [*tuned_models(record), *([] if bias is None else [bias])]


def _rmse(model: Model) -> float:
    return float(model["metrics"]["rmse"]["value"])


def label(record: ExperimentRecord, candidate: str) -> str:
    """Name a candidate, or a baseline, for people."""
    known = candidate in record.spec.families
    return escape(record.spec.label(candidate) if known else candidate)


def name_of(record: ExperimentRecord, model: Model) -> str:
    """Name a model for people, without its role."""
    named = model["role"] in {"baseline", "variant"} or model["candidate"] is None
    return escape(model["name"]) if named else label(record, model["candidate"])


def compare(
    record: ExperimentRecord, one: Model | None, other: Model | None
) -> Comparison | None:
    """Say how two models differ on the test set."""
    if one is None or other is None or record.final is None:
        return None
    found = record.difference(one["name"], other["name"])
    if found is None:
        return None
    return Comparison(
        other=other["name"],
        value=found["value"],
        low=found["low"],
        high=found["high"],
        p_value=found["p_holm"],
        significance=record.spec.decision.significance,
    )


_SHARES = {"coverage", "catalogue_coverage"}
_UNITLESS = {"ndcg_at_10", "recall_at_10", "intra_list_diversity", "serendipity"}
_NOTHING = "-"
_ROUNDING = 1e-9


def quantity_label(name: str) -> str:
    """Name a quantity for people.

    Examples
    --------
    >>> label("latency_p95_ms"), label("param.n_factors"), label("data.sparsity")
    ('p95 latency', '`n_factors`', 'sparsity')
    """
    if name.startswith(PARAM):
        return code(label_of(name))
    # Those of data have their units here, as in the report on data.
    return DATA_NAMES.get(name.removeprefix(DATA)) or escape(label_of(name))


def write(name: str, value: float | str | None) -> str:
    """Write a value as such quantities are usually read.

    Examples
    --------
    >>> write("latency_p95_ms", 7.34), write("rmse", 0.5749), write("ndcg_at_10", 0.21)
    ('7.3 ms', '0.5749', '0.210')
    """
    if value is None or isinstance(value, str):
        return _NOTHING if value is None else escape(value)
    if name.startswith((PARAM, DATA)):
        return f"{value:.4g}"
    if name.endswith("_ms"):
        return milliseconds(value)
    if name.endswith("_seconds"):
        return duration(value)
    if name.endswith("_bytes"):
        return size(value)
    return _plain(name, value)


def _plain(name: str, value: float) -> str:
    if name in _SHARES:
        return f"{100 * value:.1f} %"
    if name.startswith(BLOCK):
        return f"{value:.2f}"
    if name in _UNITLESS:
        return f"{value:.3f}"
    return f"{value:.1f} bits" if name == "novelty" else metric(name, value)


def write_published(name: str, value: float | str | None) -> str:
    """Write a figure as somebody has given it: 0.89 is not 0.8900.

    Examples
    --------
    >>> write_published("rmse", 0.89), write_published("within_half_star", 0.6225)
    ('0.89', '62.25 %')
    >>> write_published("latency_p95_ms", 8), write_published("fit_seconds", 150)
    ('8 ms', '2 min 30 s')
    """
    if value is None or isinstance(value, str) or name.endswith(("_seconds", "_bytes")):
        return write(name, value)
    if name in _SHARES or name.startswith("within_"):
        return f"{100 * value:.6g} %"
    return f"{value:.6g}{' ms' if name.endswith('_ms') else ''}"


def write_difference(name: str, one: float, other: float) -> str:
    """Write by how much one value exceeds another, with its sign.

    Examples
    --------
    >>> write_difference("data.mean", 3.7006, 3.7), write_difference("data.mean", 3.9, 3.7)
    ('+0.001', '+0.2')
    >>> write_difference("within_one_star", 0.919, 0.9118), write_difference("rmse", 1, 1)
    ('+0.7 points', '0')
    """
    gap = one - other
    if name in _SHARES or name.startswith("within_"):
        size = f"{100 * abs(gap):.1f} points"
    elif name.startswith((PARAM, DATA)):
        size = f"{round(abs(gap), _n_decimals(max(abs(one), abs(other)))):.4g}"
    elif name.startswith(BLOCK):
        size = f"{abs(gap):.3f}"
    else:
        size = write(name, abs(gap))
    if not any(digit in size for digit in "123456789") or abs(gap) < _ROUNDING:
        return "0"
    return f"{'-' if gap < 0 else '+'}{size}"


def _n_decimals(value: float) -> int:
    """Count the decimals that a value with four significant digits has at most."""
    whole = len(f"{value:.0f}") if value >= 1 else 0
    return max(0, 4 - whole)


def write_tolerance(name: str, value: float) -> str:
    """Write how large a difference may be.

    Examples
    --------
    >>> write_tolerance("within_one_star", 0.02), write_tolerance("rmse", 0.02)
    ('2 points', '0.02')
    """
    if name in _SHARES or name.startswith("within_"):
        return f"{100 * value:.6g} points"
    return write_published(name, value)
