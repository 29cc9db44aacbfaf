"""A trial under way: which folds are known, what they amount to, and what is next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna

from harness.evaluation.metrics import OBJECTIVE
from harness.search.fold_task import FoldResult, FoldTask, best_position_in

__all__ = ["Flight", "Outcome"]


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
        """Take the next fold to evaluate.

        Parameters
        ----------
        ahead : bool
            Whether to take a fold before the verdict on the one before it is known.

        Returns
        -------
        FoldTask or None
            None if there is nothing to do now.
        """
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
        """Add the next fold in order to the steps, if its result is there.

        Returns
        -------
        float or None
            The fold's objective, at the epoch that is best over the folds so far.
        """
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
        """End the trial with the folds it has.

        Parameters
        ----------
        pruned : bool
            Whether it was dropped.
        """
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
        """End the trial as failed.

        Parameters
        ----------
        error : str
            Traceback or reason.
        """
        self.outcome = Outcome(
            state=optuna.trial.TrialState.FAIL,
            value=None,
            steps=dict(self.steps),
            attributes={"params": self.params, "seed": self.seed, "error": error},
        )

    def copy_outcome(self, number: int, outcome: Outcome) -> None:
        """Take over the outcome of a trial with equal parameters.

        Parameters
        ----------
        number : int
            Number of that trial.
        outcome : Outcome
            How it ended.
        """
        self.steps = dict(outcome.steps)
        self.outcome = Outcome(
            state=outcome.state,
            value=outcome.value,
            steps=outcome.steps,
            attributes={**outcome.attributes, "duplicate_of": number},
        )
