"""Pruners by name, and the view of a study that makes their verdicts repeatable."""

import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from harness.errors import UnknownNameError
from harness.search.race import RacePruner

__all__ = ["PRUNERS", "StudyAsOf", "describe_pruner", "make_pruner"]

PRUNERS: Mapping[str, tuple[type[optuna.pruners.BasePruner], dict[str, Any]]] = (
    MappingProxyType(
        {
            "race": (RacePruner, {"z": 0.5}),
            "wilcoxon": (
                optuna.pruners.WilcoxonPruner,
                {"p_threshold": 0.1, "n_startup_steps": 2},
            ),
            "median": (
                optuna.pruners.MedianPruner,
                {
                    "n_startup_trials": 5,
                    "n_warmup_steps": 0,
                    "interval_steps": 1,
                    "n_min_trials": 1,
                },
            ),
            "none": (optuna.pruners.NopPruner, {}),
        }
    )
)
"""Name to class and arguments."""


def make_pruner(name: str) -> optuna.pruners.BasePruner:
    """Make a pruner.

    Parameters
    ----------
    name : str
        One of `PRUNERS`.

    Returns
    -------
    optuna.pruners.BasePruner
        With the recorded arguments.

    Raises
    ------
    UnknownNameError
        If there is no such pruner.
    """
    if name not in PRUNERS:
        raise UnknownNameError("pruner", name, PRUNERS)
    pruner, arguments = PRUNERS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return pruner(**arguments)


def describe_pruner(name: str) -> dict[str, Any]:
    """Name every argument of a pruner.

    Parameters
    ----------
    name : str
        One of `PRUNERS`.

    Returns
    -------
    dict
        ``name``, and the arguments of the constructor.
    """
    return {"name": name, **PRUNERS[name][1]}


class StudyAsOf:
    """A study as it was when a trial was asked for.

    Which trials end while another one runs is a matter of luck; a pruner that looked at
    them would not give the same verdict twice.

    Parameters
    ----------
    study : optuna.Study
        The study as it is now.
    end : int
        Only trials with a smaller number are shown.
    """

    def __init__(self, study: optuna.Study, end: int) -> None:
        self._study = study
        self._end = end

    def as_study(self) -> optuna.Study:
        """Pass for a study: it has what pruners read."""
        return cast("optuna.Study", self)

    @property
    def direction(self) -> optuna.study.StudyDirection:
        """Direction of the study."""
        return self._study.direction

    def get_trials(
        self,
        deepcopy: bool = True,  # noqa: FBT001, FBT002 - Optuna's signature
        states: tuple[TrialState, ...] | None = None,
    ) -> list[FrozenTrial]:
        """List the trials shown."""
        trials = self._study.get_trials(deepcopy=deepcopy, states=states)
        return [trial for trial in trials if trial.number < self._end]

    @property
    def best_trial(self) -> FrozenTrial:
        """Best of the trials shown; ValueError if none is complete."""
        complete = self.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        maximize = self.direction == optuna.study.StudyDirection.MAXIMIZE
        choose = max if maximize else min
        return choose(complete, key=lambda trial: cast("float", trial.value))
