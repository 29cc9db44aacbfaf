"""Features of users and titles as a factorisation machine takes them: groups, by topic."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.models.hybrid.features import (
    Flags,
    UserFeatures,
    profile_flags,
    title_flags,
    user_flags,
)

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["SideFeatures", "describe_sides"]


@dataclass(frozen=True, slots=True, eq=False)
class SideFeatures:
    """Features of the users, or of the titles."""

    # Features that share a prior; none of them without columns.
    groups: "tuple[csr_matrix, ...]"
    # What features are about: "the title itself", "genre".
    topics: tuple[str, ...]
    # Position in topics of each feature, over all groups.
    topic_of: npt.NDArray[np.int64]

    @classmethod
    def of(cls, groups: "Sequence[tuple[csr_matrix, Sequence[str]]]") -> "SideFeatures":
        """Put groups together."""
        kept = [(matrix, topics) for matrix, topics in groups if matrix.shape[1]]
        every = [topic for _, topics in kept for topic in topics]
        names = tuple(dict.fromkeys(every))
        topic_of = np.array([names.index(topic) for topic in every], dtype=np.int64)
        return cls(tuple(matrix for matrix, _ in kept), names, topic_of)


def describe_sides(
    ratings: Ratings,
    catalogue: Catalogue,
    *,
    implicit: bool,
    title_features: bool,
    user_profile: bool,
    user_features: UserFeatures,
) -> tuple[SideFeatures, SideFeatures]:
    """Describe users and titles."""
    from scipy.sparse import csr_matrix, identity

    n_users, n_items = ratings.n_users, ratings.n_items
    users = [(identity(n_users, format="csr"), ["the user itself"] * n_users)]
    items = [(identity(n_items, format="csr"), ["the title itself"] * n_items)]
    if implicit:
        ones = np.ones(len(ratings))
        pairs = ratings.users, ratings.items
        seen = csr_matrix((ones, pairs), shape=(n_users, n_items))
        users.append((_scaled(seen), ["titles the user has rated"] * n_items))
        raters = ["users who have rated the title"] * n_users
        items.append((_scaled(csr_matrix(seen.T)), raters))
    if title_features:
        items += _by_prefix(title_flags(catalogue, n_items))
    if user_profile:
        users += _by_prefix(profile_flags(catalogue, n_users))
    users += _by_prefix(user_flags(ratings, catalogue, user_features))
    return SideFeatures.of(users), SideFeatures.of(items)


def _by_prefix(flags: Flags) -> "list[tuple[csr_matrix, list[str]]]":
    """One group for each block, whose name, ``"genre"`` of ``"genre=Drama"``, is its topic.

    Blocks differ in how much they tell, so that each has its own prior.
    """
    from scipy.sparse import csr_matrix

    topics = [name.partition("=")[0].replace("_", " ") for name in flags.names]
    groups = []
    for topic in dict.fromkeys(topics):
        chosen = [k for k, name in enumerate(topics) if name == topic]
        groups.append((csr_matrix(flags.values[:, chosen]), [topic] * len(chosen)))
    return groups


def _scaled(seen: Any) -> Any:
    """Divide each row by the root of its number of ratings."""
    from scipy.sparse import csr_matrix, diags

    counts = np.maximum(1, np.diff(seen.indptr))
    return csr_matrix(diags(1 / np.sqrt(counts)) @ seen)
