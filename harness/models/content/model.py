"""Content-based recommendation: what a user thinks of titles, from what titles are."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.features.blocks import blocks_off, explain_blocks_off
from harness.features.text import DEFAULT_MODEL
from harness.models.base import Codes, Recommender
from harness.models.baseline.model import Biases
from harness.models.content.features import (
    BLOCKS,
    TextEmbedding,
    TitleFeatures,
    check_text_embedding,
    describe_titles,
)
from harness.models.content.neighbors import SimilarTitles, unit_rows
from harness.models.content.ridge import (
    apply_user_weights,
    fit_effects,
    fit_plain_regression,
    fit_user_weights,
)
from harness.models.explanation import Explanation, Neighbor, Part, mean_part
from harness.models.hyperparameters import Count, NonNegative, Positive
from harness.models.rating_lists import RatingLists
from harness.plain import Params

__all__ = ["Content"]


Doubles = npt.NDArray[np.float64]

N_STRONGEST = 3
"""Features that are named of each block."""


def explain_pair(
    model: "Content",
    pair: tuple[int, int],
    own: tuple[npt.NDArray[np.float32], Doubles],
    similarities: npt.NDArray[np.float32] | None,
    *,
    n_similar: int,
) -> Explanation:
    """Take apart what a model of the content family predicts for one pair."""
    user, item = pair
    pairs = np.array([user]), np.array([item])
    nothing = np.zeros(0)
    item_bias = Biases(0.0, nothing, model.item_bias_).predict(*pairs)
    predicted = Biases(0.0, nothing, model.item_prior_).predict(*pairs)
    by_feature: Doubles | None = None
    similar: tuple[Neighbor, ...] = ()
    if 0 <= item < len(model.item_bias_) and model.features_.shape[1]:
        if model.predictor == "regression":
            by_feature = model.features_[item] * model.title_weights_
            item_bias = predicted = np.zeros(1)
        elif len(own[0]):
            by_feature, adds = _explain_taste(model, pair, own[1], similarities)
            similar = _most_similar(model, pair, (own[0], adds), n_similar)
    user_bias = Biases(0.0, model.user_bias_, nothing).predict(*pairs)
    levels = float(model.mean_), float(user_bias[0]), float(item_bias[0])
    return Explanation(
        parts=(
            *_level_parts(levels, float(predicted[0])),
            *_block_parts(model, by_feature),
        ),
        neighbors=similar,
    )


def _level_parts(
    levels: tuple[float, float, float], from_features: float
) -> tuple[Part, ...]:
    mean, user_bias, item_bias = levels
    of_title = f"how users rate this title; {from_features:+.3f} by its features"
    return (
        mean_part(mean),
        Part(
            label="bias of the user",
            stars=user_bias,
            detail="how this user rates",
            role="level",
        ),
        Part(label="bias of the title", stars=item_bias, detail=of_title),
    )


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
) -> tuple[Neighbor, ...]:
    user, item = pair
    rated = model.seen(user)
    cosines = _cosines(model.features_[rated], model.features_[item]).sum(axis=1)
    nearest = np.argsort(-cosines, kind="stable")[:n_similar]
    return tuple(
        Neighbor(
            code=int(rated[k]),
            similarity=float(cosines[k]),
            rating=float(own[0][k]),
            stars=float(own[1][k]),
        )
        for k in nearest
    )


def _block_parts(model: "Content", by_feature: Doubles | None) -> Iterator[Part]:
    """Add up contributions by block, and name the strongest of each."""
    if by_feature is None:
        return
    for k, name in enumerate(BLOCKS):
        own = np.flatnonzero(model.feature_blocks_ == k)
        if not len(own):
            continue
        order = own[np.argsort(-np.abs(by_feature[own]), kind="stable")]
        strongest = [
            f"{model.feature_names_[j]} {by_feature[j]:+.3f}"
            for j in order[:N_STRONGEST]
            if by_feature[j]
        ]
        yield Part(
            label=name,
            stars=float(by_feature[own].sum()),
            detail="; ".join(strongest) or "taste for features of this block",
        )


def _cosines(rows: npt.NDArray[Any], features: npt.NDArray[Any]) -> Doubles:
    """Split the cosine of each row and one vector by feature: (n_rows, n_features)."""
    one = unit_rows(features.astype(np.float32)[None, :])
    return unit_rows(rows.astype(np.float32)).astype(np.float64) * one


Predictor = Literal["ridge", "similarity", "regression"]

Floats = npt.NDArray[np.float32]


@dataclass(kw_only=True)
class Content(Recommender):
    r"""Ratings predicted for each user from the features of titles.

    .. math:: \hat r_{ui} = \mu + b_u + b_i + t_{ui}

    where the bias of a title is drawn towards what its features predict, so that a title
    without ratings has one too, and the taste :math:`t_{ui}` of the user for the features
    :math:`x_i` of the title is, with the residuals :math:`e` of the biases,

    - ``ridge``: :math:`x_i^\top w_u`, a ridge regression for each user;
    - ``similarity``: :math:`\sum_{j \in N} s_{ij} e_{uj} / (\sum_{j \in N} s_{ij} +
      \lambda)` over the rated titles most similar to :math:`i`;
    - ``regression``: nothing. Neither are there biases: one regression of ratings on
      features, the same for all users, is the simplest thing that carries the name.

    Features come in four blocks [1]_, each scaled to the same size before it is weighted;
    a block for which the catalogue has nothing is switched off, and `notes_` says so.
    Without features this is the bias model.

    Parameters
    ----------
    predictor : {"ridge", "similarity", "regression"}, default "ridge"
        How taste is learnt.
    metadata_weight : float, default 0.30
        Weight of duration, release year, content rating, type, platform and country; at
        least 0, which switches the block off. The weights of the four blocks are
        normalised to 1; the defaults are those of the published study.
    genre_weight : float, default 0.35
        Weight of the genres, how common they are and which go together.
    text_weight : float, default 0.20
        Weight of what descriptions and titles are about.
    people_weight : float, default 0.15
        Weight of directors, cast and, where the catalogue has them, production companies.
    statistics_weight : float, default 0
        Weight, relative to the four blocks together, of the title's bias and popularity
        as features of ``ridge`` and ``similarity``: a user may like what everybody likes,
        or the opposite. They come from the ratings of others: 0 keeps the model strictly
        content-based.
    n_components : int, default 32
        Dimensions of each embedding of text and people, at most 64; at least 1.
    text_embedding : {"lsa", "sentence"}, default "lsa"
        How descriptions and titles become numbers: by the terms they have in common, or
        by a sentence-embedding model (optional extra ``embeddings``).
    sentence_model : str, default "sentence-transformers/all-MiniLM-L6-v2"
        Only for ``"sentence"``: a folder that holds a model, or a name on the model hub.
    regularization : float, default 5
        Of ``ridge`` and ``regression``, in ratings; greater than 0.
    n_neighbors : int, default 40
        Of ``similarity``: most titles to average over; at least 1.
    sharpness : float, default 2
        Of ``similarity``: exponent of the cosines; greater than 0.
    shrinkage : float, default 0.5
        Of ``similarity``: is added to the sum of similarities; at least 0.
    prior_regularization : float, default 5
        Penalty on the regression that predicts title biases from features, in titles;
        greater than 0.
    user_regularization, item_regularization : float, default 5 and 3
        Of the biases, in ratings, as in the family ``baseline``; at least 0.

    Attributes
    ----------
    mean_ : float
        The global mean (``regression``: the intercept) in stars.
    user_bias_, item_bias_ : ndarray of float64, shapes (n_users,) and (n_items,)
        Biases in stars.
    item_prior_ : ndarray of float64, shape (n_items,)
        The part of `item_bias_` that features predict.
    features_, feature_names_, feature_blocks_ : ndarray
        Weighted features, float32, shape (n_items, n_features); what each says; and its
        block: metadata, genre, text, people, statistics from 0 to 4.
    user_weights_ : ndarray of float32, shape (n_users, n_features)
        Of ``ridge``; otherwise without rows.
    title_weights_ : ndarray of float64, shape (n_features,)
        Of ``regression`` only.
    values_ : ndarray of float32, shape (n_ratings,)
        The training ratings.
    notes_ : list of str
        Which blocks are off because the catalogue has nothing for them.

    References
    ----------
    .. [1] M. Pazzani and D. Billsus, "Content-based recommendation systems", The Adaptive
       Web, 2007, sections 2 and 4.
    """

    name: ClassVar[str] = "content"

    predictor: Predictor = "ridge"
    metadata_weight: NonNegative = 0.30
    genre_weight: NonNegative = 0.35
    text_weight: NonNegative = 0.20
    people_weight: NonNegative = 0.15
    statistics_weight: NonNegative = 0.0
    n_components: Count = 32
    text_embedding: TextEmbedding = "lsa"
    sentence_model: str = DEFAULT_MODEL
    regularization: Positive = 5.0
    n_neighbors: Count = 40
    sharpness: Positive = 2.0
    shrinkage: NonNegative = 0.5
    prior_regularization: Positive = 5.0
    user_regularization: NonNegative = 5.0
    item_regularization: NonNegative = 3.0

    mean_: float = field(init=False, repr=False)
    user_bias_: Doubles = field(init=False, repr=False)
    item_bias_: Doubles = field(init=False, repr=False)
    item_prior_: Doubles = field(init=False, repr=False)
    features_: Floats = field(init=False, repr=False)
    user_weights_: Floats = field(init=False, repr=False)
    values_: Floats = field(init=False, repr=False)
    notes_: list[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_text_embedding(self.text_embedding, self.sentence_model)

    @classmethod
    def notes_on(cls, catalogue: Catalogue, ratings: Ratings) -> list[str]:
        """Say which blocks of features are off; see `Recommender.notes_on`."""
        del ratings
        return explain_blocks_off(catalogue)

    @classmethod
    def blocks_off(cls, catalogue: Catalogue) -> tuple[str, ...]:
        """Name the blocks of features that are off; see `Recommender.blocks_off`."""
        return blocks_off(catalogue)

    def _fit(self, ratings: Ratings, catalogue: Catalogue) -> None:
        weights = {block: getattr(self, f"{block}_weight") for block in BLOCKS}
        if self.predictor == "regression":
            weights["statistics"] = 0.0
        model = self.sentence_model if self.text_embedding == "sentence" else None
        described = describe_titles(
            ratings,
            catalogue,
            weights,
            n_components=self.n_components,
            sentence_model=model,
        )
        self.notes_ = explain_blocks_off(catalogue, sentence_model=model)
        self.features_ = described.values
        self.feature_names_ = described.names
        self.feature_blocks_ = described.block_of
        self.values_ = ratings.values
        self.user_weights_ = np.empty((0, self.features_.shape[1]), dtype=np.float32)
        self._fit_biases(ratings, described)
        self._prepare()
        if self.predictor == "ridge":
            self.user_weights_ = fit_user_weights(
                ratings,
                self._residuals.values,
                self.features_,
                regularization=self.regularization,
            )

    def _fit_biases(self, ratings: Ratings, described: TitleFeatures) -> None:
        if self.predictor == "regression":
            self.mean_, self.title_weights_ = fit_plain_regression(
                ratings, self.features_, regularization=self.regularization
            )
            self.item_bias_ = self.item_prior_ = self.features_ @ self.title_weights_
            self.user_bias_ = np.zeros(ratings.n_users)
            return
        biases, self.item_prior_ = fit_effects(
            ratings,
            described.of_catalogue,
            penalties=(self.user_regularization, self.item_regularization),
            prior_regularization=self.prior_regularization,
        )
        self.mean_ = biases.mean
        self.user_bias_, self.item_bias_ = biases.users, biases.items

    @property
    def _biases(self) -> Biases:
        return Biases(self.mean_, self.user_bias_, self.item_bias_)

    def _prepare(self) -> None:
        """Derive what is not saved: residuals, and lists of similar titles."""
        counts = np.diff(self._seen_offsets_)
        users = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        expected = self._biases.predict(users, self._seen_items_)
        self._residuals = RatingLists(
            self._seen_offsets_, self._seen_items_, self.values_ - expected
        )
        if self.predictor == "similarity":
            self._similar = SimilarTitles.compare(
                self.features_, sharpness=self.sharpness
            )

    def _predict(self, users: Codes, items: Codes) -> Doubles:
        out = self._biases.predict(users, items)
        known = (users >= 0) & (users < len(self.user_bias_))
        known &= (items >= 0) & (items < len(self.item_bias_))
        if self.predictor != "regression" and known.any():
            out[known] += self._taste(
                users[known].astype(np.int32), items[known].astype(np.int32)
            )
        return out

    def _taste(
        self, users: npt.NDArray[np.int32], items: npt.NDArray[np.int32]
    ) -> Doubles:
        if self.predictor == "similarity":
            return self._similar.average(
                users,
                items,
                self._residuals,
                n_neighbors=self.n_neighbors,
                shrinkage=self.shrinkage,
            )
        return apply_user_weights(users, items, self.user_weights_, self.features_)

    def _score_all_items(self, user: int) -> Doubles:
        if self.predictor != "ridge" or not 0 <= user < len(self.user_bias_):
            items = np.arange(len(self.item_ids_), dtype=np.int32)
            return self._predict(np.full(len(items), user, dtype=np.int32), items)
        level = self.mean_ + self.user_bias_[user]
        scores: Doubles = (
            self.features_ @ self.user_weights_[user] + self.item_bias_ + level
        )
        return scores

    def explain(self, user: int, item: int, *, n: int = 5) -> Explanation:
        """Take a prediction apart: biases, blocks of features, and similar titles.

        See `Recommender.explain`; of the titles that the user has rated, the `n` most
        similar are named.
        """
        self._fitted_scale()
        rated = self.seen(user)
        first = int(self._seen_offsets_[user]) if len(rated) else 0
        part = slice(first, first + len(rated))
        own = self.values_[part], self._residuals.values[part]
        similarities = None
        if self.predictor == "similarity":
            similarities = self._similar.between(rated, item)
        return explain_pair(self, (user, item), own, similarities, n_similar=n)

    @classmethod
    def _revive(cls, hyperparameters: Params) -> Self:
        # The features are saved: neither library nor model is needed any more.
        names = "text_embedding", "sentence_model"
        given = {k: v for k, v in hyperparameters.items() if k in names}
        others: Any = {k: v for k, v in hyperparameters.items() if k not in names}
        model = cls(**others)
        vars(model).update(given)
        return model

    def _restore(self) -> None:
        self._prepare()
