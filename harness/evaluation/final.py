"""The final judging: refits with several seeds, scored once on the sealed test set."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, distinct
from harness.evaluation.cold_start import compare_by_depth, known_share, rmse_by_depth
from harness.evaluation.comparison import WinnerCorrection, correct_winner
from harness.evaluation.dependence import ScoreIntervals
from harness.evaluation.equivalence import answer_pairs
from harness.evaluation.measures import (
    HALF_A_DIGIT,
    LOG_LOSS,
    MEASURES,
    Evidence,
    take_measures,
)
from harness.evaluation.metrics import OBJECTIVE, Metric, rmse
from harness.evaluation.objective_scores import ObjectiveScores, Scored
from harness.evaluation.objectives import losses_of, margin_of
from harness.evaluation.ranking import (
    LENGTH,
    MEANS_OF_LISTS,
    TopLists,
    in_threads,
    judge_users,
    rank_lists,
    recommend_to,
)
from harness.evaluation.results import (
    BIAS_BASELINE,
    MEAN_BASELINE,
    CalibrationGroup,
    Costs,
    Difference,
    Judging,
    ModelResult,
    Residuals,
    Role,
    StarGroup,
    without_interval,
)
from harness.evaluation.splits import SealedTest
from harness.evaluation.statistics import Estimate
from harness.models.base import Recommender
from harness.models.families import make_model
from harness.plain import Params
from harness.version import code_version

__all__ = [
    "Entry",
    "FittedEntry",
    "choose_listed_users",
    "describe_residuals",
    "fit_entries",
    "fit_entry",
    "judge_entries",
    "predict_all",
    "seeds_of",
]

Predictions = list[npt.NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model to be judged.

    Parameters
    ----------
    name : str
        Unique name: "svd, tuned", "user and item bias".
    family : type
        Class of the model.
    params : mapping
        Its hyperparameters.
    role : {"tuned", "initial", "variant", "baseline"}
        What its settings are.
    candidate : str or None
        Key in the experiment file; None for baselines.
    """

    name: str
    family: type[Recommender]
    params: Params
    role: Role
    candidate: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedEntry:
    """A model to be judged, fitted with each seed.

    Parameters
    ----------
    entry : Entry
        What was fitted.
    models : list of Recommender
        One for each seed; one in all for a family without randomness.
    fit_seconds : float
        Mean training time of one.
    costs : Costs or None
        Measured in a process of its own.
    """

    entry: Entry
    models: list[Recommender]
    fit_seconds: float
    costs: Costs | None = None


def fit_entries(
    entries: Sequence[Entry],
    fits: Iterable[tuple[list[Recommender], float]],
    *,
    costs: Mapping[str, Costs],
    on_fitted: Callable[[str], None],
) -> list[FittedEntry]:
    """Put models and their costs, by name of the entry, together.

    `fits` yields models and mean seconds of each entry in turn, as `fit_entry` gives them.
    """
    fitted = []
    for entry, (models, seconds) in zip(entries, fits, strict=True):
        fitted.append(
            FittedEntry(
                entry=entry,
                models=models,
                fit_seconds=seconds,
                costs=costs.get(entry.name),
            )
        )
        on_fitted(entry.name)
    return fitted


def seeds_of(entry: Entry, seeds: Sequence[int]) -> Sequence[int]:
    """Name the seeds that are of use: the first alone without randomness."""
    return seeds if "seed" in entry.family.__dataclass_fields__ else seeds[:1]


def fit_entry(
    entry: Entry, train: Ratings, catalogue: Catalogue, *, seeds: Sequence[int]
) -> tuple[list[Recommender], float]:
    """Fit with each seed, once without randomness; and give the mean seconds of one."""
    start = time.perf_counter()
    models = [
        make_model(entry.family, entry.params, seed).fit(train, catalogue)
        for seed in seeds_of(entry, seeds)
    ]
    return models, (time.perf_counter() - start) / len(models)


MOST_GROUPS = 10
"""No more bars than these: of stars, and of predictions."""

Doubles = npt.NDArray[np.float64]


def describe_residuals(test: Ratings, predictions: list[npt.NDArray[Any]]) -> Residuals:
    """Describe the errors of a model.

    A model that is drawn to the mean is above the truth for low ratings and below it for
    high ones, even where it is calibrated: where what it predicts is what is given on
    average.
    """
    truth = test.values.astype(np.float64)
    errors = np.stack([np.asarray(p, dtype=np.float64) - truth for p in predictions])
    return Residuals(
        by_star=tuple(_by_star(test, errors)),
        calibration=tuple(_calibration(truth, truth + errors.mean(axis=0))),
    )


