"""The trial engine: one owner asks, hands out folds, and tells.

The trials are fixed by the seed and the window alone, not by how many workers there are or
which of them happens to be faster. Trial ``n`` is asked for right after trial
``n - window`` was told, and its sampler sees no more than that, see `History`. Trials are
judged and told in the order of their numbers: the pruner of trial ``n`` sees all before it,
as in a search that runs one trial after the other.
"""

import json
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from harness.errors import SearchFailedError
from harness.evaluation.metrics import OBJECTIVE, Metric
from harness.evaluation.requirements import Requirement, over_folds, told_value
from harness.plain import Params, ParamValue
from harness.search.executors import TaskRunner
from harness.search.fidelity import Evaluation
from harness.search.folds import FoldResult, FoldTask, best_position_in
from harness.search.history import Drawn, History, Outcome
from harness.search.records import Patience, Stagnation
from harness.search.samplers import SamplerSequence, trial_seed
from harness.search.space import SearchSpace
from harness.search.trials import TrialStore

__all__ = ["Budget", "Engine", "SearchPlan", "Stopped"]


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """What fixes the trials, besides space, sampler and pruner.

    `metric` is the first objective, by which epochs are found and folds are told;
    `more_metrics` are the others. `given` are settings of all trials of this session which
    earlier ones may have had otherwise: the members of a blend.
    """

    seed: int
    evaluations: tuple[Evaluation, ...]
    window: int
    metric: Metric = OBJECTIVE
    more_metrics: tuple[Metric, ...] = ()
    require: tuple[Requirement, ...] = ()
    given: Params = field(default_factory=dict)

    @property
    def has_samples(self) -> bool:
        """Whether trials are scored on samples before everything."""
        return self.evaluations[0].sample is not None

    @property
    def also(self) -> tuple[Metric, ...]:
        """What is measured besides the metric."""
        required = (requirement.metric for requirement in self.require)
        also = {metric.name: metric for metric in (*self.more_metrics, *required)}
        also.pop(self.metric.name, None)
        return tuple(also.values())

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """All that the search improves."""
        return (self.metric, *self.more_metrics)


