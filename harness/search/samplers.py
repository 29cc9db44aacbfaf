"""Samplers by name, with every argument set and recorded: Optuna 5 changed defaults."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator
from optuna.samplers._tpe.probability_distributions import (
    _BatchedCategoricalDistributions,
)
from optuna.samplers._tpe.sampler import _split_trials, default_gamma
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState
from scipy.special import log_ndtr

from harness.errors import MissingExtraError, SpaceError, UnknownNameError
from harness.evaluation.metrics import Metric
from harness.plain import Params, ParamValue
from harness.search.distributions import Value
from harness.search.space import SearchSpace

__all__ = [
    "SAMPLERS",
    "SamplerSequence",
    "draw_settings",
    "require_sampler",
    "trial_seed",
]


Arguments = dict[str, Any]


@dataclass(frozen=True)
class _Seeds:
    """Of the study, for a sequence that all its trials share, and of the one trial."""

    study: int
    trial: int


Build = Callable[[_Seeds, Arguments, SearchSpace], optuna.samplers.BaseSampler]


def trial_seed(study_seed: int, number: int) -> int:
    """Derive the seed of a trial."""
    state = np.random.SeedSequence((study_seed, number)).generate_state(1)
    return int(state[0] >> 1)


def _tpe(
    seeds: _Seeds, arguments: Arguments, space: SearchSpace
) -> optuna.samplers.BaseSampler:
    del space
    return _TPE(seed=seeds.trial, **arguments)


class _Parzen(_ParzenEstimator):
    """Optuna's density of one parameter, evaluated in compiled code.

    Optuna calls a Python function for each sample and component of a density over
    integers, which was two thirds of what a trial costs its owner.
    """

    def log_pdf(
        self, samples_dict: dict[str, npt.NDArray[Any]]
    ) -> npt.NDArray[np.float64]:
        """Evaluate the density at samples."""
        [one] = self._mixture_distribution.distributions
        if isinstance(one, _BatchedCategoricalDistributions):
            return super().log_pdf(samples_dict)
        [samples] = samples_dict.values()
        x, scale = samples[:, None], np.log if one.is_log else np.positive
        if one.step:
            left, right = scale(x - one.step / 2), scale(x + one.step / 2)
            parts = _log_mass((left - one.mu) / one.sigma, (right - one.mu) / one.sigma)
        else:
            parts = _log_density(scale(x), one.mu, one.sigma)
        low, high = one.adapted_low, one.adapted_high
        whole = _log_mass((low - one.mu) / one.sigma, (high - one.mu) / one.sigma)
        weights = np.log(self._mixture_distribution.weights)
        joined = weights + parts - whole
        return np.asarray(np.logaddexp.reduce(joined, axis=1), dtype=np.float64)


def _log_density(x: Any, mean: Any, deviation: Any) -> Any:
    z = (x - mean) / deviation
    return -0.5 * z * z - np.log(deviation) - 0.5 * math.log(2 * math.pi)


def _log_mass(low: Any, high: Any) -> Any:
    """Log of the mass of a standard normal distribution between two bounds."""
    # Both are nearly 1 in the right tail: the mass is that of its mirror image.
    is_right = low > 0
    low, high = np.where(is_right, -high, low), np.where(is_right, -low, high)
    below, up_to = log_ndtr(low), log_ndtr(high)
    return up_to + np.log1p(-np.exp(below - up_to))


class _TPE(optuna.samplers.TPESampler):
    """Divides the trials into good and bad ones once, for all parameters of a trial."""

    def __init__(self, *, n_good: int | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._parzen_estimator_cls = _Parzen
        self._n_good = n_good
        self._parts: tuple[list[FrozenTrial], list[FrozenTrial]] | None = None

    def _sample(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        if self._parts is None:
            self._parts = self._divide(study, trial)
        # The rest is Optuna's.
        good, bad = (
            self._build_parzen_estimator(
                study, search_space, part, handle_below=is_good
            )
            for part, is_good in zip(self._parts, (True, False), strict=True)
        )
        samples = good.sample(self._rng.rng, self._n_ei_candidates)
        found = self._compare(
            samples, self._compute_acquisition_func(samples, good, bad)
        )
        return {
            name: distribution.to_external_repr(found[name])
            for name, distribution in search_space.items()
        }

    def _divide(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        trials = study.get_trials(deepcopy=False, states=states)
        trials = [other for other in trials if other.number != trial.number]
        n_ended = sum(other.state != TrialState.RUNNING for other in trials)
        n_good = default_gamma(n_ended) if self._n_good is None else self._n_good
        good, bad = _split_trials(study, trials, n_good)
        return good, bad


def _random(
    seeds: _Seeds, arguments: Arguments, space: SearchSpace
) -> optuna.samplers.BaseSampler:
    del space
    return optuna.samplers.RandomSampler(seed=seeds.trial, **arguments)


def _cmaes(
    seeds: _Seeds, arguments: Arguments, space: SearchSpace
) -> optuna.samplers.BaseSampler:
    del space
    try:
        import cmaes  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "The sampler 'cmaes' needs the library cmaes: "
            "install it with pip install 'recommender-harness[cmaes]'."
        ) from error
    return optuna.samplers.CmaEsSampler(seed=seeds.trial, **arguments)


def _nsgaii(
    seeds: _Seeds, arguments: Arguments, space: SearchSpace
) -> optuna.samplers.BaseSampler:
    del space
    return optuna.samplers.NSGAIISampler(seed=seeds.trial, **arguments)


def _gp(
    seeds: _Seeds, arguments: Arguments, space: SearchSpace
) -> optuna.samplers.BaseSampler:
    del space
    _require_torch("gp")
    return optuna.samplers.GPSampler(
        seed=seeds.trial,
        independent_sampler=optuna.samplers.RandomSampler(seed=seeds.trial),
        **arguments,
    )


def _require_torch(sampler: str) -> None:
    # Its import takes seconds, and Optuna does it when the model is fitted.
    if find_spec("torch") is None:
        raise MissingExtraError(
            f"The sampler {sampler!r} needs the library torch: "
            f"install it with pip install 'recommender-harness[{sampler}]'."
        )


def _auto(
    seeds: _Seeds, arguments: Arguments, space: SearchSpace
) -> optuna.samplers.BaseSampler:
    del arguments, space
    _require_torch("auto")
    # It chooses anew for each trial, by what it sees of the study alone.
    sampler: optuna.samplers.BaseSampler = _auto_sampler()(seed=seeds.trial)
    return sampler


@cache
def _auto_sampler() -> Any:
    """Load the class, from OptunaHub's cache or, the first time, from GitHub."""
    try:
        import cmaes  # noqa: F401
        import optunahub
    except ImportError as error:
        raise MissingExtraError(
            "The sampler 'auto' needs the libraries optunahub and cmaes: "
            "install them with pip install 'recommender-harness[auto]'."
        ) from error
    try:
        return optunahub.load_module("samplers/auto_sampler").AutoSampler
    except Exception as error:
        # Whatever git, GitHub or the network say.
        raise MissingExtraError(
            "The sampler 'auto' is OptunaHub's AutoSampler, which is loaded from GitHub "
            "once, and that failed: connect this machine to the internet for the first "
            "run, or take the sampler 'gp' or 'tpe'."
        ) from error


