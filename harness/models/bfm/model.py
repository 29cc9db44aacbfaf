"""Bayesian factorisation machines with features of titles, users, and who rated what."""

from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any, ClassVar, get_args

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.errors import MissingExtraError, ParameterError
from harness.models.base import Codes, Recommender, check_range
from harness.models.bfm.features import SideFeatures, describe_sides
from harness.models.explanation import Explanation, Part
from harness.models.factors import explain_factors
from harness.models.hybrid.features import UserFeatures
from harness.models.hybrid.training import rows_of
from harness.models.svd.kernels import predict_pairs

__all__ = ["BFM"]


def explain_pair(model: "BFM", pair: tuple[int, int]) -> Explanation:
    """Take apart what a model of the family bfm predicts for one pair."""
    n_items = len(model.item_bias_) - 1
    row = int(rows_of(np.array(pair[:1]), len(model.user_bias_) - 1)[0])
    column = int(rows_of(np.array(pair[1:]), n_items)[0])
    first = Part(label="global bias", stars=model.level_, detail="intercept")
    before = (
        first,
        *_by_topic(model.user_topics_[row], model.user_topic_names_, "user"),
        *_by_topic(model.item_topics_[column], model.item_topic_names_, "title"),
    )
    factors = model.user_factors_, model.item_factors_
    explained = explain_factors((row, column), before, factors)
    # The last place is that of what is unknown.
    axes = (replace(axis, places=axis.places[:n_items]) for axis in explained.axes)
    return replace(explained, axes=tuple(axes))


def _by_topic(
    stars: npt.NDArray[np.float64],
    names: npt.NDArray[np.object_],
    kind: str,
) -> tuple[Part, ...]:
    linear = tuple(
        Part(label=str(name), stars=float(each), detail=f"weights of the {kind}")
        for name, each in zip(names, stars, strict=False)
    )
    within = Part(
        label=f"pairs of features of the {kind}",
        stars=float(stars[-1]),
        detail=f"the same whatever the {'title' if kind == 'user' else 'user'}",
    )
    return (*linear, within)


if find_spec("myfm") is None:
    raise MissingExtraError(
        "The family 'bfm' needs myFM, which is not installed: "
        "pip install 'recommender-harness[bfm]' brings it."
    )


Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_MOST_FACTORS = 48
"""Factors kept of the mean over all samples. On ml-100k 32 already predict, to 0.0001
RMSE, what the 800 of 80 samples do; and fewer are faster to rank with."""

_POWER_ITERATIONS = 4


