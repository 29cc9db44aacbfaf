"""Why the family svd predicts what it predicts."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.models.explanation import Explanation, Part, bias_parts
from harness.models.factor_explanation import explain_factors

if TYPE_CHECKING:
    from harness.models.svd import SVD

__all__ = ["explain_pair"]

Reals = npt.NDArray[np.floating[Any]]


def explain_pair(model: "SVD", pair: tuple[int, int]) -> Explanation:
    """Take apart what a model of the family svd predicts for one pair.

    Parameters
    ----------
    model : SVD
        Fitted.
    pair : tuple of int
        Codes of user and item, known or not.

    Returns
    -------
    Explanation
        Mean, biases, liking for the genres, and factors, those predicted for newcomers
        included.
    """
    user, users = _with_stranger(
        pair[0], (model.user_bias_, model.user_factors_), model.new_user_
    )
    item, items = _with_stranger(
        pair[1], (model.item_bias_, model.item_factors_), model.new_item_
    )
    parts = bias_parts(model.mean_, (users[0], items[0]), (user, item))
    if not model.biased and not _is_complete(model, pair):
        return Explanation(parts=parts[:1])
    before = parts if model.biased else parts[1:]
    explained = explain_factors(
        (user, item),
        (*before, *model.interaction.explain(*pair)),
        (users[1], items[1]),
    )
    if np.isfinite(explained.total):
        return explained
    left = Part(
        label="what is left of a training that overflowed",
        stars=float(model._predict(*(np.array([code]) for code in pair))[0]),  # noqa: SLF001 - its own family
    )
    return Explanation(parts=(left,))


def _with_stranger(
    code: int, learnt: tuple[Reals, Reals], new: Reals | None
) -> tuple[int, tuple[Reals, Reals]]:
    """Give somebody beyond those learnt a row of their own, where there is one."""
    bias, factors = learnt
    if new is None or 0 <= code < len(bias):
        return code, learnt
    rows = np.append(bias, new[0]), np.vstack([factors, new[1:]])
    return len(bias), rows


def _is_complete(model: "SVD", pair: tuple[int, int]) -> bool:
    """Say whether factors are known of both; without biases the mean is left."""
    if model.new_user_ is not None and model.new_item_ is not None:
        return True
    return all(
        0 <= code < len(rated) and bool(rated[code])
        for code, rated in zip(
            pair, (model.rated_user_, model.rated_item_), strict=True
        )
    )
