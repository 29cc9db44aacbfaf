"""The Pareto front of a search for several objectives, and the point that is picked."""

from dataclasses import dataclass

from harness.evaluation.metrics import Metric
from harness.evaluation.objectives import measure_of
from harness.formatting import unit_of_scale
from harness.search.pareto import Margin
from harness.search.records import StudyRecord, TrialRecord

__all__ = ["NOT_PRUNED", "Front", "FrontPoint", "describe_pick", "front_of"]


NOT_PRUNED = (
    "Nothing is pruned, for Optuna does not prune studies of several objectives: every "
    "trial is scored to the end."
)


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """A trial that no other beats in every objective.

    Parameters
    ----------
    trial : int
        Its number.
    values : tuple of float
        What was measured over the folds, by objective.
    compared : tuple of float
        What was told to Optuna and compared: the same, but for times, which are in steps.
    """

    trial: int
    values: tuple[float, ...]
    compared: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Front:
    """The Pareto front of a search, and how one of its points was picked.

    Parameters
    ----------
    objectives : tuple of Metric
        What was improved; the first is what models are judged by.
    margins : tuple of Margin
        By how much each may be worse than the best.
    points : tuple of FrontPoint
        By the first objective, the best first.
    rounds : tuple of tuple of int
        Numbers of the trials that each objective in turn has left in question.
    picked : int
        Number of the trial that was picked: of those left by all the one with the best
        first objective. It is what is refitted and judged.
    """

    objectives: tuple[Metric, ...]
    margins: tuple[Margin, ...]
    points: tuple[FrontPoint, ...]
    rounds: tuple[tuple[int, ...], ...]
    picked: int

    @property
    def pick(self) -> FrontPoint:
        """The point that was picked."""
        return next(point for point in self.points if point.trial == self.picked)


def front_of(study: StudyRecord) -> Front | None:
    """Find the front of a search; None of one for a single objective, or without a trial."""
    rounds = study.rounds
    if len(study.objectives) < 2 or not rounds:
        return None
    return Front(
        objectives=study.objectives,
        margins=study.settings.margins,
        points=tuple(_point(study, trial) for trial in study.front),
        rounds=tuple(tuple(trial.number for trial in left) for left in rounds),
        picked=rounds[-1][0].number,
    )


def _point(study: StudyRecord, trial: TrialRecord) -> FrontPoint:
    assert trial.value is not None
    return FrontPoint(
        trial=trial.number,
        values=study.measured(trial),
        compared=(trial.value, *trial.more_values),
    )


def describe_pick(front: Front, scale: tuple[float, float]) -> str:
    """Say by which rule a point was picked, with the numbers that it went by."""
    in_question = [point.trial for point in front.points]
    if len(in_question) == 1:
        return f"Trial #{front.picked} is alone on the Pareto front: no other beats it."
    parts: list[str] = []
    for place, left in enumerate(front.rounds):
        if len(in_question) == 1:
            break
        number = f"{len(left)} of these" if place else f"{len(left)}"
        verb = "has" if len(left) == 1 else "have"
        parts.append(f"{number} {verb} {_within(front, place, in_question, scale)}")
        in_question = [*left]
    if len(in_question) > 1:
        first = front.objectives[0]
        parts.append(f"of these it has the {_extreme(first)} {measure_of(first).label}")
    return (
        f"Trial #{front.picked} is picked from {len(front.points)} on the Pareto front: "
        f"{', '.join(parts)}."
    )


def _within(
    front: Front, place: int, in_question: list[int], scale: tuple[float, float]
) -> str:
    metric, margin = front.objectives[place], front.margins[place]
    measure, unit = measure_of(metric), unit_of_scale(scale)
    values = [p.compared[place] for p in front.points if p.trial in in_question]
    best = min(values) if metric.direction == "minimize" else max(values)
    if not margin.amount:
        return f"the {_extreme(metric)} {measure.label} ({measure.format(best)})"
    allowed = (
        f"{100 * margin.amount:g} %"
        if margin.is_share
        else measure.tolerance(margin.amount)
        + (f" {unit}" if measure.unit == "rating" else "")
    )
    return (
        f"{measure.label} within {allowed} of the {_extreme(metric)} "
        f"({measure.format(best)})"
    )


def _extreme(metric: Metric) -> str:
    return "lowest" if metric.direction == "minimize" else "highest"
