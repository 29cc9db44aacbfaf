"""Co-clustering by scikit-surprise: groups of users times groups of titles."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings
from harness.models.base import Codes, check_range
from harness.models.explanation import Explanation, Part
from harness.models.reference import ReferenceRecommender

__all__ = ["CoClustering"]

Doubles = npt.NDArray[np.float64]


@dataclass(kw_only=True)
class CoClustering(ReferenceRecommender):
    r"""The mean of a block of users and titles, corrected by both means [1]_.

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

    n_user_clusters: int = 3
    n_item_clusters: int = 3
    n_epochs: int = 20
    seed: int = 0

    user_cluster_: npt.NDArray[np.int64] = field(init=False, repr=False)
    item_cluster_: npt.NDArray[np.int64] = field(init=False, repr=False)
    user_offset_: Doubles = field(init=False, repr=False)
    item_offset_: Doubles = field(init=False, repr=False)
    block_mean_: Doubles = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("n_user_clusters", "n_item_clusters", "n_epochs"):
            check_range(self, name, low=1)

    def _learn(self, ratings: Ratings) -> None:
        from harness.models.surprise_engine import fit_reference_co_clustering

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
        )
        of_user = Part(
            label="correction for the user",
            stars=float(self.user_offset_[user]),
            detail=f"mean of this user less that of the {groups[0]}",
        )
        of_item = Part(
            label="correction for the title",
            stars=float(self.item_offset_[item]),
            detail=f"mean of this title less that of the {groups[1]}",
        )
        return Explanation(parts=(block, of_user, of_item))
