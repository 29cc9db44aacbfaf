"""Questions in the ids of the data, and what a packaged model answers to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness.tracking.model_folder import PackagedModel

__all__ = ["Answerer", "Recommendation", "as_ids"]

STRANGER = -1
"""Code of who and what the model has never seen; families give it the cold start."""


def as_ids(values: Sequence[Any], kind: str) -> list[str | None]:
    """Take ids as they come in JSON: text, or numbers for those who count.

    Parameters
    ----------
    values : sequence
        Text, whole numbers, or missing (None, NaN).
    kind : str
        What they are the ids of, for messages: ``"user"``.

    Returns
    -------
    list of str or None
        The ids; None where one is missing.

    Raises
    ------
    DataError
        If a value is something else.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One title for one user.

    Parameters
    ----------
    user : str
        Id of the user, as asked.
    rank : int
        From 1, the best.
    item : str
        Id of the title.
    title : str or None
        Its name, where the catalogue has one.
    stars : float
        Predicted rating, within the scale.
    score : float
        What it is ranked by: the prediction before it is clipped to the scale.
    """

    user: str
    rank: int
    item: str
    title: str | None
    stars: float
    score: float


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

    def user_code(self, user: str) -> int:
        """Look up the code of a user; -1 for a stranger."""
        return self._users.get(user, STRANGER)

    def item_code(self, item: str) -> int:
        """Look up the code of a title; -1 for one that the model does not know."""
        return self._items.get(item, STRANGER)

    def title_of(self, item: int) -> str | None:
        """Look up the title of an item code; None where the catalogue has none."""
        return self.packaged.titles[item] if 0 <= item < self._n_titles else None

    @property
    def _n_titles(self) -> int:
        return len(self.packaged.titles)

    def predict(
        self, users: Sequence[str], items: Sequence[str]
    ) -> tuple[npt.NDArray[np.float32], list[str | None]]:
        """Predict a rating for each pair.

        Parameters
        ----------
        users, items : sequence of str, length n_pairs
            Ids, known or not.

        Returns
        -------
        stars : ndarray of float32, shape (n_pairs,)
            Within the rating scale.
        titles : list of str or None, length n_pairs
            Titles of the items, where they are known.
        """
        user_codes = np.array([self.user_code(u) for u in users], dtype=np.int32)
        item_codes = [self.item_code(i) for i in items]
        stars = self._model.predict(user_codes, np.array(item_codes, dtype=np.int32))
        return stars, [self.title_of(code) for code in item_codes]

    def recommend(self, user: str, n: int) -> list[Recommendation]:
        """Rank the titles that a user has not rated in the training part.

        Parameters
        ----------
        user : str
            Id, known or not: a stranger gets what is best for anybody.
        n : int
            How many; fewer where there are fewer.

        Returns
        -------
        list of Recommendation
            Best first.
        """
        code = self.user_code(user)
        items, scores = self._model.recommend(code, n)
        # Not the clipped scores: the same pair gets the same stars, however it is asked.
        stars = self._model.predict(np.full(len(items), code, dtype=np.int32), items)
        return [
            Recommendation(
                user=user,
                rank=rank,
                item=str(self._model.item_ids_[item]),
                title=self.title_of(item),
                stars=star,
                score=score,
            )
            for rank, (item, star, score) in enumerate(
                zip(items.tolist(), stars.tolist(), scores.tolist(), strict=True), 1
            )
        ]
