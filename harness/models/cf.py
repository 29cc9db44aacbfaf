"""Collaborative filtering by nearest neighbours."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.errors import ParameterError
from harness.models.base import Codes, Recommender, check_range
from harness.models.baseline import Biases, fit_biases
from harness.models.centering import CENTERINGS, Centering, expect
from harness.models.explanation import Explanation, bias_parts
from harness.models.neighbor_averages import NeighborAverages
from harness.models.neighbor_explanation import explain_neighbors
from harness.models.rating_lists import RatingLists
from harness.models.similarity import Neighborhood, Similarities
from harness.models.similarity_choice import SimilarityPlan, digest
from harness.models.similarity_rule import MEASURES, Measure, SimilarityRule
from harness.models.similarity_stores import NearestSimilarities

__all__ = ["CF"]

Engine = Literal["harness", "surprise"]
Doubles = npt.NDArray[np.float64]

_BIAS_EPOCHS = 10
"""Rounds of alternating least squares; the default of scikit-surprise."""
_LISTS = "list_offsets_", "list_codes_", "list_similarities_"


@dataclass(kw_only=True)
class CF(Recommender):
    r"""Rates by what similar items got from the user, or similar users gave the item [1]_.

    .. math:: \hat r_{ui} = e_{ui} + \sigma_i \frac{\sum_{j \in N} s_{ij}
              (r_{uj} - e_{uj}) / \sigma_j}{\sum_{j \in N} s_{ij}}

    where :math:`N` are the `n_neighbors` items rated by the user that are most similar to
    item :math:`i`, with similarities :math:`s_{ij} > 0`, and :math:`e` is what `centering`
    expects (user-based: users and items change places). scikit-surprise's ``KNNBasic``,
    ``KNNWithMeans``, ``KNNWithZScore`` and ``KNNBaseline`` are the reference, which
    neighbours win a tie included.

    It differs from them where they give up: users and items without a rating get the bias
    model in place of the global mean, and a standard deviation of 0 in constant ratings is
    replaced by 1. Up to 4,000 users or items (see `SimilarityPlan`) it keeps all
    similarities. Beyond that, items keep lists in single precision, of all similarities
    above 0 if these fit 256 MB, otherwise of the 600 greatest. What is not in the lists is
    not found: that costs little with shrinkage, and much without, where chance likeness
    comes first. Users are compared anew for each prediction, which takes time in place of
    memory.

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
    shrinkage: float = 100.0
    min_support: int = 1
    n_neighbors: int = 40
    min_neighbors: int = 1
    user_regularization: float = 15.0
    item_regularization: float = 10.0
    engine: Engine = "harness"

    mean_: float = field(init=False, repr=False)
    user_bias_: npt.NDArray[np.float64] = field(init=False, repr=False)
    item_bias_: npt.NDArray[np.float64] = field(init=False, repr=False)
    values_: npt.NDArray[np.float32] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("min_support", "n_neighbors", "min_neighbors"):
            check_range(self, name, low=1)
        for name in ("shrinkage", "user_regularization", "item_regularization"):
            check_range(self, name, low=0)
        for name, allowed in (
            ("centering", CENTERINGS),
            ("similarity", MEASURES),
            ("engine", get_args(Engine)),
            ("user_based", (False, True)),
        ):
            if getattr(self, name) not in allowed:
                raise ParameterError(
                    f"CF: {name} must be one of {allowed}, "
                    f"but got {getattr(self, name)!r}."
                )

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
            from harness.models.surprise_knn import ReferenceNeighbors

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
        known = _holds(self._rated_user, users) & _holds(self._rated_item, items)
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
        known = 0 <= user < len(self._rated_user) and self._rated_user[user]
        if self.user_based or self.engine == "surprise" or not known:
            codes = np.arange(len(self.item_ids_), dtype=np.int32)
            return self._predict(np.full_like(codes, user), codes)
        scores: Doubles = self.mean_ + self.user_bias_[user] + self.item_bias_
        rated = self._rated_items
        scores[rated] = self._averages.score_items(user, rated)
        return scores

    def neighbors(
        self, user: int, item: int
    ) -> tuple[npt.NDArray[np.int32], Doubles, npt.NDArray[np.float32]]:
        """List the neighbours that a prediction is averaged over.

        Parameters
        ----------
        user, item : int
            Codes of the pair, known or not.

        Returns
        -------
        codes : ndarray of int32, shape (n,)
            Items that the user has rated (user-based: users that have rated the item),
            most similar first; none for a user or item without ratings.
        similarities : ndarray of float64, shape (n,)
            Greater than 0.
        values : ndarray of float32, shape (n,)
            What they were rated (user-based: what they gave), in stars.

        Raises
        ------
        NotFittedError
            If the model was not fitted.
        """
        self._fitted_scale()
        if not self._knows(user, item):
            return np.empty(0, np.int32), np.empty(0), np.empty(0, np.float32)
        return self._averages.neighbors(user, item)

    def _knows(self, user: int, item: int) -> bool:
        known_user = _holds(self._rated_user, np.array([user]))
        known_item = _holds(self._rated_item, np.array([item]))
        return bool((known_user & known_item).all())

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


def _holds(rated: npt.NDArray[np.bool_], codes: Codes) -> npt.NDArray[np.bool_]:
    found = (codes >= 0) & (codes < len(rated))
    found[found] = rated[codes[found]]
    return found
