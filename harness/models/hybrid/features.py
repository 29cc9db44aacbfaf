"""Features of users and titles as flags: few of them a row, as LightFM is fast with."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.habits import genre_table, genres_key
from harness.data.ratings import Ratings
from harness.features.users import BehaviourTable, behaviour_table
from harness.models.cf.similarity import SHARED, Arrays

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix

__all__ = [
    "Flags",
    "UserFeatures",
    "profile_flags",
    "title_flags",
    "user_flags",
    "with_identity",
]


UserFeatures = Literal["none", "activity", "all"]

_N_BINS = 5
_N_PROFILE_BINS = 12
_MOST_CATEGORIES = 100
_N_FAVOURITES = 2
_ACTIVITY = ("n_ratings", "per_week", "weekend", "diversity", "drift")
_LEVEL = ("mean", "variance", "bias")


@dataclass(frozen=True, slots=True, eq=False)
class Flags:
    """Named features of the users, or of the titles."""

    names: tuple[str, ...]
    values: npt.NDArray[np.float32]


def _block(prefix: str, names: Sequence[str], has: npt.NDArray[np.generic]) -> Flags:
    # What all rows have, or none, tells no two of them apart.
    tells = np.asarray(has.any(axis=0) & ~has.all(axis=0))
    kept = np.asarray(has[:, tells], dtype=np.float32)
    length = np.sqrt((kept**2).sum(axis=1, keepdims=True))
    chosen = [name for name, wanted in zip(names, tells, strict=True) if wanted]
    return Flags(
        tuple(f"{prefix}={name}" for name in chosen), kept / np.maximum(1, length)
    )


def _join(blocks: Sequence[Flags], n_rows: int) -> Flags:
    names = tuple(name for block in blocks for name in block.names)
    empty = np.empty((n_rows, 0), dtype=np.float32)
    return Flags(names, np.hstack([empty, *(block.values for block in blocks)]))


@lru_cache(maxsize=2)  # all trainings of a study describe the same titles
def title_flags(catalogue: Catalogue, n_items: int) -> Flags:
    """Describe titles by genre, decade, type, platform and maturity."""
    frame, blocks = catalogue.frame, []
    if catalogue.has("listed_in"):
        blocks.append(_block("genre", *genre_table(frame["listed_in"])))
    if catalogue.has("release_year"):
        decade = frame["release_year"] // 10 * 10
        blocks.append(_one_hot("decade", decade, "{:.0f}"))
    for column, pattern in (("type", "{}"), ("source", "{}"), ("maturity", "{:.0f}")):
        if catalogue.has(column):
            blocks.append(_one_hot(column, frame[column], pattern))
    return _join(blocks, n_items)


def _one_hot(prefix: str, values: "pd.Series[str]", pattern: str) -> Flags:
    levels = sorted(values.dropna().unique())
    has = values.to_numpy()[:, None] == np.array(levels, dtype=values.to_numpy().dtype)
    return _block(prefix, [pattern.format(level) for level in levels], has)


def user_flags(ratings: Ratings, catalogue: Catalogue, wanted: UserFeatures) -> Flags:
    """Describe users by their behaviour.

    Numbers are cut at their quintiles over the users. ``"activity"`` looks at how much,
    when and what somebody rates, never at the stars; ``"all"`` adds level, variance and
    favourite genres. These have seen the very ratings that are to be learnt, so that
    they fit the training part better than any other. The trials of a study share those
    of their folds.
    """
    if wanted == "none":
        return _join([], ratings.n_users)
    key = "user flags", wanted, ratings.fingerprint(), genres_key(catalogue)

    def compute() -> Arrays:
        flags = _behaviour_flags(ratings, catalogue, wanted)
        return np.array(flags.names, dtype=object), flags.values

    names, values = SHARED.get(key, compute)
    return Flags(tuple(names.tolist()), values.astype(np.float32, copy=False))


def _behaviour_flags(
    ratings: Ratings, catalogue: Catalogue, wanted: UserFeatures
) -> Flags:
    table = behaviour_table(ratings, catalogue)
    rated = table.columns["n_ratings"] > 0
    names = _ACTIVITY if wanted == "activity" else (*_ACTIVITY, *_LEVEL)
    blocks = [
        _quantiles(name, np.where(rated, table.columns[name], np.nan))
        for name in names
        if name in table.columns
    ]
    blocks += _largest(table, "hours", 1)
    if wanted == "all":
        blocks += _largest(table, "prefers", _N_FAVOURITES)
    return _join(blocks, ratings.n_users)


def profile_flags(catalogue: Catalogue, n_users: int) -> Flags:
    """Describe users by what the source knows about them: age, occupation."""
    columns = {} if catalogue.users is None else dict(catalogue.users.items())
    blocks = []
    for name, values in columns.items():
        if values.nunique() > _MOST_CATEGORIES and not _is_number(values):
            continue
        if values.nunique() > _N_PROFILE_BINS and _is_number(values):
            numbers = values.to_numpy(dtype=np.float64)
            blocks.append(_quantiles(str(name), numbers, _N_PROFILE_BINS))
        else:
            blocks.append(_one_hot(str(name), values, "{}"))
    return _join(blocks, n_users)


def _is_number(values: "pd.Series[Any]") -> bool:
    return bool(np.issubdtype(values.to_numpy().dtype, np.number))


def _quantiles(
    name: str, values: npt.NDArray[np.float64], n_bins: int = _N_BINS
) -> Flags:
    known = np.isfinite(values)
    has = np.zeros((len(values), n_bins), dtype=bool)
    if known.any():
        cuts = np.quantile(values[known], np.arange(1, n_bins) / n_bins)
        # Below a cut or on it belongs to the lower bin.
        has[known, np.searchsorted(cuts, values[known])] = True
    return _block(name, [f"{k + 1}/{n_bins}" for k in range(n_bins)], has)


def _largest(table: BehaviourTable, prefix: str, n: int) -> list[Flags]:
    """Flag the `n` columns of a group that are highest, and above 0, for each user."""
    columns = {
        name.partition(":")[2]: np.nan_to_num(values)
        for name, values in table.columns.items()
        if name.startswith(f"{prefix}:")
    }
    if not columns:
        return []
    values = np.stack(list(columns.values()), axis=1)
    rank = np.argsort(np.argsort(-values, axis=1, kind="stable"), axis=1)
    return [_block(prefix, list(columns), (rank < n) & (values > 0))]


def with_identity(
    flags: Flags, rated: npt.NDArray[np.bool_], *, weight: float, identity: bool
) -> "csr_matrix":
    """Lay a feature of its own for each row beside the flags."""
    from scipy.sparse import csr_matrix

    own = rated & (identity or not flags.names)
    n_rows = len(own)
    values = np.float32(weight) * flags.values
    row, column = np.nonzero(values)
    # The own feature comes first in its row, and flags ascend: a CSR matrix in order.
    rows = np.concatenate([np.flatnonzero(own), row])
    order = np.argsort(rows, kind="stable")
    columns = np.concatenate([np.flatnonzero(own), n_rows + column])[order]
    weights = np.concatenate([np.ones(own.sum(), np.float32), values[row, column]])
    pointers = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_rows))])
    return csr_matrix(
        (weights[order], columns.astype(np.int32), pointers.astype(np.int32)),
        shape=(n_rows, n_rows + len(flags.names)),
    )
