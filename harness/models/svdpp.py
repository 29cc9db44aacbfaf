"""SVD++ by scikit-surprise: factors that know which titles a user has rated at all."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings
from harness.models.base import check_range
from harness.models.explanation import Explanation, Part
from harness.models.factor_explanation import explain_factors
from harness.models.reference import ReferenceFactors

__all__ = ["SVDpp"]


@dataclass(kw_only=True)
class SVDpp(ReferenceFactors):
    r"""Matrix factorisation with implicit feedback [1]_, trained by scikit-surprise.

    .. math:: \hat r_{ui} = \mu + b_u + b_i + q_i^\top
              \Big(p_u + |N_u|^{-1/2} \sum_{j \in N_u} y_j\Big)

    where :math:`N_u` are the titles that the user has rated. Each rating updates as many
    factors as the user has ratings, so that training takes many times as long as that
    of ``svd``.

    Parameters
    ----------
    n_factors : int, default 20
        Number of latent factors; at least 1.
    n_epochs : int, default 20
        Passes over the ratings; at least 1.
    learning_rate : float, default 0.007
        Step of the descent; greater than 0.
    regularization : float, default 0.02
        Penalty on biases and factors; at least 0.
    init_std : float, default 0.1
        Standard deviation of the normal distribution that the factors start from; at
        least 0.
    seed : int, default 0
        Seed of the initial factors.

    Attributes
    ----------
    user_factors_ : ndarray of float64, shape (n_users, n_factors)
        Both summands of the bracket together.
    implicit_factors_ : ndarray of float64, shape (n_users, n_factors)
        The second one by itself.

    References
    ----------
    .. [1] Y. Koren, "Factorization meets the neighborhood: a multifaceted collaborative
       filtering model", KDD 2008, equation 15.
    """

    name: ClassVar[str] = "svdpp"

    n_factors: int = 20
    n_epochs: int = 20
    learning_rate: float = 0.007
    regularization: float = 0.02
    init_std: float = 0.1
    seed: int = 0

    implicit_factors_: npt.NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("n_factors", "n_epochs"):
            check_range(self, name, low=1)
        check_range(self, "learning_rate", above=0)
        for name in ("regularization", "init_std"):
            check_range(self, name, low=0)

    def _learn(self, ratings: Ratings) -> None:
        from harness.models.surprise_engine import fit_reference_factors

        learnt = fit_reference_factors(
            "svdpp",
            ratings,
            n_factors=self.n_factors,
            n_epochs=self.n_epochs,
            lr_all=self.learning_rate,
            reg_all=self.regularization,
            init_std_dev=self.init_std,
            random_state=self.seed,
        )
        self._adopt(learnt, level=self.mean_)
        self.implicit_factors_ = learnt["implicit"]

    def _take_apart(self, user: int, item: int) -> Explanation:
        factors = self.user_factors_ - self.implicit_factors_, self.item_factors_
        pair = user, item
        explained = explain_factors(pair, self._bias_parts(*pair), factors)
        implicit = Part(
            label="implicit feedback",
            stars=float(self.implicit_factors_[user] @ self.item_factors_[item]),
            detail=f"that the user has rated these {len(self.seen(user))} titles at all",
        )
        return replace(explained, parts=(*explained.parts, implicit))
