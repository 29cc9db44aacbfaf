"""Collaborative filtering by nearest neighbours."""

import threading
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.models.base import (
    Codes,
    Growth,
    Recommender,
    rated_among,
)
from harness.models.baseline.model import Biases, fit_biases
from harness.models.cf.contenders import Contenders
from harness.models.cf.similarity import (
    Measure,
    NearestSimilarities,
    Neighborhood,
    Similarities,
    SimilaritiesOnDemand,
    SimilarityPlan,
    SimilarityRule,
    digest,
)
from harness.models.explanation import (
    Explanation,
    Neighbor,
    Part,
    bias_parts,
    mean_part,
)
from harness.models.hyperparameters import Count, NonNegative
from harness.models.rating_lists import RatingLists

__all__ = ["CF"]


Centering = Literal["basic", "mean", "zscore", "baseline"]
Doubles = npt.NDArray[np.float64]
RatingCodes = npt.NDArray[np.int32]

_TINY = 1e-9
"""A spread in stars below this is the rounding of equal ratings."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expectation:
    """Expected rating of each pair, and the unit in which deviations are averaged."""

    # Expected of all pairs alike, in stars.
    level: float
    # Expected of each x and each y besides, in stars.
    of_x: Doubles
    of_y: Doubles
    # Unit of the deviations of each x, in stars; greater than 0.
    spread: Doubles

    def __call__(self, xs: RatingCodes, ys: RatingCodes) -> Doubles:
        """Add up what is expected of pairs: float64, shape (n_pairs,), in stars."""
        # In the order of scikit-surprise, so that equal deviations have equal bits.
        return self.level + self.of_y[ys] + self.of_x[xs]

    def deviations(self, by_y: RatingLists) -> RatingLists:
        """Subtract what was expected, and divide by the spread."""
        values = by_y.values - self(by_y.codes, by_y.owners)
        values /= self.spread[by_y.codes]
        return RatingLists(by_y.offsets, by_y.codes, values)


def expect(
    centering: Centering, by_y: RatingLists, biases: tuple[float, Doubles, Doubles]
) -> Expectation:
    """Work out what is expected."""
    level, of_x, of_y = biases
    ones = np.ones(len(of_x))
    if centering == "baseline":
        return Expectation(level=level, of_x=of_x, of_y=of_y, spread=ones)
    nothing = np.zeros(len(of_y))
    if centering == "basic":
        return Expectation(level=0.0, of_x=0.0 * of_x, of_y=nothing, spread=ones)
    n = np.bincount(by_y.codes, minlength=len(of_x))
    sums = np.bincount(by_y.codes, weights=by_y.values, minlength=len(of_x))
    means = np.where(n > 0, sums / np.maximum(n, 1), level)
    spread = ones
    if centering == "zscore":
        squares = (by_y.values - means[by_y.codes]) ** 2
        own = np.bincount(by_y.codes, weights=squares, minlength=len(of_x))
        spread = np.sqrt(own / np.maximum(n, 1))
        overall = float(by_y.values.std()) if len(by_y.values) else 0.0
        spread[spread < _TINY] = overall if overall > _TINY else 1.0
    return Expectation(level=0.0, of_x=means, of_y=nothing, spread=spread)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NeighborAverages:
    """What was expected, corrected by how far the neighbours deviate from it.

    All users and items it is asked about have ratings.
    """

    # Whether the neighbours are users: then x is the user and y the item.
    user_based: bool
    # What is expected of each pair.
    expectation: Expectation
    # Prediction in stars with too few neighbours; None for what is expected.
    otherwise: float | None
    around: Neighborhood
    similarities: Similarities

    def estimate(self, users: RatingCodes, items: RatingCodes) -> Doubles:
        """Predict pairs."""
        xs, ys = (users, items) if self.user_based else (items, users)
        return self._in_stars(xs, ys, self.similarities.average(xs, ys, self.around))

    def score_items(self, user: int, items: RatingCodes) -> Doubles:
        """Predict many items for one user, where items are compared."""
        assert not self.user_based
        average = self.similarities.average_row(user, items, self.around)
        of_user = np.array([user], dtype=np.int32)  # broadcasts: nothing to look up
        return self._in_stars(items, of_user, average)

    def score_contenders(
        self, user: int, contenders: Contenders, n: int, allowed: npt.NDArray[np.bool_]
    ) -> Doubles:
        """Predict those titles that can be among a user's n best; bound the others."""
        of_user = np.array([user], dtype=np.int32)
        expected = self.expectation(of_user, contenders.titles)
        otherwise = (
            expected
            if self.otherwise is None
            else np.full(len(expected), self.otherwise)
        )
        return contenders.score(
            self.similarities.row(user),
            (expected, otherwise, float(self.expectation.spread[user])),
            (self.around.most, self.around.fewest),
            (n, allowed),
        )

    def _in_stars(self, xs: RatingCodes, ys: RatingCodes, average: Doubles) -> Doubles:
        expected = self.expectation(xs, ys)
        otherwise = expected if self.otherwise is None else self.otherwise
        estimate = expected + self.expectation.spread[xs] * average
        return np.where(np.isnan(average), otherwise, estimate)

    def neighbors(
        self, user: int, item: int
    ) -> tuple[RatingCodes, Doubles, npt.NDArray[np.float32]]:
        """List the neighbours that a prediction is averaged over, most similar first."""
        x, y = (user, item) if self.user_based else (item, user)
        by_y = self.around.by_y
        part = slice(*by_y.offsets[y : y + 2])
        similarities = self.similarities.row(x)[by_y.codes[part]]
        nearest = np.argsort(-similarities, kind="stable")[: self.around.most]
        nearest = nearest[similarities[nearest] > 0]
        codes = by_y.codes[part][nearest]
        stars = self._in_stars(
            codes, np.full_like(codes, y), by_y.values[part][nearest]
        )
        return codes, similarities[nearest], stars.astype(np.float32)


