"""Why a model predicts what it predicts: one shape for all families."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Axis", "Explanation", "Neighbor", "Part", "bias_parts", "mean_part"]


Role = Literal["reason", "level", "remainder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something that adds to a prediction."""

    label: str
    # What it adds, in stars; negative where it takes away.
    stars: float
    # How it comes about, in words.
    detail: str = ""
    # A reason for this title; a level that predictions start from; what is left over.
    role: Role = "reason"


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbor:
    """A title that the user has rated, or a user that has rated the title."""

    # Code of the item, or of the user.
    code: int
    rating: float
    # What it adds to the prediction, in stars.
    stars: float
    # To the title, or to the user, that is predicted; None where all count alike.
    similarity: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A latent factor that matters for a prediction, with the place of every title."""

    # That of its part: "factor 3".
    label: str
    # Where the user and the title are on it; their product is its part, in stars.
    user: float
    title: float
    # Where each title is; 0 for titles of which nothing is known.
    places: npt.NDArray[np.floating[Any]] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A prediction, taken apart."""

    # They add up to the prediction before it is clipped to the scale.
    parts: tuple[Part, ...]
    # The factors among the parts that add or take away most, in the order of parts.
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
    of_user, of_item = (
        (float(values[code]), True) if 0 <= code < len(values) else (0.0, False)
        for values, code in zip(biases, pair, strict=True)
    )
    return (
        mean_part(mean),
        Part(
            label="bias of the user",
            stars=of_user[0],
            detail="how this user rates titles" if of_user[1] else "nothing is known",
            role="level",
        ),
        Part(
            label="bias of the title",
            stars=of_item[0],
            detail="how users rate this title" if of_item[1] else "nothing is known",
        ),
    )


def mean_part(mean: float) -> Part:
    """Start from the mean of all training ratings."""
    return Part(
        label="mean",
        stars=float(mean),
        detail="of all training ratings",
        role="level",
    )
