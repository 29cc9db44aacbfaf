"""Pruners by name, and the paired race between folds."""

import bisect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from types import MappingProxyType
from typing import cast

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from harness.errors import UnknownNameError
from harness.plain import Params, ParamValue
from harness.search.records import StudyRecord, TrialRecord

__all__ = [
    "EndedTrials",
    "RacePruner",
    "RungPruner",
    "describe_pruner",
    "make_pruner",
    "paired_values",
]


class RacePruner(optuna.pruners.BasePruner):
    r"""Compares a trial with the best one so far, fold by fold.

    Folds differ far more than good settings do: on ml-100k a fold's RMSE varies by
    0.0060 between folds, but the difference to the best setting on the same fold by
    0.0010 only (`tests/benchmarks/bench_race.py`). So a trial is dropped as soon as
    its mean difference to the best trial, over the :math:`k` folds that it has seen,
    exceeds

    .. math:: z \, s / \sqrt{k}

    This is the idea of racing [1]_ with the margin of a paired z-test. The spread
    :math:`s` is observed: for each completed trial the standard deviation between folds
    of its difference to the best trial, and of these the lower quartile, since it is the
    good trials that a mistake would cost. As long as there are fewer than three others,
    it is the standard deviation between folds of the best trial itself: unpaired, so
    larger, which errs on the safe side.

    Intermediate values must be comparable step by step (same step, same fold); any
    Optuna study of that kind can use this pruner.

    Parameters
    ----------
    z : float, default 0.5
        Width of the margin in standard errors. What a mistake can cost is bounded by the
        same margin: a trial is only ever dropped when it has been seen to be worse.

    References
    ----------
    .. [1] O. Maron and A. W. Moore, "Hoeffding races: accelerating model selection
       search for classification and function approximation", NIPS 6, 1993.
    """

    def __init__(self, *, z: float = 0.5) -> None:
        self._z = z
        # Found again only when one more trial is complete.
        self._latest: tuple[object, FrozenTrial | None, float] | None = None

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Judge whether a trial is to be dropped."""
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        sign = _sign(study)
        key = (id(study), len(done), done[-1].number if done else -1)
        if self._latest is None or self._latest[0] != key:
            self._latest = (key, *_reference(done, sign))
        _, best, spread = self._latest
        if best is None or not trial.intermediate_values:
            return False
        behind = sign * _paired_differences(trial, best)
        margin = self._z * spread / np.sqrt(max(1, len(behind)))
        return bool(len(behind) and behind.mean() > margin)


def is_feasible(trial: FrozenTrial) -> bool:
    """Tell whether a trial meets all that is required of it."""
    return all(value <= 0 for value in trial.constraints.values())


def _reference(
    done: list[FrozenTrial], sign: float
) -> tuple[FrozenTrial | None, float]:
    """Find the best trial, and how much the difference to it varies between folds."""
    done = [t for t in done if len(t.intermediate_values) > 1 and is_feasible(t)]
    if not done:
        return None, 0.0
    best = min(done, key=lambda other: (sign * (other.value or 0.0), other.number))
    steps = best.intermediate_values.keys()
    alike = [t for t in done if t is not best and t.intermediate_values.keys() == steps]
    others = [
        t for t in done if t is not best and t.intermediate_values.keys() != steps
    ]
    paired: list[float] = []
    if alike:
        # In one go: there may be ten thousand of them.
        rows = np.array([[t.intermediate_values[k] for k in steps] for t in alike])
        rows -= [best.intermediate_values[k] for k in steps]
        paired += rows.std(axis=1, ddof=1).tolist()
    paired += [
        differences.std(ddof=1)
        for other in others
        if len(differences := _paired_differences(other, best)) > 1
    ]
    if len(paired) < 3:
        return best, float(np.std(list(best.intermediate_values.values()), ddof=1))
    return best, float(np.quantile(paired, 0.25))


def _paired_differences(
    trial: FrozenTrial, reference: FrozenTrial
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    common = sorted(trial.intermediate_values.keys() & reference.intermediate_values)
    return np.array(
        [
            trial.intermediate_values[step] - reference.intermediate_values[step]
            for step in common
        ]
    )


class RungPruner(optuna.pruners.BasePruner):
    r"""Lets a trial climb from sample to sample, and leaves everything to another pruner.

    Successive halving, trial after trial: one goes on if it is among the best quarter of
    those that were scored on this sample, and not seen to be worse than the best trial so
    far. Later trials are better than earlier ones, so that far more than a quarter are
    among the best quarter. All are scored on the same users and ratings, so that
    differences between them are paired, as in `RacePruner`: a trial is seen to be worse
    when its difference :math:`d` to the best one exceeds :math:`z \, s`, where
    :math:`s` is the median, over the others that have come to everything, of how far
    :math:`d` there is from :math:`d` on the sample. As long as there are fewer than three
    others, none is seen to be worse.

    One that is no worse here than the best trial goes on in any case: where a small
    sample ranks settings otherwise than everything does, the best trial is in the middle
    of it, and fewer are dropped.

    Parameters
    ----------
    on_everything : BasePruner
        Judges the folds of everything.
    n_samples : int
        Number of the first steps that are scores on samples.
    z : float, default 0.5
        Width of the margin, in what a sample usually misleads by.
    """

    def __init__(
        self,
        on_everything: optuna.pruners.BasePruner,
        *,
        n_samples: int,
        z: float = 0.5,
    ) -> None:
        self._on_everything = on_everything
        self._n_samples = n_samples
        self._z = z
        self._n_seen = 0
        # Of each sample the scores so far, the best first, as less is better.
        self._scores: list[list[float]] = [[] for _ in range(n_samples)]
        # Of each sample the score of the best trial, and how far behind it one may be.
        self._bars: list[tuple[float, float] | None] = [None] * n_samples
        self._finalists: EndedTrials | None = None

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Judge whether a trial is to be dropped."""
        finalists = self._follow(study)
        step = trial.last_step
        if step is None:
            return False
        if step >= self._n_samples:
            return self._on_everything.prune(
                finalists.as_study(), self._without_samples(trial)
            )
        score = _sign(study) * trial.intermediate_values[step]
        n_better = bisect.bisect_left(self._scores[step], score)
        n_climbing = math.ceil(SHARE_CLIMBING * (len(self._scores[step]) + 1))
        bar = self._bars[step]
        if bar is None:
            return n_better >= n_climbing
        best, margin = bar
        return score - best > (margin if n_better < n_climbing else 0.0)

    def _follow(self, study: optuna.Study) -> "EndedTrials":
        """Take in the trials that have ended since."""
        if self._finalists is None:
            self._finalists = EndedTrials(study.direction)
        trials, sign = study.get_trials(deepcopy=False), _sign(study)
        ended, self._n_seen = trials[self._n_seen :], len(trials)
        for trial in ended:
            for step, scores in enumerate(self._scores):
                if step in trial.intermediate_values:
                    bisect.insort(scores, sign * trial.intermediate_values[step])
            if trial.state == TrialState.COMPLETE:
                self._finalists.add(self._without_samples(trial))
        # Once, not after each trial: a study that goes on may have thousands.
        if any(trial.state == TrialState.COMPLETE for trial in ended):
            complete = [t for t in trials if t.state == TrialState.COMPLETE]
            # As for finalists: what is not accepted is no reference.
            accepted = filter(is_feasible, complete)
            best = min(accepted, key=lambda t: sign * _value_of(t), default=None)
            if best is not None:
                steps = range(self._n_samples)
                self._bars = [self._bar(step, best, complete, sign) for step in steps]
        return self._finalists

    def _bar(
        self, step: int, best: FrozenTrial, complete: list[FrozenTrial], sign: float
    ) -> tuple[float, float] | None:
        if step not in best.intermediate_values:
            return None
        of_best = best.intermediate_values[step]
        misled = [
            abs(
                (_value_of(trial) - _value_of(best))
                - (trial.intermediate_values[step] - of_best)
            )
            for trial in complete
            # Itself, or the same settings again, say nothing of what samples do to others.
            if trial.intermediate_values != best.intermediate_values
            and step in trial.intermediate_values
        ]
        margin = self._z * float(np.median(misled)) if len(misled) >= 3 else math.inf
        return sign * of_best, margin

    def _without_samples(self, trial: FrozenTrial) -> FrozenTrial:
        found = copy(trial)
        found.intermediate_values = {
            step - self._n_samples: value
            for step, value in trial.intermediate_values.items()
            if step >= self._n_samples
        }
        return found