def explain_neighbors(
    averages: NeighborAverages, pair: tuple[int, int], biases: tuple[Part, ...]
) -> Explanation:
    """Take the prediction of a neighbourhood model apart."""
    codes, similarities, ratings = averages.neighbors(*pair)
    x, y = pair if averages.user_based else pair[::-1]
    kind = "user" if averages.user_based else "title"
    expected = biases or _mean_of(averages, x, kind)
    if len(codes) < averages.around.fewest:
        detail = f"too few: {len(codes)} {kind}s with a rating are similar"
        none = Part(label="neighbours", stars=0.0, detail=detail)
        return Explanation(parts=(*(expected or _otherwise(averages)), none))
    of_y = np.full_like(codes, y)
    expectation = averages.expectation
    deviations = (ratings - expectation(codes, of_y)) / expectation.spread[codes]
    shares = similarities / similarities.sum()
    each = expectation.spread[x] * shares * deviations
    detail = f"mean of {len(codes)} similar {kind}s, weighted by similarity"
    part = Part(label="neighbours", stars=float(each.sum()), detail=detail)
    return Explanation(
        parts=(*expected, part),
        neighbors=tuple(
            Neighbor(
                code=int(code), similarity=float(s), rating=float(r), stars=float(e)
            )
            for code, s, r, e in zip(codes, similarities, ratings, each, strict=True)
        ),
        neighbors_are="users" if averages.user_based else "titles",
    )


def _mean_of(averages: NeighborAverages, x: int, kind: str) -> tuple[Part, ...]:
    # What is averaged as it is has something else to fall back on.
    if averages.otherwise is not None:
        return ()
    mean = float(averages.expectation.of_x[x])
    return (Part(label=f"mean of the {kind}", stars=mean, role="level"),)


def _otherwise(averages: NeighborAverages) -> tuple[Part, ...]:
    assert averages.otherwise is not None
    return (mean_part(averages.otherwise),)


Engine = Literal["harness", "surprise"]


_BYTES_OF_RATING = 24
"""With code, position and deviation, in single and double precision."""
_BIAS_EPOCHS = 10
"""Rounds of alternating least squares; the default of scikit-surprise."""
_LONGEST_LIST = 200
"""Of longer ones too many titles contend for bounds to save much."""
_LISTS = "list_offsets_", "list_codes_", "list_similarities_"
# A server answers in several threads. Not of one model, for locks cannot be sent.
_lock = threading.Lock()


