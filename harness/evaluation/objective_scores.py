"""Scores of models by the objective of their search, and how uncertain differences are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.errors import StudyError
from harness.evaluation.clusters import Clusters, Groups
from harness.evaluation.cold_start import POOLED_DEPTHS, depths_of, depths_of_pairs
from harness.evaluation.dependence import (
    LOSS,
    SCORES,
    Score,
    ScoreSums,
    Sums,
    Uncertain,
    VarianceParts,
)
from harness.evaluation.measures import DEPTH_MEASURES, LOG_LOSS
from harness.evaluation.metrics import Metric
from harness.evaluation.objectives import call_function, measure_of
from harness.evaluation.ranking import TopLists, judge_users
from harness.evaluation.results import SIDES
from harness.evaluation.splits import SealedTest
from harness.evaluation.statistics import Estimate, around, seed_spread

__all__ = ["InfluenceSums", "Losses", "ObjectiveScores", "Scored", "check_objective"]


Floats = npt.NDArray[np.float64]

N_BLOCKS = 64
"""Groups of users that are left out in turn, of a function of the user's own."""


class InfluenceSums:
    r"""Scores of which only is known what each user, or block of users, adds to them.

    With the influence :math:`\psi_g` of each of G groups, the variance of a score is
    :math:`\frac{G}{G - 1} \sum_g \psi_g^2`, and of a difference that of the difference of
    influences. For a mean over users that is the usual standard error, for what is left
    when groups are left out in turn the jackknife's [1]_. Seeds are added as
    `harness.evaluation.statistics.seed_spread` does it.

    Parameters
    ----------
    models : sequence of sequence of (float, ndarray of float64, shape (n_groups,))
        Of each model, for each of its seeds, the score and the influence of each group.

    References
    ----------
    .. [1] B. Efron and C. Stein, "The jackknife estimate of variance", Annals of
       Statistics 9(3), 1981.
    """

    def __init__(self, models: Sequence[Sequence[tuple[float, Floats]]]) -> None:
        self._by_seed = [np.array([value for value, _ in seeds]) for seeds in models]
        self._influences = [np.stack([own for _, own in seeds]) for seeds in models]
        self._n_groups = self._influences[0].shape[1]

    @property
    def scores(self) -> Floats:
        """Score of each model, the mean over its seeds."""
        return np.array([values.mean() for values in self._by_seed])

    def estimate(self, model: int, *, minus: int | None = None) -> Uncertain:
        """Estimate the score of a model, or the difference to another one."""
        of = [model] if minus is None else [model, minus]
        value, influence = self.scores[model], self._influences[model].mean(axis=0)
        if minus is not None:
            value = value - self.scores[minus]
            influence = influence - self._influences[minus].mean(axis=0)
        if self._n_groups < 2:
            parts = VarianceParts(users=np.nan)
            return Uncertain(
                value=float(value),
                parts=parts,
                degrees_of_freedom=1.0,
                two_way_ratio=None,
            )
        base, freedom = self._square(influence), self._n_groups - 1.0
        between, shared = list[tuple[float, float]](), 0.0
        for k in of:
            n_seeds = len(self._by_seed[k])
            if n_seeds < 2:
                continue
            spread = float(self._by_seed[k].var(ddof=1))
            between.append((spread / n_seeds, n_seeds - 1))
            own = self._influences[k]
            deviations = (self._square(row) for row in own - own.mean(axis=0))
            shared += sum(deviations) / (n_seeds - 1) / n_seeds
        seeds, freedom = seed_spread(base, freedom, between, shared)
        return Uncertain(
            value=float(value),
            parts=VarianceParts(users=base, seeds=seeds),
            degrees_of_freedom=freedom,
            two_way_ratio=None,
        )

    def covariance(self, models: Sequence[int]) -> Floats:
        """Covariance of the scores of several models, with their seeds."""
        means = np.stack([self._influences[m].mean(axis=0) for m in models])
        seeds = [self.estimate(m).parts.seeds for m in models]
        together: Floats = self._correction * means @ means.T + np.diag(seeds)
        return together

    @property
    def _correction(self) -> float:
        return self._n_groups / (self._n_groups - 1) if self._n_groups > 1 else np.nan

    def _square(self, influence: Floats) -> float:
        return float(self._correction * np.square(influence).sum())


@dataclass(frozen=True)
class Losses:
    """Scores turned so that less is better."""

    sums: Sums
    sign: float

    @property
    def scores(self) -> Floats:
        """Loss of each model, the mean over its seeds."""
        return self.sign * self.sums.scores

    def estimate(self, model: int, *, minus: int | None = None) -> Uncertain:
        """Estimate the loss of a model, or the difference to another one."""
        found = self.sums.estimate(model, minus=minus)
        return replace(found, value=self.sign * found.value)

    def covariance(self, models: Sequence[int]) -> Floats:
        """Covariance of the losses of several models."""
        return self.sums.covariance(models)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """What a model says of a test set, once for each of its seeds.

    Parameters
    ----------
    predictions : sequence of ndarray of float32, shape (n_test,)
        Of the test ratings.
    lists : sequence of TopLists
        For the users of the test ratings; none where the objective is not one of lists.
    losses : sequence of ndarray of float64, shape (n_test,)
        By how probable it said each rating to be; none where it cannot say.
    """

    predictions: Sequence[npt.NDArray[Any]]
    lists: Sequence[TopLists] = ()
    losses: Sequence[Floats] = ()


