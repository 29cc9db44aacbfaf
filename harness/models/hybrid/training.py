"""One training of the hybrid: bias model, embeddings, and the line from scores to stars."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings
from harness.models.base import Codes
from harness.models.baseline.model import Biases
from harness.models.genre_interaction import GenreInteraction
from harness.models.hybrid.embeddings import Embeddings, Trainer
from harness.models.hybrid.features import Flags, with_identity
from harness.models.svd.kernels import predict_pairs

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = [
    "Aside",
    "Calibration",
    "Side",
    "Snapshot",
    "Training",
    "fit_calibration",
    "rows_of",
    "score_pairs",
    "set_aside",
]


Singles = npt.NDArray[np.float32]
_SHRINKAGE = 10.0
"""In ratings: a slope fitted on as many is halved."""


@dataclass(frozen=True, slots=True)
class Calibration:
    r"""Stars as a linear function of what was expected and of the score.

    .. math:: \hat r_{ui} = a + (1 + b) \, e_{ui} + c \, s_{ui}
    """

    intercept: float = 0.0
    expectation_slope: float = 0.0
    score_slope: float = 0.0

    @property
    def coefficients(self) -> npt.NDArray[np.float64]:
        """The three fields as an array."""
        return np.array([self.intercept, self.expectation_slope, self.score_slope])

    def __call__(
        self, expected: npt.NDArray[Any] | float, score: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        """Convert scores to stars."""
        level = self.intercept + (1 + self.expectation_slope) * expected
        return level + self.score_slope * score


def set_aside(ratings: Ratings, *, share: float) -> tuple[Ratings, Ratings] | None:
    """Draw ratings at random for the calibration, the same whatever the model's seed.

    The trials of a study then share what is measured on the rest, and are compared on
    equal terms.
    """
    if len(ratings) < 2:
        return None
    n = min(len(ratings) - 1, max(1, round(share * len(ratings))))
    chosen = np.zeros(len(ratings), dtype=bool)
    chosen[np.random.default_rng(0).permutation(len(ratings))[:n]] = True
    return ratings.take(~chosen), ratings.take(chosen)


def fit_calibration(
    expected: npt.NDArray[Any], score: npt.NDArray[Any], truth: npt.NDArray[Any]
) -> Calibration:
    r"""Fit the line by ridge regression of :math:`r - e` on :math:`1, e, s`.

    Expectation and score are standardised, and each coefficient shrunk as if ten more
    ratings had shown nothing, so that very few ratings leave the expectation as it is.
    A score that points the wrong way gets the slope 0.
    """
    columns = np.stack([expected, score]).astype(np.float64)
    centre = columns.mean(axis=1)
    standard = columns - centre[:, None]
    spread = np.sqrt((standard**2).mean(axis=1))
    # A column without any spread is noise of the last digit, not information.
    standard[spread < 1e-9] = 0.0
    spread = np.maximum(1e-12, spread)
    standard /= spread[:, None]
    design = np.vstack([np.ones(len(truth)), standard])
    penalised = design @ design.T + _SHRINKAGE * np.eye(3)
    intercept, on_expected, on_score = np.linalg.solve(
        penalised, design @ (truth - columns[0])
    )
    slopes = np.array([on_expected, max(0.0, on_score)]) / spread
    return Calibration(
        float(intercept - slopes @ centre), float(slopes[0]), float(slopes[1])
    )


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Features of the users, or of the titles."""

    flags: Flags
    matrix: "csr_matrix"
    weight: float

    @classmethod
    def of(
        cls,
        flags: Flags,
        codes: Codes,
        *,
        weight: float,
        identity: bool,
    ) -> "Side":
        """Weight flags, and lay the own features beside them."""
        used = flags if weight > 0 else Flags((), flags.values[:, :0])
        rated = np.bincount(codes, minlength=len(flags.values)) > 0
        matrix = with_identity(used, rated, weight=weight, identity=identity)
        return cls(used, matrix, weight)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One side after some epochs, as arrays; the last row is for whoever is unknown."""

    # Sums of the embeddings of a row's features; 0 for the unknown.
    factors: Singles
    # Sums of the biases of a row's features; their mean for the unknown.
    biases: Singles
    flag_factors: Singles
    flag_biases: Singles

    @classmethod
    def of(cls, side: Side, learnt: Embeddings) -> "Snapshot":
        """Add up the embeddings of each row's features."""
        n_rows = side.matrix.shape[0]
        factors = np.zeros((n_rows + 1, learnt.factors.shape[1]), dtype=np.float32)
        biases = np.zeros(n_rows + 1, dtype=np.float32)
        factors[:-1] = side.matrix @ learnt.factors
        biases[:-1] = side.matrix @ learnt.biases
        described = np.zeros(n_rows + 1, dtype=bool)
        described[:-1] = np.diff(side.matrix.indptr) > 0
        if described.any():
            biases[~described] = biases[described].mean(dtype=np.float64)
        flags = slice(n_rows, None)
        return cls(
            factors,
            biases,
            np.float32(side.weight) * learnt.factors[flags],
            np.float32(side.weight) * learnt.biases[flags],
        )

    @classmethod
    def empty(cls, side: Side, n_factors: int) -> "Snapshot":
        """Make one that has learnt nothing: all 0."""
        n_rows, n_flags = side.matrix.shape[0], len(side.flags.names)
        return cls(
            np.zeros((n_rows + 1, n_factors), dtype=np.float32),
            np.zeros(n_rows + 1, dtype=np.float32),
            np.zeros((n_flags, n_factors), dtype=np.float32),
            np.zeros(n_flags, dtype=np.float32),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """A training under way."""

    # The bias model, whose residuals are learnt.
    biases: Biases
    users: Side
    items: Side
    # What is added to the calibrated score.
    genres: GenreInteraction
    trainer: Trainer

    def run_epoch(self) -> tuple[Snapshot, Snapshot] | None:
        """Pass once over the ratings."""
        if not self.trainer.run_epoch():
            return None
        users, items = self.trainer.embeddings()
        return (
            Snapshot.of(self.users, users),
            Snapshot.of(self.items, items),
        )

    def calibrate(
        self, seen: tuple[Snapshot, Snapshot] | None, aside: "Aside"
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Fit the lines from scores to stars."""
        ratings = aside.ratings
        if seen is None or not len(ratings):
            return np.zeros(3), np.zeros(3)
        factors = seen[0].factors, seen[1].factors
        biases = seen[0].biases, seen[1].biases
        score = score_pairs(ratings.users, ratings.items, factors, biases)
        lines = [
            fit_calibration(expected, score, truth)
            for expected, truth in (
                (aside.expected, aside.left),
                (aside.level, ratings.values),
            )
        ]
        return lines[0].coefficients, lines[1].coefficients


@dataclass(frozen=True, slots=True, eq=False)
class Aside:
    """Ratings kept aside, and what does not change from epoch to epoch."""

    # Which the training has not seen.
    ratings: Ratings
    # What the bias model expects of the pair, and of the user whatever the title.
    expected: npt.NDArray[np.float64]
    level: npt.NDArray[np.float64]
    # The ratings without what the liking for genres adds.
    left: npt.NDArray[np.floating[Any]]

    @classmethod
    def of(cls, ratings: Ratings, training: Training) -> "Aside":
        """Compute what does not change."""
        users, items = ratings.users, ratings.items
        return cls(
            ratings,
            training.biases.predict(users, items),
            training.biases.predict(users, np.full(len(ratings), -1)),
            ratings.values - training.genres.of_pairs(users, items),
        )


def rows_of(codes: Codes, n_known: int) -> npt.NDArray[np.integer[Any]]:
    """Send unknown codes to the last row."""
    return np.where((codes >= 0) & (codes < n_known), codes, n_known)


def score_pairs(
    users: Codes,
    items: Codes,
    factors: tuple[Singles, Singles],
    biases: tuple[Singles, Singles],
) -> Singles:
    """Score pairs: dot products of factors, plus biases."""
    out: Singles = np.empty(len(users), dtype=np.float32)
    predict_pairs(
        rows_of(users, len(biases[0]) - 1),
        rows_of(items, len(biases[1]) - 1),
        0.0,
        biases,
        factors,
        out,
    )
    return out
