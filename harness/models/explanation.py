"""Why a model predicts what it predicts: one shape for all families."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Axis", "Explanation", "Neighbor", "Part", "bias_parts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something that adds to a prediction.

    Parameters
    ----------
    label : str
        What it is: ``"bias of the user"``.
    stars : float
        What it adds, in stars; negative where it takes away.
    detail : str, default ""
        How it comes about, in words.
    """

    label: str
    stars: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbor:
    """A title that the user has rated, or a user that has rated the title.

    Parameters
    ----------
    code : int
        Code of the item, or of the user.
    rating : float
        What was given, in stars.
    stars : float
        What it adds to the prediction, in stars.
    similarity : float or None, default None
        To the title, or to the user, that is predicted; None where all count alike.
    """

    code: int
    rating: float
    stars: float
    similarity: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A latent factor that matters for a prediction, with the place of every title.

    Parameters
    ----------
    label : str
        That of its part: ``"factor 3"``.
    user, title : float
        Where the user and the title are on it; their product is its part, in stars.
    places : ndarray of float, shape (n_items,)
        Where each title is; 0 for titles of which nothing is known.
    """

    label: str
    user: float
    title: float
    places: npt.NDArray[np.floating[Any]] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A prediction, taken apart.

    Parameters
    ----------
    parts : tuple of Part
        They add up to the prediction before it is clipped to the scale.
    axes : tuple of Axis
        The factors among the parts that add or take away most, in the order of `parts`.
    neighbors : tuple of Neighbor
        Whose ratings entered, most similar first, or where all count alike those that
        add or take away most; what they add is within the parts.
    neighbors_are : {"titles", "users"}, default "titles"
        What the neighbors are.
    user_parts : tuple of Part
        What features of the user add to the same score. They see it from the other
        side, and are not to be added to `parts`.
    """

    parts: tuple[Part, ...]
    axes: tuple[Axis, ...] = ()
    neighbors: tuple[Neighbor, ...] = ()
    neighbors_are: Literal["titles", "users"] = "titles"
    user_parts: tuple[Part, ...] = ()

    @property
    def total(self) -> float:
        """The prediction before it is clipped to the scale, in stars."""
        return float(sum(part.stars for part in self.parts))


def bias_parts(
    mean: float,
    biases: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    pair: tuple[int, int],
) -> tuple[Part, Part, Part]:
    """Take the prediction of a bias model apart."""
    labels = ("bias of the user", "bias of the title")
    details = ("how this user rates titles", "how users rate this title")
    of_user, of_item = (
        Part(label=label, stars=float(values[code]), detail=detail)
        if 0 <= code < len(values)
        else Part(label=label, stars=0.0, detail="nothing is known")
        for label, detail, values, code in zip(
            labels, details, biases, pair, strict=True
        )
    )
    first = Part(label="mean", stars=float(mean), detail="of all training ratings")
    return first, of_user, of_item
