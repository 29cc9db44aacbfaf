"""The best titles: for one user, by name, and why; or for all users, as a table."""

import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from harness.data.dataset import Dataset
from harness.errors import DataError
from harness.experiment.refit import refit_best
from harness.files import scratch_beside
from harness.formatting import unit_of_scale
from harness.search.executors import ProcessExecutor
from harness.search.records import StudyRecord
from harness.serving.answers import Answerer, Ranking, give_reason, shortest
from harness.serving.folder import PackagedModel, read_model, write_model
from harness.serving.package import Origin, package

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "RecommendedTitle",
    "RecommendedTitles",
    "TopListsFile",
    "package_best",
    "recommend_titles",
    "recommend_to_all",
    "require_table_file",
]


@dataclass(frozen=True, kw_only=True)
class RecommendedTitle:
    """One title."""

    rank: int
    item: str
    # Its name, where the catalogue has one.
    title: str | None
    stars: float
    # What it is ranked by: the prediction before it is clipped to the scale.
    score: float
    why: str | None


@dataclass(frozen=True, kw_only=True)
class RecommendedTitles:
    """The best titles for one user."""

    user: str
    # Number of the user's training ratings; with none, this is the cold start.
    n_ratings: int
    # What answered: a study, or the URI of a model.
    model: str
    family: str
    dataset: str
    # Of the predicted ratings.
    unit: str
    # Whether a program made the ratings.
    simulated: bool
    # Best first; none that the user has rated in the training part.
    titles: tuple[RecommendedTitle, ...]

    @property
    def is_cold_start(self) -> bool:
        """Whether the user has no training ratings."""
        return self.n_ratings == 0


def package_best(
    study: StudyRecord, load_dataset: Callable[[], Dataset]
) -> PackagedModel:
    """Fit the best settings of a study again, and package the model."""
    fitted = refit_best(study, load_dataset)
    origin = Origin(study=study.name, split=study.split, trial=fitted.trial.number)
    return package(fitted.model, fitted.dataset, origin)


def recommend_titles(
    packaged: PackagedModel,
    *,
    model: str,
    user: str,
    n: int,
    when: float | None = None,
    unrated: bool = False,
) -> RecommendedTitles:
    """Rank the titles for one user, known or not, as of a time in seconds since 1970."""
    answerer, facts = Answerer(packaged), packaged.facts
    code = answerer.user_code(user)
    return RecommendedTitles(
        user=user,
        n_ratings=len(packaged.model.seen(code)),
        model=model,
        family=facts.family,
        dataset=facts.data_name,
        unit=unit_of_scale(facts.dataset.scale),
        simulated=facts.simulated,
        titles=_name_titles(
            answerer, code, answerer.recommend(code, n, when, unrated=unrated)
        ),
    )


def _name_titles(
    answerer: Answerer, user: int, ranking: Ranking
) -> tuple[RecommendedTitle, ...]:
    rows = zip(
        ranking.items.tolist(),
        shortest(ranking.stars),
        shortest(ranking.scores),
        strict=True,
    )
    return tuple(
        RecommendedTitle(
            rank=rank,
            item=str(answerer.packaged.model.item_ids_[item]),
            title=answerer.title_of(item),
            stars=stars,
            score=score,
            why=give_reason(answerer, user, item),
        )
        for rank, (item, stars, score) in enumerate(rows, 1)
    )


@dataclass(frozen=True, kw_only=True)
class TopListsFile:
    """The best titles for all users, in a file."""

    path: Path
    n_users: int
    # Of them without training ratings: their lists are the cold start.
    n_cold: int
    n_rows: int


_USERS_AT_A_TIME = 500
_PATIENCE_SECONDS = 10.0
"""What takes longer is worth starting processes for, which takes some seconds."""

_FORMATS = (".parquet", ".csv")


def require_table_file(path: Path) -> None:
    """Check that a table can be written there, before anything takes time."""
    if path.suffix not in _FORMATS:
        raise DataError(
            f"{path}: the file must end in {' or '.join(_FORMATS)}, which says its format."
        )
    if path.is_dir():
        raise DataError(f"{path}: must be a file to write, but is a folder.")


