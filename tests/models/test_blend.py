"""The blend: its weights against closed forms and brute force, and what it is made of."""

from itertools import product

import numpy as np
import pytest

from harness.errors import ParameterError
from harness.models.blend import (
    Blend,
    Member,
    error_products,
    fit_weights,
    predict_held_out,
    write_members,
)
from harness.models.families import load_family
from harness.serving.package import requirements

BASELINES = write_members(
    [
        Member(name="mean", family="baseline", params={"kind": "mean"}),
        Member(name="bias", family="baseline"),
        Member(name="cf", family="cf", params={"n_neighbors": 5}),
    ]
)


def random_products(seed, *, n=3):
    errors = np.random.default_rng(seed).normal(size=(50, n))
    errors[:, 1] += errors[:, 0]
    return errors.T @ errors


def test_independent_errors_are_weighted_by_the_inverse_of_their_squares():
    np.testing.assert_allclose(fit_weights(np.diag([1.0, 4.0])), [0.8, 0.2])


def test_who_adds_nothing_gets_no_weight():
    # Without the constraint: (4 - 1.5) / (1 + 4 - 3) = 1.25 and -0.25.
    np.testing.assert_array_equal(
        fit_weights(np.array([[1.0, 1.5], [1.5, 4.0]])), [1.0, 0.0]
    )


@pytest.mark.parametrize("seed", range(4))
def test_no_weights_on_a_grid_err_less(seed):
    products = random_products(seed)
    weights = fit_weights(products)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    steps = [k / 20 for k in range(21)]
    grid = [(a, b, 1 - a - b) for a, b in product(steps, steps) if a + b <= 1 + 1e-9]
    errors = [np.array(w) @ products @ np.array(w) for w in grid]
    assert weights @ products @ weights <= min(errors) + 1e-4 * products.max()


def test_the_unit_of_the_errors_does_not_matter():
    products = random_products(1)
    np.testing.assert_array_equal(fit_weights(1e6 * products), fit_weights(products))


def test_shrinkage_draws_weights_to_equal_ones():
    products = np.diag([1.0, 4.0])
    np.testing.assert_allclose(fit_weights(products, shrinkage=0.5), [0.65, 0.35])
    np.testing.assert_allclose(fit_weights(products, shrinkage=1.0), [0.5, 0.5])


def test_members_of_little_weight_are_left_out_one_by_one():
    # Weights 16/21, 4/21 and 1/21 without; then 0.8 and 0.2; then one is left.
    products = np.diag([1.0, 4.0, 16.0])
    np.testing.assert_allclose(fit_weights(products, least_weight=0.1), [0.8, 0.2, 0])
    np.testing.assert_allclose(fit_weights(products, least_weight=0.3), [1, 0, 0])
    # Of equal weights those that err most go first.
    np.testing.assert_allclose(
        fit_weights(products, shrinkage=1.0, least_weight=0.4), [0.5, 0.5, 0]
    )


def test_equal_members_and_members_without_errors_have_weights_too():
    for products in (np.ones((2, 2)), np.zeros((2, 2))):
        weights = fit_weights(products)
        assert weights.sum() == pytest.approx(1)
        assert weights.min() >= 0


def test_it_predicts_the_weighted_mean_of_its_parts(ratings, catalogue):
    model = Blend(members=BASELINES, weights="mean 0.25, cf 0.75")
    model.fit(ratings, catalogue)
    assert list(model.parts_) == ["mean", "cf"]
    pairs = ratings.users, ratings.items
    expected = 0.25 * ratings.values.mean() + 0.75 * load_family("cf")(
        n_neighbors=5
    ).fit(ratings, catalogue)._predict(*pairs)
    np.testing.assert_allclose(
        model.predict(*pairs), ratings.scale.clip(expected), atol=1e-5
    )


def test_a_blend_of_equal_models_is_that_model(ratings, catalogue):
    members = write_members(
        [Member(name="one", family="svd"), Member(name="two", family="svd")]
    )
    pairs = ratings.users, ratings.items
    np.testing.assert_allclose(
        Blend(members=members, seed=3).fit(ratings, catalogue).predict(*pairs),
        load_family("svd")(seed=3).fit(ratings, catalogue).predict(*pairs),
        atol=1e-6,
    )


def test_without_weights_they_are_found_on_five_folds(ratings, catalogue):
    model = Blend(members=BASELINES, shrinkage=0.0, seed=2).fit(ratings, catalogue)
    fold_of = np.random.default_rng(2).permutation(len(ratings)) % 5
    predicted = np.empty((len(ratings), 3))
    for fold in range(5):
        train, valid = ratings.take(fold_of != fold), ratings.take(fold_of == fold)
        for k, member in enumerate(model.read()):
            fitted = member.make(2).fit(train, catalogue)
            predicted[fold_of == fold, k] = predict_held_out(fitted, valid)
    products = error_products(predicted, ratings.values)
    np.testing.assert_array_equal(model.weights_, fit_weights(products))


def test_members_that_are_there_are_not_fitted_again(ratings, catalogue):
    there = load_family("cf")(n_neighbors=5).fit(ratings, catalogue)
    model = Blend(members=BASELINES).fit_around(ratings, catalogue, {"cf": there})
    assert model.parts_["cf"] is there
    assert model.components == tuple(model.parts_.values())


def test_shares_are_those_given_and_else_equal():
    assert Blend(members=BASELINES, weights="cf 0.6, bias 0.4").shares() == {
        "mean": 0.0,
        "bias": 0.4,
        "cf": 0.6,
    }
    assert set(Blend(members=BASELINES).shares().values()) == {1 / 3}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"members": "{}"}, "at least one"),
        ({"members": '{"svd": {}}'}, "family"),
        ({"members": '{"it": {"family": "blend"}}'}, "one is a blend"),
        ({"weights": "cf 0.5, nobody 0.5"}, "weights must be"),
        ({"weights": "cf 1.5, svd -0.5"}, "weights must be"),
        ({"weights": "cf 0.5, svd 0.1"}, "add up to 1"),
    ],
)
def test_members_and_weights_that_make_no_blend_are_refused(wrong, reason):
    with pytest.raises(ParameterError, match=reason):
        Blend(**wrong)


def test_an_explanation_is_the_share_of_each_member(ratings, catalogue):
    model = Blend(members=BASELINES, weights="mean 0.25, cf 0.75")
    model.fit(ratings, catalogue)
    mean, cf = model.explain(0, 1).parts
    assert (mean.label, cf.label) == ("mean", "cf")
    assert mean.stars == pytest.approx(0.25 * ratings.values.mean(), abs=1e-5)


OWN = """
import numpy as np
from harness.models.base import Recommender

class Guess(Recommender):
    name = "guess"

    def _fit(self, ratings, catalogue):
        self.guess_ = float(ratings.values.max())

    def _predict(self, users, items):
        return np.full(np.broadcast(users, items).shape, self.guess_)
"""


def test_a_member_from_a_file_travels_with_the_saved_blend(
    ratings, catalogue, tmp_path
):
    own = tmp_path / "own.py"
    own.write_text(OWN)
    members = write_members(
        [
            Member(name="guess", family=f"{own}:Guess"),
            Member(name="bias", family="baseline"),
        ]
    )
    model = Blend(members=members).fit(ratings, catalogue)
    model.save(tmp_path / "model")
    own.unlink()
    pairs = ratings.users, ratings.items
    np.testing.assert_array_equal(
        Blend.load(tmp_path / "model").predict(*pairs), model.predict(*pairs)
    )


def test_a_packaged_blend_asks_for_what_its_members_need():
    assert requirements("blend", "cf") == requirements("cf")
