"""What an experiment file may say only together: names that must exist elsewhere in it."""

import math
from collections.abc import Iterator

from harness.data.characteristics import published_characteristics
from harness.errors import UnknownNameError
from harness.experiment.claims import NO_FIGURE
from harness.experiment.measures import DATA, MEASURES, PARAM, check_metric
from harness.experiment.preferences import PREFERENCES
from harness.experiment.record import BIAS_BASELINE, MEAN_BASELINE
from harness.experiment.spec import Claim, Criterion, ExperimentSpec

__all__ = ["WINNER", "complaints"]

WINNER = "winner"
"""Stands in criteria for the candidate that the decision chooses."""


def complaints(spec: ExperimentSpec) -> Iterator[tuple[str, str]]:
    """Find what is wrong with a file that is well-formed.

    Parameters
    ----------
    spec : ExperimentSpec
        What the file says.

    Yields
    ------
    (str, str)
        Path to the key, with dots and positions from 0 (``claims.2.metric``), and a
        sentence with rule, value and remedy.
    """
    if WINNER in spec.families:
        yield (
            f"families.{WINNER}",
            f"{WINNER!r} stands for the family that is chosen: take another key.",
        )
    yield from _about_labels(spec)
    yield from _about_variants(spec)
    yield from _about_decision(spec)
    for position, criterion in enumerate(spec.criteria):
        for key, rule in _about_criterion(spec, criterion):
            yield f"criteria.{position}.{key}", rule
    for position, claim in enumerate(spec.claims):
        for key, rule in _about_claim(spec, claim):
            yield f"claims.{position}.{key}", rule


def _about_labels(spec: ExperimentSpec) -> Iterator[tuple[str, str]]:
    """Refuse names that two families share: no reader could tell them apart."""
    labels = [spec.label(candidate) for candidate in spec.families]
    for candidate, entry in spec.families.items():
        if entry.label is not None and labels.count(entry.label) > 1:
            yield (
                f"families.{candidate}.label",
                f"{entry.label!r} is the name of another family: choose another.",
            )


def _about_variants(spec: ExperimentSpec) -> Iterator[tuple[str, str]]:
    taken = {BIAS_BASELINE, MEAN_BASELINE, *spec.families}
    taken |= {f"{c}, {role}" for c in spec.families for role in ("initial", "tuned")}
    for position, variant in enumerate(spec.variants):
        if variant.candidate not in spec.families:
            yield f"variants.{position}.candidate", _unknown(spec, variant.candidate)
        if not variant.params:
            yield (
                f"variants.{position}.params",
                "a variant must change at least one setting, but params is empty.",
            )
        if variant.name in taken:
            yield (
                f"variants.{position}.name",
                f"{variant.name!r} is the name of another model: choose another.",
            )
        taken.add(variant.name)


def _about_decision(spec: ExperimentSpec) -> Iterator[tuple[str, str]]:
    prefer = spec.decision.prefer
    for position, name in enumerate(prefer):
        if name not in PREFERENCES:
            error = UnknownNameError("preference", name, PREFERENCES)
            yield "decision.prefer", str(error)
        if name in prefer[:position]:
            yield "decision.prefer", f"{name!r} must be named once only."
    for name in spec.decision.negligible:
        if name not in PREFERENCES:
            error = UnknownNameError("preference", name, PREFERENCES)
            yield f"decision.negligible.{name}", str(error)


def _about_criterion(
    spec: ExperimentSpec, criterion: Criterion
) -> Iterator[tuple[str, str]]:
    yield from _about_metric(criterion.metric)
    if criterion.candidate != WINNER and criterion.candidate not in spec.families:
        yield "candidate", _unknown(spec, criterion.candidate, WINNER)
    low, high = criterion.at_least, criterion.at_most
    if low is not None and high is not None and low > high:
        yield (
            "at_least",
            f"at_least must not exceed at_most, but at_least={low} and at_most={high}.",
        )


def _about_claim(spec: ExperimentSpec, claim: Claim) -> Iterator[tuple[str, str]]:
    yield from _about_metric(claim.metric)
    is_data = claim.metric.startswith(DATA)
    if is_data and claim.candidate is not None:
        yield (
            "candidate",
            f"{claim.metric!r} belongs to no candidate: leave it out.",
        )
    elif not is_data and claim.candidate is None:
        yield (
            "metric",
            f"{claim.metric!r} needs a candidate: one of {sorted(spec.families)}.",
        )
    elif not is_data and claim.candidate not in spec.families:
        yield "candidate", _unknown(spec, str(claim.candidate))
    yield from _about_value(claim)
    is_cost = claim.metric in MEASURES and MEASURES[claim.metric].is_cost
    if is_cost and claim.metric != "fit_seconds" and claim.role == "initial":
        yield (
            "role",
            f'{claim.metric!r} is measured of tuned models only: add role = "tuned".',
        )


def _about_value(claim: Claim) -> Iterator[tuple[str, str]]:
    """Refuse texts for numbers: such a claim could never be judged."""
    name = claim.metric.removeprefix(DATA)
    is_text = isinstance(published_characteristics().get(name, 0.0), str)
    if isinstance(claim.value, float):
        if math.isnan(claim.value) or math.isinf(claim.value):
            yield (
                "value",
                f"a published figure must be finite, but it is {claim.value}.",
            )
        if is_text and claim.metric.startswith(DATA):
            yield "value", f"{claim.metric!r} is a text, but value is {claim.value:g}."
    elif (
        not is_text and not claim.metric.startswith(PARAM) and claim.value != NO_FIGURE
    ):
        yield (
            "value",
            f"must be a number or {NO_FIGURE!r}, but it is the text {claim.value!r}.",
        )


def _about_metric(name: str) -> Iterator[tuple[str, str]]:
    try:
        check_metric(name)
    except UnknownNameError as error:
        yield "metric", str(error)


def _unknown(spec: ExperimentSpec, name: str, *also: str) -> str:
    return str(UnknownNameError("candidate", name, [*spec.families, *also]))
