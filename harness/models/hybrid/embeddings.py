"""Embeddings of features, trained epoch by epoch with the own kernels."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from harness.errors import TrainingError
from harness.models.hybrid.kernels import (
    arrange,
    bpr_epoch,
    logistic_epoch,
    shuffle,
    warp_epoch,
)
from harness.models.lanes import WIDTH

if TYPE_CHECKING:  # 0.3 s that only a training has to pay
    from scipy.sparse import csr_matrix

__all__ = [
    "Embeddings",
    "KernelTrainer",
    "Learning",
    "Loss",
    "Schedule",
    "Signals",
    "Trainer",
]

Singles = npt.NDArray[np.float32]
Loss = Literal["logistic", "warp", "bpr"]
Schedule = Literal["adagrad", "adadelta"]

_LINE = 64
"""Bytes of a cache line. A vector that lies across two takes twice as long."""


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """What is to be learnt: for each pair whether, and how much, it was liked."""

    users: npt.NDArray[np.int32]
    items: npt.NDArray[np.int32]
    # The sign says liked or not, the size how much it counts.
    values: npt.NDArray[np.floating[Any]]

    def used(self, loss: Loss) -> "Signals":
        """Leave out what a loss does not look at, and scale weights to 1 on average.

        A learning rate then means the same on any scale of ratings.
        """
        values = np.asarray(self.values, dtype=np.float32)
        kept = values != 0 if loss == "logistic" else values > 0
        values = values[kept]
        mean = float(np.abs(values).mean()) if len(values) else 1.0
        return Signals(self.users[kept], self.items[kept], values / max(1e-12, mean))


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """Factors and bias of each feature of one side."""

    factors: Singles
    biases: Singles


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """How to learn; the names are those of the family's hyperparameters."""

    loss: Loss
    n_factors: int
    learning_rate: float = 0.05
    schedule: Schedule = "adagrad"
    user_alpha: float = 0.0
    item_alpha: float = 0.0
    seed: int = 0


DIVERGED = (
    "hybrid: the training left the range of numbers. "
    "Its steps are too large: try a lower learning rate."
)


class Trainer(Protocol):
    """A training under way, by one engine or the other."""

    def run_epoch(self) -> bool:
        """Pass once over all pairs; False if there is nothing to learn."""

    def embeddings(self) -> tuple[Embeddings, Embeddings]:
        """Copy what users and items have learnt so far, after at least one good epoch."""


