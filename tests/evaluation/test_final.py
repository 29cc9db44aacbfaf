from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from harness.data.catalogue import Catalogue
from harness.evaluation.final import Contestant, evaluate_final
from harness.evaluation.metrics import rmse
from harness.evaluation.splits import SealedTest
from harness.models.base import Recommender


@dataclass(kw_only=True)
class Constant(Recommender):
    """Predicts one number of stars, and as many more as its seed."""

    name: ClassVar[str] = "constant"
    stars: float = 3.0
    seed: int = 0

    def _fit(self, ratings, catalogue):
        del catalogue
        self.n_seen_ = len(ratings)

    def _predict(self, users, items):
        del items
        return np.full(len(users), self.stars + self.seed / 10)


@dataclass(kw_only=True)
class Mean(Recommender):
    """Predicts the mean of what it was fitted on."""

    name: ClassVar[str] = "mean"

    def _fit(self, ratings, catalogue):
        del catalogue
        self.mean_ = ratings.mean

    def _predict(self, users, items):
        del items
        return np.full(len(users), self.mean_)


@pytest.fixture
def parts(small_ratings):
    in_test = np.arange(900) % 5 == 0
    return small_ratings.take(~in_test), small_ratings.take(in_test)


@pytest.fixture
def final(parts):
    train, test = parts
    sealed = SealedTest(test, looks=1)
    contestants = [
        Contestant(name="tuned", family=Constant, params={"stars": 3.0}),
        Contestant(name="initial", family=Mean, params={}),
    ]
    return evaluate_final(
        contestants, train, Catalogue.empty(), sealed, seeds=[0, 1, 2]
    )


def test_the_test_set_is_looked_at_once_for_all_contestants(final, parts):
    assert final["looks"] == 2
    assert final["n_test"] == len(parts[1])


def test_a_family_with_a_seed_is_refitted_for_each_and_scored_by_the_mean(final, parts):
    truth = parts[1].values
    expected = [rmse(truth, np.full(len(truth), 3 + k / 10)) for k in range(3)]
    tuned = final["models"][0]
    assert tuned["rmse_by_seed"] == pytest.approx(expected, abs=1e-6)
    assert tuned["metrics"]["rmse"]["value"] == pytest.approx(np.mean(expected))


def test_a_family_without_a_seed_is_fitted_once_on_the_training_part(final, parts):
    train, test = parts
    expected = rmse(test.values, np.full(len(test), train.mean))
    assert final["models"][1]["rmse_by_seed"] == pytest.approx([expected], abs=1e-6)


def test_differences_are_those_of_the_first_to_each_other_one(final):
    one, other = (model["metrics"]["rmse"]["value"] for model in final["models"])
    [difference] = final["differences"]
    assert (difference["one"], difference["other"]) == ("tuned", "initial")
    assert difference["value"] == pytest.approx(one - other)
