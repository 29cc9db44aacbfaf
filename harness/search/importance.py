"""Which hyperparameters decide how good a trial is."""

from collections.abc import Iterable, Mapping

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from harness.plain import Params, ParamValue
from harness.search.distributions import Categorical, Distribution, Float, Int
from harness.search.pruners import paired_values
from harness.search.records import StudyRecord, TrialRecord

__all__ = [
    "DOMINATING",
    "FEWEST_TRIALS",
    "dominating_choice",
    "has_importance",
    "import_forest",
    "param_importance",
]


FEWEST_TRIALS = 20
"""With fewer trials the forest mostly learns noise, and no importance is given."""

DOMINATING = 0.5
"""A choice with more than this share hides what matters once it is made."""

# Of the usual 64 trees the shares still move by some hundredths from seed to seed.
_N_TREES = 128
# Deeper trees take 100 s for 1000 trials, and learn their noise.
_DEPTH = 6


def import_forest() -> None:
    """Import scikit-learn, which Optuna does when it is asked for the first time."""
    import optuna.importance  # noqa: F401


def param_importance(
    study: StudyRecord, *, given: Params | None = None
) -> dict[str, float]:
    """Share out the variance of the objective among the hyperparameters.

    Functional ANOVA [1]_ on a random forest that is fitted to the trials. Pruned trials
    take part with their `paired_values`: the few that are complete are the good ones, and
    say little about what makes a trial bad. Trials that took over the values of an
    earlier one do not count twice.

    References
    ----------
    .. [1] F. Hutter, H. Hoos and K. Leyton-Brown, "An efficient approach for assessing
       hyperparameter importance", ICML 2014.
    """
    given = given or {}
    trials = _trials(study, given)
    if not _can_tell(trials):
        return {}
    shares = optuna.importance.get_param_importances(
        _rebuild(study, trials, without=given),
        evaluator=optuna.importance.FanovaImportanceEvaluator(
            n_trees=_N_TREES, max_depth=_DEPTH, seed=0
        ),
    )
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return {name: float(share) for name, share in ordered}


def has_importance(study: StudyRecord) -> bool:
    """Say whether `param_importance` has something to tell, without the work of it."""
    return _can_tell(_trials(study, {}))


def dominating_choice(
    study: StudyRecord, shares: Mapping[str, float]
) -> dict[str, ParamValue]:
    """Find a categorical parameter beside which no other seems to matter.

    Where one of its choices makes all trials bad, it takes nearly all of the variance,
    and the shares say nothing of the parameters that matter among the good trials.
    """
    space, best = study.space, study.best
    for name, share in shares.items():
        is_choice = space[name].type == "categorical"
        if share > DOMINATING and is_choice and best is not None:
            return {name: best.params[name]}
    return {}


_Valued = list[tuple[TrialRecord, float]]


def _trials(study: StudyRecord, given: Params) -> _Valued:
    """Collect the trials that take part, each with its value."""
    values = paired_values(study)
    return [
        (trial, values[trial.number])
        for trial in study.trials
        if trial.number in values
        and trial.duplicate_of is None
        and given.items() <= dict(trial.params).items()
    ]


def _can_tell(trials: _Valued) -> bool:
    return len(trials) >= FEWEST_TRIALS and len({value for _, value in trials}) > 1


def _rebuild(
    study: StudyRecord, trials: _Valued, *, without: Iterable[str]
) -> optuna.Study:
    """Make a study in memory, in which pruned trials are complete."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rebuilt = optuna.create_study(direction=study.metric.direction)
    space = {
        name: distribution
        for name, found in study.space.items()
        if name not in without and (distribution := _distribution(found)) is not None
    }
    for trial, value in trials:
        params = {n: v for n, v in trial.params.items() if n in space}
        rebuilt.add_trial(
            optuna.trial.create_trial(
                params=params,
                distributions={name: space[name] for name in params},
                value=value,
            )
        )
    return rebuilt


def _distribution(found: Distribution) -> BaseDistribution | None:
    """Convert it to Optuna's; None for what is not sampled."""
    match found:
        case Int():
            return IntDistribution(
                found.low, found.high, log=found.log, step=found.step or 1
            )
        case Float():
            return FloatDistribution(
                found.low, found.high, log=found.log, step=found.step
            )
        case Categorical():
            return CategoricalDistribution(found.choices)
        case _:
            return None
