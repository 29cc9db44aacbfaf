"""The contract of every model, and its form on disk."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.errors import (
    DataError,
    NotFittedError,
    TrainingError,
    UnsupportedError,
)
from harness.models.explanation import Explanation
from harness.models.hyperparameters import Count, check_hyperparameters
from harness.models.levels import MOST_LEVELS
from harness.plain import Params, ParamValue

__all__ = [
    "Growth",
    "IterativeRecommender",
    "Recommender",
]


def _write_state(
    folder: Path, header: Mapping[str, object], learnt: Mapping[str, object]
) -> None:
    """Write ``model.json`` and ``model.npz``: JSON-like facts, arrays, JSON-like values."""
    arrays = {k: v for k, v in learnt.items() if isinstance(v, np.ndarray)}
    plain = {k: v for k, v in learnt.items() if k not in arrays}
    arrays |= {k: v.astype(np.str_) for k, v in arrays.items() if v.dtype == np.object_}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**header, "learnt": plain}, indent=2)
    (folder / "model.json").write_text(text)
    np.savez(folder / "model.npz", allow_pickle=False, **arrays)


def _read_state(folder: Path, family: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read header and attributes that `_write_state` has written; ids are text again."""
    path = folder / "model.json"
    try:
        header = json.loads(path.read_text())
        archive = np.load(folder / "model.npz", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: no saved model can be read: {error}") from error
    if header["family"] != family:
        raise DataError(
            f"{path}: holds a model of family {header['family']!r}, not {family!r}."
        )
    learnt = dict(header["learnt"])
    with archive:
        for name in archive.files:
            array = archive[name]
            learnt[name] = array.astype(object) if array.dtype.kind == "U" else array
    return header, learnt


Codes = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float32]
Times = npt.NDArray[np.float64]
When = npt.NDArray[Any] | float | None


def rated_among(rated: npt.NDArray[np.bool_], codes: Codes) -> npt.NDArray[np.bool_]:
    """Tell of which codes, those unknown included, there were ratings to learn from."""
    known = (codes >= 0) & (codes < len(rated))
    known[known] = rated[codes[known]]
    return known


def check_training(model: "Recommender", epoch: int, *learnt: Any) -> None:
    """Check that what a training has learnt, or its error, is finite."""
    if not all(np.isfinite(values).all() for values in learnt):
        raise TrainingError(
            f"{model.name}: the training left the range of numbers by epoch {epoch}. "
            "Its steps are too large: try a lower learning rate, or more regularization."
        )


class Growth(NamedTuple):
    """What the costs of a fit grow with, in any unit: only ratios count.

    Parameters
    ----------
    time : float
        Proportional to the time of fitting and predicting.
    memory : float
        Proportional to the memory these take.
    """

    time: float
    memory: float


_MOST_INSERTED = 200
"""Longer lists are sorted: putting title after title into its place would take longer."""
_SCORES_AT_ONCE = 2_000_000
"""Of many users: 8 MB, which stay in the processor's cache."""


def _best(
    scores: Floats, excluded: npt.NDArray[np.bool_], n: int
) -> npt.NDArray[np.int32]:
    """Find the titles of the n highest scores, best first; ties go to the smaller code."""
    if n > _MOST_INSERTED:
        allowed = np.flatnonzero(~excluded)
        order = np.argsort(-scores[allowed], kind="stable")
        return allowed[order][:n].astype(np.int32)
    from harness.models.kernels import best_of

    best = np.empty(n, dtype=np.int32)
    return best[: best_of(scores, excluded, best) if n else 0]


