"""Results of judging: what the test set says of each model, and of each pair of them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, Self, TypeVar

from harness.evaluation.comparison import WinnerCorrection
from harness.evaluation.equivalence import (
    OPPOSITE,
    Answer,
    PairComparison,
    Probabilities,
    users_to_detect,
)
from harness.evaluation.statistics import Estimate
from harness.plain import Params

__all__ = [
    "BIAS_BASELINE",
    "MEAN_BASELINE",
    "SIDES",
    "CalibrationGroup",
    "Costs",
    "DepthDifference",
    "DepthError",
    "Difference",
    "Factor",
    "FloorTuning",
    "Judging",
    "ModelResult",
    "Residuals",
    "Role",
    "Side",
    "StarGroup",
    "without_interval",
]

BIAS_BASELINE = "user and item bias"
"""Name of the model that a family must beat to be worth its cost."""

MEAN_BASELINE = "global mean"
"""Name of the model that knows nothing."""

Role = Literal["tuned", "initial", "variant", "baseline"]
Side = Literal["users", "items"]

SIDES: Mapping[Side, str] = {"users": "user", "items": "title"}
"""What one of each side is called."""


def without_interval(value: float) -> Estimate:
    """Wrap a number that is not an estimate from a sample of users."""
    return Estimate(value=value, low=math.nan, high=math.nan)


@dataclass(frozen=True, kw_only=True)
class DepthError:
    """RMSE on the test pairs whose user, or title, has so many training ratings.

    Parameters
    ----------
    depth : str
        Number of training ratings: "0", "1-5", "6-20" or ">20".
    n_pairs : int
        Number of test pairs.
    rmse : Estimate or None
        In the unit of the ratings; None without pairs.
    """

    depth: str
    n_pairs: int
    rmse: Estimate | None


@dataclass(frozen=True, kw_only=True)
class StarGroup:
    """Errors on the test ratings of one value, or of one range of values.

    Parameters
    ----------
    star : float
        The rating, or the middle of the range.
    n : int
        Number of test ratings.
    mean_error : float
        Mean of prediction minus truth.
    rmse : float
        Root mean squared error.
    """

    star: float
    n: int
    mean_error: float
    rmse: float


@dataclass(frozen=True, kw_only=True)
class CalibrationGroup:
    """One of ten groups of equal size by prediction: what was predicted, and what came.

    Parameters
    ----------
    predicted, actual : float
        Means of predictions and of ratings.
    n : int
        Number of test ratings.
    """

    predicted: float
    actual: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Residuals:
    """Where predictions are off: by the rating given, and by the prediction."""

    by_star: tuple[StarGroup, ...] = ()
    calibration: tuple[CalibrationGroup, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Factor:
    """A latent factor in words.

    Parameters
    ----------
    label : str
        Such as "factor 3".
    share : float
        Of the variance of all factors' part of the prediction.
    trait : str or None
        Genre or decade that it goes with.
    correlation : float or None
        With that trait.
    positive, negative : tuple of str
        Titles at its ends.
    """

    label: str
    share: float
    trait: str | None
    correlation: float | None
    positive: tuple[str, ...]
    negative: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FloorTuning:
    """How far the bias floor was tuned.

    All `n_settings` were scored on one fold. Those that might still have been better by
    half the last digit of a score, `n_compared_on_all`, were scored on all of them.
    """

    n_settings: int
    n_compared_on_all: int
    n_folds_scored: int
    n_folds: int


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a model costs, measured in fresh processes: medians over them.

    Parameters
    ----------
    fit_seconds : float
        Training on the whole training part.
    latency_p50_ms, latency_p95_ms, latency_p99_ms : float
        Time of one user's top 10.
    n_calls : int
        Number of users asked for.
    n_titles : int
        Number of titles ranked for each.
    peak_memory_bytes : int or None
        Growth of the resident set while the model was fitted and asked; None where the
        system does not tell.
    model_bytes : int
        Size on disk.
    n_processes : int
        How many fresh processes have measured it.
    ranges : mapping of str to tuple of float
        Name of a field to the lowest and the highest that a process has measured; of one
        process none.
    is_sum : bool
        Whether it was not measured, but added up: a blend's costs are its parts'.
    """

    fit_seconds: float
    latency_p50_ms: float
    latency_p95_ms: float
    latency_p99_ms: float
    n_calls: int
    n_titles: int
    peak_memory_bytes: int | None
    model_bytes: int
    n_processes: int = 1
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    is_sum: bool = False

    def estimate(self, name: str) -> Estimate | None:
        """Give a field with its range; None where it was not measured."""
        value = getattr(self, name)
        if value is None:
            return None
        low, high = self.ranges.get(name, (math.nan, math.nan))
        return Estimate(value=float(value), low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class ModelResult:
    """One set of settings, scored on the test set.

    Parameters
    ----------
    name : str
        Unique: "svd, tuned", "svd, initial", the name of a variant or a baseline.
    candidate : str or None
        Key in the experiment file; None for baselines.
    family : str
        Name of the family.
    role : {"tuned", "initial", "variant", "baseline"}
        What its settings are.
    params : mapping of str to value
        Its settings.
    measures : mapping of str to Estimate
        Everything measured of it, by name of the measure; an interval has NaN ends where
        the measure has none.
    rmse_by_seed : tuple of float
        One for each seed.
    depth : mapping of {"users", "items"} to tuple of DepthError
        RMSE by training ratings.
    residuals : Residuals
        Where predictions are off.
    n_ranked_users : int
        Number of users whose lists were judged.
    notes : tuple of str
        What the family cannot do for want of metadata.
    blocks_off : tuple of str
        Feature blocks that have nothing to work on.
    """

    name: str
    candidate: str | None
    family: str
    role: Role
    params: Params
    measures: Mapping[str, Estimate]
    rmse_by_seed: tuple[float, ...] = ()
    depth: Mapping[Side, tuple[DepthError, ...]] = field(default_factory=dict)
    residuals: Residuals = Residuals()
    n_ranked_users: int = 0
    notes: tuple[str, ...] = ()
    blocks_off: tuple[str, ...] = ()

    @property
    def rmse(self) -> Estimate:
        """RMSE on the test set, in the unit of the ratings."""
        return self.measures["rmse"]

    def value(self, measure: str) -> float | None:
        """Look up a measured number; None where it was not measured."""
        found = self.measures.get(measure)
        return None if found is None else found.value

    def with_measures(self, more: Mapping[str, Estimate]) -> Self:
        """Add what is known of it only beside others, or was measured elsewhere."""
        return replace(self, measures={**self.measures, **more})


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Objective of one model minus that of another, on the same test pairs.

    Turned so that less is better: a negative difference says that `one` is better.

    Parameters
    ----------
    group : {"families", "floor", "tuning", "variants", "depth"}
        The question that it answers; p-values are corrected within it.
    one, other : str
        Names of models.
    value, low, high : float
        The difference and its interval, in the unit of the objective; the interval is
        adjusted for the other pairs of the question.
    confidence : float
        Of the interval as adjusted.
    p_value, p_holm : float
        Of no difference, two-sided; the second adjusted like the interval, so that the two
        agree.
    answer : {"better", "equivalent", "undecided", "worse"}
        What `one` is, compared with `other`: better or worse where the interval lies
        beyond the margin, equivalent where it lies within, else undecided: the test set
        cannot tell.
    p_beyond_margin, p_equivalent : float
        Of no difference beyond the margin, two-sided; of a difference of at least the
        margin (two one-sided tests, doubled). Adjusted like `p_holm`.
    probability : Probabilities or None
        That the truth is better, equivalent or worse; not adjusted.
    detectable : float
        Smallest true difference that this test set would tell from none with 80 % power.
    users_needed : int or None
        Test users with which a difference as large as the margin would be told from none
        with 80 % power; None where no number of users would do.
    two_way_ratio : float or None
        Standard error over users and titles over that of users alone.
    """

    group: str
    one: str
    other: str
    value: float
    low: float
    high: float
    confidence: float
    p_value: float
    p_holm: float
    answer: Answer = "undecided"
    p_beyond_margin: float = 1.0
    p_equivalent: float = 1.0
    probability: Probabilities | None = None
    detectable: float = math.nan
    users_needed: int | None = None
    two_way_ratio: float | None = None

    @classmethod
    def of(cls, group: str, pair: PairComparison, n_users: int, **more: Any) -> Self:
        """Keep what is known of a pair."""
        return cls(
            group=group,
            one=pair.one,
            other=pair.other,
            value=pair.difference.value,
            low=pair.difference.low,
            high=pair.difference.high,
            confidence=pair.confidence,
            p_value=pair.uncertainty.p_value(pair.difference.value),
            p_holm=pair.p_difference,
            answer=pair.answer,
            p_beyond_margin=pair.p_beyond_margin,
            p_equivalent=pair.p_equivalent,
            probability=pair.probability,
            detectable=pair.detectable,
            users_needed=users_to_detect(pair, n_users=n_users),
            two_way_ratio=pair.two_way_ratio,
            **more,
        )

    def turned(self) -> Self:
        """Turn it, as seen from the other model."""
        chances = self.probability
        return replace(
            self,
            one=self.other,
            other=self.one,
            value=-self.value,
            low=-self.high,
            high=-self.low,
            answer=OPPOSITE.get(self.answer, self.answer),
            probability=None
            if chances is None
            else replace(chances, better=chances.worse, worse=chances.better),
        )


@dataclass(frozen=True, kw_only=True)
class DepthDifference(Difference):
    """A difference on the test pairs of which little is known.

    Parameters
    ----------
    side : {"users", "items"}
        Whose training ratings are few.
    depth : str
        How few: "0", "1-5", "0-5" or "6-20".
    """

    side: Side
    depth: str


@dataclass(frozen=True, kw_only=True)
class Judging:
    """What one opening of the test set has found.

    Parameters
    ----------
    opened : datetime
        In UTC.
    openings : int
        How often test ratings of this split had been opened by then, this time included,
        by all experiments of the storage.
    code_version : str
        Version of harness that has judged.
    seeds : tuple of int
        Seeds of the refits.
    n_test, n_test_users : int
        Number of test ratings, and of users who gave them.
    n_listed_users : int or None
        How many of these users got lists, if not all: a sample, the same for all models.
    test_variance : float
        Of the test ratings.
    confidence : float
        That no answer of a question is false; the interval of a difference has its own,
        adjusted to this.
    margin : float
        Smallest difference in the objective that matters.
    margin_declared : bool
        Whether the experiment file declares it; else it is 0.125 % of the scale's width.
    best_trials : mapping of str to int
        Candidate to number of the trial that was judged.
    models : tuple of ModelResult
        Initial and tuned of each candidate, variants, baselines.
    differences : tuple of Difference
        All pairs of tuned models and the bias baseline; each of these and the global
        mean; tuned minus initial; initial minus variant.
    depth_differences : tuple of DepthDifference
        Of tuned models and the bias baseline where little is known.
    picked : WinnerCorrection or None
        The best objective of the tuned models, corrected for having been picked; None where
        fewer than three of them are close.
    """

    opened: datetime
    openings: int
    code_version: str
    seeds: tuple[int, ...]
    n_test: int
    n_test_users: int
    test_variance: float
    confidence: float
    margin: float
    margin_declared: bool
    best_trials: Mapping[str, int]
    models: tuple[ModelResult, ...]
    differences: tuple[Difference, ...] = ()
    depth_differences: tuple[DepthDifference, ...] = ()
    picked: WinnerCorrection | None = None
    n_listed_users: int | None = None

    def model(self, candidate: str, role: Role = "tuned") -> ModelResult | None:
        """Find the model of a candidate."""
        return next(
            (m for m in self.models if (m.candidate, m.role) == (candidate, role)), None
        )

    def baseline(self, name: str = BIAS_BASELINE) -> ModelResult | None:
        """Find a baseline by its name."""
        return next(
            (m for m in self.models if m.role == "baseline" and m.name == name), None
        )

    def difference(self, one: str, other: str) -> Difference | None:
        """Find how two models differ, turned so that `one` comes first."""
        return _find(self.differences, one, other)

    def alike(self, found: Difference) -> tuple[Difference, ...]:
        """List the differences that answer the same question."""
        if isinstance(found, DepthDifference):
            return tuple(
                each
                for each in self.depth_differences
                if (each.side, each.depth) == (found.side, found.depth)
            )
        return tuple(each for each in self.differences if each.group == found.group)

    def depth_difference(
        self, one: str, other: str, *, side: str, depth: str
    ) -> DepthDifference | None:
        """Find how two models differ where little is known, turned likewise."""
        there = (
            found
            for found in self.depth_differences
            if (found.side, found.depth) == (side, depth)
        )
        return _find(there, one, other)


_D = TypeVar("_D", bound=Difference)


def _find(found: Iterable[_D], one: str, other: str) -> _D | None:
    for each in found:
        if (each.one, each.other) == (one, other):
            return each
        if (each.one, each.other) == (other, one):
            return each.turned()
    return None