def _qmc(
    seeds: _Seeds, arguments: Arguments, space: SearchSpace
) -> optuna.samplers.BaseSampler:
    del space
    return optuna.samplers.QMCSampler(
        seed=seeds.study,
        independent_sampler=optuna.samplers.RandomSampler(seed=seeds.trial),
        **arguments,
    )


def _grid(
    seeds: _Seeds, arguments: Arguments, space: SearchSpace
) -> optuna.samplers.BaseSampler:
    del arguments
    return _Grid(_grid_of(space), seed=seeds.study, n_before=1 + len(space.enqueue))


MAX_POINTS = 10_000_000


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
    n_points = math.prod(len(values) for values in grid.values())
    if n_points > MAX_POINTS:
        raise SpaceError(
            f"{space.source}: a grid must have at most {MAX_POINTS:,} points, but this one "
            f"has {n_points:,}: take larger steps, or another sampler."
        )
    return grid


@lru_cache(maxsize=4)
def _order(seed: int, n_points: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).permutation(n_points)


class _Grid(optuna.samplers.BaseSampler):
    """Every point once, in an order drawn from the study's seed.

    The initial settings and those enqueued come before it, and then a trial's number says
    which point it has. Optuna's own keeps the whole grid with each trial.
    """

    def __init__(
        self, grid: Mapping[str, list[Value]], *, seed: int, n_before: int
    ) -> None:
        self._n_before = n_before
        self._grid = grid
        self._sizes = [len(values) for values in grid.values()]
        self._seed = seed

    def _point(self, number: int) -> dict[str, Value]:
        order = _order(self._seed, math.prod(self._sizes))
        place = np.unravel_index(
            order[(number - self._n_before) % len(order)], self._sizes
        )
        return {
            name: values[int(k)]
            for (name, values), k in zip(self._grid.items(), place, strict=True)
        }

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Say that nothing is drawn together."""
        del study, trial
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial, search_space: Any
    ) -> dict[str, Value]:
        """Draw nothing."""
        del study, trial, search_space
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: Any,
    ) -> Value:
        """Take the trial's point."""
        del study, param_distribution
        return self._point(trial.number)[param_name]


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
                # Harness's own: what TPE costs grows with what it sees. It is shown the
                # latest trials and the best of the others, so all of its good ones.
                "n_remembered": 100,
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
        "gp": (
            _gp,
            {
                "n_startup_trials": 10,
                # Equal settings have equal values here, but a neighbour's folds differ.
                "deterministic_objective": False,
                "warn_independent_sampling": False,
            },
        ),
        "auto": (_auto, {}),
        "nsgaii": (
            _nsgaii,
            {
                # Optuna's 50 would leave a hundred trials one generation of children.
                "population_size": 20,
                "crossover_prob": 0.9,
                "swapping_prob": 0.5,
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

_OF_ONE_OBJECTIVE = ("cmaes",)


def require_sampler(name: str, objectives: Sequence[Metric]) -> None:
    """Refuse a sampler that cannot improve so many objectives."""
    if name in _OF_ONE_OBJECTIVE and len(objectives) > 1:
        able = [f"'{other}'" for other in SAMPLERS if other not in _OF_ONE_OBJECTIVE]
        raise SpaceError(
            f"The sampler {name!r} improves one objective, but {len(objectives)} are given: "
            f"choose another with --sampler, one of {', '.join(able)}."
        )


# What other tools call them.
_OTHER_NAMES = {
    **dict.fromkeys(("bayes", "bayesian", "bo", "smbo"), ("gp", "tpe")),
    **dict.fromkeys(("gaussian", "gaussian-process", "botorch"), ("gp",)),
    **dict.fromkeys(("hyperopt", "parzen"), ("tpe",)),
    **dict.fromkeys(("cma", "cma-es", "cma_es", "evolution"), ("cmaes",)),
    **dict.fromkeys(("sobol", "halton", "quasi-random"), ("qmc",)),
    **dict.fromkeys(("gridsearch", "exhaustive"), ("grid",)),
    **dict.fromkeys(("uniform", "randomsearch"), ("random",)),
    **dict.fromkeys(("autosampler", "optunahub"), ("auto",)),
    **dict.fromkeys(("nsga", "nsga2", "nsga-ii", "genetic"), ("nsgaii",)),
}


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
            meant = _OTHER_NAMES.get(name.lower(), ())
            raise UnknownNameError("sampler", name, SAMPLERS, meant)
        self._name = name
        self._seed = seed
        self._space = space
        # What cannot be built is refused here.
        self.for_trial(0)

    @property
    def n_remembered(self) -> int | None:
        """Number of latest trials that the sampler sees; None for all."""
        return SAMPLERS[self._name][1].get("n_remembered")

    def for_trial(self, number: int) -> optuna.samplers.BaseSampler:
        """Make the sampler of a trial."""
        build, arguments = SAMPLERS[self._name]
        arguments = {k: v for k, v in arguments.items() if k != "n_remembered"}
        if self.n_remembered is not None and number > self.n_remembered:
            # As many as if it saw all.
            arguments["n_good"] = default_gamma(number)
        seeds = _Seeds(self._seed, trial_seed(self._seed, number))
        with warnings.catch_warnings():
            # Chosen on purpose, and the version is pinned by what the record says.
            warnings.simplefilter("ignore", ExperimentalWarning)
            return build(seeds, arguments, self._space)

    @property
    def n_points(self) -> int | None:
        """Number of different trials there are, where there is an end of them."""
        if not self._space.searched:
            # Nothing is drawn; but epochs may be found besides the initial ones.
            return 1 if self._space.epochs is None else 2
        if self._name != "grid":
            return None
        # The initial settings and those enqueued come on top of the grid.
        n_before = 1 + len(self._space.enqueue)
        sizes = (len(values) for values in _grid_of(self._space).values())
        return n_before + math.prod(sizes)

    def describe(self) -> dict[str, ParamValue]:
        """Name every argument."""
        return {"name": self._name, **SAMPLERS[self._name][1]}


def draw_settings(space: SearchSpace, n: int, *, seed: int) -> list[Params]:
    """Draw settings at random, as trials would, without recording them anywhere."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler(seed=seed)
    study = optuna.create_study(sampler=sampler, storage=InMemoryStorage())
    return [space.suggest(study.ask()) for _ in range(n)]
