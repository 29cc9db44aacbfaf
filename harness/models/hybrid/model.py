"""LightFM on ratings in stars: collaborative filtering with features of both sides."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.models.base import Codes, IterativeRecommender
from harness.models.baseline.model import Biases, fit_biases
from harness.models.genre_interaction import GenreInteraction, no_genres
from harness.models.hybrid.embeddings import (
    KernelTrainer,
    Learning,
    Loss,
    Schedule,
    Signals,
    Trainer,
)
from harness.models.hybrid.explanation import HybridExplanation, explain_pair
from harness.models.hybrid.features import Flags, UserFeatures, title_flags, user_flags
from harness.models.hybrid.training import (
    Aside,
    Calibration,
    Side,
    Snapshot,
    Training,
    rows_of,
    score_pairs,
    set_aside,
)
from harness.models.hyperparameters import Count, NonNegative, Positive
from harness.models.kernels import products

__all__ = ["Hybrid"]


Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_BIAS_EPOCHS = 10
_SMALLEST_SLOPE = 0.01
"""In stars per unit of score: a ranking keeps its order whatever the calibration says."""


@dataclass(kw_only=True)
class Hybrid(IterativeRecommender):
    r"""LightFM [1]_ with features of users and titles, calibrated to stars.

    LightFM learns from likes and dislikes, not from stars. Ratings are brought to it,
    and its scores back to stars, in three steps:

    1. A bias model (see the family ``baseline``) expects :math:`e_{ui} = \mu + b_u +
       b_i`. The sign of the residual :math:`r_{ui} - e_{ui}` says whether the user
       liked the title more than was to be expected of both, and its size how sure that
       is: it is the weight of the pair.
    2. LightFM fits :math:`P(\text{liked}) = \sigma(s_{ui})` with the logistic loss, or
       ranks liked titles above titles drawn at random (WARP, BPR), where

       .. math:: s_{ui} = \Big(\sum_f x_{uf} e_f\Big)^\top \Big(\sum_g x_{ig} e_g\Big)
                 + \sum_f x_{uf} b_f + \sum_g x_{ig} b_g

       adds up the embeddings :math:`e` of the features :math:`x` of user and title.
       Each user and title has a feature of its own as well, which makes it
       collaborative filtering; genres, decade and the like carry over to new titles.
    3. A line maps expectation and score to stars, :math:`\hat r_{ui} = a + (1 + b) e_{ui}
       + c \, s_{ui} + g_{ui}`, where :math:`g` is the user's liking for the genres of the
       title (`harness.models.genre_interaction.GenreInteraction`). It is fitted on a share
       of the training ratings that none of these has seen: on ratings that it has learnt
       from, a score looks far surer than it is. With `refit` another training, on all
       training ratings, then takes this line over.

    Users and titles without ratings are judged by their features, and those without
    features by the bias model. One thread only: equal seeds give equal numbers.

    Parameters
    ----------
    n_epochs : int, default 12
        Passes over the ratings; at least 1.
    loss : {"logistic", "warp", "bpr"}, default "logistic"
        What LightFM minimises. The two ranking losses are for `recommend`, which then
        orders titles by score alone; their predictions in stars are the weaker.
    n_factors : int, default 40
        Length of the embeddings; at least 1.
    learning_rate : float, default 0.1
        First step of ``adagrad``; greater than 0. ``adadelta`` finds its own.
    schedule : {"adagrad", "adadelta"}, default "adagrad"
        How steps adapt to each parameter.
    user_alpha, item_alpha : float, default 1e-4 and 5e-5
        L2 penalty on the features of users, of titles; at least 0. From 3e-4 on little
        is learnt at all.
    title_weight : float, default 0.3
        Weight of a title's known features (genre, decade, type, platform, maturity)
        against its own; at least 0, which leaves them out.
    user_features : {"none", "activity", "all"}, default "activity"
        Behaviour of users: none; how much, when and what they rate; or also how high,
        which has seen what is to be learnt.
    user_weight : float, default 0.1
        Weight of these features; at least 0.
    genre_interaction : float, default 0.25
        How many stars are added for each star that the user rates the genres of the title
        above the own mean; at least 0, which adds nothing. Ranking losses rank without it.
    title_identity, user_identity : bool, default True
        Whether each title, each user has a feature of its own. Without other features
        they have one anyway.
    user_regularization, item_regularization : float, default 5 and 2
        Of the bias model, in ratings, as in the family ``baseline``; at least 0.
    calibration_share : float, default 0.02
        Share of the ratings kept aside for step 3; between 0.01 and 0.5.
    refit : bool, default False
        Whether to train on these ratings, too, in a second training beside the first:
        0.001 to 0.002 stars better on ml-100k, in twice the time.
    engine : {"harness", "lightfm"}, default "harness"
        Own kernels, or the reference itself: the same up to rounding, and slower.
    seed : int, default 0
        Seed of initial embeddings, and of the order of ratings.

    Attributes
    ----------
    mean_ : float
        The global mean :math:`\mu` in stars.
    user_bias_, item_bias_ : ndarray of float64, shapes (n_users,) and (n_items,)
        Biases of the bias model in stars.
    user_factors_, item_factors_ : ndarray of float32, shape (n + 1, n_factors)
        Sums of embeddings; the last row is for the unknown.
    user_score_bias_, item_score_bias_ : ndarray of float32, shape (n + 1,)
        Sums of LightFM's biases.
    calibration_, ranking_ : ndarray of float64, shape (3,)
        :math:`a, b, c`; and the same with the user's level alone for :math:`e`, for
        `recommend` with a ranking loss.
    genre_likes_, title_genres_ : ndarray of float32, shape (n, n_genres)
        What `genre_interaction` adds is their product; without rows if it adds nothing.
    user_features_, item_features_ : ndarray of float32, shape (n, n_features)
        Named features, without those of one user or title; their names, embeddings and
        biases are in ``..._names_``, ``..._factors_`` and ``..._biases_``.

    References
    ----------
    .. [1] M. Kula, "Metadata embeddings for user and item cold-start recommendations",
       CBRecSys at RecSys 2015.
    """

    name: ClassVar[str] = "hybrid"

    loss: Loss = "logistic"
    n_factors: Count = 40
    n_epochs: Count = 12
    learning_rate: Positive = 0.1
    schedule: Schedule = "adagrad"
    user_alpha: NonNegative = 1e-4
    item_alpha: NonNegative = 5e-5
    title_weight: NonNegative = 0.3
    user_features: UserFeatures = "activity"
    user_weight: NonNegative = 0.1
    genre_interaction: NonNegative = 0.25
    title_identity: bool = True
    user_identity: bool = True
    user_regularization: NonNegative = 5.0
    item_regularization: NonNegative = 2.0
    calibration_share: Annotated[float, Ge(0.01), Le(0.5)] = 0.02
    refit: bool = False
    engine: Literal["harness", "lightfm"] = "harness"
    seed: int = 0

    mean_: float = field(init=False, repr=False)
    user_bias_: Doubles = field(init=False, repr=False)
    item_bias_: Doubles = field(init=False, repr=False)
    calibration_: Doubles = field(init=False, repr=False)
    ranking_: Doubles = field(init=False, repr=False)
    genre_likes_: Singles = field(default_factory=no_genres, init=False, repr=False)
    title_genres_: Singles = field(default_factory=no_genres, init=False, repr=False)

    def _fit_epochs(self, ratings: Ratings, catalogue: Catalogue) -> Iterator[int]:
        parts = set_aside(ratings, share=self.calibration_share)
        learn, rest = parts or (ratings, ratings.take(np.empty(0, dtype=np.intp)))
        titles = title_flags(catalogue, ratings.n_items)
        first = self._prepare(learn, catalogue, titles)
        aside = Aside.of(rest, first)
        again = self.refit and parts is not None
        second = self._prepare(ratings, catalogue, titles) if again else first
        self._describe(second)
        for epoch in range(1, self.n_epochs + 1):
            seen = first.run_epoch()
            self.calibration_, self.ranking_ = first.calibrate(seen, aside)
            self._adopt(second, second.run_epoch() if again else seen)
            yield epoch

    def _prepare(
        self, ratings: Ratings, catalogue: Catalogue, titles: Flags
    ) -> Training:
        biases = fit_biases(
            ratings,
            user_regularization=self.user_regularization,
            item_regularization=self.item_regularization,
            n_epochs=_BIAS_EPOCHS,
        )
        behaviour = user_flags(ratings, catalogue, self.user_features)
        users, items = (
            Side.of(flags, codes, weight=weight, identity=identity)
            for flags, codes, weight, identity in (
                (behaviour, ratings.users, self.user_weight, self.user_identity),
                (titles, ratings.items, self.title_weight, self.title_identity),
            )
        )
        residuals = ratings.values - biases.predict(ratings.users, ratings.items)
        signals = Signals(ratings.users, ratings.items, residuals)
        trainer = self._trainer(signals, users, items)
        weight = self.genre_interaction
        genres = GenreInteraction.learn(ratings, catalogue, weight=weight)
        return Training(biases, users, items, genres, trainer)

    def _trainer(self, signals: Signals, users: Side, items: Side) -> Trainer:
        features = users.matrix, items.matrix
        learning = Learning(
            loss=self.loss,
            n_factors=self.n_factors,
            learning_rate=self.learning_rate,
            schedule=self.schedule,
            user_alpha=self.user_alpha,
            item_alpha=self.item_alpha,
            seed=self.seed,
        )
        if self.engine == "harness":
            return KernelTrainer(signals, features, learning)
        from harness.models.hybrid.lightfm_engine import LightFMTrainer

        return LightFMTrainer(signals, features, learning)

    def _describe(self, training: Training) -> None:
        """Keep what does not change from epoch to epoch."""
        self.mean_ = training.biases.mean
        self.user_bias_ = training.biases.users
        self.item_bias_ = training.biases.items
        self.genre_likes_ = training.genres.likes
        self.title_genres_ = training.genres.shares
        for prefix, side in (("user", training.users), ("item", training.items)):
            names = np.array(side.flags.names, dtype=object)
            setattr(self, f"{prefix}_features_", side.flags.values)
            setattr(self, f"{prefix}_feature_names_", names)

    def _adopt(
        self, training: Training, seen: tuple[Snapshot, Snapshot] | None
    ) -> None:
        """Keep what the second training has learnt; without it the bias model is left."""
        if seen is None:
            self.calibration_, self.ranking_ = np.zeros(3), np.zeros(3)
        users, items = seen or (
            Snapshot.empty(training.users, self.n_factors),
            Snapshot.empty(training.items, self.n_factors),
        )
        self.user_factors_, self.item_factors_ = users.factors, items.factors
        self.user_score_bias_, self.item_score_bias_ = users.biases, items.biases
        for prefix, side in (("user", users), ("item", items)):
            setattr(self, f"{prefix}_feature_factors_", side.flag_factors)
            setattr(self, f"{prefix}_feature_biases_", side.flag_biases)

    def _predict(self, users: Codes, items: Codes) -> npt.NDArray[Any]:
        factors = self.user_factors_, self.item_factors_
        biases = self.user_score_bias_, self.item_score_bias_
        score = score_pairs(users, items, factors, biases)
        expected = Biases(self.mean_, self.user_bias_, self.item_bias_)
        stars = Calibration(*self.calibration_)(expected.predict(users, items), score)
        return stars + self.interaction.of_pairs(users, items)

    @property
    def interaction(self) -> GenreInteraction:
        """What the user's liking for the genres of a title adds."""
        return GenreInteraction(self.genre_likes_, self.title_genres_)

    def _score_all_items(self, user: int) -> npt.NDArray[Any]:
        row = int(rows_of(np.array([user]), len(self.user_bias_))[0])
        [score] = products(self.user_factors_[row : row + 1], self.item_factors_[:-1])
        score += self.item_score_bias_[:-1]
        score += self.user_score_bias_[row]
        known = row < len(self.user_bias_)
        level = self.mean_ + (self.user_bias_[row] if known else 0.0)
        stars = self._to_stars(level, score)
        if self.loss == "logistic":
            self.interaction.add_to_scores(stars, user)
        return stars

    def _score_users(self, users: Codes) -> npt.NDArray[Any]:
        known = (users >= 0) & (users < len(self.user_bias_))
        if not known.all():
            return super()._score_users(users)
        score = products(self.user_factors_[users], self.item_factors_[:-1])
        score += self.item_score_bias_[:-1]
        score += self.user_score_bias_[users, None]
        level = self.mean_ + self.user_bias_[users, None]
        stars = self._to_stars(level, score)
        if self.loss == "logistic":
            self.interaction.add_to_scores_of(stars, users)
        return stars

    def _to_stars(self, level: Any, score: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Bring scores of all titles to stars, or to what orders them as stars do."""
        if self.loss == "logistic":
            return Calibration(*self.calibration_)(level + self.item_bias_, score)
        intercept, slope, score_slope = self.ranking_
        line = Calibration(intercept, slope, max(score_slope, _SMALLEST_SLOPE))
        return line(level, score)

    def explain(self, user: int, item: int) -> HybridExplanation:
        """Take a prediction apart, feature by feature; see `Recommender.explain`."""
        self._fitted_scale()
        return explain_pair(self, user, item)
