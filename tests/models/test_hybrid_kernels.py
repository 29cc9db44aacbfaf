"""The own kernels of the hybrid, held to LightFM."""

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from scipy.sparse import csr_matrix, identity

from harness.data.load import load_dataset
from harness.evaluation.metrics import rmse
from harness.evaluation.splits import assign_folds
from harness.models.hybrid.embeddings import KernelTrainer, Learning, Signals
from harness.models.hybrid.kernels import shuffle
from harness.models.hybrid.lightfm_engine import LightFMTrainer
from harness.models.hybrid.model import Hybrid
from harness.models.lanes import (
    WIDTH,
    load,
    load_several,
    splat,
    square_root,
    store,
    total,
    two_by_root,
    zeros,
)

N_USERS, N_ITEMS, N_PAIRS = 60, 40, 900


def make_signals(seed=0):
    """Likes and dislikes of every size, in the order of users, without repetition."""
    rng = np.random.default_rng(seed)
    pairs = np.sort(rng.choice(N_USERS * N_ITEMS, N_PAIRS, replace=False))
    users, items = np.divmod(pairs.astype(np.int32), np.int32(N_ITEMS))
    return Signals(users, items, rng.normal(0.1, 1, N_PAIRS))


def own_features(n, *, n_flags, seed=0):
    """A feature of its own for each row, and flags that rows share; one row has none."""
    rng = np.random.default_rng(seed)
    flags = (rng.random((n, n_flags)) < 0.4) * rng.uniform(0.1, 1, (n, n_flags))
    table = np.hstack([np.eye(n), flags])
    table[n // 2, : n + n_flags // 2] = 0
    return csr_matrix(table.astype(np.float32))


FEATURES = {
    "identity": tuple(
        identity(n, dtype=np.float32, format="csr") for n in (N_USERS, N_ITEMS)
    ),
    "flags": (own_features(N_USERS, n_flags=5), own_features(N_ITEMS, n_flags=8)),
}


def deviation(learning, features, *, n_epochs):
    """Largest difference between the engines in anything that they have learnt."""
    learnt = []
    for engine in (KernelTrainer, LightFMTrainer):
        trainer = engine(make_signals(), features, learning)
        assert all(trainer.run_epoch() for _ in range(n_epochs))
        learnt.append(trainer.embeddings())
    assert max(np.abs(side.factors).max() for side in learnt[0]) > 0.1
    return max(
        np.abs(getattr(own, name) - getattr(reference, name)).max()
        for own, reference in zip(*learnt, strict=True)
        for name in ("factors", "biases")
    )


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("alpha", [0, 1e-3])
@pytest.mark.parametrize("schedule", ["adagrad", "adadelta"])
@pytest.mark.parametrize("loss", ["logistic", "warp", "bpr"])
def test_embeddings_are_those_of_lightfm(loss, schedule, alpha, features):
    learning = Learning(
        loss=loss,
        schedule=schedule,
        n_factors=8,
        learning_rate=0.1,
        user_alpha=alpha,
        item_alpha=alpha / 2,
        seed=3,
    )
    assert deviation(learning, FEATURES[features], n_epochs=5) < 1e-4


@pytest.mark.parametrize("n_factors", [1, WIDTH - 2, WIDTH - 1, WIDTH, 3 * WIDTH + 1])
def test_embeddings_of_any_length_are_those_of_lightfm(n_factors):
    learning = Learning(loss="logistic", n_factors=n_factors, learning_rate=0.2)
    assert deviation(learning, FEATURES["flags"], n_epochs=3) < 1e-4


def test_scales_that_grow_too_large_are_settled_within_an_epoch():
    # Each pair multiplies the scales by 1 + 3 * mean step; seen to end in infinities
    # where they are settled between epochs only.
    learning = Learning(
        loss="logistic", n_factors=4, learning_rate=0.1, user_alpha=3, item_alpha=3
    )
    assert deviation(learning, FEATURES["flags"], n_epochs=3) < 1e-4


def test_a_pair_without_any_feature_changes_nothing():
    nothing = csr_matrix(np.zeros((N_USERS, 2), dtype=np.float32))
    flags = csr_matrix(np.zeros((N_ITEMS, 3), dtype=np.float32))
    learning = Learning(loss="logistic", n_factors=4, user_alpha=0.1)
    trainer = KernelTrainer(make_signals(), (nothing, flags), learning)
    before = trainer.embeddings()
    # What rows point at is asked for ahead, also where they have nothing.
    rows, places, _ = trainer._features
    assert rows.max() < len(places)
    assert trainer.run_epoch()
    for old, new in zip(before, trainer.embeddings(), strict=True):
        np.testing.assert_array_equal(old.factors, new.factors)


def test_trainings_side_by_side_do_not_disturb_each_other():
    def train(loss):
        learning = Learning(loss=loss, n_factors=20, learning_rate=0.1)
        trainer = KernelTrainer(make_signals(), FEATURES["flags"], learning)
        for _ in range(20):
            trainer.run_epoch()
        return trainer.embeddings()[0].factors

    losses = ["logistic", "warp", "bpr"] * 2
    alone = [train(loss) for loss in losses]
    with ThreadPoolExecutor(6) as pool:
        for expected, found in zip(alone, pool.map(train, losses), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("loss", ["logistic", "warp"])
def test_both_engines_are_equally_good_on_real_ratings(real_data, loss):
    data = load_dataset(str(real_data / "ml-100k"))
    fold = assign_folds(data.ratings)
    train, valid = data.ratings.take(fold != 0), data.ratings.take(fold == 0)
    for seed in range(2):
        errors, lists = [], []
        for engine in ("harness", "lightfm"):
            model = Hybrid(loss=loss, n_epochs=4, engine=engine, seed=seed)
            model.fit(train, data.catalogue)
            errors.append(rmse(valid.values, model.predict(valid.users, valid.items)))
            best = [model.recommend(user)[0] for user in range(train.n_users)]
            lists.append(np.array(best))
        assert errors[0] == pytest.approx(errors[1], abs=1e-4)
        # The same titles in the same places, but for near ties.
        assert np.mean(lists[0] == lists[1]) > 0.99


@numba.njit
def _combine(a, b, out):
    x, y = load(a, 3), load(b, 0)
    x += splat(np.float32(2)) * y
    store(out, 5, square_root(x) / y - x)
    return total(y)


def test_lanes_compute_like_arrays():
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(1, 2, WIDTH + 5).astype(np.float32) for _ in range(2))
    out = np.zeros(WIDTH + 7, dtype=np.float32)
    added = _combine(a, b, out)
    x, y = a[3 : 3 + WIDTH] + 2 * b[:WIDTH], b[:WIDTH]
    np.testing.assert_allclose(out[5 : 5 + WIDTH], np.sqrt(x) / y - x, rtol=1e-5)
    assert not out[:5].any()
    assert not out[5 + WIDTH :].any()
    assert added == pytest.approx(y.sum(dtype=np.float64), rel=1e-6)


@numba.njit
def _combine_several(a, out, like):
    x, sums = load_several(a, 2, like), zeros(like)
    for _ in range(3):
        sums += splat(np.float32(2)) * x
    store(out, 1, sums - two_by_root(x))
    return total(sums)


@pytest.mark.parametrize("n_vectors", [1, 3])
def test_several_vectors_compute_like_arrays(n_vectors):
    n = n_vectors * WIDTH
    a = np.geomspace(1e-8, 1e8, n + 2, dtype=np.float32)
    out = np.zeros(n + 2, dtype=np.float32)
    added = _combine_several(a, out, (0,) * n_vectors)
    x = a[2:].astype(np.float64)
    np.testing.assert_allclose(out[1:-1], 6 * x - 2 / np.sqrt(x), rtol=1e-6)
    assert out[0] == out[-1] == 0
    assert added == pytest.approx(6 * x.sum(), rel=1e-6)
    a[2] = np.inf
    _combine_several(a, out, (0,) * n_vectors)
    assert out[1] == np.inf


@pytest.mark.parametrize("n", [1, 2, 3, 17, 1500])
def test_numbers_are_shuffled_as_numpy_shuffles_them(n):
    rng = np.random.RandomState(3)
    state = rng.get_state(legacy=False)["state"]
    order, position = shuffle(n, state["key"], state["pos"])
    expected = np.arange(n)
    rng.shuffle(expected)
    np.testing.assert_array_equal(order, expected)
    after = rng.get_state(legacy=False)["state"]
    assert position == after["pos"]
    np.testing.assert_array_equal(state["key"], after["key"])
