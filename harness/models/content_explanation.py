"""Why the content family predicts what it predicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.models.baseline import Biases
from harness.models.content_features import BLOCKS
from harness.models.content_neighbors import unit_rows
from harness.models.explanation import Explanation, Neighbor, Part

if TYPE_CHECKING:
    from harness.models.content import Content

__all__ = ["ContentExplanation", "SimilarTitle", "explain_pair"]

Doubles = npt.NDArray[np.float64]

N_STRONGEST = 3
"""Features that are named of each block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarTitle:
    """A title that the user has rated, and what it adds to a prediction.

    Parameters
    ----------
    item : int
        Code of the title.
    similarity : float
        Cosine of its features and those of the title that is predicted, from -1 to 1.
    rating : float
        What the user gave, in stars.
    contribution : float
        In stars above or below what biases predict.
    """

    item: int
    similarity: float
    rating: float
    contribution: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentExplanation(Explanation):
    """A prediction, taken apart, with its parts by name.

    The mean, the two biases and the contributions of the blocks add up to the prediction
    before it is clipped to the scale: they are the `parts`.

    Parameters
    ----------
    parts, axes, neighbors, neighbors_are, user_parts
        See `Explanation`; there are no axes and no parts of the user.
    prediction : float
        In stars, within the scale.
    mean : float
        The same for all pairs, in stars.
    user_bias, item_bias : float
        How the user rates, and how the title is rated by others, in stars.
    item_bias_from_features : float
        The part of the title's bias that its features predict for everybody, in stars.
    blocks : mapping of str to float
        What the user's taste adds, by block of features, in stars; empty where nothing is
        known of the user or the title.
    strongest : mapping of str to tuple of Part
        The features of each block that add or take away most, the first most; none where
        the block adds nothing. What they add is within that of the block.
    similar : tuple of SimilarTitle
        Titles the user has rated, most similar first.
    """

    prediction: float
    mean: float
    user_bias: float
    item_bias: float
    item_bias_from_features: float
    blocks: Mapping[str, float]
    strongest: Mapping[str, tuple[Part, ...]]
    similar: tuple[SimilarTitle, ...]


def explain_pair(
    model: "Content",
    pair: tuple[int, int],
    own: tuple[npt.NDArray[np.float32], Doubles],
    similarities: npt.NDArray[np.float32] | None,
    *,
    n_similar: int,
) -> ContentExplanation:
    """Take apart what a model of the content family predicts for one pair.

    Parameters
    ----------
    model : Content
        Fitted.
    pair : tuple of int
        Codes of user and title, known or not.
    own : tuple of ndarray, shape (n_rated,)
        What the user gave to the titles of ``model.seen(user)``, float32, and what biases
        leave unexplained of it, float64, in stars.
    similarities : ndarray of float32, shape (n_rated,), or None
        Sharpened similarities of the rated titles to this one, where they are averaged.
    n_similar : int
        How many rated titles to name.

    Returns
    -------
    ContentExplanation
        Its parts add up to the prediction before it is clipped.
    """
    user, item = pair
    pairs = np.array([user]), np.array([item])
    nothing = np.zeros(0)
    item_bias = Biases(0.0, nothing, model.item_bias_).predict(*pairs)
    predicted = Biases(0.0, nothing, model.item_prior_).predict(*pairs)
    by_feature: Doubles | None = None
    similar: tuple[SimilarTitle, ...] = ()
    if 0 <= item < len(model.item_bias_) and model.features_.shape[1]:
        if model.predictor == "regression":
            by_feature = model.features_[item] * model.title_weights_
            item_bias = predicted = np.zeros(1)
        elif len(own[0]):
            by_feature, adds = _explain_taste(model, pair, own[1], similarities)
            similar = _most_similar(model, pair, (own[0], adds), n_similar)
    user_bias = Biases(0.0, model.user_bias_, nothing).predict(*pairs)
    levels = float(model.mean_), float(user_bias[0]), float(item_bias[0])
    blocks, strongest = _by_block(model, by_feature)
    return ContentExplanation(
        parts=(
            *_level_parts(levels, float(predicted[0])),
            *(
                Part(label=name, stars=stars, detail=_in_words(strongest[name]))
                for name, stars in blocks.items()
            ),
        ),
        neighbors=tuple(
            Neighbor(
                code=title.item,
                similarity=title.similarity,
                rating=title.rating,
                stars=title.contribution,
            )
            for title in similar
        ),
        prediction=float(model.predict(*pairs)[0]),
        mean=levels[0],
        user_bias=levels[1],
        item_bias=levels[2],
        item_bias_from_features=float(predicted[0]),
        blocks=blocks,
        strongest=strongest,
        similar=similar,
    )


