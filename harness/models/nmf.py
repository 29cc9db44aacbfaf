"""Non-negative matrix factorisation by scikit-surprise."""

from dataclasses import dataclass
from typing import ClassVar

from harness.data.ratings import Ratings
from harness.errors import DataError, ParameterError
from harness.models.base import check_range
from harness.models.explanation import Explanation
from harness.models.factor_explanation import explain_factors
from harness.models.reference import ReferenceFactors

__all__ = ["NMF"]


@dataclass(kw_only=True)
class NMF(ReferenceFactors):
    r"""Factors that only add up [1]_, trained by scikit-surprise.

    .. math:: \hat r_{ui} = q_i^\top p_u, \qquad q_i, p_u \ge 0

    by multiplicative updates, which keep factors positive. With `biased` the mean and
    biases are added, as in ``svd``; it then overfits soon.

    Parameters
    ----------
    n_factors : int, default 15
        Number of latent factors; at least 1.
    n_epochs : int, default 50
        Passes over the ratings; at least 1.
    user_regularization, item_regularization : float, default 0.06
        Penalty on the factors of users, of titles; at least 0.
    biased : bool, default False
        Whether to learn biases.
    bias_learning_rate : float, default 0.005
        Step of the descent for the biases; greater than 0.
    bias_regularization : float, default 0.02
        Penalty on the biases; at least 0.
    init_high : float, default 1.0
        Factors start between 0 and this; greater than 0.
    seed : int, default 0
        Seed of the initial factors.

    References
    ----------
    .. [1] X. Luo, M. Zhou, Y. Xia and Q. Zhu, "An efficient non-negative
       matrix-factorization-based approach to collaborative filtering for recommender
       systems", IEEE Transactions on Industrial Informatics 10(2), 2014.
    """

    name: ClassVar[str] = "nmf"

    n_factors: int = 15
    n_epochs: int = 50
    user_regularization: float = 0.06
    item_regularization: float = 0.06
    biased: bool = False
    bias_learning_rate: float = 0.005
    bias_regularization: float = 0.02
    init_high: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_factors", "n_epochs"):
            check_range(self, name, low=1)
        for name in ("bias_learning_rate", "init_high"):
            check_range(self, name, above=0)
        for name in (
            "user_regularization",
            "item_regularization",
            "bias_regularization",
        ):
            check_range(self, name, low=0)
        if self.biased not in (False, True):
            raise ParameterError(
                f"NMF: biased must be true or false, but got {self.biased!r}."
            )

    def _learn(self, ratings: Ratings) -> None:
        from harness.models.surprise_engine import fit_reference_factors

        if ratings.scale.low < 0:
            raise DataError(
                f"nmf adds up factors that are not negative, but the rating scale starts "
                f"at {ratings.scale.low:g}; shift the ratings, or choose another family."
            )
        learnt = fit_reference_factors(
            "nmf",
            ratings,
            n_factors=self.n_factors,
            n_epochs=self.n_epochs,
            biased=self.biased,
            reg_pu=self.user_regularization,
            reg_qi=self.item_regularization,
            lr_bu=self.bias_learning_rate,
            lr_bi=self.bias_learning_rate,
            reg_bu=self.bias_regularization,
            reg_bi=self.bias_regularization,
            init_low=0.0,
            init_high=self.init_high,
            random_state=self.seed,
        )
        self._adopt(learnt, level=self.mean_ if self.biased else 0.0)

    def _take_apart(self, user: int, item: int) -> Explanation:
        before = self._bias_parts(user, item) if self.biased else ()
        factors = self.user_factors_, self.item_factors_
        # As they are: turned, factors would no longer only add up.
        return explain_factors((user, item), before, factors, turn=False)
