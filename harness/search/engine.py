"""The trial engine: one owner asks, hands out folds, and tells.

The sequence of asks and tells is fixed by the seed and the number of jobs alone, not by
which worker happens to be faster: trial ``n`` is asked for right after trial
``n - window`` was told, trials are told in the order of their numbers, and a pruner sees
of the study only what was told when the trial was asked for.
"""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from harness.errors import SearchFailedError
from harness.evaluation.metrics import OBJECTIVE
from harness.search.executors import TaskRunner
from harness.search.folds import FoldResult, FoldTask, best_position_in
from harness.search.pruners import StudyAsOf
from harness.search.samplers import SamplerSequence, trial_seed
from harness.search.space import SearchSpace

__all__ = ["Budget", "Engine"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a trial has ended.

    Parameters
    ----------
    state : optuna.trial.TrialState
        COMPLETE, PRUNED or FAIL.
    value : float or None
        Objective of a complete trial.
    steps : mapping of int to float
        Intermediate values: fold to objective, as the pruner has seen them.
    attributes : mapping
        User attributes: ``params``, ``seed``, ``fold_values``, ``metrics``, ``error``,
        ``duplicate_of``.
    """

    state: optuna.trial.TrialState
    value: float | None
    steps: Mapping[int, float]
    attributes: Mapping[str, Any]


@dataclass(kw_only=True, eq=False)
class Flight:
    """A trial under way.

    Parameters
    ----------
    trial : optuna.Trial
        The running trial.
    key : str
        Equal for trials with equal parameters.
    params : dict
        Hyperparameters, without those found on the way.
    seed : int
        Seed of its models.
    n_folds : int
        Number of folds to evaluate.
    patience : int or None
        Set where the number of epochs is found on the way.
    twin : int or None
        Number of an earlier trial with equal parameters, whose outcome is awaited.
    """

    trial: optuna.Trial
    key: str
    params: dict[str, Any]
    seed: int
    n_folds: int
    patience: int | None
    twin: int | None = None

    results: dict[int, FoldResult] = field(default_factory=dict, init=False)
    submitted: int = field(default=0, init=False)
    steps: dict[int, float] = field(default_factory=dict, init=False)
    outcome: Outcome | None = field(default=None, init=False)

    @property
    def number(self) -> int:
        """Number of the trial."""
        return self.trial.number

    def next_task(self, *, ahead: bool) -> FoldTask | None:
        """Take the next fold to evaluate."""
        over = self.outcome is not None or self.twin is not None
        waits = not ahead and self.submitted > len(self.steps)
        if over or waits or self.submitted == self.n_folds:
            return None
        self.submitted += 1
        return FoldTask(
            params=self.params,
            seed=self.seed,
            fold=self.submitted - 1,
            patience=self.patience,
        )

    def take_step(self) -> float | None:
        """Add the next fold in order to the steps, if its result is there."""
        fold = len(self.steps)
        if self.outcome is not None or fold not in self.results:
            return None
        if self.results[fold].error is not None:
            self.fail(self.results[fold].error or "")
            return None
        position = self._best_position(fold + 1)
        value = float(self.results[fold].metrics[OBJECTIVE.name][position])
        if not np.isfinite(value):
            self.fail(f"The objective of fold {fold} is {value}, not a finite number.")
            return None
        self.steps[fold] = value
        return value

    def _best_position(self, n_folds: int) -> int:
        return best_position_in([self.results[fold] for fold in range(n_folds)])

    def finish(self, *, pruned: bool) -> None:
        """End the trial with the folds it has."""
        n_folds = len(self.steps)
        position = self._best_position(n_folds)
        at_best = [
            {name: float(curve[position]) for name, curve in result.metrics.items()}
            for result in (self.results[fold] for fold in range(n_folds))
        ]
        means = {
            name: float(np.mean([scores[name] for scores in at_best]))
            for name in at_best[0]
        }
        params = dict(self.params)
        if self.patience is not None:
            params["n_epochs"] = self.results[0].epochs[position]
        state = optuna.trial.TrialState
        self.outcome = Outcome(
            state=state.PRUNED if pruned else state.COMPLETE,
            value=None if pruned else means[OBJECTIVE.name],
            steps=dict(self.steps),
            attributes={
                "params": params,
                "seed": self.seed,
                "fold_values": [scores[OBJECTIVE.name] for scores in at_best],
                "metrics": means,
            },
        )

    def fail(self, error: str) -> None:
        """End the trial as failed."""
        self.outcome = Outcome(
            state=optuna.trial.TrialState.FAIL,
            value=None,
            steps=dict(self.steps),
            attributes={"params": self.params, "seed": self.seed, "error": error},
        )

    def copy_outcome(self, number: int, outcome: Outcome) -> None:
        """Take over the outcome of a trial with equal parameters."""
        self.steps = dict(outcome.steps)
        self.outcome = Outcome(
            state=outcome.state,
            value=outcome.value,
            steps=outcome.steps,
            attributes={**outcome.attributes, "duplicate_of": number},
        )


_PUT_BACK = "put_back"


def put_back(study: optuna.Study, number: int, *, most: int | None = None) -> bool:
    """Let a trial that was interrupted wait for its turn, with the settings it has."""
    trial = study.get_trials(deepcopy=False)[number]
    # Optuna can enqueue settings, which would get another number, and so another seed.
    storage, id_ = study._storage, trial._trial_id  # noqa: SLF001
    if most is not None:
        count = trial.user_attrs.get(_PUT_BACK, 0)
        if count >= most:
            return False
        storage.set_trial_user_attr(id_, _PUT_BACK, count + 1)
    storage.set_trial_state_values(id_, state=TrialState.WAITING)
    return True


class Interruption:
    """Whether the user has pressed Ctrl-C.

    Attributes
    ----------
    requested : bool
        True after the first time; the second time ends the process as usual.
    """

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def catch_interruption() -> Iterator[Interruption]:
    """Note the first Ctrl-C instead of raising KeyboardInterrupt wherever it falls."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = signal.getsignal(signal.SIGINT)

    def note(_signal: int, _frame: FrameType | None) -> None:
        interruption.requested = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, before)