@dataclass(kw_only=True)
class CF(Recommender):
    r"""Nearest neighbours: ratings of similar items, or by similar users [1]_.

    .. math:: \hat r_{ui} = e_{ui} + \sigma_i \frac{\sum_{j \in N} s_{ij}
              (r_{uj} - e_{uj}) / \sigma_j}{\sum_{j \in N} s_{ij}}

    where :math:`N` are the `n_neighbors` items rated by the user that are most similar to
    item :math:`i`, with similarities :math:`s_{ij} > 0`, and :math:`e` is what `centering`
    expects (user-based: users and items change places). scikit-surprise's ``KNNBasic``,
    ``KNNWithMeans``, ``KNNWithZScore`` and ``KNNBaseline`` are the reference, which
    neighbours win a tie included.

    It differs from them where they give up: users and items without a rating get the bias
    model in place of the global mean, and where all ratings are equal their standard
    deviation of 0 is replaced by 1. Up to 4,000 users or items (see `SimilarityPlan`) it keeps all
    similarities. Beyond that, items keep lists in single precision, of all similarities
    above 0 if these fit 256 MB, otherwise of the 600 greatest. What is not in the lists is
    not found: that costs little with shrinkage, and much without, where chance likeness
    comes first. Users are compared anew for each prediction, which takes time in place of
    memory; a short list is predicted only for titles that can be on it.

    Parameters
    ----------
    user_based : bool, default False
        Compare users rather than items.
    centering : {"baseline", "mean", "zscore", "basic"}, default "baseline"
        What is expected before neighbours are asked: mean and biases; the mean of the item
        (user-based: of the user); the same, deviations in units of its standard deviation;
        or nothing, so that ratings are averaged as they are.
    similarity : {"pearson_baseline", "pearson", "msd", "cosine"}, default "pearson_baseline"
        How two are compared, by their common ratings: correlation of what the bias model
        leaves unexplained, shrunk; correlation; 1 / (mean squared difference + 1); cosine.
    shrinkage : float, default 100
        Only for ``pearson_baseline``: with n common ratings the correlation is multiplied by
        (n - 1) / (n - 1 + shrinkage); at least 0.
    min_support : int, default 1
        Fewer common ratings than this count as no similarity; at least 1.
    n_neighbors : int, default 40
        Most neighbours to average over; at least 1.
    min_neighbors : int, default 1
        With fewer neighbours the prediction is what `centering` expects (for ``basic``: the
        global mean); at least 1.
    user_regularization, item_regularization : float, default 15 and 10
        Of the bias model, as in the family ``baseline``; at least 0.
    engine : {"harness", "surprise"}, default "harness"
        Own kernels, or the reference itself.

    Attributes
    ----------
    mean_ : float
        The global mean in stars.
    user_bias_, item_bias_ : ndarray of float64, shapes (n_users,) and (n_items,)
        Biases in stars.
    values_ : ndarray of float32, shape (n_ratings,)
        The training ratings: a model of this kind remembers all of them.

    References
    ----------
    .. [1] Y. Koren, "Factor in the neighbors: scalable and accurate collaborative
       filtering", ACM TKDD 4(1), 2010, equation 3.
    """

    name: ClassVar[str] = "cf"
    plan: ClassVar[SimilarityPlan] = SimilarityPlan()
    """Limits on memory; not a hyperparameter."""

    user_based: bool = False
    centering: Centering = "baseline"
    similarity: Measure = "pearson_baseline"
    shrinkage: NonNegative = 100.0
    min_support: Count = 1
    n_neighbors: Count = 40
    min_neighbors: Count = 1
    user_regularization: NonNegative = 15.0
    item_regularization: NonNegative = 10.0
    engine: Engine = "harness"

    mean_: float = field(init=False, repr=False)
    user_bias_: npt.NDArray[np.float64] = field(init=False, repr=False)
    item_bias_: npt.NDArray[np.float64] = field(init=False, repr=False)
    values_: npt.NDArray[np.float32] = field(init=False, repr=False)

    def growth(self, ratings: Ratings) -> Growth:
        """Say what time and memory grow with: the pairs of ratings that are compared."""
        by_y, n_x = (
            (ratings.items, ratings.n_users)
            if self.user_based
            else (ratings.users, ratings.n_items)
        )
        n_pairs = float(np.square(np.bincount(by_y).astype(np.float64)).sum())
        # Of up to `dense_limit` all are kept, however many ratings there are.
        kept = 0.0
        if n_x > self.plan.dense_limit and not self.user_based:
            kept = min(8 * n_pairs, 8.0 * n_x**2, self.plan.list_bytes)
        return Growth(time=n_pairs, memory=_BYTES_OF_RATING * len(ratings) + kept)

    def _fit(self, ratings: Ratings, catalogue: Catalogue) -> None:
        del catalogue
        biases = fit_biases(
            ratings,
            user_regularization=self.user_regularization,
            item_regularization=self.item_regularization,
            n_epochs=_BIAS_EPOCHS,
        )
        self.mean_ = biases.mean
        self.user_bias_, self.item_bias_ = biases.users, biases.items
        self.values_ = ratings.values
        for name in _LISTS:
            vars(self).pop(name, None)
        self._prepare(ratings)

    def _prepare(self, ratings: Ratings) -> None:
        """Derive from ratings and biases all that is not saved."""
        self._rated_user = np.bincount(ratings.users, minlength=ratings.n_users) > 0
        self._rated_item = np.bincount(ratings.items, minlength=ratings.n_items) > 0
        self._rated_items = np.flatnonzero(self._rated_item).astype(np.int32)
        if self.engine == "surprise":
            from harness.models.cf.surprise_knn import ReferenceNeighbors

            self._reference = ReferenceNeighbors(
                ratings, self.hyperparameters(), n_epochs=_BIAS_EPOCHS
            )
        users, items = ratings.users, ratings.items
        xs, ys = (users, items) if self.user_based else (items, users)
        n_y = ratings.n_items if self.user_based else ratings.n_users
        by_y = RatingLists.build(ys, xs, ratings.values, n=n_y)
        expectation = expect(self.centering, by_y, self._biases_of_sides())
        self._averages = NeighborAverages(
            user_based=self.user_based,
            expectation=expectation,
            otherwise=self.mean_ if self.centering == "basic" else None,
            around=Neighborhood(
                by_y=expectation.deviations(by_y),
                most=self.n_neighbors,
                fewest=self.min_neighbors,
            ),
            similarities=self._compare(ratings, by_y),
        )
        # Trials never ask for lists, so it is made for the first one.
        self._contenders: Contenders | None = None

    def _biases_of_sides(self) -> tuple[float, Doubles, Doubles]:
        if self.user_based:
            return self.mean_, self.user_bias_, self.item_bias_
        return self.mean_, self.item_bias_, self.user_bias_

    def _compare(self, ratings: Ratings, by_y: RatingLists) -> Similarities:
        if all(name in vars(self) for name in _LISTS):
            return NearestSimilarities.of_lists(
                tuple(getattr(self, name) for name in _LISTS)
            )
        rule = SimilarityRule(
            measure=self.similarity,
            min_support=self.min_support,
            shrinkage=self.shrinkage,
        )
        n_x = ratings.n_users if self.user_based else ratings.n_items
        centred = self.similarity == "pearson_baseline"

        def list_by_x() -> RatingLists:
            if not centred:
                return by_y.turned(n=n_x)
            left = expect("baseline", by_y, self._biases_of_sides()).deviations(by_y)
            return left.turned(n=n_x)

        penalties = (self.user_regularization, self.item_regularization)
        similarities = self.plan.carry_out(
            rule,
            list_by_x,
            n_x=n_x,
            user_based=self.user_based,
            key=(digest(ratings), self.user_based, penalties if centred else None),
        )
        if isinstance(similarities, NearestSimilarities):
            for name, array in zip(_LISTS, similarities.lists, strict=True):
                setattr(self, name, array)
        return similarities

    def _predict(self, users: Codes, items: Codes) -> Doubles:
        biases = Biases(self.mean_, self.user_bias_, self.item_bias_)
        out = biases.predict(users, items)
        known = rated_among(self._rated_user, users) & rated_among(
            self._rated_item, items
        )
        if known.any():
            out[known] = self._estimate(
                users[known].astype(np.int32), items[known].astype(np.int32)
            )
        return out

    def _estimate(
        self, users: npt.NDArray[np.int32], items: npt.NDArray[np.int32]
    ) -> Doubles:
        if self.engine == "surprise":
            estimates: Doubles = self._reference.predict(users, items)
            return estimates
        return self._averages.estimate(users, items)

    def _score_all_items(self, user: int) -> Doubles:
        known = self._knows_user(user)
        if self.user_based or self.engine == "surprise" or not known:
            codes = np.arange(len(self.item_ids_), dtype=np.int32)
            return self._predict(np.full_like(codes, user), codes)
        scores: Doubles = self.mean_ + self.user_bias_[user] + self.item_bias_
        rated = self._rated_items
        scores[rated] = self._averages.score_items(user, rated)
        return scores

    def _score_contenders(
        self,
        user: int,
        n: int,
        excluded: npt.NDArray[np.bool_],
        when: float | None,
    ) -> Doubles:
        del when
        if not (self._compares_on_demand() and self._knows_user(user)):
            return self._score_all_items(user)
        contenders = self._find_contenders()
        titles = contenders.titles
        allowed = ~excluded[titles]
        if not 0 < n <= min(_LONGEST_LIST, int(allowed.sum())):
            return self._score_all_items(user)
        scores: Doubles = self.mean_ + self.user_bias_[user] + self.item_bias_
        scores[titles] = self._averages.score_contenders(user, contenders, n, allowed)
        return scores

    def _find_contenders(self) -> Contenders:
        with _lock:
            if self._contenders is None:
                self._contenders = Contenders.of_lists(
                    self._averages.around.by_y, len(self._rated_user)
                )
            return self._contenders

    def _compares_on_demand(self) -> bool:
        similarities = self._averages.similarities
        return self.engine == "harness" and isinstance(
            similarities, SimilaritiesOnDemand
        )

    def recommend_to_many(
        self,
        users: Codes,
        n: int = 10,
        *,
        among: npt.NDArray[np.bool_] | None = None,
        when: float | None = None,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Rank the titles that they have not rated for many users.

        See `Recommender.recommend_to_many`.
        """
        self._fitted_scale()
        if not self._compares_on_demand():
            return super().recommend_to_many(users, n, among=among, when=when)
        items = np.full((len(users), n), -1, dtype=np.int32)
        scores = np.full((len(users), n), np.nan, dtype=np.float32)
        for row, user in enumerate(np.asarray(users).tolist()):
            best, stars = self.recommend(user, n, among=among)
            items[row, : len(best)], scores[row, : len(best)] = best, stars
        return items, scores

    def neighbors(
        self, user: int, item: int
    ) -> tuple[npt.NDArray[np.int32], Doubles, npt.NDArray[np.float32]]:
        """List the neighbours that a prediction is averaged over."""
        self._fitted_scale()
        if not self._knows(user, item):
            return np.empty(0, np.int32), np.empty(0), np.empty(0, np.float32)
        return self._averages.neighbors(user, item)

    def _knows(self, user: int, item: int) -> bool:
        known_item = rated_among(self._rated_item, np.array([item]))
        return self._knows_user(user) and bool(known_item.all())

    def _knows_user(self, user: int) -> bool:
        return bool(rated_among(self._rated_user, np.array([user])).all())

    def explain(self, user: int, item: int) -> Explanation:
        """Take a prediction apart: what was expected, and what neighbours add to it.

        See `Recommender.explain`.
        """
        self._fitted_scale()
        pair = user, item
        biases = bias_parts(self.mean_, (self.user_bias_, self.item_bias_), pair)
        if not self._knows(user, item):
            return Explanation(parts=biases)
        expected = biases if self.centering == "baseline" else ()
        return explain_neighbors(self._averages, pair, expected)

    def _restore(self) -> None:
        counts = np.diff(self._seen_offsets_)
        ratings = Ratings(
            users=np.repeat(np.arange(len(counts), dtype=np.int32), counts),
            items=self._seen_items_,
            values=self.values_,
            rows=np.arange(len(self.values_), dtype=np.int32),
            user_ids=self.user_ids_,
            item_ids=self.item_ids_,
            scale=self._fitted_scale(),
        )
        self._prepare(ratings)
