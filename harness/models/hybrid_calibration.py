"""From scores without a unit to stars: a line fitted on ratings kept aside."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings

__all__ = ["Calibration", "fit_calibration", "set_aside"]

Doubles = npt.NDArray[np.float64]

_SHRINKAGE = 10.0
"""In ratings: a slope fitted on as many is halved."""


@dataclass(frozen=True, slots=True)
class Calibration:
    r"""Stars as a linear function of what was expected and of the score.

    .. math:: \hat r_{ui} = a + (1 + b) \, e_{ui} + c \, s_{ui}

    Parameters
    ----------
    intercept, expectation_slope, score_slope : float
        :math:`a` in stars, :math:`b` without unit, :math:`c` in stars per unit of score.
        All 0 leaves what was expected.
    """

    intercept: float = 0.0
    expectation_slope: float = 0.0
    score_slope: float = 0.0

    def __call__(
        self, expected: npt.NDArray[Any] | float, score: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        """Convert scores to stars.

        Parameters
        ----------
        expected, score : ndarray of float, shape (n_pairs,), or one expectation for all
            Expectation of a simpler model in stars, and score.

        Returns
        -------
        ndarray of float, shape (n_pairs,)
            Stars, not clipped.
        """
        level = self.intercept + (1 + self.expectation_slope) * expected
        return level + self.score_slope * score


def set_aside(
    ratings: Ratings, *, share: float, seed: int
) -> tuple[Ratings, Ratings] | None:
    """Draw ratings at random for the calibration.

    Parameters
    ----------
    ratings : Ratings
        The training part.
    share : float
        Share of them to keep aside.
    seed : int
        Seed of the draw.

    Returns
    -------
    learn, aside : Ratings
        At least one each; None in place of both with fewer than two ratings.
    """
    if len(ratings) < 2:
        return None
    n = min(len(ratings) - 1, max(1, round(share * len(ratings))))
    chosen = np.zeros(len(ratings), dtype=bool)
    chosen[np.random.default_rng(seed).permutation(len(ratings))[:n]] = True
    return ratings.take(~chosen), ratings.take(chosen)


def fit_calibration(
    expected: npt.NDArray[Any], score: npt.NDArray[Any], truth: npt.NDArray[Any]
) -> Calibration:
    r"""Fit the line by ridge regression of :math:`r - e` on :math:`1, e, s`.

    Expectation and score are standardised, and each coefficient shrunk as if ten more
    ratings had shown nothing, so that very few ratings leave the expectation as it is.
    A score that points the wrong way gets the slope 0.

    Parameters
    ----------
    expected, score, truth : ndarray of float, shape (n_ratings,)
        Expectation, score, and rating in stars, of pairs that neither has learnt from.

    Returns
    -------
    Calibration
        The line.
    """
    columns = np.stack([expected, score]).astype(np.float64)
    centre = columns.mean(axis=1)
    spread = np.maximum(1e-12, columns.std(axis=1))
    standard = (columns - centre[:, None]) / spread[:, None]
    # A column without any spread is noise of the last digit, not information.
    standard[columns.std(axis=1) < 1e-9] = 0.0
    design = np.vstack([np.ones(len(truth)), standard])
    penalised = design @ design.T + _SHRINKAGE * np.eye(3)
    intercept, on_expected, on_score = np.linalg.solve(
        penalised, design @ (truth - columns[0])
    )
    slopes = np.array([on_expected, max(0.0, on_score)]) / spread
    return Calibration(
        float(intercept - slopes @ centre), float(slopes[0]), float(slopes[1])
    )
