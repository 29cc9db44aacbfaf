"""Content-based recommendation: what a user thinks of titles, from what titles are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.errors import ParameterError
from harness.features.blocks import missing_blocks
from harness.features.sentences import DEFAULT_MODEL
from harness.models.base import Codes, Recommender, check_range
from harness.models.baseline import Biases
from harness.models.content_explanation import ContentExplanation, explain_pair
from harness.models.content_features import (
    BLOCKS,
    TextEmbedding,
    TitleFeatures,
    check_text_embedding,
    describe_titles,
)
from harness.models.content_neighbors import SimilarTitles
from harness.models.content_ridge import (
    apply_user_weights,
    fit_effects,
    fit_plain_regression,
    fit_user_weights,
)
from harness.models.rating_lists import RatingLists

__all__ = ["Content"]

Predictor = Literal["ridge", "similarity", "regression"]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


@dataclass(kw_only=True)
class Content(Recommender):
    r"""Predicts a user's ratings from the features of titles.

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
    metadata_weight: float = 0.30
    genre_weight: float = 0.35
    text_weight: float = 0.20
    people_weight: float = 0.15
    statistics_weight: float = 0.0
    n_components: int = 32
    text_embedding: TextEmbedding = "lsa"
    sentence_model: str = DEFAULT_MODEL
    regularization: float = 5.0
    n_neighbors: int = 40
    sharpness: float = 2.0
    shrinkage: float = 0.5
    prior_regularization: float = 5.0
    user_regularization: float = 5.0
    item_regularization: float = 3.0

    mean_: float = field(init=False, repr=False)
    user_bias_: Doubles = field(init=False, repr=False)
    item_bias_: Doubles = field(init=False, repr=False)
    item_prior_: Doubles = field(init=False, repr=False)
    features_: Floats = field(init=False, repr=False)
    user_weights_: Floats = field(init=False, repr=False)
    values_: Floats = field(init=False, repr=False)
    notes_: list[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.predictor not in get_args(Predictor):
            raise ParameterError(
                f"Content: predictor must be one of {get_args(Predictor)}, "
                f"but got {self.predictor!r}."
            )
        check_text_embedding(self.text_embedding, self.sentence_model)
        for block in BLOCKS:
            check_range(self, f"{block}_weight", low=0)
        for name in ("n_components", "n_neighbors"):
            check_range(self, name, low=1)
        for name in ("regularization", "prior_regularization", "sharpness"):
            check_range(self, name, above=0)
        for name in ("shrinkage", "user_regularization", "item_regularization"):
            check_range(self, name, low=0)

    @classmethod
    def notes_on(cls, catalogue: Catalogue) -> list[str]:
        """Say which blocks of features are off; see `Recommender.notes_on`."""
        return missing_blocks(catalogue)

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
        self.notes_ = missing_blocks(catalogue, sentence_model=model)
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

    def explain(self, user: int, item: int, *, n: int = 5) -> ContentExplanation:
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
    def _revive(cls, hyperparameters: Mapping[str, Any]) -> Self:
        # The features are saved: neither library nor model is needed any more.
        names = "text_embedding", "sentence_model"
        given = {k: v for k, v in hyperparameters.items() if k in names}
        others = {k: v for k, v in hyperparameters.items() if k not in names}
        model = cls(**others)
        vars(model).update(given)
        return model

    def _restore(self) -> None:
        self._prepare()