def _by_star(test: Ratings, errors: Doubles) -> list[StarGroup]:
    stars, group = _stars(test)
    found = []
    for k, star in enumerate(stars):
        chosen = errors[:, group == k]
        if not chosen.size:
            continue
        found.append(
            StarGroup(
                star=star,
                n=chosen.shape[1],
                mean_error=float(chosen.mean()),
                rmse=float(np.sqrt(np.square(chosen).mean(axis=1)).mean()),
            )
        )
    return found


def _stars(test: Ratings) -> tuple[list[float], npt.NDArray[np.integer[Any]]]:
    """Name the groups of ratings, and tell to which of them each rating belongs."""
    stars, group = np.unique(test.values.astype(np.float64), return_inverse=True)
    if len(stars) > MOST_GROUPS:
        low, high = test.scale.low, test.scale.high
        edges = np.linspace(low, high, MOST_GROUPS + 1)
        stars = (edges[:-1] + edges[1:]) / 2
        group = np.searchsorted(edges[1:-1], test.values, side="right")
    # Rounded, for 3.6 in float32 is 3.5999999.
    return [round(float(star), 6) for star in stars], group


def _calibration(truth: Doubles, predicted: Doubles) -> list[CalibrationGroup]:
    order = np.sort(predicted)
    firsts = np.arange(1, MOST_GROUPS) * len(order) // MOST_GROUPS
    _, group = np.unique(
        np.searchsorted(order[firsts], predicted, side="right"), return_inverse=True
    )
    n = np.bincount(group)
    means = (np.bincount(group, weights=x) / n for x in (predicted, truth))
    return [
        CalibrationGroup(predicted=float(p), actual=float(a), n=int(size))
        for p, a, size in zip(*means, n, strict=True)
    ]


def judge_entries(  # noqa: PLR0913 - the models, their data, and how to judge
    fitted: Sequence[FittedEntry],
    train: Ratings,
    catalogue: Catalogue,
    test: SealedTest,
    *,
    seeds: Sequence[int],
    on_judged: Callable[[str], None],
    margin: float | None = None,
    confidence: float = 0.95,
    metric: Metric = OBJECTIVE,
    jobs: int = 1,
) -> Judging:
    """Open the test set, and score all models on it.

    `confidence` is that no answer of a question is false; the interval of a model's own
    score, which answers nothing, is one of 95 % always.

    Which opening it was, and of which trials, is known to whoever keeps the count.
    Lists are made by `jobs` threads.
    """
    ratings = test.open()
    opened = datetime.now(UTC).replace(microsecond=0)
    scale = (ratings.scale.low, ratings.scale.high)
    width, declared = margin_of(metric, margin, scale)
    # What little is known of is compared by RMSE, whatever the objective is.
    of_errors = margin_of(OBJECTIVE, margin if metric == OBJECTIVE else None, scale)[0]
    judge = _Judge(train, ratings, catalogue, metric, jobs)
    different = {id(each.models): each.models[0] for each in fitted}
    judge.choose_users([*different.values()])
    models = []
    for each in fitted:
        models.append(judge.score(each))
        on_judged(each.entry.name)
    entries = [each.entry for each in fitted]
    differences = judge.differences(entries, margin=width, confidence=confidence)
    rivals = {name: judge.predictions[name] for name in _rivals(entries)}
    judging = Judging(
        opened=opened,
        openings=0,
        code_version=code_version(),
        seeds=tuple(seeds),
        n_test=len(ratings),
        n_test_users=judge.intervals.n_users,
        n_listed_users=judge.n_listed_users,
        test_variance=float(ratings.values.var(dtype=np.float64)),
        confidence=confidence,
        margin=width,
        margin_declared=declared,
        best_trials={},
        models=tuple(models),
        differences=differences,
        depth_differences=compare_by_depth(
            train, ratings, rivals, margin=of_errors, confidence=confidence
        ),
    )
    gains = judge.gains(rivals, confidence)
    return replace(
        judging,
        models=tuple(_with_gains(judging, gains)),
        picked=judge.picked(judging),
    )


_PAIRS_AT_ONCE = 65_536
"""Whatever the number of threads, so that it changes no digit of any family."""


def predict_all(
    model: Recommender, test: Ratings, jobs: int
) -> npt.NDArray[np.float32]:
    """Predict the pairs of the test set, with some threads."""

    def predict(part: slice) -> npt.NDArray[np.float32]:
        when = None if test.timestamps is None else test.timestamps[part]
        return model.predict(test.users[part], test.items[part], when)

    starts = range(0, max(1, len(test)), _PAIRS_AT_ONCE)
    parts = [slice(start, start + _PAIRS_AT_ONCE) for start in starts]
    return np.concatenate(in_threads(predict, parts, jobs))


