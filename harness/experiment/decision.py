"""Choice of one candidate: the lowest RMSE, and among the tied what the file prefers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.experiment.measured import DEPTH_METRICS, measured
from harness.experiment.preferences import PREFERENCES
from harness.experiment.record import ExperimentRecord

__all__ = ["CHANCE", "FLOOR", "Decision", "Round", "beats_bias_of", "decide"]

FLOOR = "gain_over_bias"
"""What is asked first of those that are tied, whatever the file prefers."""

CHANCE = 1.96
"""How many standard errors a difference in NDCG may have by chance, 19 times of 20."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One criterion applied to the candidates that were still in question.

    Parameters
    ----------
    criterion : str
        Key of `PREFERENCES`, or `FLOOR`.
    values : mapping of str to float or None
        Value of each candidate in question.
    left : tuple of str
        Those not beaten on it by more than the margin.
    """

    criterion: str
    values: Mapping[str, float | None]
    left: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Which candidate to use, and why.

    Parameters
    ----------
    winner : str
        The candidate that the rule chooses.
    best : str
        The candidate with the lowest test RMSE of the tuned settings.
    tied : tuple of str
        The others that cannot be told apart from the best, lowest RMSE first.
    decided_by : str or None
        The criterion that left one candidate, ``"rmse"`` if none of them did; None if no
        other is tied with the best, so that nothing had to be decided.
    values : mapping of str to float or None
        Values on `decided_by`, of the candidates that were still in question; empty if
        nothing had to be decided.
    beats_bias : bool
        Whether the winner is significantly better than the bias baseline.
    rounds : tuple of Round
        The criteria that were applied, in order.
    """

    winner: str
    best: str
    tied: tuple[str, ...]
    decided_by: str | None
    values: Mapping[str, float | None]
    beats_bias: bool
    rounds: tuple[Round, ...] = ()

    @property
    def contenders(self) -> tuple[str, ...]:
        """The best and those tied with it, lowest RMSE first."""
        return (self.best, *self.tied)


def decide(record: ExperimentRecord) -> Decision | None:
    """Choose a candidate by the rule of the file.

    If the best beats the bias baseline, a candidate tied with it that does not is dropped
    first: how cheap it is must not matter. Then every criterion drops the candidates that
    are worse than the best one on it by more than the margin (and what is negligible; of
    errors on cold pairs and of NDCG, beyond chance, too), and those without a value if another has
    one: what is not known cannot be preferred. The first criterion that leaves one
    candidate has decided.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.

    Returns
    -------
    Decision or None
        None before the test set was opened.
    """
    ranking = _by_rmse(record)
    if not ranking:
        return None
    best, *others = ranking
    tied = tuple(other for other in others if not _is_worse(record, other, best))
    rounds = _drop_the_worthless(record, (best, *tied))
    left = rounds[-1].left if rounds else (best, *tied)
    for criterion in record.spec.decision.prefer:
        if len(left) == 1:
            break
        rounds.append(_apply(record, criterion, left))
        left = rounds[-1].left
    if len(left) > 1:
        values = {c: measured(record, "rmse", c) for c in left}
        rounds.append(Round(criterion="rmse", values=values, left=left[:1]))
    last = rounds[-1] if rounds else None
    return Decision(
        winner=(last.left if last else left)[0],
        best=best,
        tied=tied,
        decided_by=last.criterion if last else None,
        values=last.values if last else {},
        beats_bias=beats_bias_of(record, (last.left if last else left)[0]),
        rounds=tuple(rounds),
    )


def beats_bias_of(record: ExperimentRecord, candidate: str) -> bool:
    """Say whether the tuned settings are significantly better than the bias baseline.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    candidate : str
        Key of an entry of the file.

    Returns
    -------
    bool
        False as well where the two were not compared.
    """
    model, bias = record.model(candidate), record.baseline()
    if model is None or bias is None:
        return False
    return _is_above(record, bias["name"], model["name"])


def _by_rmse(record: ExperimentRecord) -> list[str]:
    """Rank the candidates that were scored; of equals the first in the file leads."""
    scored = [(measured(record, "rmse", c), c) for c in record.spec.families]
    known = [(rmse, c) for rmse, c in scored if rmse is not None]
    return [c for _, c in sorted(known, key=lambda pair: pair[0])]


def _is_worse(record: ExperimentRecord, candidate: str, best: str) -> bool:
    one, other = record.model(candidate), record.model(best)
    assert one is not None
    assert other is not None
    return _is_above(record, one["name"], other["name"])


def _is_above(record: ExperimentRecord, one: str, other: str) -> bool:
    """Say whether the RMSE of one model is above that of the other beyond chance."""
    found = record.difference(one, other)
    if found is None:
        return False
    significant = found["p_holm"] < record.spec.decision.significance
    return bool(significant and found["value"] > 0)


def _drop_the_worthless(
    record: ExperimentRecord, contenders: tuple[str, ...]
) -> list[Round]:
    """Drop those that do not beat the bias baseline, if the best of them does."""
    worth = tuple(c for c in contenders if beats_bias_of(record, c))
    if contenders[0] not in worth or worth == contenders:
        return []
    values = {c: measured(record, FLOOR, c) for c in contenders}
    return [Round(criterion=FLOOR, values=values, left=worth)]


def _apply(record: ExperimentRecord, criterion: str, left: Sequence[str]) -> Round:
    values = {c: measured(record, criterion, c) for c in left}
    sign = 1 if PREFERENCES[criterion] == "minimize" else -1
    losses = {c: sign * v for c, v in values.items() if v is not None}
    if not losses:
        return Round(criterion=criterion, values=values, left=tuple(left))
    first, rule = min(losses, key=losses.__getitem__), record.spec.decision
    staying = (
        candidate
        for candidate, loss in losses.items()
        if not rule.is_noticeable(criterion, better=losses[first], worse=loss)
        or _may_be_chance(record, criterion, candidate, first)
    )
    return Round(criterion=criterion, values=values, left=tuple(staying))


def _may_be_chance(
    record: ExperimentRecord, criterion: str, candidate: str, first: str
) -> bool:
    """Say whether other users might have turned a difference measured on the test set."""
    one, other = record.model(candidate), record.model(first)
    if one is None or other is None:
        return False
    if criterion == "ndcg_at_10":
        return _within_errors(one["ranking"], other["ranking"])
    at = DEPTH_METRICS.get(criterion)
    if at is None:
        return False
    found = record.depth_difference(
        one["name"], other["name"], side=at.side, depth=at.depth
    )
    return found is None or found["p_holm"] >= record.spec.decision.significance


def _within_errors(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Compare two means over the same users as if they were of different ones.

    That is cautious: who is easy for one model is mostly easy for the other, so that the
    difference is known better than this.
    """
    errors = [
        e for e in (one.get("ndcg_error"), other.get("ndcg_error")) if e is not None
    ]
    if len(errors) < 2:
        return False
    gap = abs(one["ndcg_at_10"] - other["ndcg_at_10"])
    return bool(gap <= CHANCE * math.hypot(*errors))
