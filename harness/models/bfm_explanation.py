"""Why the family bfm predicts what it predicts."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.models.explanation import Explanation, Part
from harness.models.factor_explanation import explain_factors
from harness.models.hybrid_training import rows_of

if TYPE_CHECKING:
    from harness.models.bfm import BFM

__all__ = ["explain_pair"]


def explain_pair(model: "BFM", pair: tuple[int, int]) -> Explanation:
    """Take apart what a model of the family bfm predicts for one pair.

    Parameters
    ----------
    model : BFM
        Fitted.
    pair : tuple of int
        Codes of user and item, known or not.

    Returns
    -------
    Explanation
        Intercept, linear weights by topic of the features, and the interaction of user
        and title on the principal axes of its factors.
    """
    n_items = len(model.item_bias_) - 1
    row = int(rows_of(np.array(pair[:1]), len(model.user_bias_) - 1)[0])
    column = int(rows_of(np.array(pair[1:]), n_items)[0])
    first = Part(label="global bias", stars=model.level_, detail="intercept")
    before = (
        first,
        *_by_topic(model.user_topics_[row], model.user_topic_names_, "user"),
        *_by_topic(model.item_topics_[column], model.item_topic_names_, "title"),
    )
    factors = model.user_factors_, model.item_factors_
    explained = explain_factors((row, column), before, factors)
    # The last place is that of what is unknown.
    axes = (replace(axis, places=axis.places[:n_items]) for axis in explained.axes)
    return replace(explained, axes=tuple(axes))


def _by_topic(
    stars: npt.NDArray[np.float64],
    names: npt.NDArray[np.object_],
    kind: str,
) -> tuple[Part, ...]:
    linear = tuple(
        Part(label=str(name), stars=float(each), detail=f"weights of the {kind}")
        for name, each in zip(names, stars, strict=False)
    )
    within = Part(
        label=f"pairs of features of the {kind}",
        stars=float(stars[-1]),
        detail=f"the same whatever the {'title' if kind == 'user' else 'user'}",
    )
    return (*linear, within)
