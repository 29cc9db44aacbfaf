"""Comparison of models over repeated outer splits of the same ratings."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from harness.errors import DataError, ParameterError
from harness.evaluation.dependence import Uncertain, VarianceParts
from harness.evaluation.equivalence import PairComparison, answer_pairs

__all__ = ["compare_repeats", "repeated_difference"]


def repeated_difference(
    differences: Sequence[float], *, test_share: float
) -> Uncertain:
    r"""Estimate a difference from several splits of the same ratings.

    The splits share most of their training ratings, so their differences are not
    independent, and :math:`s^2 / J` is too small. Nadeau and Bengio [1]_ correct the
    variance of the mean over J splits to

    .. math:: \Bigl(\frac{1}{J} + \frac{n_\mathrm{test}}{n_\mathrm{train}}\Bigr) s^2

    with J - 1 degrees of freedom. It does not reach 0, however many splits there are.

    Parameters
    ----------
    differences : sequence of float, length J
        Score of one model minus score of the other, in each split; at least two.
    test_share : float
        Share of the ratings that is in each test set, between 0 and 1.

    Returns
    -------
    Uncertain
        The mean difference.

    Raises
    ------
    DataError
        If there are fewer than two splits, or a difference is not finite.
    ParameterError
        If `test_share` is not between 0 and 1.

    References
    ----------
    .. [1] C. Nadeau and Y. Bengio, "Inference for the generalization error", Machine
       Learning 52(3), 2003.

    Examples
    --------
    The variance of 1, 2 and 3 is 1; with a quarter in the test set the squared standard
    error is 1/3 + 1/3.

    >>> found = repeated_difference([1.0, 2.0, 3.0], test_share=0.25)
    >>> found.value, round(found.parts.total, 4), found.degrees_of_freedom
    (2.0, 0.6667, 2.0)
    """
    if not 0 < test_share < 1:
        raise ParameterError(
            f"test_share must be between 0 and 1, but got {test_share}."
        )
    values = np.asarray(differences, np.float64)
    n_repeats = len(values)
    if n_repeats < 2:
        raise DataError(f"Two splits or more are needed, but got {n_repeats}.")
    if not np.isfinite(values).all():
        raise DataError("A score of a split is not a finite number.")
    factor = 1 / n_repeats + test_share / (1 - test_share)
    return Uncertain(
        value=float(values.mean()),
        parts=VarianceParts(splits=factor * float(np.var(values, ddof=1))),
        degrees_of_freedom=float(n_repeats - 1),
        two_way_ratio=None,
    )


def compare_repeats(
    scores: Mapping[str, Sequence[float]],
    *,
    test_share: float,
    margin: float,
    confidence: float = 0.95,
) -> tuple[PairComparison, ...]:
    """Compare models by their scores in several splits, with the same answers.

    Searches and judging are repeated on each split, so choosing hyperparameters is part
    of what varies. What no number of splits of one data set can tell is how other ratings
    would differ.

    Parameters
    ----------
    scores : mapping of str to sequence of float
        Name of each model to its score in each split; lower is better. The splits are in
        the same order for all.
    test_share : float
        Share of the ratings that is in each test set, between 0 and 1.
    margin : float
        Smallest difference that matters.
    confidence : float, default 0.95
        That no answer is false; intervals are adjusted to it.

    Returns
    -------
    tuple of PairComparison
        Every pair of models once, all of them one question: Nadeau-Bengio intervals,
        adjusted for the pairs, and the answers read off them.

    Raises
    ------
    DataError
        If there are fewer than two models or splits, or not as many for each model.
    """
    lengths = {len(each) for each in scores.values()}
    if len(scores) < 2 or len(lengths) != 1:
        raise DataError(
            "Two models or more are needed, with a score for each split, but got "
            + ", ".join(f"{name}: {len(each)}" for name, each in scores.items())
            + "."
        )
    columns = {name: np.asarray(each, np.float64) for name, each in scores.items()}
    return answer_pairs(
        [
            (
                one,
                other,
                repeated_difference(
                    list(columns[one] - columns[other]), test_share=test_share
                ),
            )
            for one, other in combinations(columns, 2)
        ],
        margin=margin,
        confidence=confidence,
    )
