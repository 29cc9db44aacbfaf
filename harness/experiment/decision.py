"""The choice of one candidate, and whether the acceptance criteria hold."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.evaluation.equivalence import Answer, PairComparison
from harness.evaluation.measures import DEPTH_MEASURES, MEASURES
from harness.evaluation.metrics import OBJECTIVE
from harness.evaluation.repeats import compare_repeats
from harness.evaluation.results import BIAS_BASELINE, MEAN_BASELINE, ModelResult
from harness.experiment.claims import find_contradictions, judge_claims
from harness.experiment.front import front_of
from harness.experiment.measured import DATA, estimate, measure_named, measured
from harness.experiment.results import (
    BlendGain,
    CheckedCriterion,
    Decision,
    ExperimentRecord,
    RepeatedSplits,
    Round,
    SplitResult,
)
from harness.experiment.spec import WINNER, Criterion, ExperimentSpec
from harness.formatting import unit_of_scale
from harness.models.blend import Blend

__all__ = [
    "FLOOR",
    "beats_bias_of",
    "conclude",
    "declare",
    "describe_bounds",
    "may_be_chance",
    "split_result",
]


FLOOR = "gain_over_bias"
"""What is asked first of the contenders, whatever the file prefers."""


def conclude(record: ExperimentRecord) -> ExperimentRecord:
    """Draw all conclusions from what was measured, by the rules of the file."""
    decision = _decide(record)
    concluded = replace(record, decision=decision)
    concluded = replace(concluded, repeated=_over_splits(concluded))
    return replace(
        concluded,
        criteria=_check_criteria(concluded),
        claims=tuple(judge_claims(record)),
        contradictions=tuple(find_contradictions(record.spec)),
        changed_since_opened=_changed_since_opened(record),
        blends=tuple(_blend_gains(record)),
        fronts={
            candidate: front
            for candidate, study in record.studies.items()
            if (front := front_of(study)) is not None
        },
    )


def _blend_gains(record: ExperimentRecord) -> Iterator[BlendGain]:
    """Compare each blend with the single family that the test set likes best.

    That one was picked for its score there, which if anything makes the gain look small.
    """
    tuned = [model for model in record.models if model.role == "tuned"]
    singles = [model for model in tuned if model.family != Blend.name]
    for model in tuned:
        if model.family != Blend.name or model.candidate is None or not singles:
            continue
        single = min(singles, key=record.loss_of)
        found = record.difference(model.name, single.name)
        if found is None:
            continue
        members, weights = (str(model.params[key]) for key in ("members", "weights"))
        yield BlendGain(
            candidate=model.candidate,
            single=str(single.candidate),
            weights=Blend(members=members, weights=weights).shares(),
            difference=found,
        )


def _decide(record: ExperimentRecord) -> Decision | None:
    """Choose a candidate by the rule of the file.

    If the best beats the bias baseline, one close to it that does not is dropped
    first: how cheap it is must not matter. Then every criterion drops the candidates that
    are worse than the best one on it by more than the margin (and what is negligible; of
    errors on cold pairs and of NDCG, beyond chance, too), and those without a value if another has
    one: what is not known cannot be preferred. The first criterion that leaves one
    candidate has decided.
    """
    ranking = _by_objective(record)
    if not ranking:
        return None
    best, *others = ranking
    answers = {other: _answer(record, other, best) for other in others}
    close = tuple(other for other in others if answers[other] != "worse")
    rounds = _drop_the_worthless(record, (best, *close))
    left = rounds[-1].left if rounds else (best, *close)
    for criterion in record.spec.decision.prefer:
        if len(left) == 1:
            break
        rounds.append(_apply(record, criterion, left))
        left = rounds[-1].left
    if len(left) > 1:
        values = {c: record.score(c) for c in left}
        rounds.append(Round(criterion=record.metric.name, values=values, left=left[:1]))
    last = rounds[-1] if rounds else None
    winner = (last.left if last else left)[0]
    return Decision(
        winner=winner,
        best=best,
        close=close,
        answers=answers,
        decided_by=last.criterion if last else None,
        values=last.values if last else {},
        beats_bias=beats_bias_of(record, winner),
        floor=_floor(record),
        beats_floor=_beats(record, winner, BIAS_BASELINE)
        and _beats(record, winner, MEAN_BASELINE),
        rounds=tuple(rounds),
    )


def split_result(record: ExperimentRecord, number: int) -> SplitResult | None:
    """Sum up an experiment as one of several splits; None before it is judged."""
    if record.decision is None:
        return None
    return SplitResult(
        number=number,
        experiment=record.name,
        seed=record.spec.seed,
        budget=record.spec.budget.describe(),
        winner=record.decision.winner,
        scores={
            model.candidate or model.name: model.measures[record.metric.name].value
            for model in record.models
            if model.role in {"tuned", "baseline"}
        },
    )


def _over_splits(record: ExperimentRecord) -> RepeatedSplits | None:
    """Compare models over all splits that had the same budget and the same families."""
    first = split_result(record, 1)
    n_asked = record.spec.split.repeats
    if first is None or n_asked < 2:
        return None
    alike = [
        other
        for other in record.other_splits
        if other.budget == first.budget and other.scores.keys() == first.scores.keys()
    ]
    splits = (first, *alike)
    scores = {
        name: [record.metric.sign * split.scores[name] for split in splits]
        for name in first.scores
        if name != MEAN_BASELINE
    }
    pairs: tuple[PairComparison, ...] = ()
    if len(splits) > 1 and len(scores) > 1 and record.judging is not None:
        sizes = record.split
        pairs = compare_repeats(
            scores,
            test_share=sizes.n_test / (sizes.n_train + sizes.n_test),
            margin=record.judging.margin,
            confidence=record.judging.confidence,
        )
    return RepeatedSplits(n_asked=n_asked, splits=splits, pairs=pairs)


def beats_bias_of(record: ExperimentRecord, candidate: str) -> bool:
    """Say whether the tuned settings are significantly better than the bias baseline."""
    return _beats(record, candidate, BIAS_BASELINE)


def _beats(record: ExperimentRecord, candidate: str, baseline: str) -> bool:
    model = record.model(candidate)
    return model is not None and _is_above(record, baseline, model.name)


def _floor(record: ExperimentRecord) -> str:
    """Name the better of the baselines: on ratings without structure it is the mean."""
    known = [b for b in map(record.baseline, (BIAS_BASELINE, MEAN_BASELINE)) if b]
    return min(known, key=record.loss_of).name if known else BIAS_BASELINE


def _by_objective(record: ExperimentRecord) -> list[str]:
    """Rank the candidates that were scored; of equals the first in the file leads."""
    scored = [(record.score(c), c) for c in record.spec.families]
    sign = record.metric.sign
    known = [(sign * value, c) for value, c in scored if value is not None]
    return [c for _, c in sorted(known, key=lambda pair: pair[0])]


def _answer(record: ExperimentRecord, candidate: str, best: str) -> Answer:
    """Say what a candidate is, compared with the best; undecided if not compared."""
    one, other = record.model(candidate), record.model(best)
    assert one is not None
    assert other is not None
    found = record.difference(one.name, other.name)
    return "undecided" if found is None else found.answer


def _is_above(record: ExperimentRecord, one: str, other: str) -> bool:
    """Say whether one model is worse than the other beyond chance, by the objective."""
    found = record.difference(one, other)
    if found is None:
        return False
    return found.p_holm < record.spec.decision.significance and found.value > 0


def _drop_the_worthless(
    record: ExperimentRecord, contenders: tuple[str, ...]
) -> list[Round]:
    """Drop those that do not beat the bias baseline, if the best of them does."""
    worth = tuple(c for c in contenders if beats_bias_of(record, c))
    if contenders[0] not in worth or worth == contenders:
        return []
    values = {c: _gain(record, c) for c in contenders}
    return [Round(criterion=FLOOR, values=values, left=worth)]


def _gain(record: ExperimentRecord, candidate: str) -> float | None:
    """Find by how much the objective of a candidate is better than the bias baseline's."""
    model = record.model(candidate)
    found = model and record.difference(BIAS_BASELINE, model.name)
    return found.value if found else None


