"""Bayesian factorisation machines with features of titles, users, time, and who rated what."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.models.base import Codes, Recommender, Times
from harness.models.bfm.features import SideFeatures, describe_sides
from harness.models.bfm.machine import Link, Machine, reduce_factors, with_unknown
from harness.models.bfm.moments import Days, Moments
from harness.models.explanation import Explanation, Part, Role
from harness.models.factors import explain_factors
from harness.models.hybrid.features import UserFeatures
from harness.models.hybrid.training import rows_of
from harness.models.hyperparameters import Count, NonNegative
from harness.models.levels import find_levels

if TYPE_CHECKING:
    from harness.models.bfm.engine import Block, Posterior

__all__ = ["BFM"]

Likelihood = Literal["regression", "ordered_probit"]

Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

# Of the mean over all samples: fewer are faster to rank with. On u1 of ml-100k the
# products of users and titles are off by 0.011 stars then (of 0.36), those of users and
# days by less than 0.01 (with 24 by 0.026, which costs 0.001 RMSE), of titles and days
# by 0.006. Ranking needs the second only once.
_N_FACTORS = 64
_N_USER_MOMENT_FACTORS = 128
_N_ITEM_MOMENT_FACTORS = 64

# The first samples are still far from the posterior, but hardly any: on parts of u1.base
# throwing away 5 predicts better than 20, 40 or 80 (by 0.0003, 0.0007, 0.0012 RMSE).
_N_DISCARDED = 5


@dataclass(kw_only=True)
class BFM(Recommender):
    r"""Bayesian factorisation machine, sampled by myFM [1]_.

    .. math:: s = w_0 + \sum_f w_f x_f + \sum_{f < g} v_f^\top v_g \, x_f x_g

    with as features :math:`x` user and title themselves, the titles that the user has
    rated and the users who have rated the title (implicit feedback, each scaled by the
    root of their number, which contains SVD++ and its mirror image), the day, what is
    known of the title and of the user. The penalties are sampled along, so that there is
    little to tune: it is the strongest of the families on ml-100k as it is [2]_.

    The score :math:`s` is the rating in stars, or what an ordered probit cuts into levels.
    What is predicted is the mean over the samples, reduced to 64 factors.

    Parameters
    ----------
    n_factors : int, default 10
        Length of each :math:`v_f`; at least 1. Time grows with it in proportion.
    n_iterations : int, default 400
        Samples to draw, of which the first 5 are thrown away; at least 1. The more, the
        better.
    likelihood : {"regression", "ordered_probit"}, default "regression"
        Whether a rating is the score with noise, or the level in which it lies: stars
        need not be equally far apart then. The probit takes 1.7 times as long.
    implicit : bool, default True
        Whether to use implicit feedback.
    days : {"none", "calendar", "user"}, default "user"
        Time, where there are timestamps: the day, or also the day of each user.
    n_age_bins : int, default 1
        Bins of the time since the first rating of the title; at least 1, which is none.
    title_features : bool, default True
        Whether to use genre, decade, type, platform and maturity, where known.
    user_profile : bool, default True
        Whether to use what the source knows of the users: age, gender, occupation.
    user_features : {"none", "activity", "all"}, default "none"
        Behaviour of users, as in the family ``hybrid``.
    init_std : float, default 0.1
        Spread of the first factors; at least 0.
    seed : int, default 0
        Seed of the sampler.

    Attributes
    ----------
    level_ : float
        Intercept, as a score: in stars on a scale of 1 to 5, or that of the probit.
    user_bias_, item_bias_ : ndarray of float64, shape (n + 1,)
        What a user or title adds whatever the other is, as a score; the last is for the
        unknown: the mean of those with ratings.
    user_factors_, item_factors_ : ndarray of float32, shape (n + 1, at most 64)
        Factors of the mean over the samples.
    user_topics_, item_topics_ : ndarray of float64, shape (n + 1, n_topics + 1)
        The biases by what the features are about, as ``..._topic_names_`` say, and last
        what pairs of features of one side add; as scores.
    levels_ : ndarray of float64, shape (n_levels,)
        Different ratings in stars; empty if there are more than 20.
    cutpoints_ : ndarray of float64, shape (n_levels - 1,)
        Scores between the levels; empty for a regression. Probabilities are those of a
        normal distribution around the score, cut here, or half way between the levels;
        one variance stands for that of each pair.

    References
    ----------
    .. [1] S. Rendle, "Factorization machines with libFM", ACM TIST 3(3), 2012.
    .. [2] S. Rendle, L. Zhang and Y. Koren, "On the difficulty of evaluating baselines",
       arXiv:1905.01395, 2019.
    """

    name: ClassVar[str] = "bfm"
    gives_probabilities: ClassVar[bool] = True
    without_times: ClassVar[Mapping[str, bool | int | str]] = MappingProxyType(
        {"days": "none", "n_age_bins": 1}
    )

    n_factors: Count = 10
    n_iterations: Count = 400
    likelihood: Likelihood = "regression"
    implicit: bool = True
    days: Days = "user"
    n_age_bins: Count = 1
    title_features: bool = True
    user_profile: bool = True
    user_features: UserFeatures = "none"
    init_std: NonNegative = 0.1
    seed: int = 0

    level_: float = field(init=False, repr=False)
    user_bias_: Doubles = field(init=False, repr=False)
    item_bias_: Doubles = field(init=False, repr=False)
    user_factors_: Singles = field(init=False, repr=False)
    item_factors_: Singles = field(init=False, repr=False)
    user_topics_: Doubles = field(init=False, repr=False)
    item_topics_: Doubles = field(init=False, repr=False)
    user_topic_names_: npt.NDArray[np.object_] = field(init=False, repr=False)
    item_topic_names_: npt.NDArray[np.object_] = field(init=False, repr=False)
    cutpoints_: Doubles = field(init=False, repr=False)

    @classmethod
    def notes_on(cls, catalogue: Catalogue, ratings: Ratings) -> list[str]:
        """Say that time is off; see `Recommender.notes_on`."""
        del catalogue
        if ratings.timestamps is not None:
            return []
        return ["bfm: the ratings have no timestamps, so time is off."]

    def _fit(self, ratings: Ratings, catalogue: Catalogue) -> None:
        from harness.models.bfm.engine import sample_machine

        sides = describe_sides(
            ratings,
            catalogue,
            implicit=self.implicit,
            title_features=self.title_features,
            user_profile=self.user_profile,
            user_features=self.user_features,
        )
        self._moments = Moments.of(ratings, self.days, self.n_age_bins)
        # Cutpoints are sampled between the ratings beside them: a measurement, which has
        # no levels, is fitted by a regression.
        levels = find_levels(ratings)
        ordered = self.likelihood == "ordered_probit" and len(levels) > 1
        # Chains that start a rounding error apart end elsewhere: another unit of the
        # same ratings is to give the same model.
        values = np.round(ratings.on_five_stars().values.astype(np.float64), 5)
        learnt = sample_machine(
            self._blocks(ratings, sides),
            np.searchsorted(levels, ratings.values) if ordered else values,
            ordered=ordered,
            n_iterations=self.n_iterations,
            n_discarded=min(_N_DISCARDED, self.n_iterations // 5),
            rank=self.n_factors,
            init_stdev=self.init_std,
            random_seed=self.seed,
        )
        self.levels_ = levels
        self.cutpoints_ = learnt.cutpoints
        self.spread_, self.noise_ = learnt.spread, learnt.noise
        self.user_topic_names_ = np.array(sides[0].topics, dtype=object)
        self.item_topic_names_ = np.array(sides[1].topics, dtype=object)
        self._keep(learnt, ratings)

    def _blocks(
        self, ratings: Ratings, sides: tuple[SideFeatures, SideFeatures]
    ) -> "list[Block]":
        from harness.models.bfm.engine import Block

        blocks = [
            Block(rows, side.groups, side.topic_of)
            for rows, side in zip((ratings.users, ratings.items), sides, strict=True)
        ]
        times = ratings.timestamps
        when = np.zeros(len(ratings)) if times is None else times.astype(np.float64)
        rows = self._moments.rows(ratings.users, ratings.items, when)
        for name, (among_all, features) in self._moments.blocks().items():
            parents = {}
            if name == "user day":
                # Without a day before it, the calendar has but one.
                users, days = self._moments.parents(ratings.n_users)
                parents = {0: users, 2: days}
            topic = np.zeros(features.shape[1], dtype=np.int64)
            own = rows[name] - among_all.start
            blocks.append(Block(own, [features], topic, parents))
        return blocks

    def _keep(self, learnt: "Posterior", ratings: Ratings) -> None:
        """Reduce the factors of all samples, and append rows for the unknown."""
        n = np.float32(learnt.n_samples)
        users, items, *moments = learnt.sides
        rated_user = np.bincount(ratings.users, minlength=ratings.n_users) > 0
        rated_item = np.bincount(ratings.items, minlength=ratings.n_items) > 0
        p, q = reduce_factors(users.factors, items.factors / n, n=_N_FACTORS)
        self.level_ = learnt.level
        self.user_bias_ = with_unknown(users.bias, rated_user)
        self.item_bias_ = with_unknown(items.bias, rated_item)
        self.user_factors_ = with_unknown(p, rated_user)
        self.item_factors_ = with_unknown(q, rated_item)
        self.user_topics_ = with_unknown(users.topics, rated_user)
        self.item_topics_ = with_unknown(items.topics, rated_item)
        n_rows, n_ages = self._moments.n_rows, self._moments.n_ages
        together = np.zeros((n_rows, users.factors.shape[1]), dtype=np.float32)
        self.moment_bias_ = np.zeros(n_rows)
        places = self._moments.blocks()
        for (rows, _), side in zip(places.values(), moments, strict=True):
            together[rows] = side.factors / n
            self.moment_bias_[rows] = side.bias
        ages = together[n_rows - n_ages :] * n
        self.age_table_ = together @ ages.T
        p, q = reduce_factors(items.factors, together, n=_N_ITEM_MOMENT_FACTORS)
        self.item_moments_, self.moments_of_items_ = with_unknown(p, rated_item), q
        if "user day" in places:
            # What the user adds to an own day is in the bias of that day. A copy, because
            # few factors stay the array that they are.
            together = together.copy()
            together[places["user day"][0]] = 0
        p, q = reduce_factors(users.factors, together, n=_N_USER_MOMENT_FACTORS)
        self.user_moments_, self.moments_of_users_ = with_unknown(p, rated_user), q
        if len(self._moments.days):
            names = (
                "moment_bias_",
                "moments_of_users_",
                "moments_of_items_",
                "age_table_",
            )
            tables = [getattr(self, name) for name in names]
            extended = self._moments.add_usual(tables, ratings)
            for name, table in zip(names, extended, strict=True):
                setattr(self, name, table)
        for name in ("days", "user_days", "first_times", "age_cuts", "usual_times"):
            setattr(self, f"moment_{name}_", getattr(self._moments, name))
        self._restore()

    def _restore(self) -> None:
        names = ("days", "user_days", "first_times", "age_cuts", "usual_times")
        self._moments = Moments(
            **{name: getattr(self, f"moment_{name}_") for name in names}
        )
        scale = self._fitted_scale()
        self._link = Link(
            unit=(scale.low, scale.star),
            levels=self.levels_,
            cutpoints=self.cutpoints_,
            spread=self.spread_,
            noise=self.noise_,
        )
        self._machine = Machine(
            level=self.level_,
            biases=(self.user_bias_, self.item_bias_, self.moment_bias_),
            factors=(self.user_factors_, self.item_factors_),
            user_moments=(self.user_moments_, self.moments_of_users_),
            item_moments=(self.item_moments_, self.moments_of_items_),
            age_table=self.age_table_,
            first_age=self._moments.n_rows - self._moments.n_ages,
        )

    def _predict(self, users: Codes, items: Codes) -> npt.NDArray[Any]:
        return self._predict_at(users, items, np.full(len(users), np.nan))

    def _predict_at(self, users: Codes, items: Codes, when: Times) -> npt.NDArray[Any]:
        return self._link(self._score(users, items, when))

    def _predict_proba_at(self, users: Codes, items: Codes, when: Times) -> Doubles:
        return self._link.probabilities(self._score(users, items, when))

    def _score(self, users: Codes, items: Codes, when: Times) -> Doubles:
        users = rows_of(users, len(self.user_bias_) - 1)
        items = rows_of(items, len(self.item_bias_) - 1)
        moments = self._moments.rows(users, items, when)
        return self._machine.score(users, items, moments)

    def _score_all_items(self, user: int) -> npt.NDArray[Any]:
        return self._score_all_items_at(user, np.nan)

    def _score_all_items_at(self, user: int, when: float) -> npt.NDArray[Any]:
        n_items = len(self.item_bias_) - 1
        row = rows_of(np.array([user]), len(self.user_bias_) - 1)
        users = np.broadcast_to(row, n_items)
        moments = self._moments.rows(
            users, np.arange(n_items), np.full(n_items, when, dtype=np.float64)
        )
        return self._link(self._machine.score_titles(int(row[0]), moments))

    def explain(self, user: int, item: int) -> Explanation:
        """Take a prediction apart: intercept, weights by topic, time, interaction.

        See `Recommender.explain`.
        """
        self._fitted_scale()
        n_items = len(self.item_bias_) - 1
        [row] = rows_of(np.array([user]), len(self.user_bias_) - 1).tolist()
        [column] = rows_of(np.array([item]), n_items).tolist()
        before = (
            Part(
                label="global bias",
                stars=self.level_,
                detail="intercept",
                role="level",
            ),
            *_by_topic(self.user_topics_[row], self.user_topic_names_, "user"),
            *_by_topic(self.item_topics_[column], self.item_topic_names_, "title"),
        )
        factors = self.user_factors_, self.item_factors_
        explained = explain_factors((row, column), before, factors)
        parts = explained.parts
        if self._moments.n_rows:
            pair = np.array([row]), np.array([column])
            moments = self._moments.rows(*pair, np.full(1, np.nan))
            time = Part(
                label="time",
                stars=float(self._machine.score(*pair, moments)[0]) - explained.total,
                detail="the usual day of the user, with user and title",
            )
            parts = (*parts[: len(before)], time, *parts[len(before) :])
        # The last place is that of what is unknown.
        axes = (replace(axis, places=axis.places[:n_items]) for axis in explained.axes)
        parts = _in_stars(parts, self._link)
        return replace(explained, parts=parts, axes=tuple(axes))


def _in_stars(parts: tuple[Part, ...], link: Link) -> tuple[Part, ...]:
    """Spread the stars over the parts as their scores are: the link is a curve."""
    first, *others = parts
    start, end = first.stars, sum(part.stars for part in parts)
    low, high = link(np.array([start, end]))
    slope = (high - low) / (end - start) if end != start else 0.0
    return (
        replace(first, stars=float(low)),
        *(replace(part, stars=float(part.stars * slope)) for part in others),
    )


def _by_topic(
    stars: npt.NDArray[np.float64],
    names: npt.NDArray[np.object_],
    kind: str,
) -> tuple[Part, ...]:
    role: Role = "level" if kind == "user" else "reason"
    linear = tuple(
        Part(
            label=str(name),
            stars=float(each),
            detail=f"weights of the {kind}",
            role=role,
        )
        for name, each in zip(names, stars, strict=False)
    )
    within = Part(
        label=f"pairs of features of the {kind}",
        stars=float(stars[-1]),
        detail=f"the same whatever the {'title' if kind == 'user' else 'user'}",
        role=role,
    )
    return (*linear, within)