SHARE_CLIMBING = 1 / 4


def _sign(study: optuna.Study) -> float:
    return 1.0 if study.direction == StudyDirection.MINIMIZE else -1.0


def _value_of(trial: FrozenTrial) -> float:
    assert trial.value is not None, "it is complete"
    return trial.value


PRUNERS: Mapping[str, tuple[Callable[..., optuna.pruners.BasePruner], Params]] = (
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


def make_pruner(name: str, *, n_samples: int = 0) -> optuna.pruners.BasePruner:
    """Make a pruner; of a study with samples, one that judges them, too."""
    if name not in PRUNERS:
        raise UnknownNameError("pruner", name, PRUNERS)
    pruner, arguments = PRUNERS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        made = pruner(**arguments)
    return RungPruner(made, n_samples=n_samples) if n_samples else made


def describe_pruner(name: str) -> dict[str, ParamValue]:
    """Name every argument of a pruner."""
    return {"name": name, **PRUNERS[name][1]}


class EndedTrials:
    """The trials before the one that is judged: what pruners read of a study.

    Which trials end while another one runs is a matter of luck; a pruner that looked at
    them would not give the same verdict twice.
    """

    def __init__(self, direction: optuna.study.StudyDirection) -> None:
        self.direction = direction
        self._trials: list[FrozenTrial] = []
        self._complete: list[FrozenTrial] = []

    def add(self, trial: FrozenTrial) -> None:
        """Add the next trial."""
        self._trials.append(trial)
        # What is not accepted is no reference, however good it is.
        if trial.state == TrialState.COMPLETE and is_feasible(trial):
            self._complete.append(trial)

    def as_study(self) -> optuna.Study:
        """Pass for a study: it has what pruners read."""
        return cast("optuna.Study", self)

    def get_trials(
        self,
        deepcopy: bool = True,  # noqa: FBT001, FBT002 - Optuna's signature
        states: tuple[TrialState, ...] | None = None,
    ) -> list[FrozenTrial]:
        """List the trials shown, of complete ones the feasible; they do not change."""
        del deepcopy
        if states is not None and tuple(states) == (TrialState.COMPLETE,):
            return self._complete
        return [t for t in self._trials if states is None or t.state in states]

    @property
    def best_trial(self) -> FrozenTrial:
        """Best of the trials; ValueError if none is complete."""
        complete = self.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        maximize = self.direction == optuna.study.StudyDirection.MAXIMIZE
        choose = max if maximize else min
        return choose(complete, key=lambda trial: cast("float", trial.value))


def paired_values(study: StudyRecord) -> dict[int, float]:
    r"""Estimate the objective of every trial as if it had been evaluated on all folds.

    Folds differ in difficulty far more than the difference between two settings does
    from fold to fold, so a mean over the first two folds must not be laid beside a mean
    over five. The difference to the best trial on the same folds may:

    .. math:: v^* + \frac{1}{|F|} \sum_{f \in F} (v_f - v^*_f)

    with the folds :math:`F` that the trial has seen, and the best trial's values
    :math:`v^*_f` and their mean :math:`v^*`.
    """
    best = study.best
    pairs = ((t.number, _value(t, best)) for t in study.trials)
    return {n: v for n, v in pairs if v is not None and np.isfinite(v)}


def _value(trial: TrialRecord, best: TrialRecord | None) -> float | None:
    if trial.state != "pruned":
        return trial.value if trial.state == "complete" else None
    # Of samples only the last: it is the most like everything.
    seen = trial.fold_values or trial.sample_values[-1:]
    if not seen:
        return None
    of_best: Sequence[float] = ()
    if best is not None:
        first = 0 if trial.fold_values else max(0, len(trial.sample_values) - 1)
        all_of_best = best.fold_values if trial.fold_values else best.sample_values
        of_best = all_of_best[first : first + len(seen)]
    if best is None or best.value is None or len(of_best) < len(seen):
        return float(np.mean(seen)) if trial.fold_values else None
    return best.value + float(np.subtract(seen, of_best).mean())
