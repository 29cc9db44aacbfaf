"""Published figures beside measured ones, and held against each other."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from harness.evaluation.measures import BLOCK
from harness.experiment.measured import DATA, estimate, measure_named, measured_value
from harness.experiment.results import (
    ClaimVerdict,
    Contradiction,
    ExperimentRecord,
    JudgedClaim,
)
from harness.experiment.spec import Claim, ExperimentSpec
from harness.formatting import percent, unit_of_scale

__all__ = ["NO_FIGURE", "find_contradictions", "judge_claims"]


VARIANCE_WITHIN = 0.1
"""By what share the variance of a test set may differ from that of all ratings.

It is a random part of them: already 1,000 ratings come within some 5 %.
"""

MEAN_WITHIN = 0.01
"""By how many stars an RMSE may differ from that of predicting the mean to count as it."""

GAUSSIAN_WITHIN = 0.02
"""By how much ratio and shares may differ from those of Gaussian errors."""

Figures = Mapping[str, Claim]


def figure_name(spec: ExperimentSpec, claim: Claim) -> str:
    """Name a published figure."""
    name = measure_named(claim.metric).label
    if claim.candidate is not None:
        name += f" of {spec.label(claim.candidate)}"
    return claim.label or name


def find_contradictions(spec: ExperimentSpec) -> list[Contradiction]:
    """Hold the claims of a file against each other."""
    variance = _variance(spec)
    found: list[Contradiction] = []
    for figures in _by_model(spec).values():
        if variance is not None:
            found += _rmse_and_r2(spec, figures, variance)
            found += _no_better_than_the_mean(spec, figures, variance)
        found += _gaussian_errors(spec, figures)
    return sorted(found, key=lambda c: c.kind != "contradiction")


def _variance(spec: ExperimentSpec) -> Claim | None:
    claims = (c for c in spec.claims if c.metric == f"{DATA}variance")
    return next((c for c in claims if not isinstance(c.value, str)), None)


def _by_model(spec: ExperimentSpec) -> dict[tuple[str, str], dict[str, Claim]]:
    """Group the numbers that are claimed by candidate and role, then by metric."""
    grouped: dict[tuple[str, str], dict[str, Claim]] = {}
    for claim in spec.claims:
        if claim.candidate is not None and not isinstance(claim.value, str):
            figures = grouped.setdefault((claim.candidate, claim.role), {})
            figures.setdefault(claim.metric, claim)
    return grouped


def _rmse_and_r2(
    spec: ExperimentSpec, figures: Figures, variance: Claim
) -> Iterator[Contradiction]:
    r"""Work out the variance of the test ratings: :math:`s^2 = e^2 / (1 - R^2)`."""
    if not {"rmse", "r2"} <= figures.keys():
        return
    rmse, r2 = _number(figures["rmse"]), _number(figures["r2"])
    published = _number(variance)
    if r2 >= 1 or published <= 0:
        return
    implied, implied_r2 = rmse**2 / (1 - r2), 1 - rmse**2 / published
    if abs(implied - published) <= VARIANCE_WITHIN * published:
        return
    yield _of(
        spec,
        "contradiction",
        (figures["rmse"], figures["r2"], variance),
        f"An RMSE of {rmse:.4g} with an R² of {r2:.4g} means that the test ratings have "
        f"a variance of {rmse:.4g}² / (1 - {r2:.4g}) = {implied:.4f}, not "
        f"{published:.4g}; with a variance of {published:.4g} the same RMSE means an R² "
        f"of {implied_r2:.3f}.",
        {
            "rmse": rmse,
            "r2": r2,
            "variance": published,
            "implied_variance": implied,
            "implied_r2": implied_r2,
        },
    )


def _no_better_than_the_mean(
    spec: ExperimentSpec, figures: Figures, variance: Claim
) -> Iterator[Contradiction]:
    if "rmse" not in figures or _number(variance) < 0:
        return
    rmse, deviation = _number(figures["rmse"]), math.sqrt(_number(variance))
    # Published with two decimals: a figure at the very bound must count.
    if abs(rmse - deviation) > MEAN_WITHIN + 1e-9:
        return
    yield _of(
        spec,
        "remark",
        (figures["rmse"], variance),
        f"With a variance of {_number(variance):.4g} the ratings have a standard "
        f"deviation of {deviation:.3f}, so the published {rmse:.4g} "
        f"({figure_name(spec, figures['rmse'])}) is what predicting the mean for every "
        "pair gives.",
        {
            "rmse": rmse,
            "variance": _number(variance),
            "standard_deviation": deviation,
        },
    )


def _gaussian_errors(spec: ExperimentSpec, figures: Figures) -> Iterator[Contradiction]:
    r"""Compare with errors :math:`N(0, e^2)`.

    Their mean size is :math:`e \sqrt{2 / \pi}`, and a share of :math:`\mathrm{erf}(t /
    (e \sqrt 2))` of them is at most :math:`t`.
    """
    names = ("rmse", "mae", "within_half_star", "within_one_star")
    if not set(names) <= figures.keys() or _number(figures["rmse"]) <= 0:
        return
    rmse, mae, half, one = (_number(figures[name]) for name in names)
    gaussian = {
        "mae_to_rmse": math.sqrt(2 / math.pi),
        "within_half_star": math.erf(0.5 / (rmse * math.sqrt(2))),
        "within_one_star": math.erf(1.0 / (rmse * math.sqrt(2))),
    }
    published = {
        "mae_to_rmse": mae / rmse,
        "within_half_star": half,
        "within_one_star": one,
    }
    if any(abs(published[n] - gaussian[n]) > GAUSSIAN_WITHIN for n in gaussian):
        return
    yield _of(
        spec,
        "remark",
        tuple(figures[name] for name in names),
        f"MAE / RMSE is {mae / rmse:.4f}, and {percent(half, 1)} and {percent(one, 1)} of the "
        f"errors are within half a star and one; errors from a normal distribution have "
        f"{gaussian['mae_to_rmse']:.4f}, {percent(gaussian['within_half_star'], 1)} and "
        f"{percent(gaussian['within_one_star'], 1)}: the shape is that of Gaussian "
        "errors.",
        {
            **published,
            **{f"gaussian_{name}": value for name, value in gaussian.items()},
        },
    )


def _of(
    spec: ExperimentSpec,
    kind: Literal["contradiction", "remark"],
    claims: tuple[Claim, ...],
    sentence: str,
    numbers: Mapping[str, float],
) -> Contradiction:
    return Contradiction(
        kind=kind,
        figures=tuple(figure_name(spec, claim) for claim in claims),
        claims=claims,
        sentence=sentence,
        numbers=numbers,
    )


def _number(claim: Claim) -> float:
    assert not isinstance(claim.value, str)
    return claim.value


NO_FIGURE = "not published"
"""Value of a claim that has words, but no figure."""


_ROUNDING = 1e-9
"""0.89 + 0.02 - 0.91 is not 0."""


def judge_claims(record: ExperimentRecord) -> list[JudgedClaim]:
    """Judge the claims of an experiment file."""
    contradictions = [
        c for c in find_contradictions(record.spec) if c.kind == "contradiction"
    ]
    return [_judge(record, claim, contradictions) for claim in record.spec.claims]


def _judge(
    record: ExperimentRecord, claim: Claim, contradictions: Sequence[Contradiction]
) -> JudgedClaim:
    found = measured_value(record, claim.metric, claim.candidate, claim.role)
    ends = estimate(record, claim.metric, claim.candidate, claim.role)
    verdict, why = _compare(record, claim, found)
    other = _others(claim, contradictions)
    if verdict == "not reproduced" and other:
        verdict = "contradicts another"
        why = f"{why.removesuffix('.')}; it does not fit the published {other}."
    return JudgedClaim(
        claim=claim,
        name=figure_name(record.spec, claim),
        measured=found,
        low=None if ends is None else ends.low,
        high=None if ends is None else ends.high,
        verdict=verdict,
        why=why,
    )


def _compare(
    record: ExperimentRecord, claim: Claim, found: float | str | None
) -> tuple[ClaimVerdict, str]:
    unit = unit_of_scale(record.dataset.scale)
    if claim.value == NO_FIGURE:
        measure = measure_named(claim.metric)
        shown = None if found is None else measure.sentence(found, unit)
        here = "" if shown is None else f"; here it is {shown}"
        return "not testable", f"The publication gives no figure{here}."
    if found is None:
        return "not testable", _why_not_measured(record, claim)
    if isinstance(claim.value, str) or isinstance(found, str):
        return _compare_texts(claim, found)
    return _compare_numbers(claim, claim.value, found, unit)


def _compare_texts(claim: Claim, found: float | str) -> tuple[ClaimVerdict, str]:
    measure = measure_named(claim.metric)
    published, here = measure.given(claim.value), measure.sentence(found)
    if published.strip().casefold() == here.strip().casefold():
        return "reproduced", f"Measured {here}, as published."
    return "not reproduced", f"Measured {here}, not the published {published}."


def _compare_numbers(
    claim: Claim, published: float, found: float, unit: str
) -> tuple[ClaimVerdict, str]:
    gap, measure = found - published, measure_named(claim.metric)
    here = measure.sentence(found, unit)
    if abs(gap) <= _ROUNDING:
        return "reproduced", f"Measured {here}, as published."
    if claim.at_most and gap < 0:
        return "reproduced", (
            f"Measured {here}: within the published bound of "
            f"{measure.given(published, unit)}."
        )
    allowed = claim.tolerance * (abs(published) if claim.relative else 1)
    is_near = abs(gap) <= allowed + _ROUNDING
    tolerance = f"the tolerance of {measure.tolerance(allowed)}"
    if claim.relative:
        tolerance += f" ({100 * claim.tolerance:g} %)"
    why = (
        f"Measured {here}: {measure.sentence(abs(gap), unit)} "
        f"{'above' if gap > 0 else 'below'} the published "
        f"{measure.given(published, unit)}, "
        f"{'within' if is_near else 'beyond'} {tolerance}."
    )
    return "reproduced" if is_near else "not reproduced", why


def _why_not_measured(record: ExperimentRecord, claim: Claim) -> str:
    if claim.metric.startswith(DATA):
        return "The data has nothing to measure it by."
    if record.judging is None:
        return "The test set has not been opened."
    block = claim.metric.removeprefix(BLOCK)
    model = record.model(str(claim.candidate), claim.role)
    if model is not None and block in model.blocks_off:
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