LISTED_ALWAYS = 20_000
"""Up to so many users of a test set all get lists."""
N_PILOT_USERS = 2_000
_SAFETY = 1.2
"""A standard error known from a pilot may be that much too small."""


def choose_listed_users(
    models: Sequence[Recommender],
    train: Ratings,
    test: Ratings,
    catalogue: Catalogue,
    *,
    at_least: int = LISTED_ALWAYS,
    jobs: int = 1,
) -> npt.NDArray[np.int32]:
    """Choose the users whose lists are judged, the same for all models: all, or a sample.

    Of many users as many are drawn as it takes that the mean over them differs from that
    over all by a standard error below half of the last digit that is written, for each
    model and each mean; how many these are is known from a pilot. Fewer than
    `at_least` are not drawn.
    """
    users = distinct(test.users)
    if len(users) <= at_least:
        return users
    drawn = np.random.default_rng(0).permutation(users)
    pilots = (
        recommend_to(model, drawn[:N_PILOT_USERS], LENGTH, jobs=jobs)
        for model in models
    )
    share = max(_share_needed(pilot, train, test, catalogue) for pilot in pilots)
    return np.sort(drawn[: max(at_least, math.ceil(share * len(users)))])


def _share_needed(
    pilot: TopLists, train: Ratings, test: Ratings, catalogue: Catalogue
) -> float:
    r"""Find the share f of N users with :math:`\sigma^2 (1 - f) / (f N) \le h^2`."""
    n_users, n_pilot, needed = len(distinct(test.users)), len(pilot.users), 0.0
    for name in MEANS_OF_LISTS:
        if name == "intra_list_diversity" and not len(catalogue):
            continue
        _, influence = judge_users(name, pilot, train, test, catalogue)
        # Of the mean over the pilot, times its users: the variance of one user.
        variance = _SAFETY**2 * float(np.square(influence).sum()) * n_pilot
        half_a_digit = HALF_A_DIGIT[MEASURES[name].unit]
        needed = max(needed, variance / (variance + n_users * half_a_digit**2))
    return needed


