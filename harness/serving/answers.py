"""Questions in the ids of the data, and what a packaged model answers to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.readers.columns import clean_id
from harness.errors import DataError, UnsupportedError
from harness.models.base import Recommender
from harness.models.explanation import Axis, Explanation, Neighbor
from harness.serving.folder import PackagedModel

__all__ = ["Answerer", "as_ids", "give_reason", "shortest"]


Codes = npt.NDArray[np.integer[Any]]

STRANGER = -1
"""Code of who and what the model has never seen; families give it the cold start."""


def as_ids(values: Sequence[Any], kind: str) -> list[str | None]:
    """Take ids as they come in JSON: text, or numbers for those who count.

    Examples
    --------
    >>> as_ids(["196", 196, 196.0, None], "user")
    ['196', '196', '196', None]
    """
    return [_as_id(value, kind, row) for row, value in enumerate(values)]


def _as_id(value: Any, kind: str, row: int) -> str | None:
    if isinstance(value, str):
        return value
    if value is None or value != value:  # noqa: PLR0124 - NaN is what differs from itself
        return None
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(int(value))
    # A column of whole numbers with a gap arrives as floating-point numbers.
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    raise DataError(
        f"Row {row}: {kind} must be an id, as text or a whole number, but got "
        f"{str(value)[:60]!r}."
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """Titles for one user, best first, or for one user after the other."""

    items: npt.NDArray[np.int32]
    stars: npt.NDArray[np.float32]
    # What they are ranked by: the predictions before they are clipped to the scale.
    scores: npt.NDArray[np.float32]


class Answerer:
    """Answers for a packaged model.

    Parameters
    ----------
    packaged : PackagedModel
        The model.
    """

    def __init__(self, packaged: PackagedModel) -> None:
        self.packaged = packaged
        self._model = packaged.model
        self._users = {id_: code for code, id_ in enumerate(self._model.user_ids_)}
        self._items = {id_: code for code, id_ in enumerate(self._model.item_ids_)}
        # The last place of each is that of strangers, whose code is -1.
        self._user_is_known = np.zeros(len(self._users) + 1, dtype=bool)
        self._item_is_known = np.zeros(len(self._items) + 1, dtype=bool)
        for code in range(len(self._users)):
            seen = self._model.seen(code)
            self._user_is_known[code] = len(seen) > 0
            self._item_is_known[seen] = True
        names = np.full(len(self._items) + 1, None, dtype=object)
        names[: len(packaged.titles)] = packaged.titles
        self._titles = names

    @property
    def n_items(self) -> int:
        """Number of titles."""
        return len(self._items)

    def user_code(self, user: str) -> int:
        """Look up the code of a user; -1 for a stranger."""
        return self._users.get(user, self._users.get(clean_id(user), STRANGER))

    def item_code(self, item: str) -> int:
        """Look up the code of a title; -1 for one that the model does not know."""
        return self._items.get(item, self._items.get(clean_id(item), STRANGER))

    def title_of(self, item: int) -> str | None:
        """Look up the title of an item code; None where the catalogue has none."""
        found: str | None = self._titles[item] if 0 <= item < self.n_items else None
        return found

    def titles_of(self, items: Codes) -> list[str | None]:
        """Look up the titles of item codes; None where the catalogue has none."""
        found: list[str | None] = self._titles[items].tolist()
        return found

    def knows_users(self, users: Codes) -> npt.NDArray[np.bool_]:
        """Say which users, by code, have training ratings."""
        found: npt.NDArray[np.bool_] = self._user_is_known[users]
        return found

    def knows_items(self, items: Codes) -> npt.NDArray[np.bool_]:
        """Say which titles, by code, have training ratings."""
        found: npt.NDArray[np.bool_] = self._item_is_known[items]
        return found

    def predict(
        self, users: Codes, items: Codes, when: float | None = None
    ) -> npt.NDArray[np.float32]:
        """Predict a rating for each pair, as of a time in seconds since 1970."""
        return self._model.predict(users, items, when)

    def recommend(
        self, user: int, n: int, when: float | None = None, *, unrated: bool = False
    ) -> Ranking:
        """Rank the titles that a user has not rated in the training part.

        Titles that nobody has rated there are left out, unless `unrated` asks for them:
        a catalogue may know many that do not belong to the ratings at all.
        """
        among = self._nameable(unrated=unrated)
        items, scores = self._model.recommend(user, n, among=among, when=when)
        # Not the clipped scores: the same pair gets the same stars, however it is asked.
        users = np.full(len(items), user, dtype=np.int32)
        stars = self._model.predict(users, items, when)
        return Ranking(items=items, stars=stars, scores=scores)

    def recommend_to_many(
        self, users: Codes, n: int, when: float | None = None, *, unrated: bool = False
    ) -> tuple[Codes, Ranking]:
        """Rank for many users as `recommend` does; one list, with the position in `users`."""
        items, scores = self._model.recommend_to_many(
            users,
            min(n, self.n_items),
            among=self._nameable(unrated=unrated),
            when=when,
        )
        filled = items >= 0
        rows, _ = np.nonzero(filled)
        items, scores = items[filled], scores[filled]
        stars = self._model.predict(users[rows], items, when)
        return rows, Ranking(items=items, stars=stars, scores=scores)

    def _nameable(self, *, unrated: bool) -> npt.NDArray[np.bool_] | None:
        return None if unrated else self._item_is_known[:-1]


def shortest(values: npt.NDArray[np.float32]) -> list[float]:
    """Write predictions with the digits that they have, not those of a wider number.

    Examples
    --------
    >>> shortest(np.array([3.27], dtype=np.float32)), float(np.float32(3.27))
    ([3.27], 3.2699999809265137)
    """
    found: list[float] = values.astype(str).astype(np.float64).tolist()
    return found


_MOST_PARTS = 2
_LEAST_STARS = 0.005  # what is less is written as +0.00


def give_reason(answerer: Answerer, user: int, item: int) -> str | None:
    """Say what speaks most for a title.

    That is the neighbour that adds most; without neighbours, the parts of the prediction
    that add most, those left out that are the same for all titles. For a blend its heaviest
    member speaks that can: how much each adds is much the same for all titles.
    """
    model = answerer.packaged.model
    speakers = model.components or (model,)
    reasons = (_reason_of(answerer, each, user, item) for each in speakers)
    return next((reason for reason in reasons if reason is not None), None)


def _reason_of(
    answerer: Answerer, model: Recommender, user: int, item: int
) -> str | None:
    try:
        explanation = model.explain(user, item)
    except UnsupportedError:
        return None
    closest = max(explanation.neighbors, key=lambda n: n.stars, default=None)
    if closest is not None and closest.stars > 0:
        return _name_neighbor(answerer, closest, explanation)
    parts = [
        part
        for part in explanation.parts
        if part.role == "reason" and part.stars >= _LEAST_STARS
    ]
    strongest = sorted(parts, key=lambda part: -part.stars)[:_MOST_PARTS]
    axes = {axis.label: axis for axis in explanation.axes}
    return ", ".join(
        f"{part.label} {part.stars:+.2f}{_alike(answerer, axes.get(part.label), item)}"
        for part in strongest
    )


def _name_neighbor(
    answerer: Answerer, neighbor: Neighbor, explanation: Explanation
) -> str:
    if explanation.neighbors_are == "titles":
        return f"like {_name(answerer, neighbor.code)}, rated {neighbor.rating:g}"
    who = answerer.packaged.model.user_ids_[neighbor.code]
    return f"user {who}, of similar taste, rated it {neighbor.rating:g}"


def _alike(answerer: Answerer, axis: Axis | None, item: int) -> str:
    """Name the title that is furthest on the same side of a factor."""
    if axis is None:
        return ""
    places = axis.places if axis.title >= 0 else -axis.places
    # Titles predicted for newcomers lie beyond those that have a name.
    furthest = int(places[: len(answerer.packaged.model.item_ids_)].argmax())
    return "" if furthest == item else f" (like {_name(answerer, furthest)})"


def _name(answerer: Answerer, item: int) -> str:
    model: Recommender = answerer.packaged.model
    return answerer.title_of(item) or str(model.item_ids_[item])
