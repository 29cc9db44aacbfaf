"""Comparison of models over several data sets: ranks, critical difference, counts."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import DataError, ParameterError
from harness.evaluation.equivalence import OPPOSITE, Answer

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FEWEST_DATA_SETS",
    "AnswerCounts",
    "DataSetComparison",
    "DataSetScores",
    "FriedmanTest",
    "RankedModel",
    "compare_data_sets",
    "critical_difference",
    "friedman_test",
]

FEWEST_DATA_SETS = 5
"""Fewer data sets are described; they prove nothing about others."""

_N_PERMUTATIONS = 19_999


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSetScores:
    """What was measured on one data set.

    Parameters
    ----------
    name : str
        Of the experiment or the data set.
    floor : float
        Score of the bias baseline.
    scores : mapping of str to float
        Model to its score.
    answers : mapping of (str, str) to Answer
        What the first model of a pair is, compared with the second, on this data set. A
        pair that is not there, either way round, was not compared.
    """

    name: str
    floor: float
    scores: Mapping[str, float]
    answers: Mapping[tuple[str, str], Answer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FriedmanTest:
    """Whether models differ in rank over data sets at all.

    Parameters
    ----------
    statistic : float
        Friedman's chi-square, corrected for ties; 0 where all scores are tied.
    degrees_of_freedom : int
        Number of models minus 1.
    p_value : float
        From the permutations of the ranks within each data set.
    """

    statistic: float
    degrees_of_freedom: int
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedModel:
    """One model over all data sets, in the order of the data sets.

    Parameters
    ----------
    name : str
        Of the model.
    rank : float
        Mean of `ranks`.
    ranks : tuple of float
        1 is the best score; models with the same score share their mean rank.
    scores : tuple of float
        As measured.
    shares : tuple of float
        Score as a share of that of the bias baseline: 0.95 is 5 % below it.
    """

    name: str
    rank: float
    ranks: tuple[float, ...]
    scores: tuple[float, ...]
    shares: tuple[float, ...]

    @property
    def mean_share(self) -> float:
        """Mean of `shares`."""
        return math.fsum(self.shares) / len(self.shares)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCounts:
    """On how many data sets a model is better, equivalent, undecided or worse.

    Parameters
    ----------
    one, other : str
        Names of the models.
    better, equivalent, undecided, worse : int
        What `one` is, compared with `other`, by the margin of each data set.
    """

    one: str
    other: str
    better: int
    equivalent: int
    undecided: int
    worse: int

    @property
    def n_compared(self) -> int:
        """Number of data sets on which the two were compared."""
        return self.better + self.equivalent + self.undecided + self.worse


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSetComparison:
    """Models over several data sets.

    Parameters
    ----------
    data_sets : tuple of str
        Their names.
    models : tuple of RankedModel
        The lowest mean rank first.
    friedman : FriedmanTest
        Whether they differ at all.
    critical_difference : float
        Nemenyi's: mean ranks that are at least so far apart are told apart, if Friedman's
        test is passed.
    confidence : float
        One minus the level of both tests.
    counts : tuple of AnswerCounts
        Every pair once, in the order of `models`.
    """

    data_sets: tuple[str, ...]
    models: tuple[RankedModel, ...]
    friedman: FriedmanTest
    critical_difference: float
    confidence: float
    counts: tuple[AnswerCounts, ...]

    @property
    def is_description(self) -> bool:
        """Whether the data sets are too few to say anything about others."""
        return len(self.data_sets) < FEWEST_DATA_SETS

    @property
    def differ(self) -> bool:
        """Whether Friedman's test is passed."""
        return self.friedman.p_value <= 1 - self.confidence

    @property
    def leaders(self) -> tuple[str, ...]:
        """Models with the lowest mean rank: one, unless they share it."""
        lowest = self.models[0].rank
        return tuple(m.name for m in self.models if math.isclose(m.rank, lowest))

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Largest sets of neighbours in rank of which no two are told apart.

        A model in two of them belongs to neither: the data sets do not suffice to tell.
        """
        names = [model.name for model in self.models]
        if not self.differ:
            return (tuple(names),)
        found: list[tuple[int, int]] = []
        for first in range(len(names)):
            last = max(k for k in range(first, len(names)) if self._is_near(first, k))
            if last > first and (not found or last > found[-1][1]):
                found.append((first, last))
        return tuple(tuple(names[first : last + 1]) for first, last in found)

    def _is_near(self, one: int, other: int) -> bool:
        gap = abs(self.models[one].rank - self.models[other].rank)
        # Mean ranks are sums of halves over N: an equal gap must not fail by rounding.
        return gap < self.critical_difference - 1e-9

    def tells_apart(self, one: str, other: str) -> bool:
        """Say whether two models are told apart by their mean ranks.

        Parameters
        ----------
        one, other : str
            Names of the models.

        Returns
        -------
        bool
            Whether Friedman's test is passed and the critical difference reached.
        """
        names = [model.name for model in self.models]
        near = self._is_near(names.index(one), names.index(other))
        return self.differ and not near

    def count(self, one: str, other: str) -> AnswerCounts:
        """Find the counts of a pair.

        Parameters
        ----------
        one, other : str
            Names of the models.

        Returns
        -------
        AnswerCounts
            Turned so that `one` comes first.

        Raises
        ------
        ParameterError
            If it is not a pair of these models.
        """
        for found in self.counts:
            if (found.one, found.other) == (one, other):
                return found
            if (found.one, found.other) == (other, one):
                return AnswerCounts(
                    one=one,
                    other=other,
                    better=found.worse,
                    equivalent=found.equivalent,
                    undecided=found.undecided,
                    worse=found.better,
                )
        names = ", ".join(model.name for model in self.models)
        raise ParameterError(
            f"{one!r} and {other!r} are not two of the models compared: {names}."
        )

    def to_frame(self) -> "pd.DataFrame":
        """Lay the models side by side.

        Returns
        -------
        DataFrame
            A row for each model, the lowest mean rank first: ``model``, ``rank``, and a
            column for each data set with the score in % of the bias baseline.
        """
        import pandas as pd

        rows: list[dict[str, object]] = [
            {
                "model": model.name,
                "rank": model.rank,
                **{
                    name: 100 * share
                    for name, share in zip(self.data_sets, model.shares, strict=True)
                },
            }
            for model in self.models
        ]
        return pd.DataFrame(rows)


def friedman_test(ranks: Sequence[Sequence[float]]) -> FriedmanTest:
    r"""Test whether k models rank alike on N data sets.

    With the rank sums :math:`R_j` and ties of :math:`t` models each,

    .. math:: \chi^2 = \frac{12}{N k (k + 1)} \sum_j \Bigl(R_j - \frac{N (k + 1)}{2}
              \Bigr)^2 \Bigm/ \Bigl(1 - \frac{\sum (t^3 - t)}{N k (k^2 - 1)}\Bigr).

    Its distribution is near that of chi-square for many data sets only. So the p-value
    comes from permuting the ranks within each data set: all ways, or where there are
    more than 19,999, as many drawn ones. The F of Iman and Davenport, which Demšar [1]_
    advises, rises with chi-square, and has the same p-value of this kind.

    Parameters
    ----------
    ranks : sequence of N sequences of k float
        Ranks of the models on each data set.

    Returns
    -------
    FriedmanTest
        Chi-square, k - 1, and p.

    References
    ----------
    .. [1] J. Demšar, "Statistical comparisons of classifiers over multiple data sets",
       Journal of Machine Learning Research 7, 2006.

    Examples
    --------
    Three models in the same order on three data sets: the rank sums are 3, 6 and 9, so
    chi-square is 12 / 36 times 18. Of 216 permutations 6 agree so well.

    >>> found = friedman_test([[1, 2, 3], [1, 2, 3], [1, 2, 3]])
    >>> round(found.statistic, 6), round(216 * found.p_value, 6)
    (6.0, 6.0)
    """
    from scipy.stats import permutation_test

    table = np.asarray(ranks, np.float64)
    n, k = table.shape
    spread = float(((table - (k + 1) / 2) ** 2).sum())
    # scipy.stats.friedmanchisquare refuses two models, and gives NaN where all are tied.
    between = float(((table.sum(axis=0) - n * (k + 1) / 2) ** 2).sum())
    statistic = (k - 1) * between / spread if spread else 0.0

    def sum_of_squares(*rows: Any, axis: int) -> Any:
        return (sum(rows) ** 2).sum(axis=axis)

    found = permutation_test(
        list(table),
        sum_of_squares,
        permutation_type="pairings",
        alternative="greater",
        n_resamples=_N_PERMUTATIONS,
        vectorized=True,
        batch=2_000,
        random_state=0,
    )
    return FriedmanTest(
        statistic=statistic, degrees_of_freedom=k - 1, p_value=float(found.pvalue)
    )


def critical_difference(
    n_models: int, n_data_sets: int, *, confidence: float = 0.95
) -> float:
    r"""Compute how far mean ranks must be apart, by Nemenyi's test.

    .. math:: \frac{q_\alpha}{\sqrt 2} \sqrt{\frac{k (k + 1)}{6 N}}

    with the quantile q of the studentized range of k normal variables [1]_.

    Parameters
    ----------
    n_models : int
        k, at least 2.
    n_data_sets : int
        N.
    confidence : float, default 0.95
        One minus the chance that any two of k equal models are told apart.

    Returns
    -------
    float
        In ranks.

    References
    ----------
    .. [1] P. B. Nemenyi, "Distribution-free multiple comparisons", PhD thesis, Princeton,
       1963; J. Demšar, Journal of Machine Learning Research 7, 2006.

    Examples
    --------
    Of four models on 14 data sets, as in Demšar's paper:

    >>> round(critical_difference(4, 14), 2)
    1.25
    """
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(confidence, n_models, np.inf)) / math.sqrt(2)
    return q * math.sqrt(n_models * (n_models + 1) / (6 * n_data_sets))


def compare_data_sets(
    measured: Sequence[DataSetScores],
    *,
    confidence: float = 0.95,
    higher_is_better: bool = False,
) -> DataSetComparison:
    """Compare models by their ranks on several data sets.

    The data sets are the sample: what is said holds for data sets like these, and what
    happens within one of them (users, titles, seeds) is in the counts only. Ranks know no
    margin: a difference of any size is one of a whole rank.

    Parameters
    ----------
    measured : sequence of DataSetScores
        Two data sets or more, with the same two models or more. Of models that share a
        mean rank, the first in the first data set comes first.
    confidence : float, default 0.95
        One minus the level of both tests.
    higher_is_better : bool, default False
        Whether the highest score ranks first. Lower ones must be positive.

    Returns
    -------
    DataSetComparison
        Ranks, Friedman's test, the critical difference, and counts of answers.

    Raises
    ------
    DataError
        If there are fewer than two data sets or models, not the same models in all, or a
        score is not a positive number.
    """
    names = _check(measured, least=-math.inf if higher_is_better else 0.0)
    from scipy.stats import rankdata

    table = np.array([[each.scores[name] for name in names] for each in measured])
    floors = np.array([each.floor for each in measured])
    ranks = rankdata(-table if higher_is_better else table, axis=1)
    models = [
        RankedModel(
            name=name,
            rank=float(ranks[:, k].mean()),
            ranks=tuple(ranks[:, k].tolist()),
            scores=tuple(table[:, k].tolist()),
            shares=tuple((table[:, k] / floors).tolist()),
        )
        for k, name in enumerate(names)
    ]
    models.sort(key=lambda model: model.rank)
    return DataSetComparison(
        data_sets=tuple(each.name for each in measured),
        models=tuple(models),
        friedman=friedman_test(ranks.tolist()),
        critical_difference=critical_difference(
            len(names), len(measured), confidence=confidence
        ),
        confidence=confidence,
        counts=tuple(
            _count(measured, one.name, other.name)
            for one, other in combinations(models, 2)
        ),
    )


def _check(measured: Sequence[DataSetScores], least: float) -> list[str]:
    if len(measured) < 2:
        raise DataError(f"Two data sets or more are needed, but got {len(measured)}.")
    names = list(measured[0].scores)
    for each in measured:
        if each.scores.keys() != measured[0].scores.keys():
            raise DataError(
                f"Every data set needs the same models, but {measured[0].name} has "
                f"{', '.join(names)}, and {each.name} has {', '.join(each.scores)}."
            )
        above = {"the bias baseline": (each.floor, 0.0)}
        above |= {name: (value, least) for name, value in each.scores.items()}
        for name, (value, bound) in above.items():
            if not (math.isfinite(value) and value > bound):
                raise DataError(
                    f"{each.name}: scores must be positive numbers, but {name} has "
                    f"{value}."
                )
    if len(names) < 2:
        raise DataError(f"Two models or more are needed, but got {len(names)}.")
    return names


def _count(measured: Iterable[DataSetScores], one: str, other: str) -> AnswerCounts:
    found: Counter[Answer] = Counter()
    for each in measured:
        if (one, other) in each.answers:
            found[each.answers[one, other]] += 1
        elif (other, one) in each.answers:
            answer = each.answers[other, one]
            found[OPPOSITE.get(answer, answer)] += 1
    return AnswerCounts(
        one=one,
        other=other,
        better=found["better"],
        equivalent=found["equivalent"],
        undecided=found["undecided"],
        worse=found["worse"],
    )