def _apply(record: ExperimentRecord, criterion: str, left: Sequence[str]) -> Round:
    values = {c: measured(record, criterion, c) for c in left}
    sign = 1 if MEASURES[criterion].direction == "minimize" else -1
    losses = {c: sign * v for c, v in values.items() if v is not None}
    if not losses:
        return Round(criterion=criterion, values=values, left=tuple(left))
    first, rule = min(losses, key=losses.__getitem__), record.spec.decision
    staying = tuple(
        candidate
        for candidate, loss in losses.items()
        if not rule.is_noticeable(criterion, better=losses[first], worse=loss)
        or may_be_chance(record, criterion, candidate, first)
    )
    unsure = tuple(
        candidate
        for candidate in losses
        if candidate != first
        and _could_flip(record, criterion, candidate, first, stays=candidate in staying)
    )
    return Round(criterion=criterion, values=values, left=staying, unsure=unsure)


def _could_flip(
    record: ExperimentRecord, criterion: str, candidate: str, first: str, *, stays: bool
) -> bool:
    """Say whether other values of the ranges that were measured would turn a round."""
    if MEASURES[criterion].kind != "cost":
        return False
    one, other = (estimate(record, criterion, c) for c in (candidate, first))
    if one is None or other is None:
        return False
    rule = record.spec.decision

    def drops(better: float, worse: float) -> bool:
        return better < worse and rule.is_noticeable(
            criterion, better=better, worse=worse
        )

    if not stays:
        return not drops(other.high, one.low)
    return drops(other.low, one.high) or drops(one.low, other.high)


