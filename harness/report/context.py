"""What the sections of a report are written from: models, names, numbers, figures."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.evaluation.measures import MEASURES, Kind, Measure
from harness.evaluation.objectives import measure_of
from harness.evaluation.results import Difference, ModelResult
from harness.evaluation.statistics import Estimate
from harness.experiment.measured import measure_named
from harness.experiment.results import ExperimentRecord
from harness.formatting import Comparison, shared_unit, unit_of_scale
from harness.report.markdown import escape

__all__ = [
    "LONGEST",
    "Context",
    "Statement",
    "StatementKind",
    "amount",
    "amount_unit",
    "as_comparison",
    "baselines",
    "better",
    "compare",
    "error",
    "error_of",
    "in_unit",
    "key_of",
    "label",
    "level",
    "listed",
    "margin",
    "measures_of",
    "name_of",
    "objective",
    "paragraphs",
    "rivals",
    "side_of",
    "tuned_models",
    "unit",
    "with_interval",
    "with_unit",
    "worse",
    "write",
]


LONGEST = 5000
"""Longest paragraph of foreign text, in characters."""


StatementKind = Literal[
    # What to do.
    "use",
    "use none",
    "sealed",
    "no test set",
    "no trial",
    # How much better, and how sure.
    "objective",
    "front",
    "error",
    "gain",
    "certainty",
    "blend",
    "picked",
    "repeats",
    "so far",
    # Why this one.
    "equivalent",
    "undecided",
    "next best",
    "only one",
    "round",
    "silent criteria",
    "unsteady criterion",
    "tuning",
    "nothing better",
    # What limits it.
    "failed criterion",
    "above the mean",
    "few users",
    "unseen users or titles",
    "openings",
    "changed rules",
    "unequal budgets",
    "out of date",
    "not judged",
    "not converged",
    "range too narrow",
    "not as published",
]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """Something that is said, and the numbers and names it is said with."""

    kind: StatementKind
    text: str
    # Numbers and names in it, candidates by their keys.
    facts: Mapping[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Context:
    """A report that is being written."""

    # The experiment; a study is one with one family.
    record: ExperimentRecord
    folder: Path
    # The same as the reader will name it.
    shown_folder: Path = Path()

    def figure(
        self, draw: Callable[[ExperimentRecord, Path], bool], name: str, caption: str
    ) -> str:
        """Draw a figure, where there is something to draw."""
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


def listed(lines: list[str]) -> str:
    """Write a list; the lines are markdown already."""
    return "\n".join(f"- {line}" for line in lines if line)


def unit(record: ExperimentRecord) -> str:
    """Name the unit of the ratings: stars on a star scale, points on any other."""
    return unit_of_scale(record.dataset.scale)


def tuned_models(record: ExperimentRecord) -> list[ModelResult]:
    """List the tuned models, the best on the test set by the objective first."""
    return sorted((m for m in record.models if m.role == "tuned"), key=record.loss_of)


def baselines(record: ExperimentRecord) -> list[ModelResult]:
    """List the baselines, the best on the test set by the objective first."""
    found = (m for m in record.models if m.role == "baseline")
    return sorted(found, key=record.loss_of)


def rivals(record: ExperimentRecord) -> list[ModelResult]:
    """List the tuned models, and after them the bias baseline."""
    bias = record.baseline()
    return [*tuned_models(record), *([] if bias is None else [bias])]


def error_of(model: ModelResult) -> float:
    """Look up the RMSE of a model."""
    return model.rmse.value


def objective(record: ExperimentRecord) -> Measure:
    """Say how the objective of the searches is called and written."""
    return measure_of(record.metric)


def in_unit(record: ExperimentRecord) -> str:
    """Name the unit of the objective where it is that of the ratings: " in stars"."""
    return f" in {unit(record)}" if objective(record).unit == "rating" else ""


def amount_unit(record: ExperimentRecord) -> str:
    """Name the unit of differences in the objective, for a heading: ", in stars"."""
    found = objective(record).unit_of_amounts(unit(record))
    return f", in {found}" if found else ""


def with_unit(record: ExperimentRecord, gap: str) -> str:
    """Write the unit of differences in the objective behind one."""
    return f"{gap} {objective(record).unit_of_amounts(unit(record))}".rstrip()


def level(record: ExperimentRecord, model: ModelResult) -> str:
    """Write the objective of a model on the test set."""
    return objective(record).format(model.value(record.metric.name))


def amount(record: ExperimentRecord, gap: float) -> str:
    """Write by how much two scores differ, with the unit."""
    return objective(record).amount(gap, unit(record))


def margin(record: ExperimentRecord) -> str:
    """Write the smallest difference that matters, without the unit of the ratings."""
    assert record.judging is not None
    return objective(record).tolerance(record.judging.margin)


@dataclass(frozen=True)
class Direction:
    """Words for one side of a value of the objective."""

    comparative: Literal["lower", "higher"]

    @property
    def superlative(self) -> str:
        """The lowest or the highest."""
        return f"{self.comparative[:-2]}est"

    @property
    def plain(self) -> str:
        """Low or high."""
        return "low" if self.comparative == "lower" else "high"

    @property
    def place(self) -> str:
        """Where it lies, seen from another value: below or above."""
        return "below" if self.comparative == "lower" else "above"


def better(record: ExperimentRecord) -> Direction:
    """Name the side of better values of the objective."""
    return Direction("lower" if record.metric.direction == "minimize" else "higher")


def worse(record: ExperimentRecord) -> Direction:
    """Name the side of worse values of the objective."""
    return Direction("higher" if record.metric.direction == "minimize" else "lower")


def side_of(record: ExperimentRecord, difference: float) -> Direction:
    """Name the side that a difference lies on, which is below 0 where it is better."""
    return better(record) if difference < 0 else worse(record)


def key_of(model: ModelResult) -> str:
    """Give the name by which costs and measures of a model are looked up."""
    return model.candidate or model.name


def label(record: ExperimentRecord, candidate: str) -> str:
    """Name a candidate, or a baseline, for people."""
    known = candidate in record.spec.families
    return escape(record.spec.label(candidate) if known else candidate)


def name_of(record: ExperimentRecord, model: ModelResult) -> str:
    """Name a model for people, without its role."""
    if model.role in {"baseline", "variant"} or model.candidate is None:
        return escape(model.name)
    return label(record, model.candidate)


def compare(
    record: ExperimentRecord, one: ModelResult | None, other: ModelResult | None
) -> Comparison | None:
    """Say how two models differ on the test set."""
    if one is None or other is None:
        return None
    found = record.difference(one.name, other.name)
    return None if found is None else as_comparison(record, found)


def as_comparison(record: ExperimentRecord, found: Difference) -> Comparison:
    """Judge a difference at the significance of the file."""
    judging = record.judging
    assert judging is not None
    return Comparison(
        other=found.other,
        value=found.value,
        low=found.low,
        high=found.high,
        p_value=found.p_holm,
        significance=record.spec.decision.significance,
        n_compared=len(judging.alike(found)),
    )


def measures_of(record: ExperimentRecord, kind: Kind) -> list[Measure]:
    """List the measures of a kind that were taken of some model, as the table has them."""
    taken = {name for model in record.models for name in model.measures}
    return [m for m in MEASURES.values() if m.kind == kind and m.name in taken]


def write(name: str, value: float | str | None) -> str:
    """Write a value as such quantities are usually read.

    Examples
    --------
    >>> write("latency_p95_ms", 7.34), write("rmse", 0.5749), write("ndcg_at_10", 0.21)
    ('7.3 ms', '0.5749', '0.210')
    """
    text = measure_named(name).format(value)
    return escape(text) if isinstance(value, str) else text


def error(value: float | None) -> str:
    """Write an RMSE, or a difference of two."""
    return MEASURES["rmse"].format(value)


def with_interval(measure: Measure, found: Estimate) -> str:
    """Write an estimate and, where it has one, its interval.

    Examples
    --------
    >>> with_interval(MEASURES["rmse"], Estimate(value=0.9038, low=0.88, high=0.92))
    '0.9038 [0.8800, 0.9200]'
    >>> with_interval(MEASURES["within_half_star"], Estimate(value=0.63, low=0.6, high=0.66))
    '63.0 % [60.0, 66.0]'
    """
    value = measure.format(found.value)
    if math.isnan(found.low) or math.isnan(found.high):
        return value
    ends = measure.format(found.low), measure.format(found.high)
    (_, low, high), tail = shared_unit(value, *ends)
    return f"{value} [{low}, {high}]" if tail else f"{value} [{ends[0]}, {ends[1]}]"
