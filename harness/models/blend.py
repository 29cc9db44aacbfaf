"""The blend: a weighted mean of what several families predict."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.errors import ParameterError
from harness.formatting import percent
from harness.models.base import Codes, Recommender, Times
from harness.models.explanation import Explanation, Part
from harness.models.families import (
    CODE,
    family_in_file,
    file_of,
    load_family,
    make_model,
)
from harness.plain import Params

__all__ = [
    "Blend",
    "Member",
    "error_products",
    "fit_weights",
    "predict_held_out",
    "read_members",
    "write_members",
    "write_weights",
]

Doubles = npt.NDArray[np.float64]

N_FOLDS = 5
"""Folds of a blend that finds its weights itself."""
N_DIGITS = 4
"""Of a weight: more would say more than the ratings do."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A model that a blend is made of: a family with its settings, under a name."""

    name: str
    # What `load_family` takes.
    family: str
    params: Params = field(default_factory=dict)

    def make(self, seed: int) -> Recommender:
        """Make the model, not yet fitted."""
        return make_model(load_family(self.family), self.params, seed)


def write_members(members: Sequence[Member]) -> str:
    """Write members as the hyperparameter has them."""
    return json.dumps({m.name: {"family": m.family, **m.params} for m in members})


def read_members(text: str) -> tuple[Member, ...]:
    """Read what `write_members` has written."""
    try:
        found = json.loads(text)
        return tuple(
            Member(name=name, family=settings.pop("family"), params=settings)
            for name, settings in found.items()
        )
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise ParameterError(
            "Blend: members must be JSON with the family and the settings of each, as in "
            '{"svd": {"family": "svd", "n_factors": 50}, "cf": {"family": "cf"}}, but got '
            f"{text!r}."
        ) from error


def write_weights(members: Sequence[Member], weights: Doubles) -> str:
    """Write weights as the hyperparameter has them; those of 0 are left out."""
    return ", ".join(
        f"{member.name} {weight:.{N_DIGITS}g}"
        for member, weight in zip(members, weights, strict=True)
        if weight > 0
    )


def _read_weights(text: str, members: Sequence[Member]) -> Doubles:
    try:
        found = {
            name: float(weight)
            for name, weight in (part.split() for part in text.split(","))
        }
    except ValueError:
        found = {}
    names = [member.name for member in members]
    total = sum(found.values())
    right = found and set(found) <= set(names) and min(found.values()) >= 0
    if not right or not 0.99 < total < 1.01:
        raise ParameterError(
            f"Blend: weights must be at least 0 and add up to 1, as in "
            f"'{names[0]} 0.6, {names[-1]} 0.4', but got {text!r}."
        )
    return np.array([found.get(name, 0.0) / total for name in names])


def error_products(predictions: npt.NDArray[Any], truth: npt.NDArray[Any]) -> Doubles:
    """Sum the products of the errors of any two members.

    `predictions` have a column for each member; the square of the blend's error, summed
    over all pairs, is ``weights @ products @ weights``.
    """
    errors = predictions.astype(np.float64) - truth[:, None]
    products: Doubles = errors.T @ errors
    return products


def fit_weights(
    products: Doubles, *, shrinkage: float = 0.0, least_weight: float = 0.0
) -> Doubles:
    """Find the weights, at least 0 and of sum 1, whose blend errs least.

    They are drawn towards equal weights by `shrinkage`. Members whose weight is below
    `least_weight` are left out, the least one first, and the others weighted again.
    """
    kept = np.arange(len(products))
    while True:
        equal = np.full(len(kept), 1 / len(kept))
        weights = shrinkage * equal
        if shrinkage < 1:
            best = _least_squares(products[np.ix_(kept, kept)])
            weights = weights + (1 - shrinkage) * best
        # Of equal weights the one of the member that errs most.
        worst = np.lexsort((-products[kept, kept], weights))[0]
        if len(kept) == 1 or weights[worst] >= least_weight:
            break
        kept = np.delete(kept, worst)
    found = np.zeros(len(products))
    found[kept] = weights
    return _rounded(found)


def _least_squares(products: Doubles) -> Doubles:
    """Minimise ``w @ products @ w`` over weights of at least 0 that add up to 1.

    Non-negative least squares of ``v @ products @ v + (sum(v) - 1) ** 2``: of all v in one
    direction w, of sum 1, the best has the value q / (1 + q) with q = w @ products @ w,
    which grows with q, so that the best v has the direction of the best w.
    """
    from scipy.optimize import nnls

    n = len(products)
    trace = float(np.trace(products))
    if trace == 0:  # nobody errs
        return np.full(n, 1 / n)
    values, vectors = np.linalg.eigh(products * (n / trace))
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    target = np.zeros(n + 1)
    target[-1] = 1.0
    found, _ = nnls(np.vstack([root, np.ones(n)]), target)
    weights: Doubles = found / found.sum()
    return weights


