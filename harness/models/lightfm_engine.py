"""LightFM as an engine: embeddings of features, trained epoch by epoch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from lightfm import LightFM

if TYPE_CHECKING:  # 0.3 s that only a training has to pay
    from scipy.sparse import csr_matrix

__all__ = ["EmbeddingTrainer", "Embeddings", "Loss", "Schedule", "Signals"]

Singles = npt.NDArray[np.float32]
Loss = Literal["logistic", "warp", "bpr"]
Schedule = Literal["adagrad", "adadelta"]


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """What LightFM is to learn: for each pair whether, and how much, it was liked.

    Parameters
    ----------
    users, items : ndarray of int32, shape (n_pairs,)
        Codes.
    values : ndarray of float, shape (n_pairs,)
        The sign says liked or not, the size how much it counts.
    """

    users: npt.NDArray[np.int32]
    items: npt.NDArray[np.int32]
    values: npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """Factors and bias of each feature of one side.

    Parameters
    ----------
    factors : ndarray of float32, shape (n_features, n_factors)
        Embeddings.
    biases : ndarray of float32, shape (n_features,)
        Biases, in units of the score.
    """

    factors: Singles
    biases: Singles


class EmbeddingTrainer:
    r"""Trains LightFM [1]_ on one thread, so that equal seeds give equal numbers.

    The score of a pair is
    :math:`s_{ui} = (\sum_f x_{uf} e_f)^\top (\sum_g x_{ig} e_g) + \sum_f x_{uf} b_f
    + \sum_g x_{ig} b_g` with features :math:`x`, embeddings :math:`e` and biases
    :math:`b`. The logistic loss takes liked and disliked pairs; WARP and BPR take the
    liked ones alone, and rank them above titles drawn at random.

    Parameters
    ----------
    signals : Signals
        What to learn.
    features : (csr_matrix, csr_matrix), shape (n, n_features) each
        Features of users and items; at least one each.
    loss : {"logistic", "warp", "bpr"}
        What is minimised.
    **arguments
        Arguments of ``lightfm.LightFM``.

    References
    ----------
    .. [1] M. Kula, "Metadata embeddings for user and item cold-start recommendations",
       CBRecSys at RecSys 2015.
    """

    def __init__(
        self,
        signals: Signals,
        features: "tuple[csr_matrix, csr_matrix]",
        *,
        loss: Loss,
        **arguments: Any,
    ) -> None:
        from scipy.sparse import coo_matrix

        self._features = features
        self._model = LightFM(loss=loss, **arguments)
        values = np.asarray(signals.values, dtype=np.float32)
        used = values != 0 if loss == "logistic" else values > 0
        pairs = signals.users[used], signals.items[used]
        shape = features[0].shape[0], features[1].shape[0]
        weights = np.abs(values[used])
        # With weights of 1 on average, a learning rate means the same on any scale.
        weights /= max(1e-12, float(weights.mean())) if len(weights) else 1.0
        self._liked = coo_matrix((np.sign(values[used]), pairs), shape=shape)
        self._weights = coo_matrix((weights, pairs), shape=shape)

    def run_epoch(self) -> bool:
        """Pass once over all pairs.

        Returns
        -------
        bool
            False if there is nothing to learn from, or the training has diverged.
        """
        if not self._liked.nnz:
            return False
        try:
            self._model.fit_partial(
                self._liked,
                sample_weight=self._weights,
                user_features=self._features[0],
                item_features=self._features[1],
                num_threads=1,
            )
        except ValueError as error:
            if "not all estimated parameters are finite" in str(error).lower():
                return False
            raise
        return True

    def embeddings(self) -> tuple[Embeddings, Embeddings]:
        """Look at what was learnt so far, after at least one good epoch.

        Returns
        -------
        users, items : Embeddings
            Copies: further epochs do not change them.
        """
        model = self._model
        return (
            Embeddings(model.user_embeddings.copy(), model.user_biases.copy()),
            Embeddings(model.item_embeddings.copy(), model.item_biases.copy()),
        )
