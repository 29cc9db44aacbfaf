"""Records of a study and its trials, without Optuna: what trackers and reports read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, Protocol

import numpy as np

from harness.data.dataset import DatasetFacts
from harness.evaluation.metrics import OBJECTIVE, Metric
from harness.evaluation.objectives import measure_of
from harness.evaluation.requirements import Requirement
from harness.evaluation.splits import SplitFacts
from harness.plain import Params
from harness.search.distributions import Distribution
from harness.search.fidelity import WHOLE, Fidelity
from harness.search.pareto import Margin, is_on_front, left_by_margins

__all__ = [
    "LEFT_BEHIND",
    "WINDOW",
    "Environment",
    "NoListener",
    "Patience",
    "SearchSettings",
    "Stagnation",
    "StudyListener",
    "StudyRecord",
    "TrialRecord",
    "busy_seconds",
    "stopped_at",
    "why_exhausted",
    "why_none_is_best",
]


LEFT_BEHIND = "The process ended while this trial was running."
"""Error of a trial that failed because its process was killed."""

WINDOW = 8
"""How many trials are under way at most, unless a study says otherwise."""

TrialState = Literal["running", "complete", "pruned", "failed"]


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial, as the storage has it."""

    # Number of the trial in its study, from 0.
    number: int
    state: TrialState
    # Hyperparameters of the model, those found on the way (n_epochs) included.
    params: Params
    # Mean over the folds of the first objective; None unless complete.
    value: float | None
    # First objective on each fold that was evaluated, in the order of the folds.
    fold_values: tuple[float, ...]
    metrics: Mapping[str, float]
    seed: int
    # With time zone UTC; ended is None while it runs.
    started: datetime
    ended: datetime | None
    error: str | None = None
    # Number of the trial with equal parameters whose values were taken over.
    duplicate_of: int | None = None
    # Share of the ratings on which it was scored last, and the objective on each sample,
    # where the study has samples.
    rung: float | None = None
    sample_values: tuple[float, ...] = ()
    # Requirement, as it is written, to how far it is from being met; 0 or less is met.
    violations: Mapping[str, float] = field(default_factory=dict)
    # Of the other objectives, as they were told to Optuna: times in steps.
    more_values: tuple[float, ...] = ()

    @property
    def broken(self) -> tuple[str, ...]:
        """The requirements that it does not meet."""
        return tuple(text for text, value in self.violations.items() if value > 0)

    @property
    def is_feasible(self) -> bool:
        """Whether it meets all that is required."""
        return not self.broken

    @property
    def accepted_value(self) -> float | None:
        """Its value, if it may be the best."""
        return self.value if self.is_feasible else None


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What a search runs on."""

    python: str = ""
    platform: str = ""
    # Version of each package that harness depends on.
    packages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How a study is searched: all but the margins and the last three fix its trials."""

    # Hyperparameter to distribution, in the order of sampling.
    space: Mapping[str, Distribution] = field(default_factory=dict)
    # Trial 0, and what the space leaves to the family, as its defaults were then.
    initial: Params = field(default_factory=dict)
    defaults: Params = field(default_factory=dict)
    # What trials 1, 2, ... have, and the study whose best settings are among that.
    enqueue: tuple[Params, ...] = ()
    warm_start: str | None = None
    # Every argument by its name, that of the sampler or pruner as ``name``.
    sampler: Params = field(default_factory=dict)
    pruner: Params = field(default_factory=dict)
    n_folds: int = 5
    # Seed of sampler, folds and models.
    seed: int = 0
    # Trials that are under way at a time.
    window: int = WINDOW
    # The first objective, the others, and by how much each may be worse than the best.
    metric: Metric = OBJECTIVE
    more_metrics: tuple[Metric, ...] = ()
    margins: tuple[Margin, ...] = ()
    fidelity: Fidelity = WHOLE
    # What trials must meet to be the best.
    require: tuple[Requirement, ...] = ()
    # Number of different settings in the space, where that is finite.
    n_points: int | None = None
    # File and class of a family that is not registered.
    reference: str | None = None
    jobs: int | None = None
    environment: Environment = field(default_factory=Environment)

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """All that the search improves."""
        return (self.metric, *self.more_metrics)

    @property
    def n_held_out(self) -> int:
        """Folds of everything that a trial is scored on."""
        return 1 if self.fidelity.one_fold else self.n_folds

    @property
    def scored_on(self) -> str:
        """Say what the value of a trial is of."""
        return "over the folds" if self.n_held_out > 1 else "on the held-out fold"


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """One study, as the storage has it."""

    # Name of the study in the Optuna storage.
    name: str
    family: str
    settings: SearchSettings
    dataset: DatasetFacts
    split: SplitFacts
    # Version of harness, with the commit where it is known.
    code_version: str
    # Where the study is kept: URL or path, without a password.
    storage: str
    # In the order of their numbers.
    trials: tuple[TrialRecord, ...] = field(default=())
    identity: str = ""
    # Number of the trial from which on patience counts.
    patience_since: int = 0

    @property
    def reference(self) -> str:
        """What `load_family` takes to find the family."""
        return self.settings.reference or self.family

    @property
    def space(self) -> Mapping[str, Distribution]:
        """What was searched: hyperparameter to distribution, in the order of sampling."""
        return self.settings.space

    @property
    def metric(self) -> Metric:
        """What it improves: the first objective, by which the model is judged."""
        return self.settings.metric

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """All that it improves."""
        return self.settings.objectives

    @property
    def n_judged(self) -> int:
        """Number of complete and pruned trials: those that a budget counts."""
        return sum(trial.state in {"complete", "pruned"} for trial in self.trials)

    @property
    def best(self) -> TrialRecord | None:
        """The point of the front that the margins pick; the earliest of equals.

        Of one objective it is the feasible complete trial with the best value.
        """
        rounds = self.rounds
        return rounds[-1][0] if rounds else None

    @property
    def front(self) -> list[TrialRecord]:
        """The feasible complete trials that no other beats, by the first objective."""
        known = self._accepted
        on_front = is_on_front([self._losses(t) for t in known])
        return [t for t, is_on in zip(known, on_front, strict=True) if is_on]

    @property
    def rounds(self) -> list[list[TrialRecord]]:
        """The points of the front that each objective in turn leaves in question."""
        front = self.front
        if not front:
            return []
        margins = self.settings.margins or (Margin(0.0),) * len(self.objectives)
        losses = np.array([self._losses(trial) for trial in front])
        return [[front[k] for k in left] for left in left_by_margins(losses, margins)]

    @property
    def ranked(self) -> list[TrialRecord]:
        """The feasible complete trials: the best, the rest of the front, the others.

        Each by the first objective; of equals the earliest is first.
        """
        best, on_front = self.best, {trial.number for trial in self.front}
        return sorted(
            self._accepted,
            key=lambda trial: (trial is not best, trial.number not in on_front),
        )

    @property
    def _accepted(self) -> list[TrialRecord]:
        """The trials that may be the best, by the first objective and their numbers."""
        known = [t for t in self.trials if t.accepted_value is not None]
        return sorted(known, key=lambda t: (self._losses(t)[0], t.number))

    def measured(self, trial: TrialRecord) -> tuple[float, ...]:
        """Give what was measured of a complete trial, by objective: times not in steps."""
        assert trial.value is not None
        others = self.settings.more_metrics
        return (trial.value, *(trial.metrics[metric.name] for metric in others))

    def _losses(self, trial: TrialRecord) -> list[float]:
        assert trial.value is not None
        values = (trial.value, *trial.more_values)
        return [
            metric.sign * value
            for metric, value in zip(self.objectives, values, strict=True)
        ]


