"""The study as the sampler of a trial may see it, whatever else has ended since.

Trial ``n`` is asked for when trial ``n - window`` was told. Its sampler sees the trials up
to ``n - window`` with their values, and those between as running. So the trials are the
same for every number of workers, and the same whether or not the study was interrupted.
An Optuna study in memory holds this view; the storage is written to by `TrialStore`, and
never read by a sampler.
"""

import math
from collections import deque
from collections.abc import Container, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from harness.plain import Params
from harness.search.pareto import crowding_distances, domination_ranks
from harness.search.pruners import EndedTrials
from harness.search.samplers import SamplerSequence
from harness.search.space import SearchSpace

__all__ = ["CONSTRAINT", "Drawn", "History", "Outcome", "constraints_of"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a trial has ended; a complete one has `values`, one for each objective.

    `steps` are its folds, by the first objective. `violations` say of each requirement how
    far it is from being met: 0 or less is met.
    """

    state: TrialState
    values: tuple[float, ...] = ()
    steps: Mapping[int, float] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    violations: Mapping[str, float] = field(default_factory=dict)

    @property
    def accepted_value(self) -> float | None:
        """Its value of the first objective, if it meets what is required."""
        is_feasible = all(value <= 0 for value in self.violations.values())
        return self.values[0] if self.values and is_feasible else None


_STUDY_ATTRIBUTES = "harness:study"


# As `Trial.set_constraint` of Optuna names them.
CONSTRAINT = "constraints:"


def constraints_of(outcome: Outcome) -> dict[str, float]:
    """Name the violations as Optuna keeps its constraints."""
    return {f"{CONSTRAINT}{key}": value for key, value in outcome.violations.items()}


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What a sampler has drawn for a trial.

    `attributes` are what it wants to find again: with the trial, and under one name what
    it has left with the study.
    """

    params: Params
    distributions: Mapping[str, optuna.distributions.BaseDistribution]
    attributes: Mapping[str, Any]


# TPE takes at most so many trials as good ones.
_N_GOOD = 25


class _Memory(InMemoryStorage):
    """Shows the latest trials, and the best of the others; without a limit, all."""

    def __init__(self, n_remembered: int | None) -> None:
        super().__init__()
        self._n_remembered = n_remembered
        self._old: list[FrozenTrial] = []
        self._n_old = 0

    def forget(self, signs: Sequence[float]) -> None:
        """Sort out what is older than the limit."""
        trials = self._studies[0].trials
        while self._n_remembered and self._n_old < len(trials) - self._n_remembered:
            trial = trials[self._n_old]
            if not trial.state.is_finished():
                return
            self._n_old += 1
            if trial.state != TrialState.FAIL:
                self._old.append(trial)
                self._old = _best_first(self._old, signs)[:_N_GOOD]

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,  # noqa: FBT001, FBT002 - Optuna's signature
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """List the trials that are remembered."""
        if self._n_old == 0 or deepcopy:
            return super().get_all_trials(study_id, deepcopy=deepcopy, states=states)
        old = sorted(self._old, key=lambda trial: trial.number)
        shown = old + self._studies[study_id].trials[self._n_old :]
        return [t for t in shown if states is None or t.state in states]


def _best_first(
    trials: Sequence[FrozenTrial], signs: Sequence[float]
) -> list[FrozenTrial]:
    """Sort as TPE does: complete ones by front, then pruned ones by how far they came.

    Those that do not meet what is required come last, the nearest first. On one front
    those that have neighbours close by come after the others.
    """
    beyond = {
        t.number: sum(value for value in t.constraints.values() if value > 0)
        for t in trials
    }
    complete = [
        t for t in trials if t.state == TrialState.COMPLETE and not beyond[t.number]
    ]
    losses = np.array([t.values for t in complete]).reshape(-1, len(signs)) * signs
    ranks, distances = domination_ranks(losses), np.zeros(len(losses))
    for rank in set(ranks.tolist()):
        distances[ranks == rank] = crowding_distances(losses[ranks == rank])
    places = {
        t.number: (float(rank), -float(distance))
        for t, rank, distance in zip(complete, ranks, distances, strict=True)
    }

    def key(trial: FrozenTrial) -> tuple[int, float, float, int]:
        number = trial.number
        if beyond[number]:
            return 2, 0.0, beyond[number], number
        if number in places:
            return 0, *places[number], number
        step = max(trial.intermediate_values, default=-1)
        value = trial.intermediate_values.get(step, math.inf)
        # There are pruned ones only where there is one objective.
        return 1, -step, signs[0] * value, number

    return sorted(trials, key=key)


class History:
    """Asks a sampler for settings, and shows a pruner what it may see."""

    def __init__(
        self,
        *,
        directions: Sequence[StudyDirection],
        space: SearchSpace,
        samplers: SamplerSequence,
        window: int,
    ) -> None:
        self._space = space
        self._samplers = samplers
        self._window = window
        self._signs = [
            1.0 if d == StudyDirection.MINIMIZE else -1.0 for d in directions
        ]
        self._storage = _Memory(samplers.n_remembered)
        # Without the words that Optuna has for each study that is made.
        self._storage.create_new_study(directions, "history")
        self._study = optuna.load_study(study_name="history", storage=self._storage)
        # Told, but not yet shown.
        self._told: deque[tuple[int, Outcome]] = deque()
        self.ended = EndedTrials(directions[0])

    def tell(self, number: int, outcome: Outcome) -> None:
        """Note how a trial has ended; trials are told in the order of their numbers."""
        self._told.append((number, outcome))
        trial = copy(self._storage.get_trial(number))
        trial.state, trial.values = outcome.state, outcome.values or None
        trial.intermediate_values = dict(outcome.steps)
        trial.system_attrs = trial.system_attrs | constraints_of(outcome)
        self.ended.add(trial)

    def ask(self, number: int, *, fixed: Params) -> Drawn:
        """Draw the settings of the next trial; some may be fixed beforehand."""
        self._show(number)
        before = self._study_attributes()
        self._study.sampler = self._samplers.for_trial(number)
        if fixed:
            self._study.enqueue_trial(dict(fixed))
        trial = self._study.ask()
        self._space.suggest(trial)
        drawn = self._storage.get_trial(trial._trial_id)  # noqa: SLF001
        left = {
            key: value
            for key, value in self._study_attributes().items()
            if before.get(key) != value
        }
        attributes = {**drawn.system_attrs}
        if left:
            attributes[_STUDY_ATTRIBUTES] = left
        return Drawn(
            params=drawn.params,
            distributions=drawn.distributions,
            attributes=attributes,
        )

    def replay(self, number: int, drawn: Drawn) -> None:
        """Add a trial whose settings are known."""
        self._show(number)
        for key, value in drawn.attributes.get(_STUDY_ATTRIBUTES, {}).items():
            self._storage.set_study_system_attr(0, key, value)
        trial = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=dict(drawn.params),
            distributions=dict(drawn.distributions),
            system_attrs=dict(drawn.attributes),
        )
        self._storage.create_new_trial(0, trial)

    def _study_attributes(self) -> dict[str, object]:
        return dict(self._storage.get_study_system_attrs(0))

    def _show(self, number: int) -> None:
        while self._told and self._told[0][0] <= number - self._window:
            id_, outcome = self._told.popleft()
            for step, value in outcome.steps.items():
                self._storage.set_trial_intermediate_value(id_, step, value)
            for key, value in constraints_of(outcome).items():
                self._storage.set_trial_system_attr(id_, key, value)
            self._storage.set_trial_state_values(
                id_, outcome.state, outcome.values or None
            )
        self._storage.forget(self._signs)