@dataclass(kw_only=True, eq=False)
class RunningTrial:
    """A trial under way.

    `key` is equal for trials with equal parameters; `twin` is the number of an earlier
    trial with this key, whose outcome is awaited. `patience` is set where the number of
    epochs is found on the way. The trial is scored on the `evaluations` of the plan, one
    after the other, and each is a step.
    """

    number: int
    drawn: Drawn
    key: str
    params: dict[str, ParamValue]
    seed: int
    plan: SearchPlan
    patience: int | None
    twin: int | None = None

    results: dict[int, FoldResult] = field(default_factory=dict, init=False)
    submitted: int = field(default=0, init=False)
    steps: dict[int, float] = field(default_factory=dict, init=False)
    outcome: Outcome | None = field(default=None, init=False)

    def may_go_on(self, *, ahead: bool) -> bool:
        """Tell whether there is a next step that does not wait for a verdict."""
        step = self.submitted
        has_next = step < len(self.plan.evaluations) and self.awaits(step)
        may_begin = self.twin is None and (ahead or step == len(self.steps))
        return self.outcome is None and has_next and may_begin

    def awaits(self, step: int) -> bool:
        """Tell whether the result of a step may be needed: none after one that failed."""
        return all(
            result.error is None or step < failed
            for failed, result in self.results.items()
        )

    @property
    def next_share(self) -> float:
        """Share of the ratings that the next step takes."""
        return self.plan.evaluations[self.submitted].share

    @property
    def awaits_results(self) -> bool:
        """Whether a step is being carried out."""
        return self.submitted > len(self.results)

    def next_task(self) -> tuple[int, FoldTask]:
        """Take the next step, with its number."""
        step, evaluation = self.submitted, self.plan.evaluations[self.submitted]
        self.submitted += 1
        return step, FoldTask(
            params=self.params,
            seed=self.seed,
            fold=evaluation.fold,
            patience=self.patience,
            metric=self.plan.metric,
            # Models of a sample are smaller, and faster, than those to be accepted.
            also=self.plan.also if evaluation.sample is None else (),
            sample=evaluation.sample,
        )

    def take_step(self) -> float | None:
        """Add the next step in order, if its result is there."""
        step = len(self.steps)
        if self.outcome is not None or step not in self.results:
            return None
        if self.results[step].error is not None:
            self.fail(self.results[step].error or "")
            return None
        value = self._value(step)
        if not np.isfinite(value):
            fold = self.plan.evaluations[step].fold
            self.fail(f"The objective of fold {fold} is {value}, not a finite number.")
            return None
        self.steps[step] = value
        return value

    def _value(self, step: int) -> float:
        curve = self.results[step].metrics[self.plan.metric.name]
        return float(curve[self._best_position(step)])

    def expected_steps(self) -> dict[int, float]:
        """Give the first steps as they will be, as far as results are there."""
        found: dict[int, float] = {}
        while (result := self.results.get(len(found))) and result.error is None:
            found[len(found)] = self._value(len(found))
        return found

    def _best_position(self, step: int) -> int:
        return best_position_in(self._results_with(step), self.plan.metric)

    def _results_with(self, step: int) -> list[FoldResult]:
        """Collect the results up to a step that are of the same sample."""
        sample = self.plan.evaluations[step].sample
        return [
            self.results[k]
            for k in range(step + 1)
            if self.plan.evaluations[k].sample == sample
        ]

    def finish(self, *, pruned: bool) -> None:
        """End the trial with the steps it has: the last of them, and those like it."""
        last = len(self.steps) - 1
        position, results = self._best_position(last), self._results_with(last)
        at_best = [
            {name: float(curve[position]) for name, curve in result.metrics.items()}
            for result in results
        ]
        means = {
            name: over_folds(name, [scores[name] for scores in at_best])
            for name in at_best[0]
        }
        on_everything = self.plan.evaluations[last].sample is None
        require = self.plan.require if on_everything else ()
        found = {str(each): means[each.metric.name] for each in require}
        values = {each.name: means.get(each.name) for each in self.plan.objectives}
        asked = found if pruned else {**found, **values}
        unknown = [
            n for n, value in asked.items() if value is None or not np.isfinite(value)
        ]
        if unknown:
            self.fail(f"What is asked for by {unknown[0]!r} is not a finite number.")
            return
        self.outcome = Outcome(
            state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
            values=()
            if pruned
            else tuple(told_value(name, means[name]) for name in values),
            steps=dict(self.steps),
            attributes={
                "params": self._settings(results[0], position),
                "seed": self.seed,
                "fold_values": [scores[self.plan.metric.name] for scores in at_best]
                if on_everything
                else [],
                "metrics": means,
                **self._rung(last),
            },
            violations={
                str(each): each.violation(found[str(each)]) for each in require
            },
        )

    def _settings(self, result: FoldResult, position: int) -> dict[str, ParamValue]:
        """Add what was found on the way."""
        found = {} if self.patience is None else {"n_epochs": result.epochs[position]}
        return {**self.params, **result.found, **found}

    def _rung(self, step: int) -> dict[str, float | list[float]]:
        """Say how far the trial came, where there are samples."""
        samples = sum(each.sample is not None for each in self.plan.evaluations)
        if not samples:
            return {}
        on_samples = [value for k, value in self.steps.items() if k < samples]
        return {"rung": self.plan.evaluations[step].share, "sample_values": on_samples}

    def fail(self, error: str) -> None:
        """End the trial as failed."""
        self.outcome = Outcome(
            state=TrialState.FAIL,
            steps=dict(self.steps),
            attributes={
                "params": self.params,
                "seed": self.seed,
                "error": error,
                **self._rung(min(len(self.steps), len(self.plan.evaluations) - 1)),
            },
        )

    def frozen(self, steps: Mapping[int, float] | None = None) -> FrozenTrial:
        """Build what a pruner judges."""
        return FrozenTrial(
            number=self.number,
            trial_id=self.number,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=None,
            datetime_complete=None,
            params=dict(self.drawn.params),
            distributions=dict(self.drawn.distributions),
            user_attrs={},
            system_attrs={},
            intermediate_values=dict(self.steps if steps is None else steps),
        )

    def copy_outcome(self, number: int, outcome: Outcome) -> None:
        """Take over the outcome of a trial with equal parameters."""
        self.steps = dict(outcome.steps)
        self.outcome = Outcome(
            state=outcome.state,
            values=outcome.values,
            steps=outcome.steps,
            attributes={**outcome.attributes, "duplicate_of": number},
            violations=outcome.violations,
        )


class Stopped(KeyboardInterrupt):
    """A signal has stopped the search: Ctrl-C, a closed terminal, or `kill`."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.signal = number


class Interruption:
    """Which signal has asked this process to stop, if any.

    The second time, the signal does what it did before.
    """

    def __init__(self) -> None:
        self.signal: int | None = None


@contextmanager
def catch_interruption() -> Iterator[Interruption]:
    """Note the first signal that stops, instead of stopping wherever it falls."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # Whoever starts with `nohup` ignores a closed terminal.
    before = {
        number: handler
        for number in numbers
        if (handler := signal.getsignal(number)) is not signal.SIG_IGN
    }

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _frame: FrameType | None) -> None:
        interruption.signal = number
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield interruption
    finally:
        restore()


