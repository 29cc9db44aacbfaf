"""Acceptance criteria checked: what must hold before a model is used."""

from dataclasses import dataclass

from harness.experiment.decision import beats_bias_of, decide
from harness.experiment.measured import measured
from harness.experiment.measures import DATA, label_of, write, write_given
from harness.experiment.record import ExperimentRecord
from harness.experiment.spec import Criterion
from harness.experiment.spec_checks import WINNER

__all__ = ["CheckedCriterion", "check_criteria"]


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
    """Check the criteria of an experiment file.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.

    Returns
    -------
    list of CheckedCriterion
        In the order of the file.
    """
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
