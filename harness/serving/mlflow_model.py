"""The MLflow model: what its ``predict`` takes and gives."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from harness.errors import DataError
from harness.serving.answers import Answerer, Ranking, as_ids, shortest
from harness.serving.folder import read_model

__all__ = ["ARTIFACT", "DEFAULT_N", "ServedModel", "answer", "signature"]


ARTIFACT = "model"
"""Name of the folder among the artifacts."""

DEFAULT_N = 10

MOST_ROWS = 100_000
"""So that one question can neither fill the memory of a server nor keep it for minutes."""

Kind = TypeVar("Kind", bound=np.generic)


def signature() -> ModelSignature:
    """Declare what `ServedModel` takes and gives."""

    def column(name: str, kind: DataType, *, always: bool = True) -> ColSpec:
        return ColSpec(kind, name, required=always)

    return ModelSignature(
        inputs=Schema(
            [
                column("user", DataType.string),
                column("item", DataType.string, always=False),
            ]
        ),
        outputs=Schema(
            [
                column("user", DataType.string),
                column("rank", DataType.long, always=False),
                column("item", DataType.string),
                column("title", DataType.string, always=False),
                column("stars", DataType.double),
                column("score", DataType.double, always=False),
                column("known", DataType.boolean, always=False),
            ]
        ),
        params=ParamSchema(
            [
                ParamSpec("n", DataType.long, DEFAULT_N),
                ParamSpec("unrated", DataType.boolean, False),  # noqa: FBT003 - of MLflow
                ParamSpec("when", DataType.double, None),
            ]
        ),
    )


class ServedModel(PythonModel):
    r"""A recommender that answers two questions, told apart by the columns of the input.

    With columns ``user`` and ``item``: one row a row, in the same order, with the
    predicted rating: ``user``, ``item``, ``title``, ``stars``, ``known``.

    With the column ``user`` alone: for each user the ``n`` best titles that it has not
    rated in the training part, and somebody has (others with ``unrated``), one row a
    title: ``user``, ``rank``, ``item``, ``title``,
    ``stars`` (within the rating scale), ``score`` (what they are ranked by), ``known``.

    Ids are text; whole numbers are taken as text. Users and titles that the model does
    not know get its answer for strangers (the cold start), never an error: ``known`` is
    false where the user, or the item that was asked for, has no training ratings. One
    question gets at most 100,000 recommendations. Families that know time answer as of
    ``when``, in seconds since 1970-01-01 UTC, else as of a usual time. Over HTTP::

        curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' \
          -d '{"dataframe_records": [{"user": "196"}], "params": {"n": 10}}'
        curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' \
          -d '{"dataframe_records": [{"user": "196", "item": "242"}]}'
    """

    _answerer: Answerer

    def load_context(self, context: PythonModelContext) -> None:
        """Read the model from the artifacts; MLflow calls this."""
        self._answerer = Answerer(read_model(Path(context.artifacts[ARTIFACT])))

    @property
    def answerer(self) -> Answerer:
        """The model itself, once it is loaded."""
        return self._answerer

    def predict(
        self,
        context: PythonModelContext | None,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Answer; see the class."""
        del context
        columns = {str(name): model_input[name].tolist() for name in model_input}
        try:
            told = answer(self._answerer, columns, **(params or {}))
        except DataError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        # As text of pandas, a missing title would become NaN, which JSON does not have.
        told["title"] = pd.Series(told["title"], dtype=object)
        return pd.DataFrame(told)


def answer(
    answerer: Answerer,
    columns: Mapping[str, Sequence[Any]],
    n: int | None = DEFAULT_N,
    *,
    unrated: bool | None = False,
    when: float | None = None,
) -> dict[str, object]:
    """Answer a question given by columns, as of a time in seconds since 1970."""
    if when is not None and not math.isfinite(when):
        raise DataError(f"when must be seconds since 1970-01-01 UTC, but is {when}.")
    users = _complete(as_ids(columns["user"], "user"), "user")
    items = as_ids(columns.get("item", ()), "item")
    if any(item is not None for item in items):
        return _predictions(answerer, users, _complete(items, "item"), when)
    if n is None or n < 1:
        raise DataError(
            "n, the number of titles for each user, must be at least 1, but is "
            f"{'null' if n is None else n}."
        )
    n = min(n, answerer.n_items)
    if len(users) * n > MOST_ROWS:
        raise DataError(
            f"A question may ask for at most {MOST_ROWS:,} titles, but {len(users):,} "
            f"users and {n:,} titles for each are {len(users) * n:,}: ask for fewer "
            "users at once, or for fewer titles."
        )
    codes = _codes(users, answerer.user_code)
    found = [
        answerer.recommend(code, n, when, unrated=bool(unrated))
        for code in codes.tolist()
    ]
    return _recommendations(answerer, (users, codes), found)


def _recommendations(
    answerer: Answerer,
    asked: tuple[list[str], npt.NDArray[np.int32]],
    found: list[Ranking],
) -> dict[str, object]:
    users, codes = asked
    lengths = [len(ranking.items) for ranking in found]
    items = _join((ranking.items for ranking in found), np.int32)
    return {
        "user": np.repeat(np.array(users, dtype=object), lengths).tolist(),
        "rank": [rank for length in lengths for rank in range(1, length + 1)],
        "item": answerer.packaged.model.item_ids_[items].tolist(),
        "title": answerer.titles_of(items),
        "stars": shortest(_join((ranking.stars for ranking in found), np.float32)),
        "score": shortest(_join((ranking.scores for ranking in found), np.float32)),
        "known": np.repeat(answerer.knows_users(codes), lengths).tolist(),
    }


def _predictions(
    answerer: Answerer, users: list[str], items: list[str], when: float | None
) -> dict[str, object]:
    user_codes = _codes(users, answerer.user_code)
    item_codes = _codes(items, answerer.item_code)
    known = answerer.knows_users(user_codes) & answerer.knows_items(item_codes)
    return {
        "user": users,
        "item": items,
        "title": answerer.titles_of(item_codes),
        "stars": shortest(answerer.predict(user_codes, item_codes, when)),
        "known": known.tolist(),
    }


def _join(parts: Iterable[npt.NDArray[Kind]], kind: type[Kind]) -> npt.NDArray[Kind]:
    """Concatenate; of no parts, nothing."""
    return np.concatenate([np.empty(0, dtype=kind), *parts])


def _codes(ids: list[str], look_up: Callable[[str], int]) -> npt.NDArray[np.int32]:
    return np.fromiter(map(look_up, ids), dtype=np.int32, count=len(ids))


def _complete(ids: list[str | None], kind: str) -> list[str]:
    known = [id_ for id_ in ids if id_ is not None]
    if len(known) < len(ids):
        rule = (
            "is missing: every row needs one"
            if kind == "user"
            else "is missing: name one in every row to predict ratings, or in none to "
            "get recommendations"
        )
        raise DataError(f"Row {ids.index(None)}: {kind} {rule}.")
    return known
