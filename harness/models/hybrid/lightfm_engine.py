"""LightFM itself: the reference that the own kernels are held to."""

from typing import TYPE_CHECKING

import numpy as np
from lightfm import LightFM

from harness.errors import TrainingError
from harness.models.hybrid.embeddings import DIVERGED, Embeddings, Learning, Signals

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["LightFMTrainer"]


class LightFMTrainer:
    """Trains LightFM on one thread, so that equal seeds give equal numbers."""

    def __init__(
        self,
        signals: Signals,
        features: "tuple[csr_matrix, csr_matrix]",
        learning: Learning,
    ) -> None:
        from scipy.sparse import coo_matrix

        self._features = features
        self._model = LightFM(
            loss=learning.loss,
            no_components=learning.n_factors,
            learning_rate=learning.learning_rate,
            learning_schedule=learning.schedule,
            user_alpha=learning.user_alpha,
            item_alpha=learning.item_alpha,
            random_state=learning.seed,
        )
        signals = signals.used(learning.loss)
        pairs = signals.users, signals.items
        shape = features[0].shape[0], features[1].shape[0]
        self._liked = coo_matrix((np.sign(signals.values), pairs), shape=shape)
        self._weights = coo_matrix((np.abs(signals.values), pairs), shape=shape)

    def run_epoch(self) -> bool:
        """Pass once over all pairs; False if there is nothing to learn."""
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
                raise TrainingError(DIVERGED) from error
            raise
        return True

    def embeddings(self) -> tuple[Embeddings, Embeddings]:
        """Copy what users and items have learnt so far."""
        model = self._model
        return (
            Embeddings(model.user_embeddings.copy(), model.user_biases.copy()),
            Embeddings(model.item_embeddings.copy(), model.item_biases.copy()),
        )
