"""The choice of one candidate, and whether the acceptance criteria hold."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.experiment.file import WINNER
from harness.experiment.measures import (
    DATA,
    DEPTH_METRICS,
    label_of,
    measured,
    write,
    write_given,
)
from harness.experiment.record import ExperimentRecord
from harness.experiment.spec import PREFERENCES, Criterion, ExperimentSpec

__all__ = [
    "CHANCE",
    "FLOOR",
    "CheckedCriterion",
    "Decision",
    "Round",
    "beats_bias_of",
    "changed_since_opened",
    "check_criteria",
    "decide",
    "declare",
]


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
    """Say whether the tuned settings are significantly better than the bias baseline."""
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


@dataclass(frozen=True, kw_only=True)
class CheckedCriterion:
    """A criterion, and whether it holds.

    Parameters
    ----------
    criterion : Criterion
        As in the file.
    candidate : str
        The candidate it is about, the winner resolved; ``"winner"`` if there is none.
    measured : float or None
        Value of the tuned settings; None if it was not measured.
    passed : bool
        Whether all bounds hold. What was not measured has not passed.
    sentence : str
        Value and bound, and by how much it failed; or why it was not measured.
    doubt : str, default ""
        Why a criterion that holds for the value measured may not hold in truth; also
        part of the sentence.
    """

    criterion: Criterion
    candidate: str
    measured: float | None
    passed: bool
    sentence: str
    doubt: str = ""


def check_criteria(record: ExperimentRecord) -> list[CheckedCriterion]:
    """Check the criteria of an experiment file."""
    decision = decide(record)
    winner = WINNER if decision is None else decision.winner
    return [
        _check(record, c, winner if c.candidate == WINNER else c.candidate)
        for c in record.spec.criteria
    ]


def _check(
    record: ExperimentRecord, criterion: Criterion, candidate: str
) -> CheckedCriterion:
    value = measured(record, criterion.metric, candidate)
    name = _subject(record, criterion.metric, candidate)
    doubt = ""
    if value is None:
        passed, sentence = False, f"{name} {_why_not_measured(record, candidate)}."
    else:
        failures = _failures(criterion, value)
        here = f"{name} is {write(criterion.metric, value)}"
        passed = not failures
        doubt = _doubt(record, criterion, candidate, value) if passed else ""
        but = f"; but {doubt}" if doubt else ""
        sentence = f"{here}: {failures or _bounds(criterion)}{but}."
    return CheckedCriterion(
        criterion=criterion,
        candidate=candidate,
        measured=value,
        passed=passed,
        sentence=sentence,
        doubt=doubt,
    )


def _subject(record: ExperimentRecord, metric: str, candidate: str) -> str:
    if metric.startswith(DATA):
        return f"The {label_of(metric)}"
    known = candidate in record.spec.families
    owner = record.spec.label(candidate) if known else "the winner"
    return f"The {label_of(metric)} of {owner}"


def _why_not_measured(record: ExperimentRecord, candidate: str) -> str:
    if record.final is None:
        return "is not known, for the test set has not been opened"
    if record.model(candidate) is None:
        return "is not known, for this family was not scored on the test set"
    return "was not measured, or is not a number"


def _failures(criterion: Criterion, value: float) -> str:
    low, high = criterion.at_least, criterion.at_most
    if high is not None and value > high:
        gap = write(criterion.metric, value - high)
        return f"{gap} above the {write_given(criterion.metric, high)} allowed"
    if low is not None and value < low:
        gap = write(criterion.metric, low - value)
        return f"{gap} below the {write_given(criterion.metric, low)} required"
    return ""


def _doubt(
    record: ExperimentRecord, criterion: Criterion, candidate: str, value: float
) -> str:
    """Say where a gain is asked for and found, but not beyond chance."""
    is_gain = criterion.metric == "gain_over_bias" and value > 0
    if not is_gain or criterion.at_least is None or beats_bias_of(record, candidate):
        return ""
    return "the difference to the baseline may be chance"


def _bounds(criterion: Criterion) -> str:
    bounds = {"at least": criterion.at_least, "at most": criterion.at_most}
    given = [
        f"{words} {write_given(criterion.metric, bound)}"
        for words, bound in bounds.items()
        if bound is not None
    ]
    return f"{' and '.join(given)}, as required"


_WORDS = {
    "decision": "decision rule",
    "criteria": "acceptance criteria",
    "claims": "published claims",
    "families": "families",
}
"""What can be changed without another look, and how it is called."""


def declare(spec: ExperimentSpec) -> dict[str, Any]:
    """Collect what a conclusion depends on besides what is measured."""
    said = spec.as_json()
    declared = {key: said.get(key) for key in ("decision", "criteria", "claims")}
    plain: dict[str, Any] = json.loads(json.dumps(declared))
    return plain | {"families": sorted(spec.families)}


def changed_since_opened(record: ExperimentRecord) -> tuple[str, ...]:
    """Find what was changed after the test set had been opened for the first time.

    A rule that was made when the scores were known can be made for one of them: the
    change is allowed, and said.
    """
    before = (record.final or {}).get("declared")
    if before is None:
        return ()
    now = declare(record.spec)
    return tuple(word for key, word in _WORDS.items() if before.get(key) != now[key])
