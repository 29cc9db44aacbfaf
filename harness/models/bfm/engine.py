"""myFM as an engine: posterior samples of a factorisation machine, brought to factors."""

import contextlib
import io
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

with warnings.catch_warnings():
    # myFM 0.4, the last for Python 3.11, imports pkg_resources, which warns about itself.
    warnings.simplefilter("ignore")
    from myfm import MyFMOrderedProbit, MyFMRegressor, RelationBlock

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["Block", "Posterior", "Side", "sample_machine"]

Doubles = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

_N_SPREAD_PAIRS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Features of users, of titles, or of days, and which of them each rating has."""

    # Row of the groups that each rating belongs to.
    rows: npt.NDArray[np.integer[Any]]
    # Features that belong together: each group has its own prior.
    groups: "Sequence[csr_matrix]"
    topic_of: npt.NDArray[np.integer[Any]]
    parents: Mapping[int, npt.NDArray[np.integer[Any]]] = field(default_factory=dict)

    @property
    def widths(self) -> list[int]:
        """Number of features of each group."""
        return [group.shape[1] for group in self.groups]

    def matrix(self) -> "csr_matrix":
        """Lay the groups side by side."""
        from scipy.sparse import csr_matrix, hstack

        return csr_matrix(hstack(self.groups), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """What the rows of one block come down to."""

    bias: Doubles
    # Factors of all samples side by side, not divided by their number.
    factors: Singles
    # The bias by topic; last what pairs of features of the block add.
    topics: Doubles


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """Mean score over samples: level, biases, and products of factors of two blocks."""

    # By which the products of Side.factors are to be divided.
    n_samples: int
    level: float
    sides: tuple[Side, ...]
    cutpoints: Doubles
    # Mean variance over the samples of the score of a pair.
    spread: float
    # Variance of a rating around its score, the mean over the samples.
    noise: float


def sample_machine(
    blocks: Sequence[Block],
    values: npt.NDArray[Any],
    *,
    ordered: bool,
    n_iterations: int,
    n_discarded: int,
    **arguments: Any,
) -> Posterior:
    r"""Draw samples by Gibbs sampling [1]_, and average what they predict.

    A machine over features :math:`x` gives a pair the score
    :math:`w_0 + w^\top x + \sum_{f < g} v_f^\top v_g x_f x_g`. Pairs of features of the
    same block depend on its row alone, so that each sample comes down to a bias and a
    vector for each row of each block. Blocks are relations [2]_: time grows with the
    ratings plus the features of all rows, not with the features of all ratings.

    Parameters
    ----------
    blocks : sequence of Block
        Users, titles, and what else a rating depends on.
    values : ndarray, shape (n_ratings,)
        Ratings in stars; for an ordered probit their level, numbered from 0.
    ordered : bool
        Whether to fit an ordered probit in place of a regression.
    n_iterations, n_discarded : int
        Samples to draw, and how many of the first to throw away; fewer than are drawn.
    **arguments
        Arguments of ``myfm.MyFMRegressor``: rank, init_stdev, random_seed.

    References
    ----------
    .. [1] S. Rendle, "Factorization machines with libFM", ACM TIST 3(3), 2012.
    .. [2] S. Rendle, "Scaling factorization machines to relational data", PVLDB 6(5),
       2013.
    """
    average = _Average.over(blocks, n_iterations - n_discarded, arguments["rank"])

    def look(i: int, sample: Any, priors: Any, *_: object) -> tuple[bool, None]:
        if i >= n_discarded:
            average.add(sample)
            average.noise += 1 / priors.alpha
        return False, None

    kind = MyFMOrderedProbit if ordered else MyFMRegressor
    model = kind(**arguments)
    # It draws a progress bar whatever it is told, with a lock between processes, which a
    # worker that is ended would leave behind.
    tqdm.set_lock(threading.RLock())
    with contextlib.redirect_stderr(io.StringIO()):
        model.fit(
            None,
            np.asarray(values, dtype=np.float64),
            X_rel=[
                RelationBlock(block.rows.tolist(), matrix)
                for block, matrix in zip(blocks, average.matrices, strict=True)
            ],
            n_iter=n_iterations,
            # Its own copies of the samples take twice the memory of what is made of them.
            n_kept_samples=0,
            group_shapes=[width for block in blocks for width in block.widths],
            callback=look,
        )
    return average.result([_topic_columns(block) for block in blocks])


def _topic_columns(block: Block) -> Doubles:
    """Spread features over topics: 1 where a feature belongs to one, else 0."""
    columns: Doubles = np.eye(int(block.topic_of.max()) + 1)[block.topic_of]
    return columns


@dataclass(slots=True, eq=False)
class _Average:
    """Sums over the samples that were seen so far."""

    blocks: Sequence[Block]
    matrices: "list[csr_matrix]"
    squares: "list[csr_matrix]"
    pairs: list[npt.NDArray[np.integer[Any]]]
    biases: list[Doubles]
    weights: list[Doubles]
    factors: list[Singles]
    scores: Doubles
    score_squares: Doubles
    n_samples: int = 0
    level: float = 0.0
    noise: float = 0.0
    cutpoints: Doubles = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def over(cls, blocks: Sequence[Block], n_samples: int, rank: int) -> "_Average":
        matrices = [block.matrix() for block in blocks]
        n_ratings = len(blocks[0].rows)
        some = np.linspace(0, n_ratings - 1, min(n_ratings, _N_SPREAD_PAIRS)).astype(
            int
        )
        return cls(
            blocks=blocks,
            matrices=matrices,
            squares=[matrix.power(2) for matrix in matrices],
            pairs=[block.rows[some] for block in blocks],
            biases=[np.zeros(matrix.shape[0]) for matrix in matrices],
            weights=[np.zeros(matrix.shape[1]) for matrix in matrices],
            factors=[
                np.empty((matrix.shape[0], n_samples * rank), dtype=np.float32)
                for matrix in matrices
            ],
            scores=np.zeros(len(some)),
            score_squares=np.zeros(len(some)),
        )

    def add(self, sample: Any) -> None:
        linear, quadratic = np.asarray(sample.w), np.asarray(sample.V)
        rank, start = quadratic.shape[1], 0
        score = np.full(len(self.scores), sample.w0)
        total = np.zeros((len(self.scores), rank))
        owns: list[Doubles] = []
        for k, (matrix, square) in enumerate(
            zip(self.matrices, self.squares, strict=True)
        ):
            rows = slice(start, start := start + matrix.shape[1])
            own = matrix @ quadratic[rows]
            within = (own**2 - square @ quadratic[rows] ** 2).sum(axis=1) / 2
            bias = matrix @ linear[rows] + within
            there = own[self.pairs[k]]
            score += bias[self.pairs[k]] + (total * there).sum(axis=1)
            total += there
            for parent, of_row in self.blocks[k].parents.items():
                bias += (own * owns[parent][of_row]).sum(axis=1)
            at = self.n_samples * rank
            self.factors[k][:, at : at + rank] = own
            self.biases[k] += bias
            self.weights[k] += linear[rows]
            owns.append(own)
        self.scores += score
        self.score_squares += score**2
        self.level += sample.w0
        self.n_samples += 1
        for cutpoints in sample.cutpoints:
            self.cutpoints = np.resize(self.cutpoints, len(cutpoints)) + cutpoints

    def result(self, topics: list[Doubles]) -> Posterior:
        n = self.n_samples
        sides = []
        for k, matrix in enumerate(self.matrices):
            each = matrix @ (self.weights[k][:, None] * topics[k]) / n
            rest = self.biases[k] / n - each.sum(axis=1)
            sides.append(
                Side(self.biases[k] / n, self.factors[k], np.column_stack([each, rest]))
            )
        variance = self.score_squares / n - (self.scores / n) ** 2
        return Posterior(
            n_samples=n,
            level=float(self.level) / n,
            sides=tuple(sides),
            cutpoints=self.cutpoints / n,
            spread=float(np.maximum(0, variance).mean()),
            noise=float(self.noise) / n,
        )
