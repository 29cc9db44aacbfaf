"""What is asked of a trial: objectives, and requirements that it must meet to be accepted."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.errors import StudyError, UnknownNameError
from harness.evaluation.measures import MEASURES
from harness.evaluation.metrics import Metric
from harness.evaluation.objectives import OBJECTIVES, find_objective, measure_of

__all__ = [
    "COSTS_OF_A_TRIAL",
    "MEASURED_IN_A_TRIAL",
    "MOST_OBJECTIVES",
    "Requirement",
    "find_measure",
    "find_objectives",
    "find_requirements",
    "is_scattered",
    "over_folds",
    "requirement_of_criterion",
    "told_value",
]


COSTS_OF_A_TRIAL = ("fit_seconds", "latency_p50_ms", "latency_p95_ms", "model_bytes")
"""Costs that a worker can measure of a model of one fold. Not memory, for the worker holds
its data, too; not p99, for so many lists would take longer than the training."""

MEASURED_IN_A_TRIAL = (*OBJECTIVES, *COSTS_OF_A_TRIAL)
"""What can be required of a trial."""

STEP = 0.25
"""Times are told to the sampler in steps of this share of the bound: what is near enough
in two runs is then equal in both, and so are the trials that follow."""

SLACK = 0.25
"""By so much a criterion is loosened when it becomes a requirement: a trial measures a
model of fewer ratings on a busy machine, and the criterion itself is judged later."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A measure and its bound: the most of what should be low, the least of the rest.

    `is_criterion` says that nobody has asked for it, but the criteria of the file.
    """

    metric: Metric
    bound: float
    is_criterion: bool = False

    @property
    def is_upper(self) -> bool:
        """Whether the bound is the most that is allowed."""
        return self.metric.direction == "minimize"

    def violation(self, value: float) -> float:
        """Say by what share of the bound a value is beyond it; up to 0 is within.

        As a share, so that a sampler which adds up violations does not weigh bytes
        against stars.
        """
        scale = abs(self.bound) or 1.0
        excess = self.metric.sign * (value - self.bound) / scale
        if is_scattered(self.metric.name):
            # Upwards, so that what is beyond the bound stays beyond it.
            excess = math.ceil(excess / STEP) * STEP
        return excess + 0.0  # no -0.0

    def __str__(self) -> str:
        """Write it as it is given: ``latency_p95_ms <= 8``."""
        sign = "<=" if self.is_upper else ">="
        return f"{self.metric.name} {sign} {self.bound:.10g}"


def is_scattered(name: str) -> bool:
    """Tell whether a measure is a time, which differs from run to run."""
    return name in MEASURES and MEASURES[name].unit in {"ms", "s"}


def over_folds(name: str, values: Sequence[float]) -> float:
    """Sum up what was measured on each fold.

    Of a latency the least: whatever else the machine does can only add to it, so that
    settings are refused only if each fold has found them too slow.
    """
    is_latency = name in MEASURES and MEASURES[name].unit == "ms"
    return float(np.min(values) if is_latency else np.mean(values))


STEPS_OF_A_DECADE = 10
"""Times are told as objectives on a scale of ten steps for each factor of 10, each 26 %
above the one before (Renard's R10): a millisecond more or less on a busy machine must not
put settings on the Pareto front, and what is near enough in two runs is equal in both."""


def told_value(name: str, value: float) -> float:
    """Say with what value an objective is told to the sampler: times in steps."""
    if not is_scattered(name) or value <= 0:
        return value
    step = round(STEPS_OF_A_DECADE * math.log10(value))
    return float(f"{10 ** (step / STEPS_OF_A_DECADE):.3g}")


MOST_OBJECTIVES = 3
"""With more, hardly any trial beats another one, and the front is nearly all of them."""


def find_objectives(text: str) -> tuple[Metric, ...]:
    """Read what a search shall improve: measures with commas, the one to be judged by first."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise StudyError(
            "The metric must be one measure, or several with commas between them as in "
            f"'rmse,latency_p95_ms', but is {text!r}."
        )
    if len(names) > MOST_OBJECTIVES:
        raise StudyError(
            f"A study has at most {MOST_OBJECTIVES} objectives, but {text!r} names "
            f"{len(names)}: require the others instead, with --require."
        )
    if names[0] in COSTS_OF_A_TRIAL:
        raise StudyError(
            f"{names[0]} does not say how good a model is, so it cannot be the only "
            "objective or the first one: name a measure before it, as in "
            f"'rmse,{names[0]}'."
        )
    found = (find_objective(names[0]), *map(find_measure, names[1:]))
    known = [metric.name for metric in found]
    twice = next((name for name in known if known.count(name) > 1), None)
    if twice is not None:
        raise StudyError(
            f"{twice} must be named once only among the objectives, but is twice in {text!r}."
        )
    return found


