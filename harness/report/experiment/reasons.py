"""What speaks for and against each family, in measured terms, by rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.evaluation.metrics import Direction
from harness.experiment.decision import beats_bias_of
from harness.experiment.measured import DEPTH_METRICS, measured
from harness.experiment.record import ExperimentRecord
from harness.report.digits import stars
from harness.report.experiment.models import tuned_models
from harness.report.experiment.quantities import write

__all__ = ["reasons"]


@dataclass(frozen=True, slots=True)
class _Trait:
    """Something a family can be best or worst at.

    It is named only where best and worst differ by `gap`: a difference in stars, or a
    factor if `is_factor`; errors on pairs of which little is known only if best and worst
    differ beyond chance, too. Of each `kind` a family has one reason, for a cell must be
    short.
    """

    kind: Literal["cold start", "sparsity", "hits", "diversity", "cost"]
    metric: str
    direction: Direction
    best: str
    worst: str
    gap: float
    is_factor: bool = True


# In the order of what the publication gives as reasons; hits, which it does not mention,
# because the lowest error does not mean the best list.
_TRAITS = (
    _Trait(
        "cold start",
        "cold_item_rmse",
        "minimize",
        "lowest error on cold titles",
        "highest error on cold titles",
        gap=0.01,
        is_factor=False,
    ),
    _Trait(
        "cold start",
        "cold_user_rmse",
        "minimize",
        "lowest error on cold users",
        "highest error on cold users",
        gap=0.01,
        is_factor=False,
    ),
    _Trait(
        "sparsity",
        "sparse_item_rmse",
        "minimize",
        "lowest error on titles with 6-20 ratings",
        "highest error on titles with 6-20 ratings",
        gap=0.01,
        is_factor=False,
    ),
    _Trait(
        "sparsity",
        "sparse_user_rmse",
        "minimize",
        "lowest error on users with 6-20 ratings",
        "highest error on users with 6-20 ratings",
        gap=0.01,
        is_factor=False,
    ),
    _Trait(
        "hits",
        "ndcg_at_10",
        "maximize",
        "highest NDCG@10",
        "lowest NDCG@10",
        gap=1.5,
    ),
    _Trait(
        "diversity",
        "intra_list_diversity",
        "maximize",
        "most diverse lists",
        "least diverse lists",
        gap=1.1,
    ),
    _Trait(
        "diversity",
        "catalogue_coverage",
        "maximize",
        "shows most of the catalogue",
        "shows least of the catalogue",
        gap=1.5,
    ),
    _Trait(
        "cost", "latency_p95_ms", "minimize", "fastest top 10", "slowest top 10", gap=2
    ),
    _Trait(
        "cost", "fit_seconds", "minimize", "trains fastest", "trains slowest", gap=2
    ),
    _Trait("cost", "model_bytes", "minimize", "smallest model", "largest model", gap=5),
)


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
    said = _accuracy(record, candidate)
    kinds = set[tuple[str, str]]()
    for trait in _TRAITS:
        values = _values(record, trait.metric)
        side = _side(trait, values, candidate)
        if side is None or (trait.kind, side) in kinds:
            continue
        kinds.add((trait.kind, side))
        phrase = trait.best if side == "for" else trait.worst
        said[side].append(f"{phrase} ({write(trait.metric, values[candidate])})")
    parts = [
        f"{side}: {', '.join(phrases)}" for side, phrases in said.items() if phrases
    ]
    return "; ".join(parts) or "-"


def _accuracy(record: ExperimentRecord, candidate: str) -> dict[str, list[str]]:
    errors = _values(record, "rmse")
    lowest = min(errors.values())
    gap = errors[candidate] - lowest
    said: dict[str, list[str]] = {"for": [], "against": []}
    if len(errors) > 1 and gap == 0:
        said["for"].append("lowest RMSE of the families")
    if record.baseline() is not None and not beats_bias_of(record, candidate):
        said["against"].append("does not beat the bias baseline")
    elif gap > 0:
        said["against"].append(f"RMSE {stars(gap)} above the lowest")
    return said


def _values(record: ExperimentRecord, metric: str) -> dict[str, float]:
    """Collect the values of the tuned models that have one worth a word."""
    found = {
        m["candidate"]: measured(record, metric, m["candidate"])
        for m in tuned_models(record)
    }
    values = {c: value for c, value in found.items() if value is not None}
    if metric in DEPTH_METRICS and not _differ(record, metric, values):
        return {}
    return values


def _differ(record: ExperimentRecord, metric: str, values: Mapping[str, float]) -> bool:
    """Say whether best and worst differ beyond chance where little is known."""
    if len(values) < 2:
        return False
    ends = [record.model(find(values, key=values.__getitem__)) for find in (min, max)]
    names = [end["name"] for end in ends if end is not None]
    at = DEPTH_METRICS[metric]
    found = record.depth_difference(*names, side=at.side, depth=at.depth)
    return found is not None and found["p_holm"] < record.spec.decision.significance


def _side(
    trait: _Trait, values: Mapping[str, float], candidate: str
) -> Literal["for", "against"] | None:
    """Tell whether a family is best or worst, where that is worth a word."""
    if candidate not in values or len(values) < 2:
        return None
    low, high = min(values.values()), max(values.values())
    apart = high >= trait.gap * low if trait.is_factor else high - low >= trait.gap
    # Two of less than a millisecond are no reason for either.
    apart = apart and write(trait.metric, low) != write(trait.metric, high)
    if not apart or list(values.values()).count(values[candidate]) > 1:
        return None
    best, worst = (low, high) if trait.direction == "minimize" else (high, low)
    if values[candidate] == best:
        return "for"
    return "against" if values[candidate] == worst else None
