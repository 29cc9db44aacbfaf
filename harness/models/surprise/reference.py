"""What the families that scikit-surprise trains have in common."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.models.base import Codes, Recommender, rated_among
from harness.models.baseline.model import Biases, fit_biases
from harness.models.explanation import Explanation, Part, bias_parts
from harness.models.svd.kernels import predict_pairs

__all__ = ["ReferenceFactors", "ReferenceRecommender"]


Doubles = npt.NDArray[np.float64]


@dataclass(kw_only=True)
class ReferenceRecommender(Recommender):
    """A model trained by scikit-surprise, predicting from arrays of its own.

    scikit-surprise predicts the global mean for a user or title without ratings; here
    the bias model (with the defaults of the family ``baseline``) says what is known of
    the other one. A subclass defines `_learn`, `_estimate`, `_estimate_all` and
    `_take_apart`.
    """

    mean_: float = field(init=False, repr=False)
    fallback_user_bias_: Doubles = field(init=False, repr=False)
    fallback_item_bias_: Doubles = field(init=False, repr=False)
    rated_user_: npt.NDArray[np.bool_] = field(init=False, repr=False)
    rated_item_: npt.NDArray[np.bool_] = field(init=False, repr=False)

    @abstractmethod
    def _learn(self, ratings: Ratings) -> None:
        """Train, and keep what was learnt as arrays."""

    @abstractmethod
    def _estimate(self, users: Codes, items: Codes) -> npt.NDArray[Any]:
        """Predict pairs of which both have ratings."""

    @abstractmethod
    def _estimate_all(self, user: int) -> npt.NDArray[Any]:
        """Predict every title for a user with ratings; what has none may get anything."""

    @abstractmethod
    def _take_apart(self, user: int, item: int) -> Explanation:
        """Explain the estimate of a pair of which both have ratings."""

    def _fit(self, ratings: Ratings, catalogue: Catalogue) -> None:
        del catalogue
        biases = fit_biases(
            ratings, user_regularization=15, item_regularization=10, n_epochs=10
        )
        self.mean_ = biases.mean
        self.fallback_user_bias_ = biases.users
        self.fallback_item_bias_ = biases.items
        self.rated_user_ = np.bincount(ratings.users, minlength=ratings.n_users) > 0
        self.rated_item_ = np.bincount(ratings.items, minlength=ratings.n_items) > 0
        self._learn(ratings)

    def _predict(self, users: Codes, items: Codes) -> Doubles:
        biases = Biases(self.mean_, self.fallback_user_bias_, self.fallback_item_bias_)
        out = biases.predict(users, items)
        known = rated_among(self.rated_user_, users) & rated_among(
            self.rated_item_, items
        )
        if known.any():
            out[known] = self._estimate(users[known], items[known])
        return out

    def _score_all_items(self, user: int) -> npt.NDArray[Any]:
        level = self.mean_
        if 0 <= user < len(self.fallback_user_bias_):
            level += self.fallback_user_bias_[user]
        expected = level + self.fallback_item_bias_
        if not rated_among(self.rated_user_, np.array([user]))[0]:
            return expected
        estimate = self._estimate_all(user)
        return np.where(self.rated_item_, estimate, expected)

    def explain(self, user: int, item: int) -> Explanation:
        """Take a prediction apart; the bias model's, where one of the pair is unknown.

        See `Recommender.explain`.
        """
        self._fitted_scale()
        known = rated_among(self.rated_user_, np.array([user]))
        known &= rated_among(self.rated_item_, np.array([item]))
        if known.all():
            return self._take_apart(user, item)
        biases = self.fallback_user_bias_, self.fallback_item_bias_
        return Explanation(parts=bias_parts(self.mean_, biases, (user, item)))


@dataclass(kw_only=True)
class ReferenceFactors(ReferenceRecommender):
    """A factor model trained by scikit-surprise: biases and a product of factors."""

    level_: float = field(init=False, repr=False)
    user_bias_: Doubles = field(init=False, repr=False)
    item_bias_: Doubles = field(init=False, repr=False)
    user_factors_: Doubles = field(init=False, repr=False)
    item_factors_: Doubles = field(init=False, repr=False)

    def _adopt(self, learnt: dict[str, Doubles], *, level: float, star: float) -> None:
        """Keep what was learnt, in scikit-surprise's names."""
        self.level_ = level
        self.user_bias_, self.item_bias_ = star * learnt["bu"], star * learnt["bi"]
        root = np.sqrt(star)
        self.user_factors_, self.item_factors_ = (
            root * learnt["pu"],
            root * learnt["qi"],
        )

    def _estimate(self, users: Codes, items: Codes) -> Doubles:
        out: Doubles = np.empty(len(users))
        predict_pairs(
            users,
            items,
            self.level_,
            (self.user_bias_, self.item_bias_),
            (self.user_factors_, self.item_factors_),
            out,
        )
        return out

    def _estimate_all(self, user: int) -> Doubles:
        # One matrix-vector product, which streams through the factors.
        level = self.level_ + self.user_bias_[user]
        scores: Doubles = self.item_factors_ @ self.user_factors_[user]
        scores += self.item_bias_
        scores += level
        return scores

    def _bias_parts(self, user: int, item: int) -> tuple[Part, ...]:
        return bias_parts(self.level_, (self.user_bias_, self.item_bias_), (user, item))
