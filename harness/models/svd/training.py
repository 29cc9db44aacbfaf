"""Training of biased matrix factorisation, epoch by epoch."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings
from harness.models.lanes import WIDTH
from harness.models.svd.kernels import sgd_epoch
from harness.models.svd.time import TimeTraining

__all__ = ["Descent", "Latents", "rates_of"]


Reals = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Latents:
    """What matrix factorisation learns; all of one dtype, float32 or float64."""

    # Biases, in stars of a scale of 1 to 5 until times_star.
    user_bias: Reals
    item_bias: Reals
    user_factors: Reals
    item_factors: Reals

    def times_star(self, star: float) -> "Latents":
        """Convert to the unit of ratings of which `star` make a star; factors share it."""
        if star == 1:
            return self
        dtype = self.user_bias.dtype.type
        bias, factor = dtype(star), dtype(np.sqrt(star))
        return Latents(
            user_bias=bias * self.user_bias,
            item_bias=bias * self.item_bias,
            user_factors=factor * self.user_factors,
            item_factors=factor * self.item_factors,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """Stochastic gradient descent over the ratings in the order of users."""

    # Number of latent factors, and of passes over the ratings.
    n_factors: int
    n_epochs: int
    # Learning rate and regularization of the biases, then of the factors.
    rates: tuple[float, float, float, float]
    # Standard deviation of the factors at the start.
    init_std: float
    biased: bool
    precision: Literal["single", "double"]
    # Seed of the factors at the start.
    seed: int
    # Penalty on biases that change with time.
    time_regularization: float

    @property
    def dtype(self) -> type[np.floating[Any]]:
        """Type of the latents: float32 or float64."""
        return np.float64 if self.precision == "double" else np.float32

    def run(
        self, ratings: Ratings, time: TimeTraining | None = None
    ) -> Iterator[tuple[int, Latents, float]]:
        """Train on ratings of 1 to 5 with the own kernel, epoch by epoch.

        The latents are the same each time, updated in place; the factors are views. The
        number is the squared error of the training, summed: not finite after an overflow.
        """
        learnt = self._initialise(ratings)
        # Columns of zeros stay so.
        padding = (0, 0), (0, -self.n_factors % WIDTH)
        factors = [
            np.pad(side, padding) for side in (learnt.user_factors, learnt.item_factors)
        ]
        dtype = self.dtype
        arguments = (
            ratings.users,
            ratings.items,
            ratings.values.astype(dtype, copy=False),
            dtype(ratings.mean if self.biased else 0.0),
            (learnt.user_bias, learnt.item_bias),
            tuple(factors),
            tuple(dtype(rate) for rate in self.rates),
            self.biased,
            None if time is None else time.arguments(self.time_regularization),
        )
        of_users, of_items = (side[:, : self.n_factors] for side in factors)
        learnt = replace(learnt, user_factors=of_users, item_factors=of_items)
        for epoch in range(1, self.n_epochs + 1):
            yield epoch, learnt, sgd_epoch(*arguments)

    def _initialise(self, ratings: Ratings) -> Latents:
        # The legacy generator, users before items: scikit-surprise draws like this.
        rng = np.random.RandomState(self.seed)
        return Latents(
            user_factors=self._draw(rng, ratings.users, ratings.n_users),
            item_factors=self._draw(rng, ratings.items, ratings.n_items),
            user_bias=np.zeros(ratings.n_users, self.dtype),
            item_bias=np.zeros(ratings.n_items, self.dtype),
        )

    def _draw(
        self, rng: np.random.RandomState, codes: npt.NDArray[np.int32], n: int
    ) -> Reals:
        factors = rng.normal(0.0, self.init_std, (n, self.n_factors))
        # Nobody will ever train these rows: without this they would stay noise.
        factors[_is_unrated(codes, n)] = 0.0
        return factors.astype(self.dtype, copy=False)

    def run_reference(self, ratings: Ratings) -> Latents:
        """Train with scikit-surprise, which has double precision only."""
        from harness.models.surprise.engine import fit_reference_svd

        bias_rate, bias_penalty, rate, penalty = self.rates
        learnt = fit_reference_svd(
            ratings,
            n_factors=self.n_factors,
            n_epochs=self.n_epochs,
            biased=self.biased,
            init_std_dev=self.init_std,
            lr_bu=bias_rate,
            lr_bi=bias_rate,
            lr_pu=rate,
            lr_qi=rate,
            reg_bu=bias_penalty,
            reg_bi=bias_penalty,
            reg_pu=penalty,
            reg_qi=penalty,
            random_state=self.seed,
        )
        learnt["pu"][_is_unrated(ratings.users, ratings.n_users)] = 0.0
        learnt["qi"][_is_unrated(ratings.items, ratings.n_items)] = 0.0
        return Latents(
            user_bias=learnt["bu"],
            item_bias=learnt["bi"],
            user_factors=learnt["pu"],
            item_factors=learnt["qi"],
        )


class _Rates(Protocol):
    learning_rate: float
    regularization: float
    bias_learning_rate: float | None
    bias_regularization: float | None


def rates_of(model: _Rates) -> tuple[float, float, float, float]:
    """Learning rate and regularization of the biases, then of the factors."""
    bias_rate, bias_penalty = model.bias_learning_rate, model.bias_regularization
    return (
        model.learning_rate if bias_rate is None else bias_rate,
        model.regularization if bias_penalty is None else bias_penalty,
        model.learning_rate,
        model.regularization,
    )


def _is_unrated(codes: npt.NDArray[np.int32], n: int) -> npt.NDArray[np.bool_]:
    unrated: npt.NDArray[np.bool_] = np.bincount(codes, minlength=n) == 0
    return unrated