def why_exhausted(study: StudyRecord) -> str | None:
    """Say why there is nothing left to try, where that is so."""
    n_points = study.settings.n_points
    if n_points is None or len(study.trials) < n_points:
        return None
    if study.settings.sampler["name"] == "grid" and n_points > 2:
        n_before = 1 + len(study.settings.enqueue)
        given = "the settings enqueued" if n_before > 1 else "the initial settings"
        return (
            f"All {n_points - n_before} points of the grid and {given} were tried: "
            "there is nothing left to search."
        )
    searched = [d for d in study.space.values() if d.type != "fixed"]
    if not searched:
        return f"{study.family} has no hyperparameters to tune here: one trial is all it takes."
    return f"{study.family} has only its epochs to search here: two trials say all."


def why_none_is_best(study: StudyRecord) -> str | None:
    """Say that trials are complete, but none meets what is required, where it is so."""
    complete = [t for t in study.trials if t.state == "complete"]
    if not complete or study.best is not None:
        return None
    beyond = {
        trial.number: (sum(max(0.0, v) for v in trial.violations.values()), trial)
        for trial in complete
    }
    _, nearest = min(beyond.values(), key=lambda pair: (pair[0], pair[1].number))
    required = {str(r): r.metric for r in study.settings.require}
    values = ", ".join(
        f"{metric.name} {measure_of(metric).format(nearest.metrics[metric.name])}"
        for metric in map(required.__getitem__, nearest.broken)
    )
    said = " and ".join(map(str, study.settings.require))
    n = len(complete)
    trials = "The one complete trial" if n == 1 else f"None of the {n} complete trials"
    does = "does not meet" if n == 1 else "meets"
    where = (
        "the criteria, relaxed by a quarter"
        if all(r.is_criterion for r in study.settings.require)
        else "what is required"
    )
    return (
        f"{trials} of {study.name} {does} {where} ({said}); the nearest is trial "
        f"{nearest.number} with {values}. Loosen it or widen the search space, under "
        "another --name."
    )


