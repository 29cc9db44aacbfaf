"""scikit-surprise's k-NN classes: the reference of `cf`, on the same codes."""

from typing import Any

import numpy as np
import numpy.typing as npt
from surprise import KNNBaseline, KNNBasic, KNNWithMeans, KNNWithZScore

from harness.data.ratings import Ratings
from harness.models.surprise.engine import RatedOnly, make_trainset
from harness.plain import Params

__all__ = ["ReferenceNeighbors"]


_CLASSES = {
    "basic": KNNBasic,
    "mean": KNNWithMeans,
    "zscore": KNNWithZScore,
    "baseline": KNNBaseline,
}


class ReferenceNeighbors:
    """A fitted k-NN model of scikit-surprise.

    Users and items without ratings are left out, as scikit-surprise never gets to see
    them; what it is asked must be among the others.

    Parameters
    ----------
    ratings : Ratings
        What to learn from.
    hyperparameters : mapping
        Those of `CF`, by name.
    n_epochs : int
        Rounds of alternating least squares of the bias model.
    """

    def __init__(
        self, ratings: Ratings, hyperparameters: Params, *, n_epochs: int
    ) -> None:
        self._rated = RatedOnly.of(ratings)
        self._model = _build(hyperparameters, n_epochs)
        self._model.fit(make_trainset(self._rated.ratings))

    def predict(
        self, users: npt.NDArray[np.int32], items: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.float64]:
        """Predict pair by pair."""
        pairs = zip(
            np.searchsorted(self._rated.users, users).tolist(),
            np.searchsorted(self._rated.items, items).tolist(),
            strict=True,
        )
        return np.array(
            [self._model.predict(user, item, clip=False).est for user, item in pairs],
            dtype=np.float64,
        )


def _build(hyperparameters: Params, n_epochs: int) -> Any:
    return _CLASSES[str(hyperparameters["centering"])](
        verbose=False,
        k=hyperparameters["n_neighbors"],
        min_k=hyperparameters["min_neighbors"],
        sim_options={
            "name": hyperparameters["similarity"],
            "user_based": hyperparameters["user_based"],
            "min_support": hyperparameters["min_support"],
            "shrinkage": hyperparameters["shrinkage"],
        },
        bsl_options={
            "method": "als",
            "reg_u": hyperparameters["user_regularization"],
            "reg_i": hyperparameters["item_regularization"],
            "n_epochs": n_epochs,
        },
    )