@dataclass(kw_only=True)
class BFM(Recommender):
    r"""A factorisation machine averaged over its posterior by myFM's Gibbs sampler [1]_.

    .. math:: \hat r = w_0 + \sum_f w_f x_f + \sum_{f < g} v_f^\top v_g \, x_f x_g

    with as features :math:`x` user and title themselves, the titles that the user has
    rated and the users who have rated the title (implicit feedback, each scaled by the
    root of their number, which contains SVD++), what is known of the title, and how the
    user behaves. The penalties are sampled along, so that there is little to tune: it is
    the strongest of the families on ml-100k as it is [2]_.

    What is predicted is the mean over the samples, reduced to 48 factors.

    Parameters
    ----------
    n_factors : int, default 10
        Length of each :math:`v_f`; at least 1. Time grows with it in proportion.
    n_iterations : int, default 200
        Samples to draw, of which the first fifth is thrown away; at least 1. The more,
        the better.
    implicit : bool, default True
        Whether to use implicit feedback.
    title_features : bool, default True
        Whether to use genre, decade, type, platform and maturity, where known.
    user_features : {"none", "activity", "all"}, default "none"
        Behaviour of users, as in the family ``hybrid``.
    init_std : float, default 0.1
        Spread of the first factors; at least 0.
    seed : int, default 0
        Seed of the sampler.

    Attributes
    ----------
    level_ : float
        Intercept in stars.
    user_bias_, item_bias_ : ndarray of float64, shape (n + 1,)
        What a user or title adds whatever the other is, in stars; the last is for the
        unknown: the mean of those with ratings.
    user_factors_, item_factors_ : ndarray of float32, shape (n + 1, at most 48)
        Factors of the mean over the samples.
    user_topics_, item_topics_ : ndarray of float64, shape (n + 1, n_topics + 1)
        The biases by what the features are about, as ``..._topic_names_`` say, and last
        what pairs of features of one side add; in stars.

    References
    ----------
    .. [1] S. Rendle, "Factorization machines with libFM", ACM TIST 3(3), 2012.
    .. [2] S. Rendle, L. Zhang and Y. Koren, "On the difficulty of evaluating baselines",
       arXiv:1905.01395, 2019.
    """

    name: ClassVar[str] = "bfm"

    n_factors: int = 10
    n_iterations: int = 200
    implicit: bool = True
    title_features: bool = True
    user_features: UserFeatures = "none"
    init_std: float = 0.1
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

    def __post_init__(self) -> None:
        for name in ("n_factors", "n_iterations"):
            check_range(self, name, low=1)
        check_range(self, "init_std", low=0)
        for name, allowed in (
            ("implicit", (False, True)),
            ("title_features", (False, True)),
            ("user_features", get_args(UserFeatures)),
        ):
            if getattr(self, name) not in allowed:
                raise ParameterError(
                    f"BFM: {name} must be one of {allowed}, "
                    f"but got {getattr(self, name)!r}."
                )

    def _fit(self, ratings: Ratings, catalogue: Catalogue) -> None:
        from harness.models.bfm.engine import Block, sample_machine

        sides = self._sides(ratings, catalogue)
        learnt = sample_machine(
            (ratings.users, ratings.items),
            ratings.on_five_stars().values,
            (
                Block(sides[0].groups, sides[0].topic_of),
                Block(sides[1].groups, sides[1].topic_of),
            ),
            n_iterations=self.n_iterations,
            rank=self.n_factors,
            init_stdev=self.init_std,
            random_seed=self.seed,
        )
        rated_user = np.bincount(ratings.users, minlength=ratings.n_users) > 0
        rated_item = np.bincount(ratings.items, minlength=ratings.n_items) > 0
        user_factors, item_factors = reduce_factors(
            learnt.user_factors, learnt.item_factors
        )
        low, star = ratings.scale.low, ratings.scale.star
        root = np.float32(np.sqrt(star))
        self.level_ = low + (learnt.level - 1) * star
        self.user_bias_ = star * _with_unknown(learnt.user_bias, rated_user)
        self.item_bias_ = star * _with_unknown(learnt.item_bias, rated_item)
        self.user_factors_ = root * _with_unknown(user_factors, rated_user)
        self.item_factors_ = root * _with_unknown(item_factors, rated_item)
        self.user_topics_ = star * _with_unknown(learnt.user_topics, rated_user)
        self.item_topics_ = star * _with_unknown(learnt.item_topics, rated_item)
        self.user_topic_names_ = np.array(sides[0].topics, dtype=object)
        self.item_topic_names_ = np.array(sides[1].topics, dtype=object)

    def _sides(
        self, ratings: Ratings, catalogue: Catalogue
    ) -> tuple[SideFeatures, SideFeatures]:
        return describe_sides(
            ratings,
            catalogue,
            implicit=self.implicit,
            title_features=self.title_features,
            user_features=self.user_features,
        )

    def _predict(self, users: Codes, items: Codes) -> npt.NDArray[Any]:
        out = np.empty(len(users))
        predict_pairs(
            rows_of(users, len(self.user_bias_) - 1),
            rows_of(items, len(self.item_bias_) - 1),
            self.level_,
            (self.user_bias_, self.item_bias_),
            (self.user_factors_, self.item_factors_),
            out,
        )
        return out

    def _score_all_items(self, user: int) -> npt.NDArray[Any]:
        row = int(rows_of(np.array([user]), len(self.user_bias_) - 1)[0])
        scores = self.item_factors_[:-1] @ self.user_factors_[row]
        biases = self.item_bias_[:-1] + (self.level_ + self.user_bias_[row])
        total: npt.NDArray[Any] = scores + biases
        return total

    def explain(self, user: int, item: int) -> Explanation:
        """Take a prediction apart: intercept, weights by topic, interaction.

        See `Recommender.explain`.
        """
        self._fitted_scale()
        return explain_pair(self, (user, item))


def _with_unknown(
    values: npt.NDArray[Any], rated: npt.NDArray[np.bool_]
) -> npt.NDArray[Any]:
    mean = values[rated].mean(axis=0, keepdims=True)
    return np.concatenate([values, mean.astype(values.dtype)])


def reduce_factors(
    users: Singles, items: Singles, *, n: int = _MOST_FACTORS
) -> tuple[Singles, Singles]:
    """Find fewer factors with almost the same products, by subspace iteration [1]_.

    References
    ----------
    .. [1] N. Halko, P. G. Martinsson and J. A. Tropp, "Finding structure with
       randomness", SIAM Review 53(2), 2011, algorithm 4.4.
    """
    n = min(n, *users.shape, *items.shape)
    if n == users.shape[1]:
        return users, items
    start = np.random.default_rng(0).normal(size=(len(items), n))
    basis = users @ (items.T @ start.astype(np.float32))
    for _ in range(_POWER_ITERATIONS):
        basis = np.linalg.qr(basis)[0]
        basis = users @ (items.T @ (items @ (users.T @ basis)))
    basis = np.linalg.qr(basis)[0]
    return basis, items @ (users.T @ basis)