class KernelTrainer:
    r"""Trains the model of LightFM [1]_ on one thread.

    The score of a pair is
    :math:`s_{ui} = (\sum_f x_{uf} e_f)^\top (\sum_g x_{ig} e_g) + \sum_f x_{uf} b_f
    + \sum_g x_{ig} b_g` with features :math:`x`, embeddings :math:`e` and biases
    :math:`b`. The logistic loss takes liked and disliked pairs; WARP and BPR take the
    liked ones alone, and rank them above titles drawn at random.

    References
    ----------
    .. [1] M. Kula, "Metadata embeddings for user and item cold-start recommendations",
       CBRecSys at RecSys 2015.
    """

    def __init__(
        self,
        signals: Signals,
        features: "tuple[csr_matrix, csr_matrix]",
        learning: Learning,
    ) -> None:
        signals = signals.used(learning.loss)
        n_users = features[0].shape[0]
        self._learning = learning
        self._rng = np.random.RandomState(learning.seed)
        # Side by side: in the order of the epoch memory is read once for each pair.
        codes = np.empty((len(signals.users), 4), dtype=np.uint32)
        codes[:, 0], codes[:, 1] = signals.users, signals.items + n_users
        numbers = codes.view(np.float32)
        numbers[:, 2] = np.abs(signals.values)
        numbers[:, 3] = np.maximum(0, signals.values)
        self._pairs = codes, numbers
        if learning.loss != "logistic":
            self._items = codes[:, 1].astype(np.int32)
            users = codes[:, 0].astype(np.int32)
            self._liked = _lists(users, self._items, n_users)
        self._allocate(features)

    def _allocate(self, features: "tuple[csr_matrix, csr_matrix]") -> None:
        n_factors, adadelta = self._learning.n_factors, self._is_adadelta
        length = -(-(n_factors + 2) // WIDTH) * WIDTH
        sizes = [matrix.shape[1] for matrix in features]
        shape = (sum(sizes), 3 if adadelta else 2, length)
        table = _aligned(int(np.prod(shape))).reshape(shape)
        table[:, 1] = np.inf
        table[:, 1, :n_factors] = 0 if adadelta else 1
        self._sides = slice(0, sizes[0]), slice(sizes[0], None)
        ones = _aligned(2 * length)
        # Items before users: LightFM draws like this.
        for side in (1, 0):
            rows, bias = self._sides[side], n_factors + side
            drawn = self._rng.rand(sizes[side], n_factors)
            table[rows, 0, :n_factors] = (drawn - 0.5) / n_factors
            table[rows, 1, bias] = 0 if adadelta else 1
            ones[(1 - side) * length + bias] = 1
        self._table, self._ones = table, ones
        self._features = _join(features, shape[1] * length)

    @property
    def _is_adadelta(self) -> bool:
        return self._learning.schedule == "adadelta"

    def run_epoch(self) -> bool:
        """Pass once over all pairs; False if there is nothing to learn."""
        learning, n_pairs = self._learning, len(self._pairs[0])
        if not n_pairs:
            return False
        pairs = _shuffled(n_pairs, self._rng), *self._pairs
        state = self._features, self._table.reshape(-1), self._ones, self._setting()
        if learning.loss == "logistic":
            logistic_epoch(pairs, *state)
        else:
            seed = self._rng.randint(0, np.iinfo(np.int32).max)
            ranked = arrange(pairs)
            if learning.loss == "warp":
                warp_epoch(ranked, *state, self._liked, seed)
            else:
                bpr_epoch(ranked, *state, self._liked, seed, self._items)
        # As LightFM does: the sum is finite if all are, and needs no array of flags.
        if not np.isfinite(self._table[:, 0].sum()):
            raise TrainingError(DIVERGED)
        return True

    def _setting(self) -> tuple[Any, ...]:
        """Sum up what does not change, as the kernels take it."""
        learning, adadelta = self._learning, self._is_adadelta
        half_rate = 1.0 if adadelta else float(np.float32(learning.learning_rate)) / 2
        return (
            learning.n_factors,
            self._sides[0].stop * self._table[0].size,
            half_rate,
            (float(learning.user_alpha), float(learning.item_alpha)),
            adadelta,
            (0,) * (self._table.shape[2] // WIDTH),
        )

    def embeddings(self) -> tuple[Embeddings, Embeddings]:
        """Copy what users and items have learnt so far."""
        n_factors = self._learning.n_factors
        users, items = (
            Embeddings(
                self._table[rows, 0, :n_factors].copy(),
                self._table[rows, 0, n_factors + side].copy(),
            )
            for side, rows in enumerate(self._sides)
        )
        return users, items


def _shuffled(n: int, rng: np.random.RandomState) -> npt.NDArray[np.int32]:
    """Shuffle the whole numbers below `n`, and move the generator on."""
    state = rng.get_state(legacy=False)
    twister = state["state"]
    order: npt.NDArray[np.int32]
    order, twister["pos"] = shuffle(n, twister["key"], twister["pos"])
    rng.set_state(state)
    return order


def _aligned(n: int) -> Singles:
    """Zeros that begin with a cache line."""
    numbers = np.zeros(n + _LINE // 4, dtype=np.float32)
    start = -numbers.ctypes.data % _LINE // 4
    return numbers[start : start + n]


def _join(
    features: "tuple[csr_matrix, csr_matrix]", width: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], Singles]:
    """Put the features of items behind those of users, and say where in the table."""
    users, items = features
    rows = np.concatenate([users.indptr, users.indptr[-1] + items.indptr[1:]])
    nobody = np.zeros(1, dtype=np.int64)
    codes = np.concatenate(
        [users.indices, items.indices + np.int64(users.shape[1]), nobody]
    )
    weights = np.concatenate([users.data, items.data])
    return rows.astype(np.uint64), codes * width, weights.astype(np.float32)


def _lists(
    users: npt.NDArray[np.int32], items: npt.NDArray[np.int32], n_users: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """List the items of each user in ascending order."""
    order = np.lexsort((items, users))
    rows = np.searchsorted(users[order], np.arange(n_users + 1))
    return rows.astype(np.int32), items[order]
