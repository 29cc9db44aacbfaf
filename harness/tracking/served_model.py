"""The MLflow model: what its ``predict`` takes and gives."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from harness.errors import DataError
from harness.tracking.answers import Answerer, as_ids
from harness.tracking.model_folder import read_model

__all__ = ["ARTIFACT", "DEFAULT_N", "ServedModel", "answer", "signature"]

ARTIFACT = "model"
"""Name of the folder among the artifacts."""

DEFAULT_N = 10


def signature() -> ModelSignature:
    """Declare what `ServedModel` takes and gives.

    Returns
    -------
    ModelSignature
        Columns ``user`` and, optionally, ``item``; parameter ``n``.
    """

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
            ]
        ),
        params=ParamSchema([ParamSpec("n", DataType.long, DEFAULT_N)]),
    )


class ServedModel(PythonModel):
    r"""A recommender that answers two questions, told apart by the columns of the input.

    With columns ``user`` and ``item``: one row a row, in the same order, with the
    predicted rating: ``user``, ``item``, ``title``, ``stars``.

    With the column ``user`` alone: for each user the ``n`` best titles that it has not
    rated in the training part, one row a title: ``user``, ``rank``, ``item``, ``title``,
    ``stars`` (within the rating scale), ``score`` (what they are ranked by).

    Ids are text; whole numbers are taken as text. Users and titles that the model does
    not know get its answer for strangers (the cold start), never an error. Over HTTP::

        curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' \
          -d '{"dataframe_records": [{"user": "196"}], "params": {"n": 10}}'
        curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' \
          -d '{"dataframe_records": [{"user": "196", "item": "242"}]}'
    """

    _answerer: Answerer

    def load_context(self, context: PythonModelContext) -> None:
        """Read the model from the artifacts; MLflow calls this.

        Parameters
        ----------
        context : PythonModelContext
            Says where they are.

        Raises
        ------
        DataError
            If they are not intact, or of a format that is not known.
        """
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
        """Answer; see the class.

        Parameters
        ----------
        context : PythonModelContext or None
            Not needed: `load_context` has read it.
        model_input : DataFrame
            Columns ``user`` and, optionally, ``item``.
        params : dict, optional
            ``n``: how many titles for each user, 10 by default.

        Returns
        -------
        DataFrame
            As the class says.

        Raises
        ------
        MlflowException
            If the question cannot be understood; a server answers 400 with the message.
        """
        del context
        columns = {str(name): model_input[name].tolist() for name in model_input}
        n = (params or {}).get("n", DEFAULT_N)
        try:
            told = answer(self._answerer, columns, n)
        except DataError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        # As text of pandas, a missing title would become NaN, which JSON does not have.
        told["title"] = pd.Series(told["title"], dtype=object)
        return pd.DataFrame(told)


def answer(
    answerer: Answerer, columns: Mapping[str, Sequence[Any]], n: int
) -> dict[str, Any]:
    """Answer a question given by columns.

    Parameters
    ----------
    answerer : Answerer
        Who knows.
    columns : mapping of str to sequence, each of length n_rows
        ``user`` and, optionally, ``item``.
    n : int
        How many titles for each user, where no items are given.

    Returns
    -------
    dict of str to list
        Columns as `ServedModel` says.

    Raises
    ------
    DataError
        If `n` is less than 1, or an id is missing or not an id.
    """
    users = _complete(as_ids(columns["user"], "user"), "user")
    items = as_ids(columns.get("item", ()), "item")
    if any(item is not None for item in items):
        return _predictions(answerer, users, _complete(items, "item"))
    if n < 1:
        raise DataError(
            f"n, the number of titles for each user, must be at least 1, but is {n}."
        )
    found = [row for user in users for row in answerer.recommend(user, n)]
    names = ("user", "rank", "item", "title", "stars", "score")
    return {name: [getattr(row, name) for row in found] for name in names}


def _predictions(
    answerer: Answerer, users: list[str], items: list[str]
) -> dict[str, Any]:
    stars, titles = answerer.predict(users, items)
    return {"user": users, "item": items, "title": titles, "stars": stars.tolist()}


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
