"""Titles that can be among a user's best, by bounds that few similar users give."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.models.cf import kernels
from harness.models.kernels import group_by_code
from harness.models.rating_lists import RatingLists

__all__ = ["Contenders"]


Codes = npt.NDArray[np.int32]
Doubles = npt.NDArray[np.float64]

_RATED = np.dtype([("rank", np.int32), ("deviation", np.float32)])
"""Side by side in memory: where a user's list begins, the processor waits once."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contenders:
    """Finds the titles that can be among the n best of a user, and scores only these.

    Users are visited from the most similar on. What they have rated gives each title the
    sums over its first neighbours; how many places are left, and that nobody who follows
    is more similar, gives a lower and an upper bound of its score. Most titles are soon
    below the n-th best lower bound. The rest is scored as `Similarities.average` does.
    """

    # Titles with ratings, those with the most raters first; others go by this rank.
    titles: Codes
    n_raters: npt.NDArray[np.int64]
    # Least and greatest deviation of a rating of each title.
    extremes: tuple[Doubles, Doubles]
    # Offset of each user's list, and the lists: rank and deviation, ranks ascending.
    # So those that are still in doubt are the end of a list, as popular titles have all
    # their neighbours soon.
    lists: tuple[npt.NDArray[np.int64], npt.NDArray[Any]]
    by_title: RatingLists

    @classmethod
    def of_lists(cls, by_title: RatingLists, n_users: int) -> "Contenders":
        """Order ratings by user, and by rank of the title."""
        n_raters = np.diff(by_title.offsets)
        rated = np.flatnonzero(n_raters)
        starts = by_title.offsets[rated]
        titles = rated[np.argsort(-n_raters[rated], kind="stable")]
        ranks = np.zeros(len(n_raters), dtype=np.int32)
        ranks[titles] = np.arange(len(titles))
        extremes = np.zeros((2, len(n_raters)))
        if len(rated):
            extremes[0, rated] = np.minimum.reduceat(by_title.values, starts)
            extremes[1, rated] = np.maximum.reduceat(by_title.values, starts)
        ranked = ranks[by_title.owners]
        _, order = group_by_code(ranked, len(titles))
        offsets, by_user = group_by_code(by_title.codes[order], n_users)
        order = order[by_user]
        lists = np.empty(len(order), dtype=_RATED)
        lists["rank"] = ranked[order]
        lists["deviation"] = by_title.values[order]
        return cls(
            titles=titles.astype(np.int32),
            n_raters=n_raters[titles],
            extremes=(extremes[0, titles], extremes[1, titles]),
            lists=(offsets, lists),
            by_title=by_title,
        )

    def score(
        self,
        similarities: Doubles,
        stars: tuple[Doubles, Doubles, float],
        neighbors: tuple[int, int],
        wanted: tuple[int, npt.NDArray[np.bool_]],
    ) -> Doubles:
        """Score the titles: exactly what can be among the best, others by an upper bound.

        `stars` are what is expected of each title, what is predicted with too few
        neighbours, and the unit of deviations; `wanted` is the length of the list, and
        which titles may be on it; `neighbors` are at most and at least as many.
        """
        scores: Doubles = kernels.score_contenders(
            (similarities, _most_similar_first(similarities)),
            (self.lists, self.by_title.arrays),
            (self.titles, self.n_raters, self.extremes),
            stars,
            neighbors,
            wanted,
        )
        return scores


def _most_similar_first(similarities: Doubles) -> npt.NDArray[np.int64]:
    """List those similar at all; of equals the smaller code comes first."""
    users = np.flatnonzero(similarities > 0)
    values = -similarities[users]
    # Not stable, but an eighth of the time; equals are rare in most measures.
    order = np.argsort(values)
    ordered = values[order]
    if (ordered[1:] == ordered[:-1]).any():
        order = np.argsort(values, kind="stable")
    return users[order]
