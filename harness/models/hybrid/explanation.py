"""What a prediction of the hybrid is made of, feature by feature."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from harness.models.baseline.model import Biases
from harness.models.explanation import Explanation, Part
from harness.models.genre_interaction import GenreInteraction
from harness.models.hybrid.training import Calibration, rows_of

__all__ = ["OWN", "HybridExplanation", "explain_pair"]


OWN = "(itself)"
"""Name of the feature that a user or title has alone."""

Arrays = npt.NDArray[Any]


class _Fitted(Protocol):
    mean_: float
    user_bias_: npt.NDArray[np.float64]
    item_bias_: npt.NDArray[np.float64]
    calibration_: npt.NDArray[np.float64]

    @property
    def interaction(self) -> GenreInteraction: ...


@dataclass(frozen=True, slots=True)
class HybridExplanation(Explanation):
    """Contributions to one prediction, in stars, by name.

    The prediction before clipping is ``expected + user_level + genre_interaction`` plus
    the sum of `title_features`: these are the `parts`. `user_parts` take the level of the
    user and the features of the title together, and divide them the other way: into the
    level of the title and `user_features`.
    """

    prediction: float
    expected: float
    # What the score owes to the user whatever the title.
    user_level: float
    # What the user's liking for the genres of the title adds.
    genre_interaction: float
    title_features: Mapping[str, float]
    user_features: Mapping[str, float]


def explain_pair(model: _Fitted, user: int, item: int) -> HybridExplanation:
    """Take a prediction apart."""
    row = int(rows_of(np.array([user]), len(model.user_bias_))[0])
    column = int(rows_of(np.array([item]), len(model.item_bias_))[0])
    learnt = vars(model)
    line = Calibration(*model.calibration_)
    slope = line.score_slope
    biases = Biases(model.mean_, model.user_bias_, model.item_bias_)
    expected = line(
        biases.predict(np.array([user]), np.array([item])), np.zeros(1)
    ).item()
    user_level = float(slope * learnt["user_score_bias_"][row])
    titles = _contributions(learnt, "item", column, learnt["user_factors_"][row], slope)
    users = _contributions(learnt, "user", row, learnt["item_factors_"][column], slope)
    liking = model.interaction.explain(user, item)
    added = sum(part.stars for part in liking)
    prediction = float(expected + user_level + added + sum(titles.values()))
    before = (
        Part(
            label="mean and biases",
            stars=expected,
            detail="calibrated",
            role="level",
        ),
        Part(
            label="level of the user",
            stars=user_level,
            detail="whatever the title",
            role="level",
        ),
    )
    title_level = Part(
        label="level of the title",
        stars=float(slope * learnt["item_score_bias_"][column]),
        detail="whoever the user",
    )
    return HybridExplanation(
        prediction,
        expected,
        user_level,
        added,
        titles,
        users,
        parts=(*before, *liking, *_by_feature(titles, "title")),
        user_parts=(title_level, *_by_feature(users, "user")),
    )


def _by_feature(contributions: Mapping[str, float], kind: str) -> tuple[Part, ...]:
    itself = {OWN: f"the {kind} itself"}
    strongest = sorted(contributions, key=lambda name: -abs(contributions[name]))
    return tuple(
        Part(
            label=itself.get(name, name),
            stars=contributions[name],
            detail=f"feature of the {kind}",
        )
        for name in strongest
    )


def _contributions(
    learnt: Mapping[str, Arrays], side: str, row: int, other: Arrays, slope: float
) -> dict[str, float]:
    score = learnt[f"{side}_factors_"][row] @ other
    total = slope * float(score + learnt[f"{side}_score_bias_"][row])
    values = learnt[f"{side}_features_"]
    found: dict[str, float] = {}
    if row < len(values):
        each = learnt[f"{side}_feature_factors_"] @ other
        each = slope * values[row] * (each + learnt[f"{side}_feature_biases_"])
        present = np.flatnonzero(values[row])
        names = learnt[f"{side}_feature_names_"]
        found = {str(names[k]): float(each[k]) for k in present}
    return {OWN: float(total - sum(found.values())), **found}