MAX_FAILURES_AT_FIRST = 10
# Later the sampler may return again and again to a corner that fails; but not for ever.
MAX_FAILURES_IN_A_ROW = 50
# Settings that eat all memory would have the process killed whenever it is started.
MAX_KILLS = 5

_SEEMS_TO_GO_ON, _UNKNOWN, _SEEMS_OVER = range(3)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When a search ends.

    `n_trials` counts complete and pruned trials, those of earlier sessions included; no
    trial starts after `timeout_seconds`, or when `patience` has run out.
    """

    n_trials: int
    timeout_seconds: float | None = None
    patience: Patience | None = None


class Engine:
    """Runs the trials of one study; `on_trial` hears of each that has ended."""

    def __init__(
        self,
        *,
        study: optuna.Study,
        space: SearchSpace,
        samplers: SamplerSequence,
        pruner: optuna.pruners.BasePruner,
        plan: SearchPlan,
        on_trial: Callable[[FrozenTrial], None],
    ) -> None:
        self._name = study.study_name
        self._store = TrialStore(study, space)
        self._history = History(
            directions=study.directions,
            space=space,
            samplers=samplers,
            window=plan.window,
        )
        self._space = space
        self._n_points = samplers.n_points
        self._pruner = pruner
        self._plan = plan
        self._on_trial = on_trial
        self._running: dict[int, RunningTrial] = {}
        self._waiting: deque[tuple[int, Drawn]] = deque()
        self._next_number = 0
        self._known: dict[str, tuple[int, Outcome | None]] = {}
        self._n_done = 0
        self._failures: list[str] = []
        self._ended: list[int] = []
        self._stagnation: Stagnation | None = None

    def run(self, runner: TaskRunner, *, budget: Budget) -> None:
        """Run trials until the budget is used up, or there is nothing left to try."""
        if budget.patience is not None:
            self._stagnation = Stagnation(budget.patience, self._plan.metric)
        limit = budget.timeout_seconds
        deadline = float("inf") if limit is None else time.monotonic() + limit
        try:
            with self._store.one_write():
                self._recover()
            with catch_interruption() as interruption:
                while self._turn(runner, budget, deadline):
                    if interruption.signal is not None:
                        self._put_back()
                        raise Stopped(interruption.signal)
        finally:
            self._report()

    def _turn(self, runner: TaskRunner, budget: Budget, deadline: float) -> bool:
        # All that is told and asked in one turn is one durable write.
        with self._store.one_write():
            self._tell_in_order()
            while len(self._running) < self._plan.window and self._may_ask(
                budget, deadline
            ):
                self._ask()
        self._report()
        if not self._running:
            return False
        try:
            runner.drop(lambda key: self._is_awaited(*key))
            self._feed(runner)
            results = runner.wait()
        except Exception:
            # Nobody carries tasks out any more: a scheduler is gone, or a worker is of
            # another version. What a trial does is in its result, so none is to blame.
            self._put_back()
            raise
        for (number, step), result in results:
            self._receive(number, step, result)
        return True

    def _put_back(self) -> None:
        """Let the trials under way run again when the same command goes on."""
        with self._store.one_write():
            for number in self._running:
                self._store.put_back(number)

    def _report(self) -> None:
        """Say which trials have ended, once it is written."""
        while self._ended:
            self._on_trial(self._store.read(self._ended.pop(0)))

    def _recover(self) -> None:
        """Go through what is there; put back what killed processes have left behind."""
        is_blamed = False
        for trial in self._store.read_all():
            number, state = trial.number, trial.state
            drawn = self._remember(trial)
            self._next_number = number + 1
            if state.is_finished():
                self._count(trial, drawn)
                continue
            if state == TrialState.RUNNING:
                # The oldest is blamed: the others have perhaps not even begun.
                most = None if is_blamed else MAX_KILLS
                is_blamed = True
                if not self._store.put_back(number, most_kills=most):
                    outcome = Outcome(state=TrialState.FAIL)
                    self._store.end(number, outcome)
                    self._history.tell(number, outcome)
                    self._ended.append(number)
                    continue
            self._waiting.append((number, drawn))

    def _remember(self, trial: FrozenTrial) -> Drawn:
        drawn = self._store.drawn(trial)
        if drawn is None:
            # Enqueued by its owner, with some of its settings or none.
            fixed = trial.system_attrs.get("fixed_params", {})
            return self._draw(trial.number, fixed)
        self._history.replay(trial.number, drawn)
        return drawn

    def _count(self, trial: FrozenTrial, drawn: Drawn) -> None:
        is_complete = trial.state == TrialState.COMPLETE
        outcome = Outcome(
            state=trial.state,
            values=tuple(trial.values) if is_complete else (),
            steps=trial.intermediate_values,
            attributes=trial.user_attrs,
            violations=trial.constraints,
        )
        self._history.tell(trial.number, outcome)
        if trial.state == TrialState.FAIL:
            # Not counted as one in a row: whoever starts again has perhaps fixed it.
            return
        self._count_done(trial.number, outcome)
        params = trial.user_attrs.get("params", {})
        given = {name: params.get(name) for name in self._plan.given}
        key = self._key(trial.number, drawn, given)
        self._known.setdefault(key, (trial.number, outcome))

    def _count_done(self, number: int, outcome: Outcome) -> None:
        self._n_done += 1
        if self._stagnation is not None:
            self._stagnation.add(number, outcome.accepted_value)

    @property
    def _has_stagnated(self) -> bool:
        """Whether patience has run out, by what the next trial may know: see `History`."""
        if self._waiting or self._stagnation is None:
            return False
        return self._stagnation.is_seen_by(self._next_number, window=self._plan.window)

    def _may_ask(self, budget: Budget, deadline: float) -> bool:
        if self._is_exhausted or self._has_stagnated or time.monotonic() >= deadline:
            return False
        return self._n_done + len(self._running) < budget.n_trials

    @property
    def _is_exhausted(self) -> bool:
        if self._waiting or self._n_points is None:
            return False
        return self._next_number >= self._n_points

    def _draw(self, number: int, fixed: Params) -> Drawn:
        if number == 0:
            fixed = fixed or self._space.initial_point()
        elif number <= len(self._space.enqueue):
            fixed = fixed or self._space.enqueue[number - 1]
        return self._history.ask(number, fixed=fixed)

    def _ask(self) -> None:
        if self._waiting:
            # It keeps its number and settings, and with them its seed.
            number, drawn = self._waiting.popleft()
            params = self._params(number, drawn)
            self._store.resume(number, drawn, params)
        else:
            number = self._next_number
            self._next_number += 1
            drawn = self._draw(number, {})
            params = self._params(number, drawn)
            self._store.start(number, drawn, params)
        epochs = self._space.epochs
        key = self._key(number, drawn, self._plan.given)
        trial = RunningTrial(
            number=number,
            drawn=drawn,
            key=key,
            params={**params, **self._plan.given},
            seed=trial_seed(self._plan.seed, number),
            plan=self._plan,
            patience=None if epochs is None or number == 0 else epochs.patience,
        )
        self._running[number] = trial
        if key in self._known:
            trial.twin = self._known[key][0]
        else:
            self._known[key] = (number, None)

    def _params(self, number: int, drawn: Drawn) -> dict[str, ParamValue]:
        params = self._space.complete(drawn.params)
        if number == 0:
            # The initial settings are judged as they are, with their own epochs.
            return {**self._space.initial, **params}
        if self._space.epochs is not None:
            params["n_epochs"] = self._space.epochs.high
        return params

    def _key(self, number: int, drawn: Drawn, given: Params) -> str:
        has_own_epochs = number == 0 and self._space.epochs is not None
        return json.dumps([has_own_epochs, drawn.params, dict(given)], sort_keys=True)

    def _feed(self, runner: TaskRunner) -> None:
        """Keep the workers busy: first what is sure to be needed, oldest trial first.

        Where that leaves workers without work, they take folds ahead of the verdict on
        those before, not more trials, of which the sampler would know less.
        """
        # One task waits in line, so that no worker waits for this process.
        while runner.has_room(in_line=True):
            trial = next(self._to_evaluate(ahead=False), None)
            if trial is None:
                break
            self._submit(runner, trial)
        if runner.has_room(in_line=False):
            self._feed_ahead(runner)

    def _feed_ahead(self, runner: TaskRunner) -> None:
        # A guess costs as much as a verdict: one for each trial.
        doubts = {t.number: self._doubt(t) for t in self._to_evaluate(ahead=True)}
        while runner.has_room(in_line=False):
            known = [
                (doubts[trial.number], trial.next_share, trial.number)
                for trial in self._to_evaluate(ahead=True)
                # The next rung is four times the work of this one: only where it is due.
                if not self._plan.has_samples
                or (
                    doubts[trial.number] == _SEEMS_TO_GO_ON and not trial.awaits_results
                )
            ]
            if not known:
                return
            *_, number = min(known)
            self._submit(runner, self._running[number])

    def _to_evaluate(self, *, ahead: bool) -> Iterator[RunningTrial]:
        return (t for t in self._running.values() if t.may_go_on(ahead=ahead))

    @staticmethod
    def _submit(runner: TaskRunner, trial: RunningTrial) -> None:
        step, task = trial.next_task()
        runner.submit((trial.number, step), task)

    def _doubt(self, trial: RunningTrial) -> int:
        """Guess the verdict by all that has ended: the less the doubt, the sooner it is fed."""
        known = [*trial.expected_steps().items()]
        study = self._history.ended.as_study()
        seems_over = any(
            self._pruner.prune(study, trial.frozen(dict(known[: k + 1])))
            for k in range(len(known))
        )
        if seems_over:
            return _SEEMS_OVER
        return _SEEMS_TO_GO_ON if known else _UNKNOWN

    def _is_awaited(self, number: int, step: int) -> bool:
        return number in self._running and self._running[number].awaits(step)

    def _receive(self, number: int, step: int, result: FoldResult) -> None:
        if number in self._running:
            self._running[number].results[step] = result

    def _tell_in_order(self) -> None:
        while self._running:
            trial = next(iter(self._running.values()))
            self._judge(trial)
            if trial.outcome is None:
                return
            self._tell(trial, trial.outcome)

    def _judge(self, trial: RunningTrial) -> None:
        """Take what is known of the oldest trial: all before it are over."""
        if trial.twin is not None:
            number, outcome = self._known[trial.key]
            assert outcome is not None
            trial.copy_outcome(number, outcome)
        while trial.take_step() is not None:
            if len(trial.steps) == len(self._plan.evaluations):
                trial.finish(pruned=False)
            elif self._is_dropped(trial):
                trial.finish(pruned=True)

    def _is_dropped(self, trial: RunningTrial) -> bool:
        return self._pruner.prune(self._history.ended.as_study(), trial.frozen())

    def _pass_on(self, failed: RunningTrial) -> None:
        """Let the next trial with the same settings find out in place of a failed one."""
        del self._known[failed.key]
        twins = [t for t in self._running.values() if t.twin == failed.number]
        for heir in twins[:1]:
            heir.twin = None
            self._known[failed.key] = (heir.number, None)
        for other in twins[1:]:
            other.twin = twins[0].number

    def _tell(self, trial: RunningTrial, outcome: Outcome) -> None:
        self._store.end(trial.number, outcome)
        self._history.tell(trial.number, outcome)
        self._ended.append(trial.number)
        del self._running[trial.number]
        if outcome.state != TrialState.FAIL:
            if trial.twin is None:
                self._known[trial.key] = (trial.number, outcome)
            self._count_done(trial.number, outcome)
            self._failures.clear()
            return
        self._pass_on(trial)
        self._failures.append(str(outcome.attributes["error"]))
        self._stop_if_hopeless()

    def _stop_if_hopeless(self) -> None:
        n_failures = len(self._failures)
        limit = MAX_FAILURES_IN_A_ROW if self._n_done else MAX_FAILURES_AT_FIRST
        nothing_left = not self._n_done and not self._running and self._is_exhausted
        if n_failures < limit and not nothing_left:
            return
        why = "The study stopped: too many trials before it had failed."
        for trial in list(self._running.values()):
            trial.fail(why)
            assert trial.outcome is not None
            self._store.end(trial.number, trial.outcome)
            self._ended.append(trial.number)
            del self._running[trial.number]
        reason = _reason(self._failures[-1])
        raise SearchFailedError(
            f"The study {self._name} stopped, because its last {n_failures} trials have "
            f"all failed. The last one: {reason}"
        )


def _reason(failure: str) -> str:
    """Take the error out of a traceback, and the family's line that has raised it."""
    lines = failure.strip().splitlines()
    places = [line.strip() for line in lines if line.startswith('  File "')]
    if not places:
        return lines[-1]
    # A family calls libraries, whose lines say little to who has written it.
    files = [place.split('"')[1] for place in places]
    ours = str(Path(__file__).parents[1])
    family = next((file for file in files if not file.startswith(ours)), files[-1])
    [*at] = (p for p, file in zip(places, files, strict=True) if file == family)
    return f"{lines[-1]} ({at[-1]})"
