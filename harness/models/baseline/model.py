"""The floor of every comparison: the global mean, and user and item bias."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.models.base import Codes, Recommender, Times
from harness.models.baseline.kernels import als_biases, squared_errors
from harness.models.explanation import Explanation, bias_parts
from harness.models.hyperparameters import Count, NonNegative
from harness.models.levels import find_levels, level_probabilities

__all__ = ["Baseline", "Biases", "fit_biases"]


Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Biases:
    """How far users and items lie above or below the mean."""

    mean: float
    # Biases in stars; 0 where there was no rating to learn from.
    users: Doubles
    items: Doubles

    def predict(self, users: Codes, items: Codes) -> Doubles:
        """Add up mean and biases."""
        return self.mean + _look_up(self.users, users) + _look_up(self.items, items)


def _look_up(biases: Doubles, codes: Codes) -> Doubles:
    known = (codes >= 0) & (codes < len(biases))
    if not known.any():
        return np.zeros(len(codes))
    # Somebody's bias in place of one that is unknown: cheaper than to leave these out.
    found: Doubles = biases[np.where(known, codes, 0)]
    found[~known] = 0.0
    return found


def fit_biases(
    ratings: Ratings,
    *,
    user_regularization: float,
    item_regularization: float,
    n_epochs: int,
) -> Biases:
    r"""Fit user and item biases by regularised alternating least squares [1]_.

    .. math:: b_i = \frac{\sum_{u} (r_{ui} - \mu - b_u)}{\lambda_i + n_i}, \qquad
              b_u = \frac{\sum_{i} (r_{ui} - \mu - b_i)}{\lambda_u + n_u}

    References
    ----------
    .. [1] Y. Koren, "Factor in the neighbors: scalable and accurate collaborative
       filtering", ACM TKDD 4(1), 2010, section 2.1.
    """
    users, items = als_biases(
        np.ascontiguousarray(ratings.users),
        np.ascontiguousarray(ratings.items),
        np.ascontiguousarray(ratings.values),
        ratings.mean,
        (ratings.n_users, ratings.n_items),
        (float(user_regularization), float(item_regularization)),
        n_epochs,
    )
    return Biases(ratings.mean, users, items)


@dataclass(kw_only=True)
class Baseline(Recommender):
    r"""Global mean, or global mean plus biases of user and item.

    .. math:: \hat r_{ui} = \mu + b_u + b_i

    It knows nothing of taste: a family that does not beat it has learnt nothing about
    who likes what. scikit-surprise's ``BaselineOnly`` (method ``als``) is the reference,
    and its defaults are these.

    Parameters
    ----------
    kind : {"bias", "mean"}, default "bias"
        With biases, or the mean alone.
    user_regularization : float, default 15
        Shrinks the biases of users, in ratings: a user with as many ratings gets half
        of the mean deviation as bias; at least 0.
    item_regularization : float, default 10
        The same for items; at least 0.
    n_epochs : int, default 10
        Rounds of alternating least squares; at least 1. They converge within about 10.

    Attributes
    ----------
    mean_ : float
        The global mean :math:`\mu` in stars.
    user_bias_, item_bias_ : ndarray of float64, shapes (n_users,) and (n_items,)
        Biases in stars; 0 without ratings, and for the kind ``"mean"``.
    levels_ : ndarray of float64, shape (n_levels,)
        Different ratings in stars; empty if there are more than 20.
    deviation_ : float
        Standard deviation of a rating around its prediction, in stars. Probabilities are
        those of a normal distribution, cut half way between the levels.
    """

    name: ClassVar[str] = "baseline"
    gives_probabilities: ClassVar[bool] = True

    kind: Literal["bias", "mean"] = "bias"
    user_regularization: NonNegative = 15.0
    item_regularization: NonNegative = 10.0
    n_epochs: Count = 10

    mean_: float = field(init=False, repr=False)
    user_bias_: Doubles = field(init=False, repr=False)
    item_bias_: Doubles = field(init=False, repr=False)
    deviation_: float = field(init=False, repr=False)

    def _fit(self, ratings: Ratings, catalogue: Catalogue) -> None:
        del catalogue
        self.mean_ = ratings.mean
        self.user_bias_ = np.zeros(ratings.n_users)
        self.item_bias_ = np.zeros(ratings.n_items)
        if self.kind == "bias":
            biases = fit_biases(
                ratings,
                user_regularization=self.user_regularization,
                item_regularization=self.item_regularization,
                n_epochs=self.n_epochs,
            )
            self.user_bias_, self.item_bias_ = biases.users, biases.items
        self.levels_ = find_levels(ratings)
        self.deviation_ = self._deviation(ratings)

    def _deviation(self, ratings: Ratings) -> float:
        """Estimate the spread of ratings around what is predicted.

        A bias of n ratings that is shrunk by λ takes n / (n + λ) degrees of freedom.
        """
        total = squared_errors(
            np.ascontiguousarray(ratings.users),
            np.ascontiguousarray(ratings.items),
            np.ascontiguousarray(ratings.values),
            self.mean_,
            self.user_bias_,
            self.item_bias_,
        )
        taken = 1.0
        if self.kind == "bias":
            for codes, shrinkage in (
                (ratings.users, self.user_regularization),
                (ratings.items, self.item_regularization),
            ):
                n = np.bincount(codes)
                taken += float((n[n > 0] / (n[n > 0] + shrinkage)).sum())
        left = max(1.0, len(ratings) - taken)
        return float(np.sqrt(total / left))

    def _predict(self, users: Codes, items: Codes) -> npt.NDArray[Any]:
        return Biases(self.mean_, self.user_bias_, self.item_bias_).predict(
            users, items
        )

    def _score_all_items(self, user: int) -> npt.NDArray[Any]:
        [bias] = _look_up(self.user_bias_, np.array([user]))
        scores: Doubles = (self.mean_ + bias) + self.item_bias_
        return scores

    def _predict_proba_at(self, users: Codes, items: Codes, when: Times) -> Doubles:
        del when
        middles = (self.levels_[1:] + self.levels_[:-1]) / 2
        predicted = self._predict(users, items)
        return level_probabilities(predicted, middles, self.deviation_)

    def explain(self, user: int, item: int) -> Explanation:
        """Take a prediction apart: mean and biases; see `Recommender.explain`."""
        self._fitted_scale()
        biases = self.user_bias_, self.item_bias_
        parts = bias_parts(self.mean_, biases, (user, item))
        return Explanation(parts=parts[:1] if self.kind == "mean" else parts)
