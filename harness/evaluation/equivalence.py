"""Better, equivalent, undecided or worse: answers with a margin, and what they need."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.errors import ParameterError
from harness.evaluation.dependence import Uncertain, VarianceParts
from harness.evaluation.statistics import Estimate, Uncertainty

__all__ = [
    "MARGIN_SHARE",
    "OPPOSITE",
    "Answer",
    "NonInferiority",
    "PairComparison",
    "Probabilities",
    "answer_pairs",
    "check_margin",
    "detectable_difference",
    "non_inferiority",
    "users_to_detect",
]

Answer = Literal["better", "equivalent", "undecided", "worse"]

MARGIN_SHARE = 0.00125
"""Margin as a share of the scale's width, where none is declared: 0.005 on 1 to 5."""

POWER = 0.8
OPPOSITE: dict[Answer, Answer] = {"better": "worse", "worse": "better"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probabilities:
    """How the truth may lie, given the estimate and its uncertainty; they add up to 1.

    Parameters
    ----------
    better : float
        The first model's score is lower by more than the margin.
    equivalent : float
        The scores differ by no more than the margin.
    worse : float
        The first model's score is higher by more than the margin.
    """

    better: float
    equivalent: float
    worse: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairComparison:
    """What is known about the difference of two models.

    Lower scores are better. Interval and p-values are adjusted for the other pairs of the
    question, alike (see `answer_pairs`), so that they agree.

    Parameters
    ----------
    one, other : str
        Names of the models.
    answer : {"better", "equivalent", "undecided", "worse"}
        What `one` is, compared with `other`: better or worse where the interval lies
        beyond the margin, equivalent where it lies within, else undecided. Undecided does
        not mean similar: the test set cannot tell.
    difference : Estimate
        Score of `one` minus score of `other`, with its adjusted interval; negative where
        `one` is better.
    confidence : float
        Of that interval: 0.95 for a single pair, more where pairs share a question.
    margin : float
        Smallest difference that matters.
    standard_error, degrees_of_freedom : float
        Of the difference, as Student's t.
    parts : VarianceParts
        Where the variance of the difference comes from.
    two_way_ratio : float or None
        Two-way standard error (users and titles) over that of users alone. Above 1 the
        two-way one was used. None where titles are not known or users do not differ.
    p_beyond_margin : float
        Of no difference beyond the margin, two-sided.
    p_equivalent : float
        Of a difference of at least the margin (two one-sided tests, doubled, because the
        interval has two sides).
    p_difference : float
        Of no difference at all, two-sided. It decides nothing: see `p_beyond_margin`.
    probability : Probabilities
        From the same distribution as the interval, with a flat prior; not adjusted.
    detectable : float
        Smallest true difference whose interval would exclude 0 with 80 % power.
    share_of_gap : float or None
        `difference` as a share of the gap between bias baseline and best model.
    """

    one: str
    other: str
    answer: Answer
    difference: Estimate
    confidence: float
    margin: float
    standard_error: float
    degrees_of_freedom: float
    parts: VarianceParts
    two_way_ratio: float | None
    p_beyond_margin: float
    p_equivalent: float
    p_difference: float
    probability: Probabilities
    detectable: float
    share_of_gap: float | None = None

    @property
    def dependence(self) -> Literal["users", "users and titles", "splits"]:
        """What the standard error counts as dependent: the wider of the two."""
        if self.parts.splits:
            return "splits"
        return "users and titles" if self.parts.titles > 0 else "users"

    @property
    def uncertainty(self) -> Uncertainty:
        """Of the difference, as Student's t."""
        return Uncertainty(
            standard_error=self.standard_error,
            degrees_of_freedom=self.degrees_of_freedom,
        )

    def flipped(self) -> "PairComparison":
        """Compare the other way round.

        Returns
        -------
        PairComparison
            The same facts, with `one` and `other` exchanged.
        """
        d, p = self.difference, self.probability
        share = self.share_of_gap
        return replace(
            self,
            one=self.other,
            other=self.one,
            answer=OPPOSITE.get(self.answer, self.answer),
            difference=Estimate(value=-d.value, low=-d.high, high=-d.low),
            probability=replace(p, better=p.worse, worse=p.better),
            share_of_gap=None if share is None else -share,
        )


def answer_pairs(
    differences: Sequence[tuple[str, str, Uncertain]],
    *,
    margin: float,
    confidence: float = 0.95,
) -> tuple[PairComparison, ...]:
    r"""Answer one question about several pairs of models.

    The answer is read off the interval of the difference: better or worse where all of it
    lies beyond the margin, equivalent where all of it lies within, else undecided. The
    intervals are stepped down after Holm [1]_: with :math:`\alpha` = 1 - `confidence` and
    m pairs, all begin with the confidence :math:`1 - \alpha / m`; those shown to be better
    or worse keep theirs, the k that are left begin again with :math:`1 - \alpha / k`, until
    a step shows none. So the chance that any answer of the question is false, of whatever
    kind, is at most :math:`\alpha`, and so is that of a small p-value for any two models
    that do not differ at all: equivalent pairs must go on counting for that, since these
    may be the very ones that do not. An interval within the margin is two one-sided tests
    [2]_.

    p-values are adjusted by the same number of pairs, so that each is at most
    :math:`\alpha` exactly if the interval says so, too.

    Parameters
    ----------
    differences : sequence of (str, str, Uncertain)
        The two names, and the score of the first minus that of the second.
    margin : float
        Smallest difference that matters.
    confidence : float, default 0.95
        That no answer is false.

    Returns
    -------
    tuple of PairComparison
        In the same order.

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure",
       Scandinavian Journal of Statistics 6(2), 1979.
    .. [2] D. J. Schuirmann, "A comparison of the two one-sided tests procedure and the
       power approach", J. Pharmacokinetics and Biopharmaceutics 15(6), 1987.
    """
    estimates = [uncertain for _, _, uncertain in differences]
    n_left = _step_down(estimates, margin, 1 - confidence)
    return tuple(
        _compare(names, uncertain, margin, 1 - confidence, k)
        for (*names, uncertain), k in zip(differences, n_left, strict=True)
    )


def _step_down(
    estimates: Sequence[Uncertain], margin: float, level: float
) -> list[int]:
    """Count the pairs that were left when each was shown to differ, or in the last step."""
    n_left = [0] * len(estimates)
    left = list(range(len(estimates)))
    while left:
        for k in left:
            n_left[k] = len(left)
        confidence = 1 - level / len(left)
        still = [
            k
            for k in left
            if _read(estimates[k].interval(confidence), margin) not in OPPOSITE
        ]
        if len(still) == len(left):
            break
        left = still
    return n_left


def _read(interval: Estimate, margin: float) -> Answer:
    """Read the answer off an interval; ends that are NaN decide nothing."""
    if interval.high < -margin:
        return "better"
    if interval.low > margin:
        return "worse"
    if -margin < interval.low and interval.high < margin:
        return "equivalent"
    return "undecided"


def _compare(
    names: Sequence[str], found: Uncertain, margin: float, level: float, n_left: int
) -> PairComparison:
    uncertainty, distance = found.uncertainty, abs(found.value)
    confidence = 1 - level / n_left
    interval = found.interval(confidence)
    one, other = names
    return PairComparison(
        one=one,
        other=other,
        answer=_read(interval, margin),
        difference=interval,
        confidence=confidence,
        margin=margin,
        standard_error=uncertainty.standard_error,
        degrees_of_freedom=found.degrees_of_freedom,
        parts=found.parts,
        two_way_ratio=found.two_way_ratio,
        p_beyond_margin=min(1.0, 2 * n_left * _tail(distance - margin, uncertainty)),
        p_equivalent=min(1.0, 2 * n_left * _tail(margin - distance, uncertainty)),
        p_difference=min(1.0, n_left * uncertainty.p_value(found.value)),
        probability=_probabilities(found, margin),
        detectable=detectable_difference(uncertainty, confidence=confidence),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NonInferiority:
    """Whether a model may replace another one: not worse by as much as the margin.

    Parameters
    ----------
    candidate, champion : str
        Names of the models.
    difference : float
        Score of the candidate minus score of the champion.
    upper : float
        Upper end of the one-sided interval of the difference.
    margin : float
        Smallest difference that matters.
    alpha : float
        Level of the test; the interval covers with 1 - `alpha`.
    non_inferior : bool
        `upper` is below the margin.
    superior : bool
        `upper` is below 0, too. Testing this second costs no further error.
    inferior : bool
        The lower end of the one-sided interval is above the margin: shown to be worse.
    p_value : float
        How often chance alone makes a difference as large, to either side. `superior` is
        ``difference < 0`` and ``p_value / 2 < alpha``.
    users_needed : int or None
        Test users with which an equal candidate would pass with 80 % power; None where
        no number of users would do, because titles or seeds are too few.
    """

    candidate: str
    champion: str
    difference: float
    upper: float
    margin: float
    alpha: float
    non_inferior: bool
    superior: bool
    inferior: bool
    p_value: float
    users_needed: int | None


def non_inferiority(
    pair: PairComparison, *, n_users: int, alpha: float = 0.05
) -> NonInferiority:
    """Test that a candidate is not worse than a champion by as much as the margin.

    Parameters
    ----------
    pair : PairComparison
        Candidate first, champion second.
    n_users : int
        Number of test users.
    alpha : float, default 0.05
        Level of the test. On a test set that is opened repeatedly take it from
        `harness.evaluation.opening_budget`.

    Returns
    -------
    NonInferiority
        The answer, and what would be needed for one.

    Raises
    ------
    ParameterError
        If `alpha` is not between 0 and 0.5.
    """
    if not 0 < alpha < 0.5:
        raise ParameterError(f"alpha must be above 0 and below 0.5, but got {alpha}.")
    reach = pair.uncertainty.half_width(1 - 2 * alpha)
    value, margin = pair.difference.value, pair.margin
    factor = _quantile(pair.degrees_of_freedom, 1 - alpha) + _quantile(
        pair.degrees_of_freedom, POWER
    )
    return NonInferiority(
        candidate=pair.one,
        champion=pair.other,
        difference=value,
        upper=value + reach,
        margin=margin,
        alpha=alpha,
        non_inferior=value + reach < margin,
        superior=value + reach < 0,
        inferior=value - reach > margin,
        p_value=pair.uncertainty.p_value(value),
        users_needed=_users_needed(pair, n_users, factor),
    )


def detectable_difference(
    uncertainty: Uncertainty, *, confidence: float = 0.95
) -> float:
    r"""Find the smallest difference that is told from none with 80 % power.

    .. math:: (t_{1 - \alpha/2} + t_{0.8}) \, s

    Parameters
    ----------
    uncertainty : Uncertainty
        Of the difference, with the standard error s.
    confidence : float, default 0.95
        One minus the level of the two-sided test.

    Returns
    -------
    float
        In the unit of the score.
    """
    factor = _factor(uncertainty.degrees_of_freedom, confidence)
    return factor * uncertainty.standard_error


def users_to_detect(pair: PairComparison, *, n_users: int) -> int | None:
    r"""Count the test users with which the margin is told from none with 80 % power.

    At the confidence :math:`1 - \alpha` of the pair's interval. Only the users' part of the
    variance shrinks with their number: with :math:`a = t_{1 - \alpha/2} + t_{0.8}`,

    .. math:: n' = n V_U \Bigm/ (m^2 / a^2 - V_\mathrm{titles} - V_\mathrm{seeds}).

    Parameters
    ----------
    pair : PairComparison
        Two models on `n_users` users.
    n_users : int
        Number of test users.

    Returns
    -------
    int or None
        At least 2; None where no number of users would do, because titles or seeds are
        too few, and where a single user leaves nothing to tell it from.
    """
    return _users_needed(
        pair, n_users, _factor(pair.degrees_of_freedom, pair.confidence)
    )


def check_margin(
    margin: float | None, scale: tuple[float, float]
) -> tuple[float, bool]:
    """Check the margin, or take the usual one.

    Parameters
    ----------
    margin : float or None
        Smallest difference that matters, in stars; None for 0.125 % of the scale's width.
    scale : (float, float)
        Lowest and highest rating.

    Returns
    -------
    margin : float
        In stars.
    declared : bool
        Whether it was given.

    Raises
    ------
    ParameterError
        If it is negative, not finite, or wider than the scale.

    Examples
    --------
    >>> check_margin(None, (1, 5))
    (0.005, False)
    """
    width = scale[1] - scale[0]
    if margin is None:
        return MARGIN_SHARE * width, False
    if not (math.isfinite(margin) and 0 <= margin <= width):
        raise ParameterError(
            f"margin must be between 0 and the width of the rating scale ({width:g} "
            f"stars), but got {margin}."
        )
    return float(margin), True


def _users_needed(pair: PairComparison, n_users: int, factor: float) -> int | None:
    parts = pair.parts
    left = (pair.margin / factor) ** 2 - (parts.total - parts.users)
    # Of a single user nothing is known: NaN.
    if not left > 0 or parts.splits:
        return None
    return max(2, math.ceil(n_users * parts.users / left))


def _probabilities(uncertain: Uncertain, margin: float) -> Probabilities:
    uncertainty = uncertain.uncertainty
    if math.isnan(uncertainty.standard_error):
        return Probabilities(better=math.nan, equivalent=math.nan, worse=math.nan)
    if uncertainty.standard_error == 0:
        lower, higher = uncertain.value < -margin, uncertain.value > margin
        return Probabilities(
            better=float(lower),
            equivalent=float(not (lower or higher)),
            worse=float(higher),
        )
    better = _tail(margin + uncertain.value, uncertainty)
    worse = _tail(margin - uncertain.value, uncertainty)
    return Probabilities(
        better=better, equivalent=max(0.0, 1 - better - worse), worse=worse
    )


def _tail(distance: float, uncertainty: Uncertainty) -> float:
    """Probability that chance alone reaches so far to one side."""
    from scipy.special import stdtr

    if uncertainty.standard_error == 0:
        return 0.0 if distance > 0 else 1.0
    t = distance / uncertainty.standard_error
    return float(stdtr(uncertainty.degrees_of_freedom, -t))


def _factor(freedom: float, confidence: float) -> float:
    return _quantile(freedom, (1 + confidence) / 2) + _quantile(freedom, POWER)


def _quantile(freedom: float, probability: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))
