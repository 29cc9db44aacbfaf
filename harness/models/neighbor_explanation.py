"""Predictions of neighbourhood models, neighbour by neighbour."""

import numpy as np

from harness.models.explanation import Explanation, Neighbor, Part
from harness.models.neighbor_averages import NeighborAverages

__all__ = ["explain_neighbors"]


def explain_neighbors(
    averages: NeighborAverages, pair: tuple[int, int], biases: tuple[Part, ...]
) -> Explanation:
    """Take the prediction of a neighbourhood model apart.

    Parameters
    ----------
    averages : NeighborAverages
        What the model averages.
    pair : tuple of int
        Codes of user and item, both with ratings.
    biases : tuple of Part
        Mean and biases, where these are what the model expects; else empty.

    Returns
    -------
    Explanation
        What was expected, and the neighbours; with too few of them, without.
    """
    codes, similarities, ratings = averages.neighbors(*pair)
    x, y = pair if averages.user_based else pair[::-1]
    kind = "user" if averages.user_based else "title"
    expected = biases or _mean_of(averages, x, kind)
    if len(codes) < averages.around.fewest:
        detail = f"too few: {len(codes)} {kind}s with a rating are similar"
        none = Part(label="neighbours", stars=0.0, detail=detail)
        return Explanation(parts=(*(expected or _otherwise(averages)), none))
    of_y = np.full_like(codes, y)
    expectation = averages.expectation
    deviations = (ratings - expectation(codes, of_y)) / expectation.spread[codes]
    shares = similarities / similarities.sum()
    each = expectation.spread[x] * shares * deviations
    detail = f"mean of {len(codes)} similar {kind}s, weighted by similarity"
    part = Part(label="neighbours", stars=float(each.sum()), detail=detail)
    return Explanation(
        parts=(*expected, part),
        neighbors=tuple(
            Neighbor(
                code=int(code), similarity=float(s), rating=float(r), stars=float(e)
            )
            for code, s, r, e in zip(codes, similarities, ratings, each, strict=True)
        ),
        neighbors_are="users" if averages.user_based else "titles",
    )


def _mean_of(averages: NeighborAverages, x: int, kind: str) -> tuple[Part, ...]:
    # What is averaged as it is has something else to fall back on.
    if averages.otherwise is not None:
        return ()
    mean = float(averages.expectation.of_x[x])
    return (Part(label=f"mean of the {kind}", stars=mean),)


def _otherwise(averages: NeighborAverages) -> tuple[Part, ...]:
    assert averages.otherwise is not None
    mean = averages.otherwise
    return (Part(label="mean", stars=mean, detail="of all training ratings"),)