def may_be_chance(
    record: ExperimentRecord, criterion: str, candidate: str, first: str
) -> bool:
    """Say whether other users might have turned a difference measured on the test set."""
    one, other = record.model(candidate), record.model(first)
    if one is None or other is None:
        return False
    if MEASURES[criterion].is_mean_over_users:
        return _within_errors(one, other, criterion)
    at = DEPTH_MEASURES.get(criterion)
    if at is None:
        return False
    found = record.depth_difference(one.name, other.name, side=at.side, depth=at.depth)
    return found is None or found.p_holm >= record.spec.decision.significance


def _within_errors(one: ModelResult, other: ModelResult, measure: str) -> bool:
    """Compare two means over the same users as if they were of different ones.

    That is cautious: who is easy for one model is mostly easy for the other, so that the
    difference is known better than this.
    """
    first, second = (model.measures.get(measure) for model in (one, other))
    if first is None or second is None:
        return False
    reach = math.hypot(first.high - first.value, second.high - second.value)
    if math.isnan(reach):
        # Without an interval nobody can tell.
        return True
    return abs(first.value - second.value) <= reach


def _check_criteria(record: ExperimentRecord) -> tuple[CheckedCriterion, ...]:
    winner = WINNER if record.decision is None else record.decision.winner
    return tuple(
        _check(record, c, winner if c.candidate == WINNER else c.candidate)
        for c in record.spec.criteria
    )


def _check(
    record: ExperimentRecord, criterion: Criterion, candidate: str
) -> CheckedCriterion:
    value = measured(record, criterion.metric, candidate)
    name = _subject(record, criterion.metric, candidate)
    doubt = ""
    if value is None:
        passed, sentence = False, f"{name} {_why_not_measured(record, candidate)}"
    else:
        unit = unit_of_scale(record.dataset.scale)
        failures = _failures(criterion, value, unit)
        here = f"{name} {measure_named(criterion.metric).sentence(value, unit)}"
        passed = not failures
        doubt = _doubt(record, criterion, candidate, value) if passed else ""
        more = f": {failures}" if failures else f", but {doubt}" if doubt else ""
        sentence = f"{here} (required: {describe_bounds(criterion)}){more}"
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
        return measure_named(metric).label
    known = candidate in record.spec.families
    owner = record.spec.label(candidate) if known else "the winner"
    return f"{measure_named(metric).label} of {owner}"


def _why_not_measured(record: ExperimentRecord, candidate: str) -> str:
    if record.judging is None:
        return "is not known, for the test set has not been opened"
    if record.model(candidate) is None:
        return "is not known, for this family was not scored on the test set"
    return "was not measured, or is not a number"


def _failures(criterion: Criterion, value: float, unit: str) -> str:
    low, high = criterion.at_least, criterion.at_most
    measure = measure_named(criterion.metric)
    if high is not None and value > high:
        return f"{measure.sentence(value - high, unit)} above"
    if low is not None and value < low:
        return f"{measure.sentence(low - value, unit)} below"
    return ""


def _doubt(
    record: ExperimentRecord, criterion: Criterion, candidate: str, value: float
) -> str:
    """Say where what is asked for was found, but may not be so."""
    measure = measure_named(criterion.metric)
    if measure.kind == "cost":
        ends = estimate(record, criterion.metric, candidate)
        if ends is None or not any(
            _failures(criterion, end, "") for end in (ends.low, ends.high)
        ):
            return ""
        low, high = measure.format(ends.low), measure.format(ends.high)
        return f"single processes have measured {low} to {high}"
    is_gain = criterion.metric == FLOOR and value > 0
    if not is_gain or criterion.at_least is None or _is_sure_gain(record, candidate):
        return ""
    return "the difference to the baseline may be chance"


def _is_sure_gain(record: ExperimentRecord, candidate: str) -> bool:
    """Say whether the RMSE is below the bias baseline's beyond chance."""
    if record.metric == OBJECTIVE:
        return beats_bias_of(record, candidate)
    found = estimate(record, FLOOR, candidate)
    return found is not None and found.low > 0


def describe_bounds(criterion: Criterion) -> str:
    """Write what is required: ">= 0.002"."""
    bounds = {">=": criterion.at_least, "<=": criterion.at_most}
    return ", ".join(
        f"{sign} {measure_named(criterion.metric).given(bound)}"
        for sign, bound in bounds.items()
        if bound is not None
    )


_WORDS = {
    "decision": "decision rule",
    "criteria": "acceptance criteria",
    "claims": "published claims",
    "families": "families",
}
"""What can be changed without another opening of the test set, and how it is called."""


def declare(spec: ExperimentSpec) -> dict[str, object]:
    """Collect what a conclusion depends on besides what is measured."""
    said = spec.as_json()
    declared = {key: said.get(key) for key in ("decision", "criteria", "claims")}
    plain: dict[str, object] = json.loads(json.dumps(declared))
    return plain | {"families": sorted(spec.families)}


def _changed_since_opened(record: ExperimentRecord) -> tuple[str, ...]:
    """Find what was changed after the test set had been opened for the first time.

    A rule that was made when the scores were known can be made for one of them: the
    change is allowed, and said.
    """
    before = record.declared
    if before is None:
        return ()
    now = declare(record.spec)
    return tuple(word for key, word in _WORDS.items() if before.get(key) != now[key])