_FORM = re.compile(
    r"\s*(?P<name>.*?[^\s<>=])\s*(?P<sign><=|>=)\s*(?P<bound>[^<>=]*?)\s*"
)


def find_requirements(texts: Iterable[str]) -> tuple[Requirement, ...]:
    """Read requirements such as ``latency_p95_ms <= 8``."""
    found: dict[str, Requirement] = {}
    for text in texts:
        requirement = _read(text)
        name = requirement.metric.name
        if name in found:
            raise StudyError(
                f"{name} must be required once only, but is by {str(found[name])!r} and "
                f"{str(requirement)!r}: leave one of them out."
            )
        found[name] = requirement
    return tuple(found.values())


def _read(text: str) -> Requirement:
    parts = _FORM.fullmatch(text)
    bound = None if parts is None else _number(parts["bound"])
    if parts is None or bound is None:
        raise StudyError(
            "A requirement must be a measure, <= or >=, and a number, as in "
            f"'latency_p95_ms <= 8', but is {text!r}."
        )
    requirement = Requirement(find_measure(parts["name"]), bound)
    sign = "<=" if requirement.is_upper else ">="
    if parts["sign"] != sign:
        better = "low" if requirement.is_upper else "high"
        raise StudyError(
            f"{requirement.metric.name} should be {better}, so that a requirement is "
            f"{str(requirement)!r}, but is given as {text!r}."
        )
    _require_possible(requirement)
    return requirement


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def find_measure(name: str) -> Metric:
    """Find what can be measured in a trial: an objective, or a cost."""
    if name in COSTS_OF_A_TRIAL:
        direction = MEASURES[name].direction
        assert direction is not None
        return Metric(name, direction)
    if name in MEASURES and name not in OBJECTIVES:
        raise StudyError(
            f"{name} is measured when models are judged, but not in a trial: choose from "
            f"{', '.join(sorted(MEASURED_IN_A_TRIAL))}."
        )
    if ":" in name:
        return find_objective(name)
    if name not in OBJECTIVES:
        raise UnknownNameError("measure of a trial", name, MEASURED_IN_A_TRIAL)
    return find_objective(name)


def _require_possible(requirement: Requirement) -> None:
    """Refuse what no model can meet."""
    measure, bound = measure_of(requirement.metric), requirement.bound
    is_positive = measure.unit in {"rating", "ms", "s", "bytes"}
    is_share = measure.name in MEASURES and measure.unit in {"share", "index"}
    if requirement.is_upper and is_positive and bound <= 0:
        raise StudyError(
            f"{measure.name} is always above 0, so that no trial can meet "
            f"{str(requirement)!r}: give a bound above 0."
        )
    if not requirement.is_upper and is_share and bound > 1:
        raise StudyError(
            f"{measure.name} is never above 1, so that no trial can meet "
            f"{str(requirement)!r}: give a bound of at most 1."
        )


def requirement_of_criterion(
    name: str, *, at_most: float | None, at_least: float | None
) -> Requirement | None:
    """Make a requirement of a criterion, loosened; None where a trial cannot tell."""
    if name not in MEASURED_IN_A_TRIAL:
        return None
    metric = find_measure(name)
    bound = at_most if metric.direction == "minimize" else at_least
    if bound is None:
        return None
    looser = bound + metric.sign * SLACK * abs(bound)
    return Requirement(metric, looser, is_criterion=True)
