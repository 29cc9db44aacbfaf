"""Predictions of factor models, factor by factor."""

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.models.explanation import Axis, Explanation, Part

__all__ = ["explain_factors", "turn_to_principal_axes"]

Doubles = npt.NDArray[np.float64]
Factors = tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]]

N_STRONGEST = 5


def turn_to_principal_axes(factors: Factors) -> tuple[Doubles, Doubles]:
    r"""Turn factors so that each of them means something, and the first one most.

    Any rotation of both sides leaves all products :math:`q_i^\top p_u`, and so all
    predictions, as they are: the axes on which a training happens to end are arbitrary.
    The singular value decomposition :math:`Q P^\top = U \Sigma V^\top` has axes that
    are not: orthogonal, ordered by how much of the products they carry.

    Parameters
    ----------
    factors : tuple of ndarray of float, shapes (n_users, n_factors), (n_items, n_factors)
        Factors of users and items, finite.

    Returns
    -------
    users, items : ndarray of float64, shapes (n_users, n), (n_items, n)
        Factors with the same products, n at most `n_factors`; the item furthest from 0 on
        an axis is on its positive side.
    """
    (of_users, r_users), (of_items, r_items) = (
        np.linalg.qr(side.astype(np.float64)) for side in factors
    )
    left, strengths, right = np.linalg.svd(r_users @ r_items.T, full_matrices=False)
    users = of_users @ left * np.sqrt(strengths)
    items = of_items @ right.T * np.sqrt(strengths)
    furthest = items[np.abs(items).argmax(axis=0), np.arange(items.shape[1])]
    signs = np.where(furthest < 0, -1.0, 1.0)
    return users * signs, items * signs


def explain_factors(
    pair: tuple[int, int],
    before: tuple[Part, ...],
    factors: Factors,
    *,
    n_strongest: int = N_STRONGEST,
    turn: bool = True,
) -> Explanation:
    """Take the prediction of a factor model apart, factor by factor.

    Parameters
    ----------
    pair : tuple of int
        Codes of user and item; with one outside the arrays factors add nothing.
    before : tuple of Part
        What there is besides the factors: mean and biases.
    factors : tuple of ndarray of float, shapes (n_users, n_factors), (n_items, n_factors)
        Factors of users and items; axes that are not finite are left as they are.
    n_strongest : int, default 5
        How many factors to list one by one; the others are one part.
    turn : bool, default True
        Whether to look at them on their principal axes, and not on those of the training.

    Returns
    -------
    Explanation
        Factors that add or take away most come first.
    """
    (user, item), (of_users, of_items) = pair, factors
    if not (0 <= user < len(of_users) and 0 <= item < len(of_items)):
        return Explanation(parts=before)
    if turn and all(np.isfinite(side).all() for side in factors):
        of_users, of_items = turn_to_principal_axes(factors)
    each = of_users[user].astype(np.float64) * of_items[item]
    order = np.argsort(-np.abs(each), kind="stable")
    axes = tuple(
        Axis(
            label=f"factor {k + 1}",
            user=float(of_users[user, k]),
            title=float(of_items[item, k]),
            places=of_items[:, k],
        )
        for k in order[:n_strongest]
    )
    parts = tuple(
        Part(
            label=axis.label,
            stars=axis.user * axis.title,
            detail=_in_words(axis, signed=turn),
        )
        for axis in axes
    )
    others = order[n_strongest:]
    if len(others):
        rest = Part(
            label=f"{len(others)} more factors", stars=float(each[others].sum())
        )
        parts = (*parts, rest)
    return Explanation(parts=(*before, *parts), axes=axes)


def _in_words(axis: Axis, *, signed: bool) -> str:
    if not signed:
        return f"user {axis.user:.2f} times title {axis.title:.2f}"
    user, title = ("+" if place >= 0 else "-" for place in (axis.user, axis.title))
    return f"user on its {user} side, title on its {title} side"