class _Judge:
    """Scores one model after the other on the same test ratings."""

    def __init__(
        self,
        train: Ratings,
        test: Ratings,
        catalogue: Catalogue,
        metric: Metric,
        jobs: int,
    ) -> None:
        self._train, self._test, self._catalogue = train, test, catalogue
        self._metric, self._jobs = metric, jobs
        self._coverage = known_share(train, test)
        self.intervals = ScoreIntervals(test)
        self.predictions: dict[str, Predictions] = {}
        # Entries with equal settings have the same models.
        self._asked: list[
            tuple[list[Recommender], tuple[Predictions, list[TopLists]]]
        ] = []
        self._listed = distinct(test.users)
        self._objective = ObjectiveScores(
            metric=metric, train=train, test=test, catalogue=catalogue
        )

    def choose_users(self, models: Sequence[Recommender]) -> None:
        """Choose who gets lists: everybody, where the decision rests on them."""
        if not self._objective.needs_lists:
            self._listed = choose_listed_users(
                models, self._train, self._test, self._catalogue, jobs=self._jobs
            )

    @property
    def n_listed_users(self) -> int | None:
        """How many users get lists; None for all."""
        n_listed = len(self._listed)
        return None if n_listed == self.intervals.n_users else n_listed

    def score(self, fitted: FittedEntry) -> ModelResult:
        """Measure a model by everything in the table of measures."""
        entry, test = fitted.entry, self._test
        confidence = self.intervals.confidence
        predicted, lists = self._ask(fitted.models)
        self.predictions[entry.name] = predicted
        ranking, n_ranked_users = rank_lists(
            lists[0], self._train, test, self._catalogue
        )
        found = (losses_of(model, test) for model in fitted.models)
        losses = [each for each in found if each is not None]
        self._objective.scored[entry.name] = Scored(
            predictions=predicted, lists=lists, losses=losses
        )
        accuracy = self.intervals.metrics(predicted)
        if losses:
            accuracy[LOG_LOSS] = self.intervals.mean_loss(losses)
        evidence = Evidence(
            params=entry.params,
            blocks_off=entry.family.blocks_off(self._catalogue),
            train=self._train,
            test=test,
            catalogue=self._catalogue,
            predictions=predicted,
            accuracy=accuracy,
            ranking=ranking,
            depth=rmse_by_depth(self._train, test, predicted),
            coverage=self._coverage,
            fit_seconds=fitted.fit_seconds,
            costs=fitted.costs,
        )
        return ModelResult(
            name=entry.name,
            candidate=entry.candidate,
            family=entry.family.name,
            role=entry.role,
            params=dict(entry.params),
            measures=take_measures(evidence)
            | {self._metric.name: self._objective.estimate(entry.name, confidence)},
            rmse_by_seed=tuple(rmse(test.values, p) for p in predicted),
            depth=evidence.depth,
            residuals=describe_residuals(test, predicted),
            n_ranked_users=n_ranked_users,
            notes=tuple(entry.family.notes_on(self._catalogue, self._train)),
            blocks_off=evidence.blocks_off,
        )

    def _ask(self, models: list[Recommender]) -> tuple[Predictions, list[TopLists]]:
        """Let models predict and recommend, once where they are those of another entry."""
        for asked, answers in self._asked:
            if asked is models:
                return answers
        predicted = [predict_all(model, self._test, self._jobs) for model in models]
        # One seed will do, if nothing is decided by them: they are means over users.
        ranked = models if self._objective.needs_lists else models[:1]
        lists = [
            recommend_to(model, self._listed, LENGTH, jobs=self._jobs)
            for model in ranked
        ]
        self._asked.append((models, (predicted, lists)))
        return predicted, lists

    def differences(
        self, entries: Sequence[Entry], *, margin: float, confidence: float
    ) -> tuple[Difference, ...]:
        """Compare the pairs of each question; each question is corrected by itself."""
        return tuple(
            Difference.of(group, pair, self.intervals.n_users)
            for group, pairs in _pairs(entries).items()
            for pair in answer_pairs(
                self._objective.differences(pairs),
                margin=margin,
                confidence=confidence,
            )
        )

    def picked(self, judging: Judging) -> WinnerCorrection | None:
        """Correct the best score of the tuned models for having been picked."""
        tuned = [model for model in judging.models if model.role == "tuned"]
        if not tuned:
            return None
        name, sign = self._metric.name, self._metric.sign
        best = min(tuned, key=lambda model: sign * model.measures[name].value).name
        answers = {
            model.name: judging.difference(model.name, best)
            for model in tuned
            if model.name != best
        }
        close = [best] + [
            name for name, found in answers.items() if found and found.answer != "worse"
        ]
        # Going over the predictions again is dear: only where it leads to something.
        if len(close) < 3:
            return None
        found = correct_winner(close, self._objective.losses(close), close)
        if found is None:
            return None
        # They were turned so that less is better.
        return replace(
            found, score=sign * found.score, corrected=sign * found.corrected
        )

    def gains(self, rivals: Iterable[str], confidence: float) -> dict[str, Estimate]:
        """Estimate by how much the RMSE of models is below the bias baseline's."""
        pairs = [(BIAS_BASELINE, name) for name in rivals if name != BIAS_BASELINE]
        if self._metric == OBJECTIVE or BIAS_BASELINE not in self.predictions:
            return {}
        found = self.intervals.differences(self.predictions, pairs)
        answered = answer_pairs(found, margin=0.0, confidence=confidence)
        return {pair.other: pair.difference for pair in answered}


def _pairs(entries: Sequence[Entry]) -> dict[str, list[tuple[str, str]]]:
    """Group the comparisons by the question they answer."""
    of = {(e.candidate, e.role): e.name for e in entries if e.candidate is not None}
    return {
        "families": list(combinations(_rivals(entries), 2)),
        "floor": [
            (name, MEAN_BASELINE)
            for name in _rivals(entries)
            if any(e.name == MEAN_BASELINE for e in entries)
        ],
        "tuning": [
            (name, of[candidate, "initial"])
            for (candidate, role), name in of.items()
            if role == "tuned"
        ],
        "variants": [
            (of[e.candidate, "initial"], e.name)
            for e in entries
            if e.role == "variant" and e.candidate is not None
        ],
    }


def _rivals(entries: Sequence[Entry]) -> list[str]:
    """Name the tuned models, and the floor that they must beat."""
    tuned = [e.name for e in entries if e.role == "tuned"]
    return tuned + [e.name for e in entries if e.name == BIAS_BASELINE]


def _with_gains(judging: Judging, gains: Mapping[str, Estimate]) -> list[ModelResult]:
    """Add by how much the RMSE of each model is below the bias baseline's.

    `gains` are known where the objective, which differences are of, is another one.
    """
    bias = judging.baseline()
    if bias is None:
        return list(judging.models)
    return [
        model.with_measures({"gain_over_bias": _gain(judging, bias, model, gains)})
        for model in judging.models
    ]


def _gain(
    judging: Judging,
    bias: ModelResult,
    model: ModelResult,
    gains: Mapping[str, Estimate],
) -> Estimate:
    found = None if gains else judging.difference(bias.name, model.name)
    if found is not None:
        return Estimate(value=found.value, low=found.low, high=found.high)
    without = without_interval(bias.rmse.value - model.rmse.value)
    return gains.get(model.name, without)
