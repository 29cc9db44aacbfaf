"""Parts and blocks: centred, of one size, missing values at the mean."""

import numpy as np

from harness.features.parts import Block, Part, scale_part


def squared_size(values):
    return (values.astype(float) ** 2).sum(axis=1).mean()


def test_a_part_has_mean_zero_and_size_one_whatever_it_was():
    rng = np.random.default_rng(0)
    part = scale_part("abc", 1000 * rng.normal(5, 2, (50, 3)))
    np.testing.assert_allclose(part.values.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(squared_size(part.values), 1, rtol=1e-6)


def test_titles_without_the_feature_are_at_the_mean_and_do_not_move_it():
    known = np.array([True, False, True])
    part = scale_part(["minutes"], np.array([[60.0], [0.0], [120.0]]), known)
    assert part.values.ravel().tolist() == [-1.0, 0.0, 1.0]


def test_what_is_the_same_for_all_titles_is_no_part():
    assert scale_part(["type"], np.ones((4, 1))) is None
    assert scale_part([], np.empty((4, 0))) is None
    assert scale_part(["x"], np.eye(2)[:, :1], np.zeros(2, dtype=bool)) is None


def test_a_block_has_size_one_however_many_parts_it_has():
    rng = np.random.default_rng(0)
    parts = tuple(scale_part("x" * n, rng.normal(size=(40, n))) for n in (1, 2, 30))
    block = Block(name="metadata", parts=parts)
    assert block.values.shape == (40, len(block.names)) == (40, 33)
    np.testing.assert_allclose(squared_size(block.values), 1, rtol=1e-6)
    larger = block.with_part(scale_part("y", rng.normal(size=(40, 1))))
    np.testing.assert_allclose(squared_size(larger.values), 1, rtol=1e-6)


def test_only_ranked_parts_are_cut_and_keep_their_size():
    values = np.random.default_rng(0).normal(size=(40, 6))
    topics = scale_part("abcdef", values, ranked=True)
    one_hot = scale_part("abcdef", values)
    cut = Block(name="text", parts=(topics, one_hot)).leading(2)
    assert [part.values.shape[1] for part in cut.parts] == [2, 6]
    assert cut.parts[0].names == ("a", "b")
    np.testing.assert_allclose(squared_size(cut.parts[0].values), 1, rtol=1e-6)


def test_cutting_keeps_titles_without_the_feature_at_the_mean():
    values = np.array([[1.0, 2.0], [3.0, 1.0], [0.0, 0.0]], dtype=np.float32)
    known = np.array([True, True, False])
    cut = scale_part("ab", values, known, ranked=True).leading(1)
    assert isinstance(cut, Part)
    assert cut.values.ravel().tolist() == [-1.0, 1.0, 0.0]