def recommend_to_all(  # noqa: PLR0913 - what to ask, where to, and how
    packaged: PackagedModel,
    path: Path,
    *,
    n: int,
    when: float | None = None,
    unrated: bool = False,
    jobs: int = 1,
    patience_seconds: float = _PATIENCE_SECONDS,
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> TopListsFile:
    """Write the top n of every user of the data to a file, which appears whole or not.

    Users are asked for in batches, so that memory does not grow with their number.
    """
    require_table_file(path)
    n_users, n_rows = len(packaged.model.user_ids_), 0
    users = [
        range(start, min(start + _USERS_AT_A_TIME, n_users))
        for start in range(0, n_users, _USERS_AT_A_TIME)
    ]
    tables = _rank_all(packaged, users, (n, when, unrated), jobs, patience_seconds)
    try:
        with scratch_beside(path) as folder:
            scratch = folder / path.name
            with _table_writer(scratch) as writer:
                for batch, table in zip(users, tables, strict=True):
                    writer.write_table(table)
                    n_rows += table.num_rows
                    on_progress(batch.stop, n_users)
            scratch.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error}.") from error
    finally:
        tables.close()  # and with it the processes
    n_known = sum(len(packaged.model.seen(user)) > 0 for user in range(n_users))
    return TopListsFile(
        path=path, n_users=n_users, n_cold=n_users - n_known, n_rows=n_rows
    )


Asked = tuple[int, float | None, bool]
"""How many titles, as of when, and whether those too that nobody has rated."""


def _rank_all(
    packaged: PackagedModel,
    users: Sequence[range],
    asked: Asked,
    jobs: int,
    patience_seconds: float,
) -> "Generator[pa.Table, None, None]":
    """Rank for one batch of users after the other, in processes if that is worth it."""
    answerer, begun = Answerer(packaged), time.perf_counter()
    for position, batch in enumerate(users):
        if jobs > 1 and position:
            each = (time.perf_counter() - begun) / position
            if each * (len(users) - position) > patience_seconds:
                yield from _rank_in_processes(packaged, users[position:], asked, jobs)
                return
        yield _rank_batch(answerer, batch, asked)


def _rank_in_processes(
    packaged: PackagedModel, users: Sequence[range], asked: Asked, jobs: int
) -> "Generator[pa.Table, None, None]":
    with (
        tempfile.TemporaryDirectory(prefix="harness-top-") as folder,
        ProcessExecutor(min(jobs, len(users)), imports_main=False) as executor,
    ):
        # Through a file, once, and not through the pipe of each process.
        write_model(packaged, Path(folder))
        underway: deque[Future[Any]] = deque()
        for batch in users:
            underway.append(executor.submit(_rank_there, folder, batch, asked))
            if len(underway) > 2 * jobs:
                yield underway.popleft().result()
        while underway:
            yield underway.popleft().result()


@lru_cache(maxsize=1)
def _answerer_of(folder: str) -> Answerer:
    return Answerer(read_model(Path(folder)))


def _rank_there(folder: str, users: range, asked: Asked) -> "pa.Table":
    return _rank_batch(_answerer_of(folder), users, asked)


def _rank_batch(answerer: Answerer, users: range, asked: Asked) -> "pa.Table":
    import pyarrow as pa

    model, (n, when, unrated) = answerer.packaged.model, asked
    codes = np.arange(users.start, users.stop, dtype=np.int32)
    rows, found = answerer.recommend_to_many(codes, n, when, unrated=unrated)
    begins = np.searchsorted(rows, rows)
    columns = {
        "user": model.user_ids_[codes[rows]].tolist(),
        "rank": np.arange(len(rows)) - begins + 1,
        "item": model.item_ids_[found.items].tolist(),
        "title": answerer.titles_of(found.items),
        "stars": found.stars,
        "score": found.scores,
    }
    return pa.table(columns, schema=_top_schema())


def _top_schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema(
        {
            "user": pa.string(),
            "rank": pa.int32(),
            "item": pa.string(),
            "title": pa.string(),
            "stars": pa.float32(),
            "score": pa.float32(),
        }
    )


class _TableWriter(Protocol):
    def write_table(self, table: "pa.Table") -> None:
        """Add rows."""


@contextmanager
def _table_writer(path: Path) -> Iterator[_TableWriter]:
    writer: Any
    if path.suffix == ".parquet":
        from pyarrow.parquet import ParquetWriter

        writer = ParquetWriter(path, _top_schema())
    else:
        from pyarrow.csv import CSVWriter, WriteOptions

        writer = CSVWriter(
            path, _top_schema(), write_options=WriteOptions(quoting_style="needed")
        )
    with writer:
        yield writer
