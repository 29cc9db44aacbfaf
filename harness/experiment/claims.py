"""Published figures judged: each laid beside what was measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.experiment.consistency import (
    Contradiction,
    figure_name,
    find_contradictions,
)
from harness.experiment.measured import interval, measured_value
from harness.experiment.measures import BLOCK, DATA, write, write_given
from harness.experiment.record import ExperimentRecord
from harness.experiment.spec import Claim
from harness.features.blocks import is_off

__all__ = ["NO_FIGURE", "JudgedClaim", "Verdict", "judge_claims"]

NO_FIGURE = "not published"
"""Value of a claim that has words, but no figure."""

Verdict = Literal["reproduced", "not reproduced", "contradicts another", "not testable"]

_ROUNDING = 1e-9
"""0.89 + 0.02 - 0.91 is not 0."""


@dataclass(frozen=True, kw_only=True)
class JudgedClaim:
    """A published figure, and what became of it.

    Parameters
    ----------
    claim : Claim
        The figure.
    name : str
        Its name, see `figure_name`.
    measured : float or str or None
        What was measured; None if nothing was.
    low, high : float or None
        Ends of its confidence interval; None where it has none.
    verdict : {"reproduced", "not reproduced", "contradicts another", "not testable"}
        Reproduced: within the tolerance of the claim, whatever else was published.
        Contradicts another: not reproduced, and together with other published figures it
        cannot be true. Not testable: there is no figure, or nothing was measured.
    why : str
        One sentence with numbers.
    """

    claim: Claim
    name: str
    measured: float | str | None
    low: float | None
    high: float | None
    verdict: Verdict
    why: str


def judge_claims(record: ExperimentRecord) -> list[JudgedClaim]:
    """Judge the claims of an experiment file.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.

    Returns
    -------
    list of JudgedClaim
        In the order of the file.
    """
    contradictions = [
        c for c in find_contradictions(record.spec) if c.kind == "contradiction"
    ]
    return [_judge(record, claim, contradictions) for claim in record.spec.claims]


def _judge(
    record: ExperimentRecord, claim: Claim, contradictions: Sequence[Contradiction]
) -> JudgedClaim:
    found = measured_value(record, claim.metric, claim.candidate, claim.role)
    ends = interval(record, claim.metric, claim.candidate, claim.role)
    verdict, why = _compare(record, claim, found)
    other = _others(claim, contradictions)
    if verdict == "not reproduced" and other:
        verdict = "contradicts another"
        why = f"{why.removesuffix('.')}; it does not fit the published {other}."
    low, high = ends or (None, None)
    return JudgedClaim(
        claim=claim,
        name=figure_name(record.spec, claim),
        measured=found,
        low=low,
        high=high,
        verdict=verdict,
        why=why,
    )


def _compare(
    record: ExperimentRecord, claim: Claim, found: float | str | None
) -> tuple[Verdict, str]:
    if claim.value == NO_FIGURE:
        here = f"; here it is {write(claim.metric, found)}" if found is not None else ""
        return "not testable", f"The publication gives no figure{here}."
    if found is None:
        return "not testable", _why_not_measured(record, claim)
    if isinstance(claim.value, str) or isinstance(found, str):
        return _compare_texts(claim, found)
    return _compare_numbers(claim, claim.value, found)


def _compare_texts(claim: Claim, found: float | str) -> tuple[Verdict, str]:
    published, here = write_given(claim.metric, claim.value), write(claim.metric, found)
    if published.strip().casefold() == here.strip().casefold():
        return "reproduced", f"Measured {here}, as published."
    return "not reproduced", f"Measured {here}, not the published {published}."


def _compare_numbers(
    claim: Claim, published: float, found: float
) -> tuple[Verdict, str]:
    gap = found - published
    if abs(gap) <= _ROUNDING:
        return "reproduced", f"Measured {write(claim.metric, found)}, as published."
    if claim.at_most and gap < 0:
        return "reproduced", (
            f"Measured {write(claim.metric, found)}: within the published bound of "
            f"{write_given(claim.metric, published)}."
        )
    allowed = claim.tolerance * (abs(published) if claim.relative else 1)
    is_near = abs(gap) <= allowed + _ROUNDING
    tolerance = f"the tolerance of {write_given(claim.metric, allowed)}"
    if claim.relative:
        tolerance += f" ({100 * claim.tolerance:g} %)"
    why = (
        f"Measured {write(claim.metric, found)}: {write(claim.metric, abs(gap))} "
        f"{'above' if gap > 0 else 'below'} the published "
        f"{write_given(claim.metric, published)}, "
        f"{'within' if is_near else 'beyond'} {tolerance}."
    )
    return "reproduced" if is_near else "not reproduced", why


def _why_not_measured(record: ExperimentRecord, claim: Claim) -> str:
    if claim.metric.startswith(DATA):
        return "The data has nothing to measure it by."
    if record.final is None:
        return "The test set has not been opened."
    block = claim.metric.removeprefix(BLOCK)
    model = record.model(str(claim.candidate), claim.role) or {}
    if block != claim.metric and is_off(block, model.get("notes", ())):
        return (
            "The catalogue has nothing for this block: its weight counts for nothing."
        )
    return "It was not measured, or is not defined, for this model."


def _others(claim: Claim, contradictions: Sequence[Contradiction]) -> str:
    """Name the figures that cannot be true together with this one."""
    for found in contradictions:
        if claim in found.claims:
            pairs = zip(found.figures, found.claims, strict=True)
            rest = [f"{name} ({c.value:g})" for name, c in pairs if c != claim]
            return " and ".join(rest)
    return ""
