"""How uncertain a score is, given that other users and other seeds could have been."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.evaluation.user_draws import Scores

__all__ = ["Uncertainty", "uncertainty"]

Floats = npt.NDArray[np.float64]


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


def uncertainty(
    *models: Scores, n_users: int, user_degrees_of_freedom: float
) -> Uncertainty:
    r"""Combine the spread of users with that of seeds.

    Users and seeds are crossed: every seed's model is judged on the same users. A mean
    over :math:`S` seeds (or the difference of two such means) has the variance

    .. math:: V = U + \max\Bigl(0, \sum_m \frac{s_m^2 - I_m}{S_m}\Bigr),

    of which the draws of users, the models being as they are, know :math:`U`;
    :math:`s_m^2` is the variance between the seeds' scores of model :math:`m`. A part
    :math:`I_m` of it comes from seeds differing on these users more or less than on
    others; it is in :math:`U` already, is estimated by the draws of the seeds' deviations
    from their mean, and would otherwise be counted twice [1]_, [2]_.
    Variances of draws are multiplied by :math:`n / (n - 1)` for :math:`n` users.

    Degrees of freedom are Satterthwaite's [3]_, at most :math:`\nu_U`,

    .. math:: \nu = V^2 \Bigm/ \Bigl( \frac{(U - \sum_m I_m / S_m)^2}{\nu_U}
              + \sum_m \frac{(s_m^2 / S_m)^2}{S_m - 1} \Bigr),

    or, if that is less, the harmonic mean of those of users and of seeds, weighted with
    their parts of :math:`V` (as Cochran and Cox weight quantiles [4]_). With two or three
    seeds and many users Satterthwaite's alone are too many where the seeds' part is
    large, above all for the small p-values that a correction for many comparisons asks
    for: by simulation of two equal models with three seeds each, false alarms at the
    level 0.001 are up to 3.6 times too many, and up to 2.2 times with the harmonic mean.
    A model with seeds that differ far more than the draw of users explains, beside one
    without randomness, is still called different a little too often: 6 instead of 5 %.

    A model with one prediction is taken as given: without randomness it is; of a single
    seed, the spread of seeds is not known.

    Parameters
    ----------
    *models : Scores
        One model, or two of which the difference is meant.
    n_users : int
        Number of test users; of one, nothing can be said.
    user_degrees_of_freedom : float
        :math:`\nu_U`, those of the variance between users.

    Returns
    -------
    Uncertainty
        NaN with a single user.

    References
    ----------
    .. [1] S. R. Searle, G. Casella and C. E. McCulloch, "Variance components", 1992.
    .. [2] A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2),
       2007, on counting such a part twice.
    .. [3] F. E. Satterthwaite, "An approximate distribution of estimates of variance
       components", Biometrics Bulletin 2(6), 1946.
    .. [4] W. G. Cochran and G. M. Cox, "Experimental designs", 1950.
    """
    if n_users < 2:
        return Uncertainty(standard_error=np.nan, degrees_of_freedom=1.0)
    few = n_users / (n_users - 1)
    signs = (1, -1)[: len(models)]
    together = sum(
        sign * model.draws.mean(axis=0)
        for sign, model in zip(signs, models, strict=True)
    )
    of_users = few * float(np.var(together))
    of_seeds = [_between_seeds(model) for model in models if len(model.values) > 1]
    shared = sum(few * _shared(model) for model in models if len(model.values) > 1)
    more = max(0.0, sum(variance for variance, _ in of_seeds) - shared)
    total = of_users + more
    parts = [(of_users - shared, user_degrees_of_freedom), *of_seeds]
    freedom = min(
        user_degrees_of_freedom,
        _satterthwaite(total, parts),
        _harmonic(user_degrees_of_freedom, of_seeds, more / total if more else 0.0),
    )
    return Uncertainty(
        standard_error=float(np.sqrt(total)), degrees_of_freedom=max(1.0, freedom)
    )


def _satterthwaite(total: float, parts: list[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of variances, each given with its own."""
    scatter = sum(variance**2 / freedom for variance, freedom in parts)
    return total**2 / scatter if scatter > 0 else np.inf


def _harmonic(
    of_users: float, of_seeds: list[tuple[float, float]], share: float
) -> float:
    """Mean of the degrees of freedom of users and of seeds, the latter with a weight."""
    if not share:
        return of_users
    seeds = _satterthwaite(sum(variance for variance, _ in of_seeds), of_seeds)
    return 1 / ((1 - share) / of_users + share / seeds)


def _between_seeds(model: Scores) -> tuple[float, float]:
    """Variance of the mean over seeds, s^2 / S, and its degrees of freedom."""
    n_seeds = len(model.values)
    return float(np.var(model.values, ddof=1)) / n_seeds, n_seeds - 1


def _shared(model: Scores) -> float:
    """Part of s^2 / S that comes from the users, I / S."""
    n_seeds = len(model.values)
    deviations = model.draws - model.draws.mean(axis=0)
    return float(np.var(deviations, axis=1).sum()) / (n_seeds - 1) / n_seeds