def check_objective(metric: Metric, train: Ratings, test: SealedTest) -> None:
    """Refuse an objective that the test set will not be able to tell; it stays sealed."""
    at = DEPTH_MEASURES.get(metric.name)
    if at is None:
        return
    depth_of = depths_of(train, *test.pairs)[at.side]
    if not np.isin(depth_of, POOLED_DEPTHS[at.depth]).any():
        whose = SIDES[at.side]
        raise StudyError(
            f"{metric.name} is of ratings whose {whose} has {at.depth.replace('-', ' to ')} "
            "training ratings, and the test set of this split has none: choose another "
            "--metric or --split."
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectiveScores:
    """Scores the models of one test set by an objective, and compares them.

    Parameters
    ----------
    metric : Metric
        The objective.
    train, test : Ratings
        The two parts, with the same codes.
    catalogue : Catalogue
        Of the titles.
    scored : dict of str to Scored
        The models by name; whoever scores one adds it.
    """

    metric: Metric
    train: Ratings
    test: Ratings
    catalogue: Catalogue
    scored: dict[str, Scored] = field(default_factory=dict)

    @property
    def needs_lists(self) -> bool:
        """Whether it is a measure of lists."""
        return measure_of(self.metric).kind == "ranking"

    @property
    def needs_losses(self) -> bool:
        """Whether it is a measure of probabilities."""
        return self.metric.name == LOG_LOSS

    def estimate(self, name: str, confidence: float) -> Estimate:
        """Estimate the objective of a model, with its interval."""
        found = self._sums([name]).estimate(0)
        half = found.uncertainty.half_width(confidence)
        low, high = self._ends(found.value, half)
        return Estimate(value=found.value, low=low, high=high)

    def differences(
        self, pairs: Sequence[tuple[str, str]]
    ) -> list[tuple[str, str, Uncertain]]:
        """Estimate differences, turned so that a negative one says the first is better."""
        names = list(dict.fromkeys(chain(*pairs)))
        if not names:
            return []
        losses, place = self.losses(names), {name: k for k, name in enumerate(names)}
        return [
            (one, other, losses.estimate(place[one], minus=place[other]))
            for one, other in pairs
        ]

    def losses(self, names: Sequence[str]) -> Losses:
        """Score models, turned so that less is better."""
        return Losses(self._sums(names), self.metric.sign)

    def _sums(self, names: Sequence[str]) -> Sums:
        models = [self.scored[name] for name in names]
        at = DEPTH_MEASURES.get(self.metric.name)
        if self.metric.reference is not None:
            return InfluenceSums([[*self._left_out(m)] for m in models])
        if self.needs_lists:
            return InfluenceSums([[*self._of_lists(m)] for m in models])
        if self.needs_losses:
            every = Groups.of(self.test.users, self.test.items)
            of_each, nothing = [m.losses for m in models], np.zeros(len(self.test))
            return ScoreSums(nothing, of_each, every, LOSS)
        chosen = np.ones(len(self.test), dtype=bool)
        if at is not None:
            depth_of = depths_of_pairs(self.train, self.test)[at.side]
            chosen = np.isin(depth_of, POOLED_DEPTHS[at.depth])
        part = self.test.take(chosen)
        columns = [[p[chosen] for p in m.predictions] for m in models]
        groups = Groups.of(part.users, part.items)
        return ScoreSums(part.values, columns, groups, self._score)

    @property
    def _score(self) -> Score:
        return SCORES.get(self.metric.name, SCORES["rmse"])

    def _ends(self, value: float, half: float) -> tuple[float, float]:
        measure = measure_of(self.metric)
        if self.metric.name in SCORES:
            return self._score.ends(value, half)
        # Errors keep above 0 on the logarithmic scale.
        return (
            around(value, half)
            if measure.unit == "rating" or self.needs_losses
            else (value - half, value + half)
        )

    def _of_lists(self, model: Scored) -> Iterator[tuple[float, Floats]]:
        for lists in model.lists:
            yield judge_users(
                self.metric.name, lists, self.train, self.test, self.catalogue
            )

    def _left_out(self, model: Scored) -> Iterator[tuple[float, Floats]]:
        """Call a function without each block of users in turn."""
        blocks = Clusters.of(self.test.users).codes % N_BLOCKS
        n_blocks = int(blocks.max()) + 1
        for prediction in model.predictions:
            value = call_function(self.metric, self.test, prediction)
            without = [
                call_function(self.metric, self.test.take(kept), prediction[kept])
                for kept in (
                    blocks != block for block in range(n_blocks if n_blocks > 1 else 0)
                )
            ]
            left = np.array(without) if without else np.zeros(1)
            yield value, (n_blocks - 1) / n_blocks * (left.mean() - left)
