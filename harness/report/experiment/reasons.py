"""What speaks for and against each family, in measured terms, by rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.experiment.decision import beats_bias_of
from harness.experiment.measured import COLD_DEPTHS, measured
from harness.experiment.record import ExperimentRecord
from harness.report.digits import stars
from harness.report.experiment.models import tuned_models
from harness.report.experiment.quantities import write

__all__ = ["reasons"]

MOST = 3
"""So many strengths and so many weaknesses at most: a cell has to stay short."""

FEWEST_PAIRS = 100
"""Of fewer cold test pairs nothing is said: chance decides."""

_COLD: Mapping[str, str] = {"cold_item_rmse": "items", "cold_user_rmse": "users"}


@dataclass(frozen=True, slots=True)
class _Trait:
    """Something a family can be best or worst at.

    It is named only where best and worst differ by `gap`: a difference in stars, or a
    factor if `is_factor`.
    """

    metric: str
    direction: Literal["minimize", "maximize"]
    best: str
    worst: str
    gap: float
    is_factor: bool = True


# In the order of what the publication gives as reasons, costs last.
_TRAITS = (
    _Trait("cold_item_rmse", "minimize", "best", "worst", 0.01, is_factor=False),
    _Trait("cold_user_rmse", "minimize", "best", "worst", 0.01, is_factor=False),
    _Trait("intra_list_diversity", "maximize", "most diverse", "least diverse", 1.1),
    _Trait("catalogue_coverage", "maximize", "shows most", "shows least", 1.5),
    _Trait("latency_p95_ms", "minimize", "fastest", "slowest", 2),
    _Trait("fit_seconds", "minimize", "trains fastest", "trains slowest", 2),
    _Trait("model_bytes", "minimize", "smallest", "largest", 5),
)
_PHRASES: Mapping[str, str] = {
    "cold_item_rmse": "{how} on cold titles ({value})",
    "cold_user_rmse": "{how} on cold users ({value})",
    "intra_list_diversity": "{how} lists ({value})",
    "catalogue_coverage": "{how} of the catalogue ({value})",
    "latency_p95_ms": "{how} top 10 ({value})",
    "fit_seconds": "{how} ({value})",
    "model_bytes": "{how} model ({value})",
}


def reasons(record: ExperimentRecord, candidate: str) -> str:
    """Say what speaks for and against a family.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    candidate : str
        Key of an entry of the file.

    Returns
    -------
    str
        Markdown for a cell: phrases, each with its figure; ``-`` if nothing does.
    """
    for_it, against = _accuracy(record, candidate)
    for trait in _TRAITS:
        values = _values(record, trait.metric)
        side = _side(trait, values, candidate)
        if side is None:
            continue
        phrase = _PHRASES[trait.metric].format(
            how=trait.best if side == "best" else trait.worst,
            value=write(trait.metric, values[candidate]),
        )
        (for_it if side == "best" else against).append(phrase)
    parts = [
        f"{word}: {', '.join(found[:MOST])}"
        for word, found in (("for", for_it), ("against", against))
        if found
    ]
    return "; ".join(parts) or "-"


def _accuracy(record: ExperimentRecord, candidate: str) -> tuple[list[str], list[str]]:
    errors = _values(record, "rmse")
    against = []
    if record.baseline() is not None and not beats_bias_of(record, candidate):
        against.append("does not beat the bias baseline")
    lowest = min(errors.values())
    if len(errors) > 1 and errors[candidate] == lowest:
        return ["lowest RMSE"], against
    gap = errors[candidate] - lowest
    return [], [*against, f"RMSE {stars(gap)} above the lowest"] if gap else against


def _values(record: ExperimentRecord, metric: str) -> dict[str, float]:
    """Collect the values of the tuned models that have one worth a word."""
    if metric in _COLD and _n_cold(record, _COLD[metric]) < FEWEST_PAIRS:
        return {}
    found = {
        m["candidate"]: measured(record, metric, m["candidate"])
        for m in tuned_models(record)
    }
    return {c: value for c, value in found.items() if value is not None}


def _n_cold(record: ExperimentRecord, side: str) -> int:
    groups = tuned_models(record)[0].get("depth", {}).get(side, ())
    return sum(group["n_pairs"] for group in groups if group["depth"] in COLD_DEPTHS)


def _side(
    trait: _Trait, values: Mapping[str, float], candidate: str
) -> Literal["best", "worst"] | None:
    """Tell whether a family is best or worst, where that is worth a word."""
    if candidate not in values or len(values) < 2:
        return None
    low, high = min(values.values()), max(values.values())
    apart = high >= trait.gap * low if trait.is_factor else high - low >= trait.gap
    if not apart or list(values.values()).count(values[candidate]) > 1:
        return None
    best, worst = (low, high) if trait.direction == "minimize" else (high, low)
    if values[candidate] == best:
        return "best"
    return "worst" if values[candidate] == worst else None
