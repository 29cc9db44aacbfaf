"""One training of the hybrid: bias model, features, embeddings, and scores from them."""

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings
from harness.models.base import Codes
from harness.models.baseline import Biases
from harness.models.genre_interaction import GenreInteraction
from harness.models.hybrid_calibration import fit_calibration
from harness.models.hybrid_features import Flags, with_identity
from harness.models.kernels.svd import predict_pairs
from harness.models.lightfm_engine import Embeddings, EmbeddingTrainer

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
    weight : float
        Of the flags.
    """

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
        """Weight flags, and lay the own features beside them.

        Parameters
        ----------
        flags : Flags
            Named features.
        codes : ndarray of int, shape (n_ratings,)
            Rows of the training ratings.
        weight : float
            Of the flags; 0 leaves them out.
        identity : bool
            Whether rows have features of their own; see `with_identity`.

        Returns
        -------
        Side
            Ready for a training.
        """
        used = flags if weight > 0 else Flags((), flags.values[:, :0])
        rated = np.bincount(codes, minlength=len(flags.values)) > 0
        matrix = with_identity(used, rated, weight=weight, identity=identity)
        return cls(used, matrix, weight)


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
    def of(cls, side: Side, learnt: Embeddings) -> "Snapshot":
        """Add up the embeddings of each row's features.

        Parameters
        ----------
        side : Side
            Features.
        learnt : Embeddings
            Of those features.

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
            np.float32(side.weight) * learnt.factors[flags],
            np.float32(side.weight) * learnt.biases[flags],
        )

    @classmethod
    def empty(cls, side: Side, n_factors: int) -> "Snapshot":
        """Make one that has learnt nothing: all 0.

        Parameters
        ----------
        side : Side
            Features.
        n_factors : int
            Length of the embeddings.

        Returns
        -------
        Snapshot
            As arrays.
        """
        n_rows, n_flags = side.matrix.shape[0], len(side.flags.names)
        return cls(
            np.zeros((n_rows + 1, n_factors), dtype=np.float32),
            np.zeros(n_rows + 1, dtype=np.float32),
            np.zeros((n_flags, n_factors), dtype=np.float32),
            np.zeros(n_flags, dtype=np.float32),
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
    genres : GenreInteraction
        What is added to the calibrated score.
    trainer : EmbeddingTrainer
        Does the work.
    """

    biases: Biases
    users: Side
    items: Side
    genres: GenreInteraction
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
            Snapshot.of(self.users, users),
            Snapshot.of(self.items, items),
        )

    def calibrate(
        self, seen: tuple[Snapshot, Snapshot] | None, aside: Ratings
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Fit the lines from scores to stars.

        Parameters
        ----------
        seen : (Snapshot, Snapshot) or None
            What `run_epoch` returned.
        aside : Ratings
            Ratings that this training has not seen.

        Returns
        -------
        prediction, ranking : ndarray of float64, shape (3,)
            The fields of a `Calibration` that expects what the bias model does, and of
            one that expects only the user's level; 0 without anything to go by.
        """
        if seen is None or not len(aside):
            return np.zeros(3), np.zeros(3)
        factors = seen[0].factors, seen[1].factors
        biases = seen[0].biases, seen[1].biases
        score = score_pairs(aside.users, aside.items, factors, biases)
        nobody = np.full(len(aside), -1)
        left = aside.values - self.genres.of_pairs(aside.users, aside.items)
        lines = [
            fit_calibration(self.biases.predict(aside.users, items), score, truth)
            for items, truth in ((aside.items, left), (nobody, aside.values))
        ]
        return np.array(astuple(lines[0])), np.array(astuple(lines[1]))


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
