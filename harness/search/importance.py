"""Which hyperparameters decide how good a trial is."""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from harness.evaluation.metrics import OBJECTIVE
from harness.search.paired_values import paired_values
from harness.search.records import StudyRecord

__all__ = ["FEWEST_TRIALS", "param_importance"]

FEWEST_TRIALS = 20
"""With fewer trials the forest mostly learns noise, and no importance is given."""

# Of the usual 64 trees the shares still move by some hundredths from seed to seed.
_N_TREES = 128
# Deeper trees take 100 s for 1000 trials, and learn their noise.
_DEPTH = 6


def param_importance(study: StudyRecord) -> dict[str, float]:
    """Share out the variance of the objective among the hyperparameters.

    Functional ANOVA [1]_ on a random forest that is fitted to the trials. Pruned trials
    take part with their `paired_values`: the few that are complete are the good ones, and
    say little about what makes a trial bad. Trials that took over the values of an
    earlier one do not count twice.

    Parameters
    ----------
    study : StudyRecord
        The study, with the space it was searched in.

    Returns
    -------
    dict of str to float
        Hyperparameter to share, the largest first; the shares sum to 1. Parameters that
        are active only in some trials have none. Empty if there are fewer than
        `FEWEST_TRIALS` trials, or all are equally good. The same study gives the same
        shares.

    References
    ----------
    .. [1] F. Hutter, H. Hoos and K. Leyton-Brown, "An efficient approach for assessing
       hyperparameter importance", ICML 2014.
    """
    rebuilt = _rebuild(study)
    values = {trial.value for trial in rebuilt.get_trials(deepcopy=False)}
    if len(rebuilt.trials) < FEWEST_TRIALS or len(values) < 2:
        return {}
    shares = optuna.importance.get_param_importances(
        rebuilt,
        evaluator=optuna.importance.FanovaImportanceEvaluator(
            n_trees=_N_TREES, max_depth=_DEPTH, seed=0
        ),
    )
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return {name: float(share) for name, share in ordered}


def _rebuild(study: StudyRecord) -> optuna.Study:
    """Make a study in memory, in which pruned trials are complete."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rebuilt = optuna.create_study(direction=OBJECTIVE.direction)
    space = {
        name: distribution
        for name, facts in study.settings["space"].items()
        if (distribution := _distribution(facts)) is not None
    }
    values = paired_values(study)
    for trial in study.trials:
        if trial.number not in values or trial.duplicate_of is not None:
            continue
        params = {n: v for n, v in trial.params.items() if n in space}
        rebuilt.add_trial(
            optuna.trial.create_trial(
                params=params,
                distributions={name: space[name] for name in params},
                value=values[trial.number],
            )
        )
    return rebuilt


def _distribution(facts: Mapping[str, Any]) -> BaseDistribution | None:
    """Convert what `SearchSpace.describe` says; None for what is not sampled."""
    log = facts.get("log", False)
    match facts["type"]:
        case "int":
            return IntDistribution(
                facts["low"], facts["high"], log=log, step=facts.get("step") or 1
            )
        case "float":
            return FloatDistribution(
                facts["low"], facts["high"], log=log, step=facts.get("step")
            )
        case "categorical":
            return CategoricalDistribution(facts["choices"])
        case _:
            return None
