"""The families that scikit-surprise trains: NMF, co-clustering."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings
from harness.models.base import Codes, check_training
from harness.models.explanation import Explanation, Part
from harness.models.factors import explain_factors
from harness.models.hyperparameters import Count, NonNegative, Positive
from harness.models.surprise.reference import ReferenceFactors, ReferenceRecommender

__all__ = ["NMF", "CoClustering"]


@dataclass(kw_only=True)
class NMF(ReferenceFactors):
    r"""Non-negative matrix factorisation [1]_, trained by scikit-surprise.

    .. math:: \hat r_{ui} = q_i^\top p_u, \qquad q_i, p_u \ge 0

    by multiplicative updates, which keep factors positive. With `biased` the mean and
    biases are added, as in ``svd``; it then overfits soon. For the training, ratings are
    brought to the scale of 1 to 5, so that hyperparameters mean the same on any scale.

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

    n_factors: Count = 15
    n_epochs: Count = 50
    user_regularization: NonNegative = 0.06
    item_regularization: NonNegative = 0.06
    biased: bool = False
    bias_learning_rate: Positive = 0.005
    bias_regularization: NonNegative = 0.02
    init_high: Positive = 1.0
    seed: int = 0

    def _learn(self, ratings: Ratings) -> None:
        from harness.models.surprise.engine import fit_reference_factors

        learnt = fit_reference_factors(
            "nmf",
            ratings.on_five_stars(),
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
        check_training(self, self.n_epochs, *learnt.values())
        scale = ratings.scale
        level = self.mean_ if self.biased else scale.low - scale.star
        self._adopt(learnt, level=level, star=scale.star)

    def _take_apart(self, user: int, item: int) -> Explanation:
        before = self._bias_parts(user, item) if self.biased else ()
        if not self.biased and self.level_ != 0:
            detail = "where factors start from"
            level = Part(
                label="zero stars", stars=self.level_, detail=detail, role="level"
            )
            before = (level,)
        factors = self.user_factors_, self.item_factors_
        # As they are: turned, factors would no longer only add up.
        return explain_factors((user, item), before, factors, turn=False)


Doubles = npt.NDArray[np.float64]


@dataclass(kw_only=True)
class CoClustering(ReferenceRecommender):
    r"""Co-clustering: the mean of a block of users and titles, corrected by both means [1]_.

    .. math:: \hat r_{ui} = \overline{C_{ui}} + (\bar r_u - \overline{C_u})
              + (\bar r_i - \overline{C_i})

    where :math:`C_u` and :math:`C_i` are the clusters of user and title,
    :math:`C_{ui}` is the block of both, and a bar is the mean rating.

    Parameters
    ----------
    n_user_clusters, n_item_clusters : int, default 3
        Number of clusters; at least 1.
    n_epochs : int, default 20
        Rounds of assigning each user, then each title, to its best cluster; at least 1.
    seed : int, default 0
        Seed of the first clusters.

    Attributes
    ----------
    user_cluster_, item_cluster_ : ndarray of int64, shapes (n_users,) and (n_items,)
        The cluster of each.
    user_offset_, item_offset_ : ndarray of float64, shapes (n_users,) and (n_items,)
        Mean of each less that of its cluster, in stars.
    block_mean_ : ndarray of float64, shape (n_user_clusters, n_item_clusters)
        Mean rating of each block in stars.

    References
    ----------
    .. [1] T. George and S. Merugu, "A scalable collaborative filtering framework based
       on co-clustering", ICDM 2005.
    """

    name: ClassVar[str] = "co_clustering"

    n_user_clusters: Count = 3
    n_item_clusters: Count = 3
    n_epochs: Count = 20
    seed: int = 0

    user_cluster_: npt.NDArray[np.int64] = field(init=False, repr=False)
    item_cluster_: npt.NDArray[np.int64] = field(init=False, repr=False)
    user_offset_: Doubles = field(init=False, repr=False)
    item_offset_: Doubles = field(init=False, repr=False)
    block_mean_: Doubles = field(init=False, repr=False)

    def _learn(self, ratings: Ratings) -> None:
        from harness.models.surprise.engine import fit_reference_co_clustering

        learnt = fit_reference_co_clustering(
            ratings,
            n_cltr_u=self.n_user_clusters,
            n_cltr_i=self.n_item_clusters,
            n_epochs=self.n_epochs,
            random_state=self.seed,
        )
        self.user_cluster_ = learnt["user_cluster"]
        self.item_cluster_ = learnt["item_cluster"]
        of_user = learnt["user_cluster_mean"][self.user_cluster_]
        of_item = learnt["item_cluster_mean"][self.item_cluster_]
        self.user_offset_ = learnt["user_mean"] - of_user
        self.item_offset_ = learnt["item_mean"] - of_item
        self.block_mean_ = learnt["block_mean"]

    def _estimate(self, users: Codes, items: Codes) -> npt.NDArray[Any]:
        block = self.block_mean_[self.user_cluster_[users], self.item_cluster_[items]]
        estimate: npt.NDArray[Any] = (
            block + self.user_offset_[users] + self.item_offset_[items]
        )
        return estimate

    def _estimate_all(self, user: int) -> Doubles:
        block = self.block_mean_[self.user_cluster_[user]][self.item_cluster_]
        scores: Doubles = block + self.user_offset_[user] + self.item_offset_
        return scores

    def _take_apart(self, user: int, item: int) -> Explanation:
        row, column = int(self.user_cluster_[user]), int(self.item_cluster_[item])
        groups = (
            f"users of group {row + 1} of {self.n_user_clusters}",
            f"titles of group {column + 1} of {self.n_item_clusters}",
        )
        block = Part(
            label="mean of the block",
            stars=float(self.block_mean_[row, column]),
            detail=f"{groups[0]}, {groups[1]}",
            role="level",
        )
        of_user = Part(
            label="correction for the user",
            stars=float(self.user_offset_[user]),
            detail=f"mean of this user less that of the {groups[0]}",
            role="level",
        )
        of_item = Part(
            label="correction for the title",
            stars=float(self.item_offset_[item]),
            detail=f"mean of this title less that of the {groups[1]}",
        )
        return Explanation(parts=(block, of_user, of_item))