@dataclass(frozen=True, kw_only=True)
class Patience:
    """A search ends when its last `n_trials` have improved the best by at most `margin`.

    Trials before `since` are not among them.
    """

    n_trials: int
    margin: float
    since: int = 0


class Stagnation:
    """Finds the trial at which patience runs out, told of all in their order.

    The gain of the last trials stands for that of the next ones, and is no underestimate on
    average: the expected best of n independent draws is convex in n, and a sampler that
    learns gains most at first. Optuna's terminators were not taken: their regret bounds need
    torch and parameters that all trials have, leave pruned trials out, and bound how far the
    optimum is, not what comes next; `BestValueStagnationEvaluator` is this with a margin of 0.

    It is the first trial at which it holds, whatever comes later: so a search that was
    stopped and continued ends where one in one go does.
    """

    def __init__(self, patience: Patience, metric: Metric) -> None:
        self._patience = patience
        self._sign = metric.sign
        self._best = math.inf
        # The best after each trial that counts, and before the first of them.
        self._bests: list[float] = []
        self.number: int | None = None

    def add(self, number: int, value: float | None) -> None:
        """Take a complete trial, or a pruned one, which has no value."""
        if value is not None:
            self._best = min(self._best, self._sign * value)
        if number < self._patience.since:
            self._bests.clear()
        self._bests.append(self._best)
        if self.number is not None or len(self._bests) <= self._patience.n_trials:
            return
        before = self._bests[-1 - self._patience.n_trials]
        if before < math.inf and before - self._best <= self._patience.margin:
            self.number = number

    def is_seen_by(self, number: int, *, window: int) -> bool:
        """Say whether a trial, when it is asked for, may know that patience has run out."""
        return self.number is not None and self.number <= number - window


def stopped_at(study: StudyRecord, patience: Patience) -> int | None:
    """Find the trial at which patience ended a search; None if it did not."""
    found = Stagnation(replace(patience, since=study.patience_since), study.metric)
    for trial in study.trials:
        if trial.state in {"complete", "pruned"}:
            found.add(trial.number, trial.accepted_value)
    next_number = 1 + max((trial.number for trial in study.trials), default=-1)
    has_ended = all(trial.state != "running" for trial in study.trials)
    is_over = found.is_seen_by(next_number, window=study.settings.window)
    return found.number if has_ended and is_over else None


class StudyListener(Protocol):
    """Something that is told how a study goes. It must return at once, and not raise."""

    def on_study_start(self, study: StudyRecord) -> None:
        """Hear that a study starts or continues; `study.trials` are those there are."""

    def on_trial_end(self, study: StudyRecord, trial: TrialRecord) -> None:
        """Hear that a trial has ended; `study` is the record given at the start."""

    def on_study_end(self, study: StudyRecord) -> None:
        """Hear that the search has ended, interrupted or not; all trials are there."""


class NoListener:
    """A listener that ignores everything."""

    def on_study_start(self, study: StudyRecord) -> None:
        """Ignore it."""

    def on_trial_end(self, study: StudyRecord, trial: TrialRecord) -> None:
        """Ignore it."""

    def on_study_end(self, study: StudyRecord) -> None:
        """Ignore it."""


def busy_seconds(study: StudyRecord) -> float:
    """Measure the time during which at least one trial was under way."""
    spans = [
        (trial.started, trial.ended)
        for trial in study.trials
        # What a killed process has left behind "ends" with the next session.
        if trial.ended is not None and trial.error != LEFT_BEHIND
    ]
    total, until = 0.0, None
    for start, end in sorted(spans):
        begin = start if until is None else max(start, until)
        total += max(0.0, (end - begin).total_seconds())
        until = end if until is None else max(until, end)
    return total
