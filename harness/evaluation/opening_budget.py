"""Error spent by opening one test set repeatedly, and what is left of it."""

import math
from dataclasses import dataclass

from harness.errors import ParameterError

__all__ = ["OpeningBudget", "opening_level"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningBudget:
    r"""What has been spent of the error that a test set may cause, all tests together.

    Each test of a new model on the same test set is one more chance of a false answer.
    The k-th test gets the share :math:`1 / k(k+1)` of the total level; the shares of all
    tests that may ever come add up to 1, and after k of them :math:`1 / (k+1)` is left.

    Parameters
    ----------
    openings : int
        Number of tests made so far.
    alpha : float
        Total level: chance of any false answer in all tests together.
    spent : float
        Part of `alpha` that the tests so far have used.
    left : float
        Part of `alpha` that is left; never 0.
    next_level : float
        Level of the next test; see `opening_level`.
    """

    openings: int
    alpha: float
    spent: float
    left: float
    next_level: float

    @classmethod
    def after(
        cls, openings: int, *, alpha: float = 0.05, answers: int = 2
    ) -> "OpeningBudget":
        """Account for the tests made so far.

        Parameters
        ----------
        openings : int
            Number of tests made so far.
        alpha : float, default 0.05
            Total level.
        answers : int, default 2
            See `opening_level`.

        Returns
        -------
        OpeningBudget
            The state before the next test.

        Examples
        --------
        >>> budget = OpeningBudget.after(3, alpha=0.05)
        >>> round(budget.spent, 4), round(budget.left, 4)
        (0.0375, 0.0125)
        """
        next_level = opening_level(openings + 1, alpha=alpha, answers=answers)
        left = alpha / (openings + 1)
        return cls(
            openings=openings,
            alpha=alpha,
            spent=alpha - left,
            left=left,
            next_level=next_level,
        )


def opening_level(opening: int, *, alpha: float = 0.05, answers: int = 2) -> float:
    r"""Level of one of several tests on the same test set.

    .. math:: \alpha_k = \frac{\alpha}{k (k + 1)} \Bigm/ a^{k-1}

    The first factor bounds the error of tests that were planned beforehand. But a later
    model may have been designed with earlier answers in view. If each answer is one of
    :math:`a`, there are at most :math:`a^{k-1}` models that could come up for the k-th
    test, one for each sequence of answers, and dividing by their number keeps the bound
    whichever comes (the argument of Blum and Hardt [1]_). The quantile of a level grows
    only with the square root of k, so this costs less than it seems: for the fifth and
    the tenth test 3.7 and 4.8 standard errors instead of the 2.0 of the first.

    It holds if nothing but the answer is told. A printed score is one of many answers:
    then start with fresh test ratings.

    Parameters
    ----------
    opening : int
        Number of the test, counted from 1.
    alpha : float, default 0.05
        Chance of any false answer in all tests together.
    answers : int, default 2
        Number of answers a test can give: promoted or not. 1 where all models were fixed
        before the first test.

    Returns
    -------
    float
        Level of this test.

    Raises
    ------
    ParameterError
        If `opening` or `answers` is below 1, or `alpha` is not between 0 and 1.

    References
    ----------
    .. [1] A. Blum and M. Hardt, "The ladder: a reliable leaderboard for machine learning
       competitions", ICML 2015.

    Examples
    --------
    >>> [round(opening_level(k), 6) for k in (1, 2, 3)]
    [0.025, 0.004167, 0.001042]
    >>> [round(opening_level(k, answers=1), 6) for k in (1, 2, 3)]
    [0.025, 0.008333, 0.004167]
    """
    if opening < 1 or answers < 1:
        raise ParameterError(
            f"opening and answers must be at least 1, but got {opening} and {answers}."
        )
    if not 0 < alpha < 1:
        raise ParameterError(f"alpha must be between 0 and 1, but got {alpha}.")
    planned = math.log(alpha) - math.log(opening) - math.log(opening + 1)
    return math.exp(planned - (opening - 1) * math.log(answers))
