"""Comparison of models by their predictions of the same ratings."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.errors import DataError, ParameterError, UnknownNameError
from harness.evaluation.clusters import Groups
from harness.evaluation.dependence import SCORES, ScoreSums, Sums
from harness.evaluation.equivalence import (
    NonInferiority,
    PairComparison,
    answer_pairs,
    check_margin,
    non_inferiority,
    users_to_detect,
)
from harness.evaluation.statistics import FEWEST_USERS, Estimate
from harness.formatting import percent, probability

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Comparison",
    "ModelScore",
    "WinnerCorrection",
    "compare_predictions",
    "correct_winner",
]

Predictions: TypeAlias = npt.ArrayLike | Sequence[npt.ArrayLike]

FEWEST_TITLES = 20
"""Coverage was measured down to so many equally popular titles."""

COMPARED = ("rmse", "mae", "user_rmse")
"""Measures in stars of which less is better."""

_WINNER_DRAWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScore:
    """The score of a model.

    Parameters
    ----------
    name : str
        Name of the model.
    score : Estimate
        Mean over seeds, with its interval.
    by_seed : tuple of float
        Score of each seed's predictions.
    """

    name: str
    score: Estimate
    by_seed: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WinnerCorrection:
    """The best model's score, corrected for having been picked by it.

    Parameters
    ----------
    name : str
        Name of the best model.
    score : float
        As measured. The lowest of several scores is too low on average.
    corrected : float
        What is to be expected on other ratings.
    n_close : int
        Number of models not shown to be worse by more than the margin; at least 3.
    """

    name: str
    score: float
    corrected: float
    n_close: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the ratings say about the models, and what they cannot say.

    Parameters
    ----------
    measure : str
        Name of the score: ``"rmse"``, ``"mae"`` or ``"user_rmse"``. Lower is better.
    models : tuple of ModelScore
        In the order given.
    pairs : tuple of PairComparison
        Every pair of models once, in the order given; all of them are one question.
    best : str
        Name of the model with the lowest score.
    baseline : str or None
        Name of the bias baseline.
    margin : float
        Smallest difference that matters, in stars.
    margin_declared : bool
        Whether it was given; else it is 0.125 % of the scale's width.
    scale : tuple of float
        Lowest and highest rating.
    scale_declared : bool
        Whether it was given; else it is what the ratings span.
    confidence : float
        Nominal coverage of the scores' intervals, and the probability that no answer is
        false.
    n_ratings, n_users : int
        Number of ratings, and of users who gave them.
    n_titles : int or None
        Number of titles; None where they are not known.
    n_effective_users, n_effective_titles : float
        Number of equally active users, or equally popular titles, that would tell as much.
    winner : WinnerCorrection or None
        None where fewer than three models are close.
    """

    measure: str
    models: tuple[ModelScore, ...]
    pairs: tuple[PairComparison, ...]
    best: str
    baseline: str | None
    margin: float
    margin_declared: bool
    scale: tuple[float, float]
    scale_declared: bool
    confidence: float
    n_ratings: int
    n_users: int
    n_titles: int | None
    n_effective_users: float
    n_effective_titles: float | None
    winner: WinnerCorrection | None

    def pair(self, one: str, other: str) -> PairComparison:
        """Look up what is known about two models.

        Parameters
        ----------
        one, other : str
            Names of the models.

        Returns
        -------
        PairComparison
            `one` compared with `other`.

        Raises
        ------
        UnknownNameError
            If there is no such pair.
        """
        for pair in self.pairs:
            if (pair.one, pair.other) == (one, other):
                return pair
            if (pair.one, pair.other) == (other, one):
                return pair.flipped()
        names = [model.name for model in self.models]
        missing = next((name for name in (one, other) if name not in names), other)
        raise UnknownNameError("model", missing, set(names) - {one})

    @property
    def ranked(self) -> tuple[ModelScore, ...]:
        """Models by score, the best one first."""
        return tuple(sorted(self.models, key=lambda model: model.score.value))

    @property
    def candidates(self) -> tuple[str, ...]:
        """Models not shown to be worse than the best by more than the margin."""
        return tuple(
            model.name
            for model in self.ranked
            if model.name == self.best
            or self.pair(model.name, self.best).answer != "worse"
        )

    def non_inferiority(
        self, candidate: str, champion: str, *, alpha: float = 0.05
    ) -> NonInferiority:
        """Test that a model is not worse than another by as much as the margin.

        Parameters
        ----------
        candidate, champion : str
            Names of the models.
        alpha : float, default 0.05
            Level of the one-sided test.

        Returns
        -------
        NonInferiority
            See `harness.evaluation.equivalence.non_inferiority`.
        """
        pair = self.pair(candidate, champion)
        return non_inferiority(pair, n_users=self.n_users, alpha=alpha)

    def users_to_detect(self, one: str, other: str) -> int | None:
        """Count the test users with which the margin is told from none, at 80 % power.

        Parameters
        ----------
        one, other : str
            Names of the models.

        Returns
        -------
        int or None
            None where no number of users would do; see
            `harness.evaluation.equivalence.users_to_detect`.
        """
        return users_to_detect(self.pair(one, other), n_users=self.n_users)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What a reader must know before believing the intervals."""
        found = []
        if self.n_users < FEWEST_USERS:
            found.append(
                f"{self.n_users} users are few: below {FEWEST_USERS}, intervals cover "
                "the truth less often than they say."
            )
        if self.n_effective_titles is None:
            found.append(
                "Titles are not known: dependence through them is not counted."
            )
        elif self.n_effective_titles < FEWEST_TITLES:
            found.append(
                f"The titles count like {self.n_effective_titles:.1f} equally popular "
                f"ones: below {FEWEST_TITLES}, how often intervals cover the truth was "
                "not measured."
            )
        if any(len(model.by_seed) == 1 for model in self.models):
            names = ", ".join(m.name for m in self.models if len(m.by_seed) == 1)
            found.append(
                f"One prediction each, so other seeds are not counted: {names}."
            )
        return tuple(found)

    def to_frame(self) -> "pd.DataFrame":
        """Tabulate the pairs.

        Returns
        -------
        DataFrame
            A row for each pair; columns are the fields of `PairComparison`, with the
            parts of nested ones after a dot (``difference.low``).
        """
        import pandas as pd

        return pd.json_normalize([asdict(pair) for pair in self.pairs])

    def __str__(self) -> str:
        return "\n".join(
            [self._title(), *self._table(), *self._resolution(), *self.caveats]
        )

    def _title(self) -> str:
        titles = "" if self.n_titles is None else f" of {self.n_titles:,} titles"
        declared = "" if self.margin_declared else " (0.125 % of the scale's width)"
        return (
            f"{SCORES[self.measure].label} on {self.n_ratings:,} ratings{titles} by "
            f"{self.n_users:,} users, {100 * self.confidence:g} % intervals, those of "
            f"differences adjusted for all pairs, margin {self.margin:g}{declared}"
        )

    def _table(self) -> list[str]:
        width = max(len(model.name) for model in self.models)
        lines = []
        for model in self.ranked:
            s = model.score
            line = f"  {model.name:<{width}}  {s.value:.4f} [{s.low:.4f}, {s.high:.4f}]"
            lines.append(f"{line}  {self._standing(model.name)}")
        if self.winner is not None:
            w = self.winner
            lines.append(
                f"{w.name} was picked as the lowest of {w.n_close} close scores; corrected "
                f"for that, {w.corrected:.4f} is to be expected."
            )
        return lines

    def _standing(self, name: str) -> str:
        if name == self.best:
            return "lowest"
        pair = self.pair(name, self.best)
        d, p = pair.difference, pair.probability
        words = {
            "worse": "worse than {} by more than the margin",
            "better": "better than {} by more than the margin",
            "equivalent": "equivalent to {}",
            "undecided": "undecided against {}",
        }[pair.answer].format(self.best)
        gap = ""
        if pair.share_of_gap is not None and name != self.baseline:
            gap = f", {percent(pair.share_of_gap, 1)} of the gap to {self.baseline}"
        return (
            f"{d.value:+.4f} [{d.low:+.4f}, {d.high:+.4f}]{gap}: {words} "
            f"(P worse {probability(p.worse)}, equivalent {probability(p.equivalent)})"
        )

    def _resolution(self) -> list[str]:
        one, other = (model.name for model in self.ranked[:2])
        pair = self.pair(one, other)
        need = self.users_to_detect(one, other)
        why = ": titles or seeds are too few" if self.margin else ""
        enough = (
            f"No number of users would detect the margin{why}."
            if need is None
            else f"Detecting the margin takes {need:,} users like these."
        )
        found = (
            f"With 80 % power these ratings detect a true difference of "
            f"{pair.detectable:.4f} between {one} and {other}. {enough}"
        )
        lines = [found]
        if pair.two_way_ratio is not None:
            lines.append(
                f"Standard error of that difference: counting dependence through "
                f"{pair.dependence}; two-way is {pair.two_way_ratio:.2f} times users alone."
            )
        return lines


def compare_predictions(  # noqa: PLR0913 -- one call for NumPy users, keywords only
    truth: npt.ArrayLike,
    predictions: Mapping[str, Predictions],
    users: npt.ArrayLike,
    items: npt.ArrayLike | None = None,
    *,
    margin: float | None = None,
    scale: tuple[float, float] | None = None,
    confidence: float = 0.95,
    baseline: str | None = None,
    measure: str = "rmse",
    seed: int = 0,
) -> Comparison:
    r"""Compare models by their predictions of the same ratings.

    For each pair of models: better by more than the margin, equivalent within it, worse,
    or undecided, read off intervals that are adjusted for the pairs (see
    `harness.evaluation.equivalence.answer_pairs`). Standard errors count that ratings
    share users and titles, and that other seeds could have been (see
    `harness.evaluation.dependence.ScoreSums`).

    Where more than two models are close, the best one's score is corrected for having
    been picked [1]_: noise with the estimated covariance is drawn around the scores, and
    the mean error of the lowest one is taken off. Before, the scores are shrunk towards
    their mean until they vary by what noise does not explain; noise has spread them, and
    they would count as more different than they are.

    Parameters
    ----------
    truth : array_like of float, shape (n_ratings,)
        Ratings in stars.
    predictions : mapping of str to array_like
        Name of each model to its predictions, shape (n_ratings,), or to several of them,
        one for each seed; at least two models.
    users, items : array_like, shape (n_ratings,)
        Who rated, and what. Without items dependence through titles is not counted.
    margin : float, optional
        Smallest difference that matters, in stars; default 0.125 % of the scale's width.
    scale : (float, float), optional
        Lowest and highest rating; default what `truth` spans.
    confidence : float, default 0.95
        Nominal coverage of the scores' intervals, and the probability that no answer is
        false.
    baseline : str, optional
        Name of the bias baseline, to give differences as a share of what it leaves.
    measure : {"rmse", "mae", "user_rmse"}, default "rmse"
        What is compared.
    seed : int, default 0
        Seed of the draws for the winner's correction; nothing else is random.

    Returns
    -------
    Comparison
        Print it, or take its `pairs`, `candidates` or `to_frame()`.

    Raises
    ------
    DataError
        If arrays do not fit each other, or are of fewer than 2 users or titles.
    ParameterError
        If `margin`, `scale` or `confidence` is impossible.
    UnknownNameError
        If there is no such `measure`, or no model named `baseline`.

    References
    ----------
    .. [1] Y. McLatchie and A. Vehtari, "Efficient estimation and correction of
       selection-induced bias with order statistics", Statistics and Computing 34, 2024.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> users, items = np.repeat(np.arange(500), 20), rng.integers(0, 900, 10_000)
    >>> truth = rng.integers(1, 6, 10_000)
    >>> good = truth + rng.normal(0, 0.80, 10_000)
    >>> same = good + rng.normal(0, 0.01, 10_000)
    >>> poor = good + rng.normal(0, 0.30, 10_000)
    >>> models = {"good": good, "same": same, "poor": poor}
    >>> found = compare_predictions(truth, models, users, items)
    >>> found.margin
    0.005
    >>> found.pair("poor", "good").answer, found.pair("same", "good").answer
    ('worse', 'equivalent')
    """
    if measure not in COMPARED:
        raise UnknownNameError("measure", measure, COMPARED)
    if not 0.5 <= confidence < 1:
        raise ParameterError(
            f"confidence must be at least 0.5 and below 1, but got {confidence}."
        )
    if baseline is not None and baseline not in predictions:
        raise UnknownNameError("model", baseline, predictions)
    ratings = _column("truth", truth)
    columns = _columns(predictions, len(ratings))
    groups = _groups(users, items, len(ratings))
    span = _scale(scale, ratings)
    stars, declared = check_margin(margin, span)
    sums = ScoreSums(ratings, columns, groups, SCORES[measure])
    pairs = _pairs(list(predictions), sums, stars, confidence, baseline)
    comparison = Comparison(
        measure=measure,
        models=_models(predictions, columns, sums, measure, confidence),
        pairs=pairs,
        best=list(predictions)[int(np.argmin(sums.scores))],
        baseline=baseline,
        margin=stars,
        margin_declared=declared,
        scale=span,
        scale_declared=scale is not None,
        confidence=confidence,
        n_ratings=len(ratings),
        n_users=len(groups.users),
        n_titles=None if groups.titles is None else len(groups.titles),
        n_effective_users=groups.users.n_effective,
        n_effective_titles=None if groups.titles is None else groups.titles.n_effective,
        winner=None,
    )
    names = [model.name for model in comparison.models]
    winner = correct_winner(names, sums, comparison.candidates, seed=seed)
    return replace(comparison, winner=winner)


def _models(
    names: Iterable[str],
    columns: Sequence[Sequence[npt.NDArray[Any]]],
    sums: ScoreSums,
    measure: str,
    confidence: float,
) -> tuple[ModelScore, ...]:
    found, start = [], 0
    for k, (name, own) in enumerate(zip(names, columns, strict=True)):
        estimate = sums.estimate(k)
        half = estimate.uncertainty.half_width(confidence)
        low, high = SCORES[measure].ends(estimate.value, half)
        by_seed = sums.by_seed[start : start + len(own)]
        start += len(own)
        found.append(
            ModelScore(
                name=name,
                score=Estimate(value=estimate.value, low=low, high=high),
                by_seed=tuple(float(score) for score in by_seed),
            )
        )
    return tuple(found)


def _pairs(
    names: Sequence[str],
    sums: ScoreSums,
    margin: float,
    confidence: float,
    baseline: str | None,
) -> tuple[PairComparison, ...]:
    pairs = answer_pairs(
        [
            (names[i], names[j], sums.estimate(i, minus=j))
            for i, j in combinations(range(len(names)), 2)
        ],
        margin=margin,
        confidence=confidence,
    )
    if baseline is None:
        return pairs
    gap = float(sums.scores[names.index(baseline)] - sums.scores.min())
    if gap <= 0:
        return pairs
    return tuple(replace(p, share_of_gap=p.difference.value / gap) for p in pairs)


def correct_winner(
    names: Sequence[str], sums: Sums, close: Sequence[str], *, seed: int = 0
) -> WinnerCorrection | None:
    """Correct the lowest of several close scores for having been picked by it.

    How, and by whom, is said at `compare_predictions`.

    Parameters
    ----------
    names : sequence of str
        Names of the models, in the order of `sums`.
    sums : Sums
        Their scores; less is better.
    close : sequence of str
        Names of those not shown to be worse than the best by more than the margin.
    seed : int, default 0
        Seed of the draws.

    Returns
    -------
    WinnerCorrection or None
        None where fewer than three models are close, or a single user leaves nothing to
        estimate noise from.
    """
    if len(close) < 3:
        return None
    places = [names.index(name) for name in close]
    if math.isnan(sums.estimate(places[0]).parts.total):
        return None
    scores = sums.scores[places]
    optimism = _optimism(scores, sums.covariance(places), np.random.default_rng(seed))
    return WinnerCorrection(
        name=close[int(scores.argmin())],
        score=float(scores.min()),
        corrected=float(scores.min()) - optimism,
        n_close=len(close),
    )


def _optimism(
    scores: npt.NDArray[np.float64],
    covariance: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> float:
    """Mean error of the lowest of several scores; not above 0 but for chance."""
    k = len(scores)
    noise = float(np.trace(covariance) - covariance.sum() / k) / (k - 1)
    spread = float(np.var(scores, ddof=1))
    kept = max(0.0, 1 - noise / spread) if spread > 0 else 0.0
    # The root: it is the variance of the scores that noise makes too large.
    centres = scores.mean() + math.sqrt(kept) * (scores - scores.mean())
    half = rng.multivariate_normal(np.zeros(k), covariance, _WINNER_DRAWS // 2)
    # In pairs of opposite signs: what all models share cancels out.
    errors = np.concatenate([half, -half])
    picked = np.argmin(centres + errors, axis=1)
    return float(errors[np.arange(len(errors)), picked].mean())


def _scale(
    scale: tuple[float, float] | None, ratings: npt.NDArray[Any]
) -> tuple[float, float]:
    low, high = (ratings.min(), ratings.max()) if scale is None else scale
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ParameterError(
            f"scale needs a lowest below a highest rating, but got {low:g} to {high:g}."
        )
    return float(low), float(high)


def _columns(
    predictions: Mapping[str, Predictions], n_ratings: int
) -> list[list[npt.NDArray[Any]]]:
    if len(predictions) < 2:
        raise DataError(f"Two models or more are needed, but got {len(predictions)}.")
    models = []
    for name, given in predictions.items():
        several = isinstance(given, Sequence) and len(given) and np.ndim(given[0]) == 1
        array = isinstance(given, np.ndarray) and given.ndim == 2
        each = list(given) if several or array else [given]  # type: ignore[arg-type]
        if not each:
            raise DataError(f"prediction of {name!r} must be given, but there is none.")
        models.append([_column(f"prediction of {name!r}", one) for one in each])
        for column in models[-1]:
            _check_length(f"prediction of {name!r}", column, n_ratings)
    return models


def _column(what: str, values: Any) -> npt.NDArray[Any]:
    try:
        column = np.asarray(values)
        numbers = column if column.dtype.kind in "fiu" else column.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be numbers: {error}.") from None
    if numbers.ndim != 1 or not len(numbers):
        raise DataError(
            f"{what} must have one number for each rating, but its shape is "
            f"{numbers.shape}."
        )
    wrong = int(np.count_nonzero(~np.isfinite(numbers)))
    if wrong:
        raise DataError(f"{what} has {wrong:,} values that are not finite numbers.")
    return numbers


def _groups(
    users: npt.ArrayLike, items: npt.ArrayLike | None, n_ratings: int
) -> Groups:
    by = {"users": np.asarray(users)}
    if items is not None:
        by["items"] = np.asarray(items)
    for what, ids in by.items():
        _check_length(what, ids, n_ratings)
        if (ids == ids[0]).all():
            hint = " Leave items out to count users only." if what == "items" else ""
            raise DataError(
                f"{what} must be at least 2 different ones to know how uncertain a score "
                f"is, but got 1.{hint}"
            )
    return Groups.of(by["users"], by.get("items"))


def _check_length(what: str, column: npt.NDArray[Any], n_ratings: int) -> None:
    if column.shape != (n_ratings,):
        raise DataError(
            f"{what} must have one entry for each of the {n_ratings:,} ratings, but its "
            f"shape is {column.shape}."
        )
