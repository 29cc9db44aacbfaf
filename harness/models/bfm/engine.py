"""myFM as an engine: posterior samples of a factorisation machine, brought to factors."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from myfm import MyFMRegressor, RelationBlock

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["Block", "PosteriorMean", "sample_machine"]


Doubles = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Features of the users, or of the items.

    Parameters
    ----------
    groups : sequence of csr_matrix, each n_rows rows
        Features that belong together: each group has its own prior.
    topic_of : ndarray of int, shape (n_features,)
        To which of the topics, numbered from 0, each feature belongs: what the linear
        weights add is told topic by topic.
    """

    groups: "Sequence[csr_matrix]"
    topic_of: npt.NDArray[np.integer[Any]]

    @property
    def widths(self) -> list[int]:
        """Number of features of each group."""
        return [group.shape[1] for group in self.groups]

    def matrix(self) -> "csr_matrix":
        """Lay the groups side by side."""
        from scipy.sparse import csr_matrix, hstack

        return csr_matrix(hstack(self.groups), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class PosteriorMean:
    """Mean prediction over samples: ``level + user + item + product of factors``.

    Parameters
    ----------
    level : float
        Mean of the intercept in stars.
    user_bias, item_bias : ndarray of float64, shapes (n_users,) and (n_items,)
        What a user, an item adds whatever the other is, in stars.
    user_factors, item_factors : ndarray of float32, shapes (n_users, n_samples * \
n_factors), (n_items, n_samples * n_factors)
        Factors of all samples side by side; the items' are divided by their number.
    user_topics, item_topics : ndarray of float64, shapes (n_users, n_topics + 1), \
(n_items, n_topics + 1)
        The biases by topic, in stars; last what pairs of features of the side add.
    """

    level: float
    user_bias: Doubles
    item_bias: Doubles
    user_factors: Singles
    item_factors: Singles
    user_topics: Doubles
    item_topics: Doubles


def sample_machine(
    pairs: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]],
    values: npt.NDArray[Any],
    blocks: tuple[Block, Block],
    *,
    n_iterations: int,
    **arguments: Any,
) -> PosteriorMean:
    r"""Draw samples by Gibbs sampling [1]_, and average what they predict.

    A machine over features :math:`x` of a user and an item predicts
    :math:`w_0 + w^\top x + \sum_{f < g} v_f^\top v_g x_f x_g`. Pairs of features of the
    same side depend on that side alone, so that each sample comes down to a bias and
    a vector for each user and item.

    References
    ----------
    .. [1] S. Rendle, "Factorization machines with libFM", ACM TIST 3(3), 2012.
    """
    matrices = blocks[0].matrix(), blocks[1].matrix()
    relations = [
        RelationBlock(rows.tolist(), matrix)
        for rows, matrix in zip(pairs, matrices, strict=True)
    ]
    model = MyFMRegressor(**arguments)
    # It draws a progress bar whatever it is told.
    with contextlib.redirect_stderr(io.StringIO()):
        model.fit(
            None,
            np.asarray(values, dtype=np.float64),
            X_rel=relations,
            n_iter=n_iterations,
            n_kept_samples=max(1, n_iterations - n_iterations // 5),
            group_shapes=[*blocks[0].widths, *blocks[1].widths],
        )
    topics = _topic_columns(blocks[0]), _topic_columns(blocks[1])
    return _average(model.predictor_.samples, matrices, topics)


def _topic_columns(block: Block) -> Doubles:
    """Spread features over topics: 1 where a feature belongs to one, else 0."""
    columns: Doubles = np.eye(int(block.topic_of.max()) + 1)[block.topic_of]
    return columns


def _average(
    samples: Sequence[Any],
    matrices: "tuple[csr_matrix, csr_matrix]",
    topics: tuple[Doubles, Doubles],
) -> PosteriorMean:
    cut = matrices[0].shape[1]
    biases = [np.zeros(matrix.shape[0]) for matrix in matrices]
    weights = [np.zeros(matrix.shape[1]) for matrix in matrices]
    factors: list[list[Singles]] = [[], []]
    squares = [matrix.power(2) for matrix in matrices]
    for sample in samples:
        linear, quadratic = np.asarray(sample.w), np.asarray(sample.V)
        for side, rows in enumerate((slice(None, cut), slice(cut, None))):
            own = matrices[side] @ quadratic[rows]
            within = (own**2 - squares[side] @ quadratic[rows] ** 2).sum(axis=1) / 2
            biases[side] += matrices[side] @ linear[rows] + within
            weights[side] += linear[rows]
            factors[side].append(own.astype(np.float32))
    n = len(samples)
    by_topic = []
    for side in (0, 1):
        each = matrices[side] @ (weights[side][:, None] * topics[side]) / n
        rest = biases[side] / n - each.sum(axis=1)
        by_topic.append(np.column_stack([each, rest]))
    return PosteriorMean(
        float(np.mean([sample.w0 for sample in samples])),
        biases[0] / n,
        biases[1] / n,
        np.hstack(factors[0]),
        np.hstack(factors[1]) / np.float32(n),
        *by_topic,
    )