MAX_FAILURES_AT_FIRST = 10
# Later the sampler may return again and again to a corner that fails; but not for ever.
MAX_FAILURES_IN_A_ROW = 50
# Settings that eat all memory would have the process killed whenever it is started.
MAX_KILLS = 5


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When a search ends.

    Parameters
    ----------
    n_trials : int
        Complete or pruned trials in all, those of earlier sessions included.
    timeout_seconds : float or None
        No trial starts later than this.
    """

    n_trials: int
    timeout_seconds: float | None = None


class Engine:
    """Runs the trials of one study.

    Parameters
    ----------
    study : optuna.Study
        Where trials are kept.
    space : SearchSpace
        What is sampled.
    samplers : SamplerSequence
        A sampler for each trial.
    pruner : optuna.pruners.BasePruner
        Judges a trial after each fold.
    seed : int
        Seed of the study.
    on_trial : callable
        Called with the number of each trial that has ended.
    """

    def __init__(
        self,
        *,
        study: optuna.Study,
        space: SearchSpace,
        samplers: SamplerSequence,
        pruner: optuna.pruners.BasePruner,
        seed: int,
        on_trial: Callable[[int], None],
    ) -> None:
        self._study = study
        self._space = space
        self._samplers = samplers
        self._pruner = pruner
        self._seed = seed
        self._on_trial = on_trial
        self._flights: dict[int, Flight] = {}
        self._known: dict[str, tuple[int, Outcome | None]] = {}
        self._n_done = 0
        self._failures: list[str] = []

    def run(self, runner: TaskRunner, *, n_folds: int, budget: Budget) -> None:
        """Run trials until the budget is used up."""
        self._recover()
        window = 2 * runner.jobs
        limit = budget.timeout_seconds
        deadline = float("inf") if limit is None else time.monotonic() + limit
        with catch_interruption() as interruption:
            while True:
                while len(self._flights) < window and self._may_ask(budget, deadline):
                    self._ask(n_folds)
                if not self._flights:
                    return
                self._feed(runner)
                for (number, fold), result in runner.wait():
                    self._receive(number, fold, result, window)
                self._tell_in_order(budget, deadline, n_folds)
                if interruption.requested:
                    for number in self._flights:
                        put_back(self._study, number)
                    raise KeyboardInterrupt

    def _recover(self) -> None:
        """Count what is there; put back what killed processes have left behind."""
        is_blamed = False
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state == TrialState.RUNNING:
                # The oldest is blamed: the others have perhaps not even begun.
                most = None if is_blamed else MAX_KILLS
                is_blamed = True
                if not put_back(self._study, trial.number, most=most):
                    self._study.tell(trial.number, state=TrialState.FAIL)
                    self._on_trial(trial.number)
            elif trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
                self._n_done += 1
                outcome = Outcome(
                    state=trial.state,
                    value=trial.value if trial.state == TrialState.COMPLETE else None,
                    steps=trial.intermediate_values,
                    attributes=trial.user_attrs,
                )
                is_initial = trial.number == 0 and self._space.epochs is not None
                key = _key(trial.params, is_initial=is_initial)
                self._known.setdefault(key, (trial.number, outcome))

    def _may_ask(self, budget: Budget, deadline: float) -> bool:
        n_points = self._samplers.n_points
        n_trials = min(budget.n_trials, n_points or budget.n_trials)
        enough = self._n_done + len(self._flights) >= n_trials
        return not enough and time.monotonic() < deadline

    def _ask(self, n_folds: int) -> None:
        trials = self._study.get_trials(deepcopy=False)
        # Those that were put back keep their number and settings, and with them their seed:
        # the study goes on as if it had not been interrupted.
        waiting = [t.number for t in trials if t.state == TrialState.WAITING]
        number = waiting[0] if waiting else len(trials)
        is_initial = number == 0
        if is_initial and not waiting:
            self._study.enqueue_trial(self._space.initial_point())
        self._study.sampler = self._samplers.for_trial(number)
        trial = self._study.ask()
        params = self._space.suggest(trial)
        epochs = self._space.epochs
        if epochs is not None:
            # The initial settings are judged as they are, with their own epochs.
            params["n_epochs"] = (
                self._space.initial["n_epochs"] if is_initial else epochs.high
            )
        key = _key(trial.params, is_initial=is_initial and epochs is not None)
        flight = Flight(
            trial=trial,
            key=key,
            params={**self._space.initial, **params} if is_initial else params,
            seed=trial_seed(self._seed, number),
            n_folds=n_folds,
            patience=None if epochs is None or is_initial else epochs.patience,
        )
        self._flights[number] = flight
        if key in self._known:
            flight.twin = self._known[key][0]
        else:
            self._known[key] = (number, None)

    def _feed(self, runner: TaskRunner) -> None:
        """Keep the workers busy: first what is sure to be needed, oldest trial first."""
        for ahead in (False, True):
            for flight in self._flights.values():
                # One task waits in line, so that no worker waits for this process.
                while runner.n_pending < runner.jobs + (not ahead):
                    task = flight.next_task(ahead=ahead)
                    if task is None:
                        break
                    runner.submit((flight.number, task.fold), task)

    def _receive(self, number: int, fold: int, result: FoldResult, window: int) -> None:
        flight = self._flights.get(number)
        if flight is None or flight.outcome is not None:
            return
        flight.results[fold] = result
        while flight.take_step() is not None:
            if len(flight.steps) == flight.n_folds:
                flight.finish(pruned=False)
            elif self._is_dropped(flight, window):
                flight.finish(pruned=True)

    def _is_dropped(self, flight: Flight, window: int) -> bool:
        frozen = self._study.get_trials(deepcopy=False)[flight.number]
        seen = optuna.trial.FrozenTrial(
            number=frozen.number,
            state=frozen.state,
            value=None,
            datetime_start=frozen.datetime_start,
            datetime_complete=None,
            params=frozen.params,
            distributions=frozen.distributions,
            user_attrs=frozen.user_attrs,
            system_attrs=frozen.system_attrs,
            intermediate_values=dict(flight.steps),
            trial_id=frozen._trial_id,  # noqa: SLF001 - the constructor wants it
        )
        view = StudyAsOf(self._study, flight.number - window + 1)
        return self._pruner.prune(view.as_study(), seen)

    def _tell_in_order(self, budget: Budget, deadline: float, n_folds: int) -> None:
        while self._flights:
            flight = next(iter(self._flights.values()))
            if flight.twin is not None and flight.outcome is None:
                self._settle_twin(flight)
            if flight.outcome is None:
                return
            self._tell(flight, flight.outcome)
            if self._may_ask(budget, deadline):
                self._ask(n_folds)

    def _settle_twin(self, flight: Flight) -> None:
        # Told in order: the twin, which has a smaller number, is over, and did not fail.
        number, outcome = self._known[flight.key]
        assert outcome is not None
        flight.copy_outcome(number, outcome)

    def _bequeath(self, failed: Flight) -> None:
        """Let the next trial with the same settings find out in place of a failed one."""
        del self._known[failed.key]
        twins = [f for f in self._flights.values() if f.twin == failed.number]
        for heir in twins[:1]:
            heir.twin = None
            self._known[failed.key] = (heir.number, None)
        for other in twins[1:]:
            other.twin = twins[0].number

    def _tell(self, flight: Flight, outcome: Outcome) -> None:
        for name, value in outcome.attributes.items():
            flight.trial.set_user_attr(name, value)
        for step, value in outcome.steps.items():
            flight.trial.report(value, step)
        values = outcome.value if outcome.state == TrialState.COMPLETE else None
        self._study.tell(flight.trial, values, state=outcome.state)
        del self._flights[flight.number]
        if outcome.state == TrialState.FAIL:
            self._bequeath(flight)
            self._failures.append(str(outcome.attributes["error"]))
        else:
            if flight.twin is None:
                self._known[flight.key] = (flight.number, outcome)
            self._n_done += 1
            self._failures.clear()
        self._on_trial(flight.number)
        limit = MAX_FAILURES_IN_A_ROW if self._n_done else MAX_FAILURES_AT_FIRST
        if len(self._failures) >= limit:
            self._abandon("The study stopped: too many trials before it had failed.")
            reason = _reason(self._failures[-1])
            raise SearchFailedError(
                f"The study {self._study.study_name} stopped, because its last "
                f"{limit} trials have all failed. The last one: {reason}"
            )

    def _abandon(self, why: str) -> None:
        for flight in list(self._flights.values()):
            flight.trial.set_user_attr("error", why)
            self._study.tell(flight.trial, state=TrialState.FAIL)
            del self._flights[flight.number]
            self._on_trial(flight.number)


def _reason(failure: str) -> str:
    """Take the error out of a traceback, and where it was raised."""
    lines = failure.strip().splitlines()
    places = [line.strip() for line in lines if line.startswith('  File "')]
    return f"{lines[-1]} ({places[-1]})" if places else lines[-1]


def _key(params: Mapping[str, Any], *, is_initial: bool) -> str:
    return json.dumps([is_initial, params], sort_keys=True)