def _level_parts(
    levels: tuple[float, float, float], from_features: float
) -> tuple[Part, ...]:
    mean, user_bias, item_bias = levels
    of_title = f"how users rate this title; {from_features:+.3f} by its features"
    return (
        Part(label="mean", stars=mean, detail="of all training ratings"),
        Part(label="bias of the user", stars=user_bias, detail="how this user rates"),
        Part(label="bias of the title", stars=item_bias, detail=of_title),
    )


def _in_words(strongest: tuple[Part, ...]) -> str:
    if not strongest:
        return "taste for features of this block"
    return "; ".join(f"{part.label} {part.stars:+.3f}" for part in strongest)


def _explain_taste(
    model: "Content",
    pair: tuple[int, int],
    residuals: Doubles,
    similarities: npt.NDArray[np.float32] | None,
) -> tuple[Doubles, Doubles]:
    """Return contributions in stars: by feature, and by rated title."""
    user, item = pair
    rows = model.features_[model.seen(user)].astype(np.float64)
    features = model.features_[item].astype(np.float64)
    if similarities is None:
        # The weights solve a ridge regression: w = X' (e - X w) / lambda, a sum over the
        # rated titles.
        weights = model.user_weights_[user].astype(np.float64)
        left = (residuals - rows @ weights) / model.regularization
        return features * weights, (rows @ features) * left
    shares = similarities.astype(np.float64)
    further = np.argsort(-shares, kind="stable")[model.n_neighbors :]
    shares[further] = 0.0
    total = shares.sum() + model.shrinkage
    contributions = residuals * shares / total if total > 0 else np.zeros(len(shares))
    # What a rated title adds is divided among features as its cosine is.
    counted = shares > 0
    of_features = _cosines(rows[counted], features)
    of_features /= of_features.sum(axis=1, keepdims=True)
    return contributions[counted] @ of_features, contributions


def _most_similar(
    model: "Content",
    pair: tuple[int, int],
    own: tuple[npt.NDArray[np.float32], Doubles],
    n_similar: int,
) -> tuple[SimilarTitle, ...]:
    user, item = pair
    rated = model.seen(user)
    cosines = _cosines(model.features_[rated], model.features_[item]).sum(axis=1)
    nearest = np.argsort(-cosines, kind="stable")[:n_similar]
    return tuple(
        SimilarTitle(
            item=int(rated[k]),
            similarity=float(cosines[k]),
            rating=float(own[0][k]),
            contribution=float(own[1][k]),
        )
        for k in nearest
    )


def _by_block(
    model: "Content", by_feature: Doubles | None
) -> tuple[dict[str, float], dict[str, tuple[Part, ...]]]:
    """Add up contributions by block, and pick the strongest of each."""
    sums: dict[str, float] = {}
    strongest: dict[str, tuple[Part, ...]] = {}
    if by_feature is None:
        return sums, strongest
    for k, name in enumerate(BLOCKS):
        own = np.flatnonzero(model.feature_blocks_ == k)
        if not len(own):
            continue
        sums[name] = float(by_feature[own].sum())
        order = own[np.argsort(-np.abs(by_feature[own]), kind="stable")]
        strongest[name] = tuple(
            Part(label=str(model.feature_names_[j]), stars=float(by_feature[j]))
            for j in order[:N_STRONGEST]
            if by_feature[j]
        )
    return sums, strongest


def _cosines(rows: npt.NDArray[Any], features: npt.NDArray[Any]) -> Doubles:
    """Split the cosine of each row and one vector by feature: (n_rows, n_features)."""
    one = unit_rows(features.astype(np.float32)[None, :])
    return unit_rows(rows.astype(np.float32)).astype(np.float64) * one