def _rounded(weights: Doubles) -> Doubles:
    """Round weights to what is written of them; they still add up to 1."""
    rounded = np.round(weights, N_DIGITS)
    rounded[rounded.argmax()] += 1 - rounded.sum()
    return np.round(rounded, N_DIGITS)


def predict_held_out(model: Recommender, held_out: Ratings) -> Doubles:
    """Predict as a blend does: as of the time of each rating, and not clipped."""
    users, items, when = held_out.users, held_out.items, held_out.timestamps
    if when is None:
        predicted = model._predict(users, items)  # noqa: SLF001 - of a part of a blend
    else:
        predicted = model._predict_at(users, items, when.astype(np.float64))  # noqa: SLF001 - likewise
    return np.asarray(predicted, dtype=np.float64)


_DEFAULT_MEMBERS = write_members(
    [Member(name="cf", family="cf"), Member(name="svd", family="svd")]
)


@dataclass(kw_only=True)
class Blend(Recommender):
    r"""A weighted mean of other families, weighted by what they predict of ratings held out [1]_.

    .. math:: \hat r_{ui} = \sum_m w_m \hat r^{(m)}_{ui}, \qquad w_m \ge 0,
              \quad \sum_m w_m = 1

    The weights minimise the squared error of out-of-fold predictions: of each rating by
    members that were fitted without it. Two constraints keep them from fitting noise: at
    least 0, as for stacked regressions [2]_; and a sum of 1, because the members get
    better when they are fitted to all ratings, so that a sum found on fewer would draw
    predictions too far towards the mean. A blend of equal models is that model.

    `harness run` finds the weights on the folds of the searches, with the best settings
    of the other families, and gives them here. Without `weights` they are found by `fit`,
    on 5 folds of its ratings, unless `shrinkage` is 1.

    Parameters
    ----------
    members : str
        JSON: by the name of each member its family, and its hyperparameters where they
        are not the defaults. ``cf`` and ``svd`` by default.
    weights : str, default ""
        Weights by the names of members: "svd 0.6, cf 0.4". A member that is not named
        has 0, and is not fitted. Empty: they are found.
    shrinkage : float, default 1
        How far weights are drawn to equal ones: not at all by 0, to the end by 1.
    least_weight : float, default 0
        A member that would weigh less is left out, and costs nothing.
    seed : int, default 0
        Seed of the members, and of the folds if there are any.

    Attributes
    ----------
    weights_ : ndarray of float64, shape (n_members,)
        The weights; 0 for those that are left out.
    parts_ : dict of str to Recommender
        The fitted members with a weight, by name.

    References
    ----------
    .. [1] A. Töscher, M. Jahrer and R. M. Bell, "The BigChaos solution to the Netflix
       Grand Prize", 2009.
    .. [2] L. Breiman, "Stacked regressions", Machine Learning 24(1), 1996.
    """

    name: ClassVar[str] = "blend"

    members: str = _DEFAULT_MEMBERS
    weights: str = ""
    shrinkage: Annotated[float, Ge(0), Le(1)] = 1.0
    least_weight: Annotated[float, Ge(0), Le(1)] = 0.0
    seed: int = 0

    weights_: Doubles = field(init=False, repr=False)
    parts_: dict[str, Recommender] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the members and the weights, too."""
        super().__post_init__()
        members = self.read()
        if not members:
            raise ParameterError(
                "Blend: members must name at least one, but there is none."
            )
        if any(member.family == self.name for member in members):
            raise ParameterError(
                "Blend: members must be other families, but one is a blend."
            )
        if self.weights:
            _read_weights(self.weights, members)

    def read(self) -> tuple[Member, ...]:
        """Read the members.

        Returns
        -------
        tuple of Member
            Name, family and settings of each.
        """
        return read_members(self.members)

    def shares(self) -> dict[str, float]:
        """Give the weights by the names of the members.

        Returns
        -------
        dict of str to float
            As `weights` says; equal ones where it says nothing.
        """
        members = self.read()
        found = np.full(len(members), 1 / len(members))
        if self.weights:
            found = _read_weights(self.weights, members)
        return {m.name: float(w) for m, w in zip(members, found, strict=True)}

    @property
    def components(self) -> tuple[Recommender, ...]:
        """The fitted members that have a weight, the heaviest first."""
        heaviest = sorted(self._weighted(), key=lambda each: -each[0])
        return tuple(part for _, _, part in heaviest)

    def fit_around(
        self,
        ratings: Ratings,
        catalogue: Catalogue,
        fitted: Mapping[str, Recommender],
    ) -> Self:
        """Fit as `fit` does, but take members that are there already.

        Parameters
        ----------
        ratings : Ratings
            What to learn from.
        catalogue : Catalogue
            What is known about the titles.
        fitted : mapping of str to Recommender
            Members by name, fitted to the same ratings with the same seed.

        Returns
        -------
        Self
            The model, fitted.
        """
        self._begin(ratings)
        members = self.read()
        self.weights_ = self._find_weights(members, ratings, catalogue)
        self.parts_ = {
            member.name: fitted[member.name]
            if member.name in fitted
            else member.make(self.seed).fit(ratings, catalogue)
            for member, weight in zip(members, self.weights_, strict=True)
            if weight > 0
        }
        return self

    def _fit(self, ratings: Ratings, catalogue: Catalogue) -> None:
        self.fit_around(ratings, catalogue, {})

    def _find_weights(
        self, members: Sequence[Member], ratings: Ratings, catalogue: Catalogue
    ) -> Doubles:
        if self.weights:
            return _read_weights(self.weights, members)
        products = np.eye(len(members))
        # Of fewer ratings than this nothing can be said.
        if self.shrinkage < 1 and len(ratings) >= 2 * N_FOLDS:
            order = np.random.default_rng(self.seed).permutation(len(ratings))
            of_folds = [
                self._errors_on(members, ratings, catalogue, order % N_FOLDS == fold)
                for fold in range(N_FOLDS)
            ]
            products = np.sum(of_folds, axis=0)
        return fit_weights(
            products,
            shrinkage=self.shrinkage,
            least_weight=self.least_weight,
        )

    def _errors_on(
        self,
        members: Sequence[Member],
        ratings: Ratings,
        catalogue: Catalogue,
        is_held_out: npt.NDArray[np.bool_],
    ) -> Doubles:
        learnt, held_out = ratings.take(~is_held_out), ratings.take(is_held_out)
        predictions = [
            predict_held_out(member.make(self.seed).fit(learnt, catalogue), held_out)
            for member in members
        ]
        return error_products(np.stack(predictions, axis=1), held_out.values)

    def _weighted(self) -> list[tuple[float, str, Recommender]]:
        names = [member.name for member in self.read()]
        return [
            (float(weight), name, self.parts_[name])
            for weight, name in zip(self.weights_, names, strict=True)
            if weight > 0
        ]

    # What parts predict is not clipped before it is added up: the best titles would tie.

    def _predict(self, users: Codes, items: Codes) -> Doubles:
        return _sum(w * part._predict(users, items) for w, _, part in self._weighted())  # noqa: SLF001 - a part

    def _predict_at(self, users: Codes, items: Codes, when: Times) -> Doubles:
        return _sum(
            w * part._predict_at(users, items, when)  # noqa: SLF001 - a part
            for w, _, part in self._weighted()
        )

    def _score_all_items(self, user: int) -> Doubles:
        return _sum(w * part._score_all_items(user) for w, _, part in self._weighted())  # noqa: SLF001 - a part

    def _score_users(self, users: Codes) -> Doubles:
        return _sum(w * part._score_users(users) for w, _, part in self._weighted())  # noqa: SLF001 - a part

    def _score_all_items_at(self, user: int, when: float) -> Doubles:
        return _sum(
            w * part._score_all_items_at(user, when)  # noqa: SLF001 - a part
            for w, _, part in self._weighted()
        )

    def explain(self, user: int, item: int) -> Explanation:
        """Take a prediction apart: the share of each member; see `Recommender.explain`."""
        self._fitted_scale()
        pair = np.array([user]), np.array([item])
        parts = []
        for weight, name, part in self._weighted():
            stars = float(part._predict(*pair)[0])  # noqa: SLF001 - a part
            parts.append(
                Part(
                    label=name,
                    stars=weight * stars,
                    detail=f"{percent(weight, 2)} of its prediction {stars:.3f}",
                )
            )
        return Explanation(parts=tuple(parts))

    def save(self, folder: Path) -> None:
        """Write the blend, and each part in a folder of its own; see `Recommender.save`."""
        super().save(folder)
        for name, part in self.parts_.items():
            part.save(_folder_of(folder, name))
            source = file_of(type(part))
            if source is not None:
                shutil.copyfile(source, _folder_of(folder, name) / CODE)

    def _learnt(self) -> dict[str, object]:
        return {k: v for k, v in super()._learnt().items() if k != "parts_"}

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a blend and its parts; see `Recommender.load`."""
        model = super().load(folder)
        model.parts_ = {
            member.name: _load_part(_folder_of(folder, member.name), member.family)
            for member, weight in zip(model.read(), model.weights_, strict=True)
            if weight > 0
        }
        return model


def _sum(terms: Any) -> Doubles:
    total: Doubles = np.asarray(sum(terms), dtype=np.float64)
    return total


def _folder_of(folder: Path, name: str) -> Path:
    return folder / "parts" / name


def _load_part(folder: Path, reference: str) -> Recommender:
    if (folder / CODE).exists():
        # Its name is in what was saved; the reference leads to a file elsewhere.
        name = json.loads((folder / "model.json").read_text())["family"]
        return family_in_file(folder / CODE, name).load(folder)
    return load_family(reference).load(folder)
