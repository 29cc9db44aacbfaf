"""Titles that can be among a user's best, by bounds that few similar users give."""

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from harness.models.cf.kernels import answer, longest_list
from harness.models.kernels import group_by_code
from harness.models.lanes import prefetch_read
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
        scores: Doubles = _score(
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


_FIRST_USERS = 512
_AHEAD, _END_OF_LIST = 16, 128
"""Users whose lists are asked for before they are visited, and ratings of each."""
_MARGIN = 1e-5
"""Of the greatest score: deviations and the scores ranked are in single precision."""


@numba.njit(nogil=True, cache=True)
def _score(nearest, ratings, titles, stars, neighbors, wanted):
    """Score what can be among the best as `answer` does; the rest gets a bound."""
    lists, by_title = ratings
    expected, otherwise, spread = stars
    margin = _margin(titles, stars)
    high, threshold = _bound(
        nearest, lists, titles, (*stars, margin), neighbors, wanted
    )
    contending = np.flatnonzero(wanted[1] & (high >= threshold))
    best = np.full(wanted[0], -np.inf)
    longest = longest_list(by_title[0])
    buffers, average = (np.empty(longest), np.empty(longest + 1)), np.empty(1)
    # From the highest bound on: the sooner the best are known, the fewer are left.
    for rank in contending[np.argsort(-high[contending])]:
        if high[rank] < best[-1] - margin:
            break
        title = titles[0][rank]
        answer(0, title, nearest[0], by_title, buffers, neighbors, average)
        score = expected[rank] + spread * average[0]
        high[rank] = otherwise[rank] if math.isnan(average[0]) else score
        _insert(high[rank], best)
    return high


@numba.njit(nogil=True, cache=True)
def _insert(score, best):
    """Put a score in its place among the best so far, which are in descending order."""
    place = len(best)
    while place > 0 and best[place - 1] < score:
        if place < len(best):
            best[place] = best[place - 1]
        place -= 1
    if place < len(best):
        best[place] = score


@numba.njit(nogil=True, cache=True)
def _margin(titles, stars):
    expected, otherwise, spread = stars
    least, greatest = titles[2]
    largest = 0.0
    for rank in range(len(expected)):
        deviation = max(abs(least[rank]), abs(greatest[rank]))
        score = abs(expected[rank]) + spread * deviation
        largest = max(largest, score, abs(otherwise[rank]))
    return _MARGIN * largest


@numba.njit(nogil=True, cache=True)
def _bound(nearest, lists, titles, stars, neighbors, wanted):
    """Visit users until it is cheaper to score the titles that contend.

    Returns an upper bound of each title's score, and what it has to reach to contend.
    """
    similarities, order = nearest
    n_raters = titles[1]
    n, allowed = wanted
    # Of each title: places left, similarities and weighted deviations added up.
    sums = np.zeros((len(n_raters), 3))
    sums[:, 0] = np.minimum(n_raters, neighbors[0])
    low, high = np.empty(len(n_raters)), np.empty(len(n_raters))
    first, last, cut, n_visited = 0, _FIRST_USERS, 0, 0
    while True:
        last = min(last, len(order))
        n_visited += _visit(nearest, (first, last), lists, cut, sums)
        following = similarities[order[last]] if last < len(order) else 0.0
        _update((cut, following), sums, titles, stars, neighbors, (low, high))
        best = np.full(n, -np.inf)
        for rank in range(len(n_raters)):
            if low[rank] > best[-1] and allowed[rank]:
                _insert(low[rank], best)
        threshold = best[-1] - stars[3]
        n_left, in_doubt = 0, len(n_raters)
        for rank in range(len(n_raters) - 1, -1, -1):
            if high[rank] >= threshold and allowed[rank]:
                n_left += 100 + n_raters[rank]
                if sums[rank, 0] > 0.0:
                    in_doubt = rank
        # Never back: what was left out once lacks ratings.
        cut = max(cut, in_doubt)
        # What is left costs about what was spent: twice the least possible, at worst.
        # Half or twice the factor made no difference.
        if last == len(order) or 2 * n_left <= n_visited:
            return high, threshold
        first, last = last, 2 * last


@numba.njit(nogil=True, cache=True)
def _visit(nearest, part, lists, cut, sums):
    """Add what some users say of titles from a rank on; return how much that was."""
    similarities, order = nearest
    offsets, rated = lists
    n_visited = 0
    for j in range(part[0], part[1]):
        # The lists lie far apart: asked for ahead, they come together from memory.
        if j + 2 * _AHEAD < part[1]:
            prefetch_read(offsets, order[j + 2 * _AHEAD])
        if j + _AHEAD < part[1]:
            later = order[j + _AHEAD]
            end = offsets[later + 1] - 1
            for p in range(end, max(end - _END_OF_LIST, offsets[later]), -8):
                prefetch_read(rated, p)
        user = order[j]
        similarity = similarities[user]
        p = offsets[user + 1] - 1
        while p >= offsets[user]:
            rank = rated[p].rank
            if rank < cut:
                break
            k = np.uint32(rank)
            # Without a branch, which would be mispredicted every other time.
            left = sums[k, 0]
            weight = similarity if left > 0.0 else 0.0
            sums[k, 0] = max(left - 1.0, 0.0)
            sums[k, 1] += weight
            sums[k, 2] += weight * rated[p].deviation
            p -= 1
        n_visited += offsets[user + 1] - 1 - p
    return n_visited


@numba.njit(nogil=True, cache=True)
def _update(part, sums, titles, stars, neighbors, bounds):
    """Bound the scores from a rank on, where nobody who follows is more similar."""
    cut, following = part
    n_raters, (least, greatest) = titles[1], titles[2]
    low, high = bounds
    for rank in range(cut, len(low)):
        left, similarity, weighted = sums[rank]
        rest = left * following
        lowest = highest = otherwise = stars[1][rank]
        if similarity + rest > 0.0:
            # All that follow deviate as the least or the greatest does; or none follow.
            expected, spread = stars[0][rank], stars[2]
            lowest = (weighted + rest * least[rank]) / (similarity + rest)
            highest = (weighted + rest * greatest[rank]) / (similarity + rest)
            if similarity > 0.0:
                lowest = min(lowest, weighted / similarity)
                highest = max(highest, weighted / similarity)
            lowest, highest = expected + spread * lowest, expected + spread * highest
            if min(n_raters[rank], neighbors[0]) - left < neighbors[1]:
                lowest, highest = min(lowest, otherwise), max(highest, otherwise)
        low[rank], high[rank] = lowest, highest
