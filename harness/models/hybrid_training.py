"""One training of the hybrid: bias model, features, embeddings, and scores from them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings
from harness.models.base import Codes
from harness.models.baseline import Biases
from harness.models.hybrid_features import Flags
from harness.models.kernels.svd import predict_pairs
from harness.models.lightfm_engine import EmbeddingTrainer, Embeddings

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["Side", "Snapshot", "Training", "rows_of", "score_pairs"]

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Features of the users, or of the titles.

    Parameters
    ----------
    flags : Flags
        Named features.
    matrix : csr_matrix of float32, shape (n_rows, n_rows + n_flags)
        Own features, then flags, weighted.
    """

    flags: Flags
    matrix: "csr_matrix"


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One side after some epochs, as arrays; the last row is for whoever is unknown.

    Parameters
    ----------
    factors : ndarray of float32, shape (n_rows + 1, n_factors)
        Sums of the embeddings of a row's features; 0 for the unknown.
    biases : ndarray of float32, shape (n_rows + 1,)
        Sums of the biases of a row's features; their mean for the unknown.
    flag_factors : ndarray of float32, shape (n_flags, n_factors)
        Weighted embedding of each flag.
    flag_biases : ndarray of float32, shape (n_flags,)
        Weighted bias of each flag.
    """

    factors: Singles
    biases: Singles
    flag_factors: Singles
    flag_biases: Singles

    @classmethod
    def of(cls, side: Side, learnt: Embeddings, *, weight: float) -> "Snapshot":
        """Add up the embeddings of each row's features.

        Parameters
        ----------
        side : Side
            Features.
        learnt : Embeddings
            Of those features.
        weight : float
            Of the flags.

        Returns
        -------
        Snapshot
            As arrays.
        """
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
            np.float32(weight) * learnt.factors[flags],
            np.float32(weight) * learnt.biases[flags],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """A training under way.

    Parameters
    ----------
    biases : Biases
        The bias model, whose residuals are learnt.
    users, items : Side
        Features.
    weights : tuple of float
        Of the flags of users, of titles.
    trainer : EmbeddingTrainer
        Does the work.
    """

    biases: Biases
    users: Side
    items: Side
    weights: tuple[float, float]
    trainer: EmbeddingTrainer

    def run_epoch(self) -> tuple[Snapshot, Snapshot] | None:
        """Pass once over the ratings.

        Returns
        -------
        (Snapshot, Snapshot) or None
            Users and titles; None if there is nothing to learn, or it has diverged.
        """
        if not self.trainer.run_epoch():
            return None
        users, items = self.trainer.embeddings()
        return (
            Snapshot.of(self.users, users, weight=self.weights[0]),
            Snapshot.of(self.items, items, weight=self.weights[1]),
        )

    def expect(self, ratings: Ratings) -> npt.NDArray[np.float64]:
        """Predict ratings by the bias model.

        Parameters
        ----------
        ratings : Ratings
            Whose pairs.

        Returns
        -------
        ndarray of float64, shape (n_ratings,)
            Stars.
        """
        return self.biases.predict(ratings.users, ratings.items)


def rows_of(codes: Codes, n_known: int) -> npt.NDArray[np.integer[Any]]:
    """Send unknown codes to the last row.

    Parameters
    ----------
    codes : ndarray of int, shape (n,)
        Codes, known or not.
    n_known : int
        Number of known codes.

    Returns
    -------
    ndarray of int, shape (n,)
        Rows of a `Snapshot`.
    """
    return np.where((codes >= 0) & (codes < n_known), codes, n_known)


def score_pairs(
    users: Codes,
    items: Codes,
    factors: tuple[Singles, Singles],
    biases: tuple[Singles, Singles],
) -> Singles:
    """Score pairs: dot products of factors, plus biases.

    Parameters
    ----------
    users, items : ndarray of int, shape (n_pairs,)
        Codes, known or not.
    factors, biases : (ndarray of float32, ndarray of float32)
        Of users and titles, as in `Snapshot`.

    Returns
    -------
    ndarray of float32, shape (n_pairs,)
        Without unit.
    """
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