@dataclass(kw_only=True)
class Recommender(ABC):
    """A model that predicts ratings.

    A subclass is a keyword-only dataclass: its fields are its hyperparameters,
    stored as given, and nothing else. Their annotations are their domains (see
    `harness.models.hyperparameters`): the constructor raises `ParameterError` for a
    value outside. What it learns goes into attributes that end in an underscore: NumPy
    arrays, numbers and strings.

    A subclass defines `name`, `_fit` and `_predict`; the rest follows. One that knows time
    defines `_predict_at` as well, and `_score_all_items_at` where that can be faster. One
    that knows how probable each rating is sets `gives_probabilities`, learns `levels_`,
    and defines `_predict_proba_at`.

    A server, and judging with several `--jobs`, ask one fitted model from several threads:
    what a model notes while it answers needs a lock.
    """

    name: ClassVar[str]
    """Name of the family on the command line and in files."""

    without_times: ClassVar[Mapping[str, bool | int | float | str]] = MappingProxyType(
        {}
    )
    """Values of the hyperparameters that can do nothing where ratings have no times."""

    gives_probabilities: ClassVar[bool] = False
    """Whether `predict_proba` can say how probable each rating is."""

    scale_: RatingScale | None = field(default=None, init=False, repr=False)
    user_ids_: npt.NDArray[np.object_] = field(init=False, repr=False)
    item_ids_: npt.NDArray[np.object_] = field(init=False, repr=False)
    levels_: npt.NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    @abstractmethod
    def _fit(self, ratings: Ratings, catalogue: Catalogue) -> None:
        """Learn from ratings, forgetting what was learnt before."""

    @abstractmethod
    def _predict(self, users: Codes, items: Codes) -> npt.NDArray[Any]:
        """Predict without clipping; codes may be beyond those learnt, or -1."""

    def _predict_at(
        self,
        users: Codes,
        items: Codes,
        when: Times,  # noqa: ARG002 - for those that know time
    ) -> npt.NDArray[Any]:
        """Predict as of a time for each pair, NaN where that is not known."""
        return self._predict(users, items)

    @property
    def components(self) -> "tuple[Recommender, ...]":
        """The fitted models that it is made of; none, unless it is a blend."""
        return ()

    def growth(self, ratings: Ratings) -> Growth:
        """Say what time and memory grow with, for a forecast from samples of users.

        A sample has all the titles: what depends only on their number is in each
        measurement, and need not be here. A family overrides it where twice the ratings
        of the same people and titles cost more, or less, than twice as much.

        Parameters
        ----------
        ratings : Ratings
            What would be learnt from.

        Returns
        -------
        Growth
            The number of ratings, twice.
        """
        return Growth(time=len(ratings), memory=len(ratings))

    @classmethod
    def notes_on(cls, catalogue: Catalogue, ratings: Ratings) -> list[str]:
        """Say what the family cannot do for want of metadata or timestamps.

        Parameters
        ----------
        catalogue : Catalogue
            What is known about the titles; may be empty.
        ratings : Ratings
            What there is to learn from.

        Returns
        -------
        list of str
            One sentence each; most families have nothing to say.
        """
        del catalogue, ratings
        return []

    @classmethod
    def blocks_off(cls, catalogue: Catalogue) -> tuple[str, ...]:
        """Name the feature blocks that a catalogue has nothing for.

        Parameters
        ----------
        catalogue : Catalogue
            What is known about the titles; may be empty.

        Returns
        -------
        tuple of str
            Empty for families without feature blocks.
        """
        del catalogue
        return ()

    def fit(self, ratings: Ratings, catalogue: Catalogue) -> Self:
        """Learn from ratings, forgetting what was learnt before.

        Parameters
        ----------
        ratings : Ratings
            What to learn from. It is not modified.
        catalogue : Catalogue
            What is known about the titles; may be empty.

        Returns
        -------
        Self
            The model, fitted.
        """
        self._begin(ratings)
        self._fit(ratings, catalogue)
        return self

    def _begin(self, ratings: Ratings) -> None:
        self.scale_ = ratings.scale
        self.user_ids_ = ratings.user_ids
        self.item_ids_ = ratings.item_ids
        self._seen_offsets_ = np.searchsorted(
            ratings.users, np.arange(ratings.n_users + 1)
        ).astype(np.int64)
        self._seen_items_ = ratings.items

    def _fitted_scale(self) -> RatingScale:
        if self.scale_ is None:
            raise NotFittedError(
                f"This {type(self).__name__} model is not fitted. Call fit() first."
            )
        return self.scale_

    def predict(self, users: Codes, items: Codes, when: When = None) -> Floats:
        """Predict one rating for each pair of user and item.

        Parameters
        ----------
        users, items : ndarray of int, shape (n_pairs,)
            Codes of the pairs. Users and items without a rating are welcome, and so
            are codes the model has never seen (-1, or beyond the last).
        when : ndarray of int or float, shape (n_pairs,), or one number, optional
            When the rating would be given, in seconds since 1970-01-01 UTC; NaN where
            that is not known. Families that do not know time ignore it; others take a
            typical time of the training part for what is not known.

        Returns
        -------
        ndarray of float32, shape (n_pairs,)
            Finite predictions in stars, within the rating scale.

        Raises
        ------
        NotFittedError
            If the model was not fitted.
        TrainingError
            If a prediction is not finite.
        """
        scale = self._fitted_scale()
        users, items = np.asarray(users), np.asarray(items)
        if when is None:
            predicted = self._predict(users, items)
        else:
            times = np.broadcast_to(np.asarray(when, dtype=np.float64), users.shape)
            predicted = self._predict_at(users, items, times)
        # Clipping would make an honest rating of infinity.
        self._check_prediction(predicted)
        return scale.clip(predicted)

    def predict_proba(
        self, users: Codes, items: Codes, when: When = None
    ) -> npt.NDArray[np.float64]:
        """Predict how probable each rating is, for each pair of user and item.

        Parameters
        ----------
        users, items : ndarray of int, shape (n_pairs,)
            Codes of the pairs, as for `predict`.
        when : ndarray of int or float, shape (n_pairs,), or one number, optional
            When the rating would be given, as for `predict`.

        Returns
        -------
        ndarray of float64, shape (n_pairs, n_levels)
            A column for each rating in `levels_`, the different ratings it has learnt
            from in ascending order. Rows add up to 1.

        Raises
        ------
        NotFittedError
            If the model was not fitted.
        UnsupportedError
            If the family gives no probabilities, or the ratings had more than 20
            different values.
        """
        self._fitted_scale()
        if self.gives_probabilities and not len(self.levels_):
            raise UnsupportedError(
                f"{self.name}: the ratings have more than {MOST_LEVELS} different values: "
                "a measurement, of which no value has a probability."
            )
        users, items = np.asarray(users), np.asarray(items)
        times = np.nan if when is None else np.asarray(when, dtype=np.float64)
        return self._predict_proba_at(users, items, np.broadcast_to(times, users.shape))

    def _predict_proba_at(
        self, users: Codes, items: Codes, when: Times
    ) -> npt.NDArray[np.float64]:
        """Predict a probability for each of `levels_`, as of a time for each pair."""
        del users, items, when
        raise UnsupportedError(
            f"The family {self.name!r} predicts ratings, but not how probable each is."
        )

    def _check_prediction(self, predicted: npt.NDArray[Any]) -> None:
        if not np.isfinite(predicted).all():
            raise TrainingError(
                f"{self.name}: a prediction is not a finite number: either the training "
                "of the family or its predict() left the range of numbers."
            )

    def recommend(
        self,
        user: int,
        n: int = 10,
        *,
        exclude_seen: bool = True,
        among: npt.NDArray[np.bool_] | None = None,
        when: float | None = None,
    ) -> tuple[npt.NDArray[np.int32], Floats]:
        """Rank the titles for one user.

        Parameters
        ----------
        user : int
            Code of the user; an unknown one gets what is best for anybody.
        n : int, default 10
            How many titles; fewer where there are fewer.
        exclude_seen : bool, default True
            Leave out titles that the user has rated in the training part.
        among : ndarray of bool, shape (n_items,), optional
            Which titles may be named; all by default, those without ratings included.
        when : float, optional
            When they would be watched, as for `predict`.

        Returns
        -------
        items : ndarray of int32, shape (n,)
            Codes of the titles, best first; ties go to the smaller code.
        scores : ndarray of float32, shape (n,)
            What they are ranked by, in stars, not clipped: clipping would tie the
            best titles with each other.

        Raises
        ------
        NotFittedError
            If the model was not fitted.
        """
        self._fitted_scale()
        n_items = len(self.item_ids_)
        excluded = np.zeros(n_items, dtype=bool) if among is None else ~among
        if exclude_seen:
            excluded[self.seen(user)] = True
        scored = self._score_contenders(user, n, excluded, when)
        scores = np.asarray(scored, dtype=np.float32)
        self._check_prediction(scores)
        best = _best(scores, excluded, max(0, min(n, n_items)))
        return best, scores[best]

    def recommend_to_many(
        self,
        users: npt.NDArray[np.integer[Any]],
        n: int = 10,
        *,
        among: npt.NDArray[np.bool_] | None = None,
        when: float | None = None,
    ) -> tuple[npt.NDArray[np.int32], Floats]:
        """Rank the titles that they have not rated for many users.

        Parameters
        ----------
        users : ndarray of int, shape (n_users,)
            Codes of the users, known or not.
        n : int, default 10
            How many titles each.
        among, when : optional
            As for `recommend`.

        Returns
        -------
        items : ndarray of int32, shape (n_users, n)
            Codes of the titles, those of `recommend` in its order; -1 after the end of a
            list that is shorter.
        scores : ndarray of float32, shape (n_users, n)
            What they are ranked by; NaN after the end.

        Raises
        ------
        NotFittedError
            If the model was not fitted.
        """
        self._fitted_scale()
        users = np.ascontiguousarray(users, dtype=np.int32)
        n_items = len(self.item_ids_)
        barred = np.zeros(n_items, dtype=bool) if among is None else ~among
        items = np.full((len(users), n), -1, dtype=np.int32)
        best = np.full((len(users), n), np.nan, dtype=np.float32)
        size = max(1, _SCORES_AT_ONCE // max(1, n_items))
        for first in range(0, len(users), size):
            part = slice(first, first + size)
            scores = np.ascontiguousarray(
                self._score_users(users[part])
                if when is None
                else self._score_users_at(users[part], when),
                dtype=np.float32,
            )
            self._check_prediction(scores)
            self._rank_rows(scores, users[part], barred, items[part])
            rows, places = np.nonzero(items[part] >= 0)
            best[part][rows, places] = scores[rows, items[part][rows, places]]
        return items, best

    def _rank_rows(
        self,
        scores: Floats,
        users: Codes,
        barred: npt.NDArray[np.bool_],
        items: npt.NDArray[np.int32],
    ) -> None:
        if items.shape[1] > _MOST_INSERTED:
            for user, row, filled in zip(users.tolist(), scores, items, strict=True):
                excluded = barred.copy()
                excluded[self.seen(user)] = True
                best = _best(row, excluded, min(len(filled), len(row)))
                filled[: len(best)] = best
        elif items.size:
            from harness.models.kernels import best_of_each

            seen = self._seen_offsets_, np.ascontiguousarray(self._seen_items_)
            best_of_each(scores, users, seen, barred, items)

    def _score_users(self, users: Codes) -> npt.NDArray[Any]:
        """Score every item for some users; a family overrides it where it can be faster.

        Each row has the bits of `_score_all_items`: a user's list is the same however many
        ask beside.
        """
        return np.stack([self._score_all_items(user) for user in users.tolist()])

    def _score_users_at(self, users: Codes, when: float) -> npt.NDArray[Any]:
        """Score every item for some users as of a time."""
        rows = [self._score_all_items_at(user, when) for user in users.tolist()]
        return np.stack(rows)

    def _score_all_items(self, user: int) -> npt.NDArray[Any]:
        """Score every item for one user; a family overrides it where it can be faster."""
        items = np.arange(len(self.item_ids_), dtype=np.int32)
        return self._predict(np.full(len(items), user, dtype=np.int32), items)

    def _score_contenders(
        self,
        user: int,
        n: int,  # noqa: ARG002 - for those that bound scores
        excluded: npt.NDArray[np.bool_],  # noqa: ARG002
        when: float | None,
    ) -> npt.NDArray[Any]:
        """Score every item for one user, for a list of n without those excluded.

        What cannot be on the list may have any finite score that keeps it off.
        """
        if when is None:
            return self._score_all_items(user)
        return self._score_all_items_at(user, when)

    def _score_all_items_at(
        self,
        user: int,
        when: float,  # noqa: ARG002 - for those that know time
    ) -> npt.NDArray[Any]:
        """Score every item for one user as of a time."""
        return self._score_all_items(user)

    def seen(self, user: int) -> npt.NDArray[np.int32]:
        """List the items that a user has rated in the training part.

        Parameters
        ----------
        user : int
            Code of the user, known or not.

        Returns
        -------
        ndarray of int32, shape (n_seen,)
            Codes of the items.
        """
        if not 0 <= user < len(self.user_ids_):
            return np.empty(0, dtype=np.int32)
        start, end = self._seen_offsets_[user : user + 2]
        return self._seen_items_[start:end]

    def explain(self, user: int, item: int) -> Explanation:
        """Take a prediction apart; a family overrides it where it can.

        Parameters
        ----------
        user, item : int
            Codes of the pair, known or not.

        Returns
        -------
        Explanation
            Its parts add up to the prediction before it is clipped.

        Raises
        ------
        NotFittedError
            If the model was not fitted.
        UnsupportedError
            If the family cannot say.
        """
        del user, item
        self._fitted_scale()
        raise UnsupportedError(
            f"The family {self.name!r} cannot explain its predictions: its class has to "
            "define explain(), as those of all built-in families do."
        )

    def hyperparameters(self) -> dict[str, ParamValue]:
        """Collect the hyperparameters.

        Returns
        -------
        dict
            Names and values, as given to the constructor.
        """
        return {f.name: getattr(self, f.name) for f in fields(self) if f.init}

    def save(self, folder: Path) -> None:
        """Write the fitted model as ``model.json`` and ``model.npz``, without pickle.

        Parameters
        ----------
        folder : Path
            Made if it does not exist.

        Raises
        ------
        NotFittedError
            If the model was not fitted.
        """
        _write_state(
            folder,
            {
                "family": self.name,
                "hyperparameters": self.hyperparameters(),
                "scale": asdict(self._fitted_scale()),
            },
            self._learnt(),
        )

    def _learnt(self) -> dict[str, object]:
        """Collect what is saved besides the header: arrays, and JSON-like values."""
        return {
            k: v for k, v in vars(self).items() if k.endswith("_") and k != "scale_"
        }

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model that `save` has written.

        Parameters
        ----------
        folder : Path
            Where it was saved.

        Returns
        -------
        Self
            A fitted model with equal predictions.

        Raises
        ------
        DataError
            If the folder does not hold a model of this family.
        """
        header, learnt = _read_state(folder, cls.name)
        model = cls._revive(header["hyperparameters"])
        model.scale_ = RatingScale(**header["scale"])
        for name, value in learnt.items():
            setattr(model, name, value)
        model._restore()  # noqa: SLF001 - it is one of this class
        return model

    @classmethod
    def _revive(cls, hyperparameters: Params) -> Self:
        """Make the model that is to be given what it has learnt."""
        return cls(**hyperparameters)

    def _restore(self) -> None:  # noqa: B027 - a hook: most families need none
        """Compute what is not saved because it follows from what is; often nothing."""


@dataclass(kw_only=True)
class IterativeRecommender(Recommender):
    """A model that is trained in epochs and can predict after each of them.

    A subclass gives ``n_epochs`` a default and defines `_fit_epochs` in place of `_fit`.

    Parameters
    ----------
    n_epochs : int
        Passes over the ratings; at least 1.
    """

    n_epochs: Count

    @abstractmethod
    def _fit_epochs(self, ratings: Ratings, catalogue: Catalogue) -> Iterator[int]:
        """Yield the number of epochs done, after each of them."""

    def fit_epochs(self, ratings: Ratings, catalogue: Catalogue) -> Iterator[int]:
        """Learn epoch by epoch, so that a caller can look in between, and stop.

        Parameters
        ----------
        ratings : Ratings
            What to learn from. It is not modified.
        catalogue : Catalogue
            What is known about the titles; may be empty.

        Yields
        ------
        int
            Number of epochs done: 1, 2, ..., `n_epochs`. The model can predict.
        """
        self._begin(ratings)
        yield from self._fit_epochs(ratings, catalogue)

    def _fit(self, ratings: Ratings, catalogue: Catalogue) -> None:
        for _ in self._fit_epochs(ratings, catalogue):
            pass
