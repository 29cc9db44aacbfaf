"""Student's t for scores: intervals, p-values, the spread of seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = [
    "FEWEST_USERS",
    "Estimate",
    "Uncertainty",
    "around",
    "satterthwaite",
    "seed_spread",
]

FEWEST_USERS = 100
"""With fewer test users, 95 % intervals cover the truth in about 93 % of cases only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its confidence interval.

    Parameters
    ----------
    value : float
        On the test ratings as they are.
    low, high : float
        Ends of the interval; NaN where a single user leaves nothing to estimate it from.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """The scale on which an estimate scatters around the truth, as Student's t.

    Parameters
    ----------
    standard_error : float
        In the unit of the estimate.
    degrees_of_freedom : float
        Of the standard error; at least 1.
    """

    standard_error: float
    degrees_of_freedom: float

    def half_width(self, confidence: float) -> float:
        """Compute how far an interval reaches to either side.

        Parameters
        ----------
        confidence : float
            Nominal coverage, between 0 and 1.

        Returns
        -------
        float
            In the unit of the estimate.
        """
        from scipy.special import stdtrit

        t = stdtrit(self.degrees_of_freedom, (1 + confidence) / 2)
        return float(t * self.standard_error)

    def p_value(self, value: float) -> float:
        """Compute how often chance alone deviates as much from zero, to either side.

        Parameters
        ----------
        value : float
            The estimate.

        Returns
        -------
        float
            Two-sided; below 0.05 exactly if the 95 % interval excludes zero.
        """
        from scipy.special import stdtr

        if np.isnan(self.standard_error) or value == 0:
            return 1.0
        with np.errstate(divide="ignore"):
            t = np.float64(abs(value)) / self.standard_error
        return float(2 * stdtr(self.degrees_of_freedom, -t))


def seed_spread(
    base: float,
    base_freedom: float,
    between: Sequence[tuple[float, float]],
    shared: float,
) -> tuple[float, float]:
    r"""Add the spread of seeds to the variance that users and titles make.

    Seeds are crossed with users and titles: every seed's model is judged on the same
    ratings. A mean over :math:`S` seeds (or the difference of two such means) has the
    variance

    .. math:: V = U + \max\Bigl(0, \sum_m \frac{s_m^2 - I_m}{S_m}\Bigr),

    where :math:`U` is that of users and titles, the models being as they are, and
    :math:`s_m^2` the variance between the seeds' scores of model :math:`m`. A part
    :math:`I_m` of it comes from seeds differing on these users and titles more or less
    than on others; it is in :math:`U` already, is estimated from the seeds' deviations
    from their mean, and would otherwise be counted twice [1]_, [2]_.

    Degrees of freedom are Satterthwaite's [3]_, at most :math:`\nu_U`,

    .. math:: \nu = V^2 \Bigm/ \Bigl( \frac{(U - \sum_m I_m / S_m)^2}{\nu_U}
              + \sum_m \frac{(s_m^2 / S_m)^2}{S_m - 1} \Bigr),

    or, if that is less, the harmonic mean of :math:`\nu_U` and those of seeds, weighted
    with their parts of :math:`V` (as Cochran and Cox weight quantiles [4]_). With two or
    three seeds and many users Satterthwaite's alone are too many where the seeds' part is
    large, above all for the small p-values that a correction for many comparisons asks
    for. By simulation (``tests/benchmarks/bench_intervals.py``) equal models with three
    seeds each are called different in at most 4.9 % at the level 0.05, and 0.32 % at 0.001.
    A model with seeds that differ far more than the draw of users explains, beside one
    without randomness, is called different too often: in up to 7.2 and 1.5 %. It takes
    more seeds than three.

    A model with one prediction is taken as given: without randomness it is; of a single
    seed, the spread of seeds is not known.

    Parameters
    ----------
    base, base_freedom : float
        :math:`U` and :math:`\nu_U`.
    between : sequence of (float, float)
        :math:`s_m^2 / S_m` and its degrees of freedom, of each model with several seeds.
    shared : float
        :math:`\sum_m I_m / S_m`.

    Returns
    -------
    added : float
        What seeds add to the variance.
    degrees_of_freedom : float
        Of the sum; at least 1.

    References
    ----------
    .. [1] S. R. Searle, G. Casella and C. E. McCulloch, "Variance components", 1992.
    .. [2] A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2),
       2007, on counting such a part twice.
    .. [3] F. E. Satterthwaite, "An approximate distribution of estimates of variance
       components", Biometrics Bulletin 2(6), 1946.
    .. [4] W. G. Cochran and G. M. Cox, "Experimental designs", 1950.
    """
    of_seeds = sum(variance for variance, _ in between)
    added = max(0.0, of_seeds - shared)
    total = base + added
    freedom = [
        base_freedom,
        satterthwaite(total, [(base - shared, base_freedom), *between]),
    ]
    if added:
        share = added / total
        alone = satterthwaite(of_seeds, between)
        freedom.append(1 / ((1 - share) / base_freedom + share / alone))
    return added, max(1.0, min(freedom))


def satterthwaite(total: float, parts: Sequence[tuple[float, float]]) -> float:
    r"""Compute the degrees of freedom of a sum of variances.

    Parameters
    ----------
    total : float
        The sum V.
    parts : sequence of (float, float)
        Variances :math:`V_k` and their degrees of freedom :math:`\nu_k`.

    Returns
    -------
    float
        :math:`V^2 / \sum_k V_k^2 / \nu_k`.
    """
    scatter = sum(variance**2 / freedom for variance, freedom in parts)
    return total**2 / scatter if scatter > 0 else np.inf


def around(value: float, half: float) -> tuple[float, float]:
    """Find the ends of an interval that is symmetric on the logarithmic scale.

    Parameters
    ----------
    value : float
        An error, or another number that is not negative.
    half : float
        How far the interval would reach to either side on the plain scale.

    Returns
    -------
    low, high : float
        By the same factor to both sides; around zero, which has none, as far as `half`.
    """
    if value == 0:
        return value - half, value + half
    with np.errstate(over="ignore"):
        factor = float(np.exp(half / value))
    return value / factor, value * factor
