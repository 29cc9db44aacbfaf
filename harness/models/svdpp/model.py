"""SVD++: factors that know which titles a user has rated at all."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, distinct
from harness.models.base import (
    Codes,
    IterativeRecommender,
    check_training,
)
from harness.models.explanation import Explanation, Part, bias_parts
from harness.models.factors import explain_factors
from harness.models.hyperparameters import Count, NonNegative, Positive
from harness.models.kernels import products
from harness.models.svd.kernels import predict_pairs
from harness.models.svd.training import rates_of
from harness.models.svdpp.kernels import add_up_implicit, sgd_epoch

__all__ = ["SVDpp"]

Reals = npt.NDArray[np.floating[Any]]


@dataclass(kw_only=True)
class SVDpp(IterativeRecommender):
    r"""SVD++: matrix factorisation with implicit feedback [1]_.

    .. math:: \hat r_{ui} = \mu + b_u + b_i + q_i^\top
              \Big(p_u + |N_u|^{-1/2} \sum_{j \in N_u} y_j\Big)

    where :math:`N_u` are the titles that the user has rated. It minimises the squared
    error plus a penalty on the size of biases and factors, by stochastic gradient descent
    over the ratings in the order of users. Defaults are those of scikit-surprise, whose
    ``SVDpp`` is the reference: same seed, same predictions, but in time linear in the
    ratings, where the reference's is quadratic in those of a user. As in ``svd``, ratings
    are brought to the scale of 1 to 5 for the training, so that hyperparameters mean the
    same on any scale.

    Parameters
    ----------
    n_epochs : int, default 20
        Passes over the ratings; at least 1.
    n_factors : int, default 20
        Number of latent factors; at least 1.
    learning_rate : float, default 0.007
        Step of the descent for the factors, and for the biases unless they have their
        own; greater than 0.
    regularization : float, default 0.02
        Penalty on the factors, and on the biases unless they have their own; at least 0.
    bias_learning_rate, bias_regularization : float or None, default None
        The same for the biases; None takes the values of the factors.
    init_std : float, default 0.1
        Standard deviation of the normal distribution that the factors start from; at
        least 0.
    precision : {"single", "double"}, default "single"
        Floating-point numbers of the training.
    engine : {"harness", "surprise"}, default "harness"
        Own kernel, or the reference itself (double precision; the epochs cannot be
        looked into).
    seed : int, default 0
        Seed of the initial factors.

    Attributes
    ----------
    mean_ : float
        The global mean :math:`\mu` in stars.
    user_bias_, item_bias_ : ndarray of float, shapes (n_users,) and (n_items,)
        Biases in stars; 0 without ratings.
    user_factors_ : ndarray of float, shape (n_users, n_factors)
        Both summands of the bracket together; 0 without ratings.
    implicit_factors_ : ndarray of float, shape (n_users, n_factors)
        The second one by itself.
    item_factors_ : ndarray of float, shape (n_items, n_factors)
        Factors :math:`q_i`; 0 without ratings.

    References
    ----------
    .. [1] Y. Koren, "Factorization meets the neighborhood: a multifaceted collaborative
       filtering model", KDD 2008, equation 15.
    """

    name: ClassVar[str] = "svdpp"

    n_epochs: Count = 20
    n_factors: Count = 20
    learning_rate: Positive = 0.007
    regularization: NonNegative = 0.02
    bias_learning_rate: Positive | None = None
    bias_regularization: NonNegative | None = None
    init_std: NonNegative = 0.1
    precision: Literal["single", "double"] = "single"
    engine: Literal["harness", "surprise"] = "harness"
    seed: int = 0

    mean_: float = field(init=False, repr=False)
    user_bias_: Reals = field(init=False, repr=False)
    item_bias_: Reals = field(init=False, repr=False)
    user_factors_: Reals = field(init=False, repr=False)
    implicit_factors_: Reals = field(init=False, repr=False)
    item_factors_: Reals = field(init=False, repr=False)

    def _fit_epochs(self, ratings: Ratings, catalogue: Catalogue) -> Iterator[int]:
        del catalogue
        star = ratings.scale.star
        for epoch, learnt in self._train(ratings.on_five_stars()):
            self._publish(learnt, ratings, star)
            yield epoch

    def _fit(self, ratings: Ratings, catalogue: Catalogue) -> None:
        del catalogue
        # Nobody looks in between: the sums of implicit factors are needed once.
        *_, (_, learnt) = self._train(ratings.on_five_stars())
        self._publish(learnt, ratings, ratings.scale.star)

    def _train(self, ratings: Ratings) -> Iterator[tuple[int, "Learnt"]]:
        if self.engine == "surprise":
            yield self.n_epochs, self._train_reference(ratings)
            return
        learnt = self._initialise(ratings)
        dtype = learnt.user_bias.dtype.type
        arguments = (
            self._seen_offsets_,
            ratings.items,
            ratings.values.astype(dtype, copy=False),
            dtype(ratings.mean),
            (learnt.user_bias, learnt.item_bias),
            (learnt.user_factors, learnt.item_factors, learnt.implicit_factors),
            tuple(dtype(rate) for rate in rates_of(self)),
        )
        for epoch in range(1, self.n_epochs + 1):
            check_training(self, epoch, sgd_epoch(*arguments))
            yield epoch, learnt

    def _initialise(self, ratings: Ratings) -> "Learnt":
        double = self.precision == "double"
        dtype: type[np.floating[Any]] = np.float64 if double else np.float32
        rng = np.random.RandomState(self.seed)
        # Like scikit-surprise, in this order, and for those with ratings only.
        user_factors, item_factors, implicit_factors = (
            self._draw(rng, codes, n).astype(dtype, copy=False)
            for codes, n in (
                (ratings.users, ratings.n_users),
                (ratings.items, ratings.n_items),
                (ratings.items, ratings.n_items),
            )
        )
        return Learnt(
            user_bias=np.zeros(ratings.n_users, dtype),
            item_bias=np.zeros(ratings.n_items, dtype),
            user_factors=user_factors,
            item_factors=item_factors,
            implicit_factors=implicit_factors,
        )

    def _draw(
        self, rng: np.random.RandomState, codes: npt.NDArray[np.int32], n: int
    ) -> Reals:
        factors = np.zeros((n, self.n_factors))
        rated = distinct(codes)
        factors[rated] = rng.normal(0.0, self.init_std, (len(rated), self.n_factors))
        return factors

    def _train_reference(self, ratings: Ratings) -> "Learnt":
        from harness.models.surprise.engine import fit_reference_factors

        bias_rate, bias_penalty, rate, penalty = rates_of(self)
        learnt = fit_reference_factors(
            "svdpp",
            ratings,
            n_factors=self.n_factors,
            n_epochs=self.n_epochs,
            lr_all=rate,
            reg_all=penalty,
            lr_bu=bias_rate,
            lr_bi=bias_rate,
            reg_bu=bias_penalty,
            reg_bi=bias_penalty,
            init_std_dev=self.init_std,
            random_state=self.seed,
        )
        check_training(self, self.n_epochs, *learnt.values())
        return Learnt(
            user_bias=learnt["bu"],
            item_bias=learnt["bi"],
            user_factors=learnt["pu"],
            item_factors=learnt["qi"],
            implicit_factors=learnt["yj"],
        )

    def _publish(self, learnt: "Learnt", ratings: Ratings, star: float) -> None:
        root = np.sqrt(star).astype(learnt.user_bias.dtype)
        implicit = np.empty_like(learnt.user_factors)
        add_up_implicit(
            self._seen_offsets_, ratings.items, learnt.implicit_factors, implicit
        )
        self.mean_ = ratings.mean
        self.user_bias_ = root * root * learnt.user_bias
        self.item_bias_ = root * root * learnt.item_bias
        self.implicit_factors_ = root * implicit
        self.user_factors_ = root * (learnt.user_factors + implicit)
        self.item_factors_ = root * learnt.item_factors

    def _predict(self, users: Codes, items: Codes) -> npt.NDArray[Any]:
        out = np.empty(len(users), self.user_bias_.dtype)
        predict_pairs(
            users,
            items,
            self.mean_,
            (self.user_bias_, self.item_bias_),
            (self.user_factors_, self.item_factors_),
            out,
        )
        return out

    def _score_all_items(self, user: int) -> npt.NDArray[Any]:
        if not 0 <= user < len(self.user_bias_):
            return self.mean_ + self.item_bias_
        scores: npt.NDArray[Any] = self._score_users(np.array([user]))[0]
        return scores

    def _score_users(self, users: Codes) -> npt.NDArray[Any]:
        known = (users >= 0) & (users < len(self.user_bias_))
        if not known.all():
            return super()._score_users(users)
        scores = products(self.user_factors_[users], self.item_factors_)
        total: npt.NDArray[Any] = scores + (self.mean_ + self.item_bias_)
        total += self.user_bias_[users, None]
        return total

    def explain(self, user: int, item: int) -> Explanation:
        """Take a prediction apart: mean, biases, factors, and what the user has rated.

        See `Recommender.explain`.
        """
        self._fitted_scale()
        before = bias_parts(
            self.mean_, (self.user_bias_, self.item_bias_), (user, item)
        )
        factors = self.user_factors_ - self.implicit_factors_, self.item_factors_
        explained = explain_factors((user, item), before, factors)
        if not (0 <= user < len(self.user_bias_) and 0 <= item < len(self.item_bias_)):
            return explained
        implicit = Part(
            label="implicit feedback",
            stars=float(self.implicit_factors_[user] @ self.item_factors_[item]),
            detail=f"that the user has rated these {len(self.seen(user))} titles at all",
        )
        return replace(explained, parts=(*explained.parts, implicit))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learnt:
    """What a training of SVD++ learns, in stars of a scale of 1 to 5; all of one dtype."""

    user_bias: Reals
    item_bias: Reals
    user_factors: Reals
    item_factors: Reals
    implicit_factors: Reals
