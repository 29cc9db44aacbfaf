"""Biased matrix factorisation, trained by stochastic gradient descent."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.errors import ParameterError
from harness.models.base import (
    Codes,
    IterativeRecommender,
    Times,
    check_training,
    rated_among,
)
from harness.models.cold_start import ColdStart, Completed, fill_strangers
from harness.models.explanation import Explanation, Part, bias_parts
from harness.models.factors import explain_factors
from harness.models.genre_interaction import GenreInteraction, no_genres
from harness.models.hyperparameters import Count, NonNegative, Positive
from harness.models.kernels import products
from harness.models.svd.kernels import predict_pairs
from harness.models.svd.time import SeenPairs, TimeBiases, TimeTraining, span_of
from harness.models.svd.training import Descent, Latents, rates_of

__all__ = ["SVD"]


Reals = npt.NDArray[np.floating[Any]]


def explain_pair(model: "SVD", pair: tuple[int, int]) -> Explanation:
    """Take apart what a model of the family svd predicts for one pair."""
    user, users = _with_stranger(
        pair[0], (model.user_bias_, model.user_factors_), model.new_user_
    )
    item, items = _with_stranger(
        pair[1], (model.item_bias_, model.item_factors_), model.new_item_
    )
    parts = bias_parts(model.mean_, (users[0], items[0]), (user, item))
    if not model.biased and not _is_complete(model, pair):
        return Explanation(parts=parts[:1])
    before = parts if model.biased else (*_level_parts(model), *parts[1:])
    return explain_factors(
        (user, item),
        (*before, *model.interaction.explain(*pair)),
        (users[1], items[1]),
    )


def _level_parts(model: "SVD") -> tuple[Part, ...]:
    if model.level == 0:
        return ()
    detail = "where factors without biases start from"
    level = Part(label="zero stars", stars=model.level, detail=detail, role="level")
    return (level,)


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


Singles = npt.NDArray[np.float32]

_NO_TIMES = "SVD: time is off: the ratings have no times, or all the same."
_OFF = "SVD: cold_start is off: the catalogue has nothing that tells titles apart."


@dataclass(kw_only=True)
class SVD(IterativeRecommender):
    r"""Matrix factorisation with biases, as popularised by the Netflix prize [1]_.

    .. math:: \hat r_{ui} = \mu + b_u + b_i + q_i^\top p_u

    minimises the squared error plus a penalty on the size of biases and factors, by
    stochastic gradient descent over the ratings in the order of users. A user or item
    without ratings has no bias and no factors: what is left is predicted. The
    defaults are those of scikit-surprise, whose ``SVD`` is the reference: same seed,
    same predictions. For the training, ratings are brought to the scale of 1 to 5 (see
    `Ratings.on_five_stars`), so that hyperparameters mean the same on any scale; without
    biases the lowest rating thus counts as one star. With `time` biases change with time:
    see `harness.models.svd.time.TimeBiases`. With `cold_start` biases and factors of users and titles with few or
    no ratings are completed by what their behaviour and content predict: see
    `harness.models.cold_start.ColdStart`.

    Parameters
    ----------
    n_epochs : int, default 20
        Passes over the ratings; at least 1.
    n_factors : int, default 100
        Number of latent factors; at least 1.
    learning_rate : float, default 0.005
        Step of the descent for the factors, and for the biases unless they have their
        own; greater than 0.
    regularization : float, default 0.02
        Penalty on the factors, and on the biases unless they have their own; at least 0.
    bias_learning_rate, bias_regularization : float or None, default None
        The same for the biases; None takes the values of the factors.
    init_std : float, default 0.1
        Standard deviation of the normal distribution that the factors start from; at
        least 0.
    biased : bool, default True
        Whether to learn biases. Without them the factors have to explain the mean too.
    precision : {"single", "double"}, default "single"
        Floating-point numbers of the training.
    engine : {"harness", "surprise"}, default "harness"
        Own kernel, or the reference itself (double precision; the epochs cannot be
        looked into).
    cold_start : bool, default False
        Whether newcomers are predicted from features. Without a catalogue that tells
        titles apart it stays off, and `notes_` says so.
    cold_start_strength : float, default 5
        Number of ratings with which half of the predicted part is left; at least 0, which
        predicts for those without any rating only.
    cold_start_regularization : float, default 1
        Penalty of the regressions on features, in titles or users with many ratings;
        greater than 0.
    genre_interaction : float, default 0.5
        With `cold_start` only: how many stars are added for each star that the user rates
        the genres of the title above the own mean; at least 0, which adds nothing. See
        `harness.models.genre_interaction.GenreInteraction`.
    time : bool, default False
        Whether biases change with time. Needs `biased` and the own engine; without times
        in the ratings it stays off, and `notes_` says so.
    time_regularization : float, default 0.3
        With `time` only: penalty on what changes with time; at least 0.
    seed : int, default 0
        Seed of the initial factors.

    Attributes
    ----------
    mean_ : float
        The global mean :math:`\mu` in stars.
    user_bias_, item_bias_ : ndarray of float, shapes (n_users,) and (n_items,)
        Biases in stars.
    user_factors_, item_factors_ : ndarray of float, shapes (n_users, n_factors), (n_items, n_factors)
        Factors :math:`p_u` and :math:`q_i`; all four with their predicted parts.
    rated_user_, rated_item_ : ndarray of bool, shapes (n_users,) and (n_items,)
        Whether there was a rating to learn from.
    new_user_, new_item_ : ndarray of float, shape (1 + n_factors,), or None
        Bias and factors of a code that is beyond those learnt; None if `cold_start` is
        off.
    genre_likes_, title_genres_ : ndarray of float32, shape (n, n_genres)
        What `genre_interaction` adds is their product; without rows if it adds nothing.
    time_span_, user_time_, user_days_, user_drift_, user_day_bias_, item_period_bias_ : ndarray
        The fields of a `TimeBiases`; empty if `time` is off.
    notes_ : list of str
        What could not be used, one sentence each.

    References
    ----------
    .. [1] Y. Koren, R. Bell and C. Volinsky, "Matrix factorization techniques for
       recommender systems", Computer 42(8), 2009.
    """

    name: ClassVar[str] = "svd"
    without_times: ClassVar[Mapping[str, bool | int | str]] = MappingProxyType(
        {"time": False}
    )

    n_epochs: Count = 20
    n_factors: Count = 100
    learning_rate: Positive = 0.005
    regularization: NonNegative = 0.02
    bias_learning_rate: Positive | None = None
    bias_regularization: NonNegative | None = None
    init_std: NonNegative = 0.1
    biased: bool = True
    precision: Literal["single", "double"] = "single"
    engine: Literal["harness", "surprise"] = "harness"
    cold_start: bool = False
    cold_start_strength: NonNegative = 5.0
    cold_start_regularization: Positive = 1.0
    genre_interaction: NonNegative = 0.5
    time: bool = False
    time_regularization: NonNegative = 0.3
    seed: int = 0

    mean_: float = field(init=False, repr=False)
    new_user_: Reals | None = field(default=None, init=False, repr=False)
    new_item_: Reals | None = field(default=None, init=False, repr=False)
    genre_likes_: Singles = field(default_factory=no_genres, init=False, repr=False)
    title_genres_: Singles = field(default_factory=no_genres, init=False, repr=False)
    time_span_: npt.NDArray[np.int64] = field(init=False, repr=False)
    user_time_: npt.NDArray[np.float64] = field(init=False, repr=False)
    user_days_: npt.NDArray[np.int64] = field(init=False, repr=False)
    user_drift_: Reals = field(init=False, repr=False)
    user_day_bias_: Reals = field(init=False, repr=False)
    item_period_bias_: Reals = field(init=False, repr=False)
    notes_: list[str] = field(default_factory=list, init=False, repr=False)
    _seen: SeenPairs | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.time and not (self.biased and self.engine == "harness"):
            raise ParameterError(
                "SVD: time needs biased = true and engine = 'harness', but got "
                f"{self.biased!r} and {self.engine!r}."
            )

    @classmethod
    def notes_on(cls, catalogue: Catalogue, ratings: Ratings) -> list[str]:
        """Say that `time` has no effect; see `Recommender.notes_on`."""
        del catalogue
        return [_NO_TIMES] if span_of(ratings) is None else []

    def _fit_epochs(self, ratings: Ratings, catalogue: Catalogue) -> Iterator[int]:
        prepared = _, time = self._prepare(ratings, catalogue)
        self._seen = None if time is None else time.seen
        try:
            for epoch, learnt in self._train(ratings.on_five_stars(), time):
                self._publish(learnt, *prepared)
                yield epoch
        finally:
            self._seen = None

    def _fit(self, ratings: Ratings, catalogue: Catalogue) -> None:
        prepared = self._prepare(ratings, catalogue)
        # Nobody looks in between: what is predicted for newcomers is needed once.
        *_, (_, learnt) = self._train(ratings.on_five_stars(), prepared[1])
        self._publish(learnt, *prepared)

    def _prepare(
        self, ratings: Ratings, catalogue: Catalogue
    ) -> tuple[ColdStart | None, TimeTraining | None]:
        self.mean_ = ratings.mean
        self.rated_user_ = np.bincount(ratings.users, minlength=ratings.n_users) > 0
        self.rated_item_ = np.bincount(ratings.items, minlength=ratings.n_items) > 0
        self.notes_ = []
        dtype = self._descent.dtype
        cold_start, time = None, None
        if self.cold_start:
            cold_start = ColdStart.prepare(
                ratings,
                catalogue,
                strength=self.cold_start_strength,
                regularization=self.cold_start_regularization,
                dtype=dtype,
            )
            if cold_start is None:
                self.notes_.append(_OFF)
        if self.time:
            time = TimeTraining.prepare(ratings, dtype=dtype)
            if time is None:
                self.notes_.append(_NO_TIMES)
        weight = 0.0 if cold_start is None else self.genre_interaction
        genres = GenreInteraction.learn(ratings, catalogue, weight=weight)
        self.genre_likes_, self.title_genres_ = genres.likes, genres.shares
        return cold_start, time

    @property
    def _descent(self) -> Descent:
        reference = self.engine == "surprise"
        return Descent(
            n_factors=self.n_factors,
            n_epochs=self.n_epochs,
            rates=rates_of(self),
            init_std=self.init_std,
            biased=self.biased,
            precision="double" if reference else self.precision,
            seed=self.seed,
            time_regularization=self.time_regularization,
        )

    def _train(
        self, ratings: Ratings, time: TimeTraining | None
    ) -> Iterator[tuple[int, Latents]]:
        if self.engine == "surprise":
            learnt = self._descent.run_reference(ratings)
            check_training(self, self.n_epochs, learnt.user_bias, learnt.user_factors)
            yield self.n_epochs, learnt
            return
        for epoch, learnt, squared_error in self._descent.run(ratings, time):
            check_training(self, epoch, squared_error)
            yield epoch, learnt

    def _publish(
        self,
        learnt: Latents,
        cold_start: ColdStart | None,
        time: TimeTraining | None,
    ) -> None:
        star = self._fitted_scale().star
        if time is None:
            terms = TimeBiases.nothing()
        else:
            terms, of_day, of_period = time.centre()
            terms = terms.times_star(star)
            learnt = replace(
                learnt,
                user_bias=learnt.user_bias + of_day,
                item_bias=learnt.item_bias + of_period,
            )
        for name, value in terms.arrays().items():
            setattr(self, f"{name}_", value)
        learnt = learnt.times_star(star)
        self.new_user_ = self.new_item_ = None
        if cold_start is not None:
            completed = cold_start.complete(learnt, biased=self.biased)
            learnt = completed.latents
            self.new_user_, self.new_item_ = completed.new_user, completed.new_item
        self.user_bias_, self.item_bias_ = learnt.user_bias, learnt.item_bias
        # Without the columns that were added for the training.
        self.user_factors_ = np.ascontiguousarray(learnt.user_factors)
        self.item_factors_ = np.ascontiguousarray(learnt.item_factors)

    @property
    def level(self) -> float:
        """What is added to biases and factors: without biases, what zero stars are."""
        if self.biased:
            return self.mean_
        scale = self._fitted_scale()
        return scale.low - scale.star

    def _predict(self, users: Codes, items: Codes) -> npt.NDArray[np.floating[Any]]:
        out: Reals = np.empty(len(users), self.user_bias_.dtype)
        learnt = self._latents()
        predict_pairs(
            users,
            items,
            self.level,
            (learnt.user_bias, learnt.item_bias),
            (learnt.user_factors, learnt.item_factors),
            out,
        )
        if self.new_user_ is not None and self.new_item_ is not None:
            completed = Completed(
                latents=learnt, new_user=self.new_user_, new_item=self.new_item_
            )
            fill_strangers(out, (users, items), completed, mean=self.level)
        elif not self.biased:
            out[
                ~(
                    rated_among(self.rated_user_, users)
                    & rated_among(self.rated_item_, items)
                )
            ] = self.mean_
        if self.genre_likes_.size:
            out += self.interaction.of_pairs(users, items)
        return out

    def _predict_at(
        self, users: Codes, items: Codes, when: Times
    ) -> npt.NDArray[np.floating[Any]]:
        out = self._predict(users, items)
        self.time_biases.add_to(out, (users, items, when), self._seen)
        return out

    def _score_all_items_at(
        self, user: int, when: float
    ) -> npt.NDArray[np.floating[Any]]:
        scores = self._score_all_items(user)
        items = np.arange(len(scores))
        users, times = np.full(len(scores), user), np.full(len(scores), when)
        self.time_biases.add_to(scores, (users, items, times))
        return scores

    @property
    def time_biases(self) -> TimeBiases:
        """What the time of a rating adds."""
        return TimeBiases(
            span=self.time_span_,
            user_time=self.user_time_,
            user_days=self.user_days_,
            user_drift=self.user_drift_,
            user_day_bias=self.user_day_bias_,
            item_period_bias=self.item_period_bias_,
        )

    @property
    def interaction(self) -> GenreInteraction:
        """What the user's liking for the genres of a title adds."""
        return GenreInteraction(self.genre_likes_, self.title_genres_)

    def _latents(self) -> Latents:
        return Latents(
            user_bias=self.user_bias_,
            item_bias=self.item_bias_,
            user_factors=self.user_factors_,
            item_factors=self.item_factors_,
        )

    def _score_all_items(self, user: int) -> npt.NDArray[np.floating[Any]]:
        known = 0 <= user < len(self.user_bias_)
        if known:
            bias, factors = self.user_bias_[user], self.user_factors_[user]
        elif self.new_user_ is not None:
            bias, factors = self.new_user_[0], self.new_user_[1:]
        else:
            bias, factors = 0.0, np.zeros_like(self.item_factors_, shape=self.n_factors)
        # A tenth of the time of predicting pair by pair.
        scores: npt.NDArray[np.floating[Any]] = products(
            factors[None], self.item_factors_
        )[0]
        scores += self.item_bias_ + (bias + self.level)
        if not self.biased and self.new_user_ is None:
            rated = known and self.rated_user_[user]
            scores[~self.rated_item_ if rated else slice(None)] = self.mean_
        self.interaction.add_to_scores(scores, user)
        return scores

    def _score_users(self, users: Codes) -> npt.NDArray[np.floating[Any]]:
        known = (users >= 0) & (users < len(self.user_bias_))
        if not known.all() or not (self.biased or self.new_user_ is not None):
            return super()._score_users(users)
        scores: npt.NDArray[np.floating[Any]] = products(
            self.user_factors_[users], self.item_factors_
        )
        scores += self.item_bias_ + (self.user_bias_[users] + self.level)[:, None]
        self.interaction.add_to_scores_of(scores, users)
        return scores

    def explain(self, user: int, item: int) -> Explanation:
        """Take a prediction apart: mean, biases, factors; see `Recommender.explain`."""
        self._fitted_scale()
        return explain_pair(self, (user, item))
