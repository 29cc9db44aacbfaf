"""Samplers by name, with every argument set and recorded: Optuna 5 changed defaults."""

import math
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning

from harness.errors import MissingExtraError, SpaceError, UnknownNameError
from harness.search.distributions import Value
from harness.search.space import SearchSpace

__all__ = ["SAMPLERS", "SamplerSequence", "trial_seed"]


Arguments = dict[str, Any]
Build = Callable[[int, Arguments, SearchSpace], optuna.samplers.BaseSampler]


def trial_seed(study_seed: int, number: int) -> int:
    """Derive the seed of a trial."""
    state = np.random.SeedSequence((study_seed, number)).generate_state(1)
    return int(state[0] >> 1)


def _tpe(
    seed: int, arguments: Arguments, space: SearchSpace
) -> optuna.samplers.BaseSampler:
    del space
    return optuna.samplers.TPESampler(seed=seed, **arguments)


def _random(
    seed: int, arguments: Arguments, space: SearchSpace
) -> optuna.samplers.BaseSampler:
    del space
    return optuna.samplers.RandomSampler(seed=seed, **arguments)


def _cmaes(
    seed: int, arguments: Arguments, space: SearchSpace
) -> optuna.samplers.BaseSampler:
    del space
    try:
        import cmaes  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "The sampler 'cmaes' needs the library cmaes: "
            "install it with pip install 'recommender-harness[cmaes]'."
        ) from error
    return optuna.samplers.CmaEsSampler(seed=seed, **arguments)


def _qmc(
    seed: int, arguments: Arguments, space: SearchSpace
) -> optuna.samplers.BaseSampler:
    del space
    return optuna.samplers.QMCSampler(seed=seed, **arguments)


def _grid(
    seed: int, arguments: Arguments, space: SearchSpace
) -> optuna.samplers.BaseSampler:
    return _Grid(_grid_of(space), seed=seed, **arguments)


def _grid_of(space: SearchSpace) -> dict[str, list[Value]]:
    grid = {}
    for name, distribution in space.searched.items():
        values = distribution.grid()
        if values is None:
            raise SpaceError(
                f"{space.source}: {name}: the sampler 'grid' needs a step "
                "for every float: add one, or make it categorical."
            )
        grid[name] = values
    return grid


class _Grid(optuna.samplers.GridSampler):
    def after_trial(self, *arguments: Any) -> None:
        """Do not stop the study: it has no loop of Optuna's that could be stopped."""


SAMPLERS: Mapping[str, tuple[Build, Arguments]] = MappingProxyType(
    {
        "tpe": (
            _tpe,
            {
                "n_startup_trials": 10,
                "n_ei_candidates": 24,
                # Optuna 5 samples jointly by default. With a hundred trials that gets
                # stuck: over three seeds of the benchmark's space on ml-100k it ended at
                # 0.914, 0.909 and 0.909, parameter by parameter at 0.910, 0.909, 0.909.
                "multivariate": False,
                "group": False,
                "constant_liar": True,
            },
        ),
        "random": (_random, {}),
        "cmaes": (
            _cmaes,
            {
                "n_startup_trials": 1,
                "warn_independent_sampling": False,
                "consider_pruned_trials": True,
                "with_margin": False,
                "lr_adapt": False,
            },
        ),
        "qmc": (
            _qmc,
            {
                "qmc_type": "sobol",
                "scramble": True,
                "warn_independent_sampling": False,
                "warn_asynchronous_seeding": False,
            },
        ),
        "grid": (_grid, {}),
    }
)
"""Name to constructor and its arguments."""

_SEEDED_PER_STUDY = {"qmc", "grid"}


class SamplerSequence:
    """A sampler for each trial, seeded by the study's seed and the trial's number.

    A study that is killed and continued then draws what it would have drawn.

    Parameters
    ----------
    name : str
        One of `SAMPLERS`.
    seed : int
        Seed of the study.
    space : SearchSpace
        What is sampled.

    Raises
    ------
    UnknownNameError
        If there is no such sampler.
    SpaceError
        If the sampler cannot sample the space.
    MissingExtraError
        If it needs a library that is not installed.
    """

    def __init__(self, name: str, *, seed: int, space: SearchSpace) -> None:
        if name not in SAMPLERS:
            raise UnknownNameError("sampler", name, SAMPLERS)
        self._name = name
        self._seed = seed
        self._space = space
        self._first = self._build(seed)

    def _build(self, seed: int) -> optuna.samplers.BaseSampler:
        build, arguments = SAMPLERS[self._name]
        with warnings.catch_warnings():
            # Chosen on purpose, and the version is pinned by what the record says.
            warnings.simplefilter("ignore", ExperimentalWarning)
            return build(seed, arguments, self._space)

    @property
    def n_points(self) -> int | None:
        """Number of different trials there are, where there is an end of them."""
        if not self._space.searched:
            # Nothing is drawn; but epochs may be found besides the initial ones.
            return 1 if self._space.epochs is None else 2
        if self._name != "grid":
            return None
        # The initial settings come on top of the grid.
        return 1 + math.prod(len(values) for values in _grid_of(self._space).values())

    def describe(self) -> dict[str, Any]:
        """Name every argument."""
        return {"name": self._name, **SAMPLERS[self._name][1]}

    def for_trial(self, number: int) -> optuna.samplers.BaseSampler:
        """Make the sampler of a trial."""
        if self._name in _SEEDED_PER_STUDY:
            return self._first
        return self._build(trial_seed(self._seed, number))
