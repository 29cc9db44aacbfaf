from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.evaluation import compare_predictions, ranking
from harness.evaluation import final as judging
from harness.evaluation.final import (
    Entry,
    choose_listed_users,
    fit_entries,
    fit_entry,
    judge_entries,
)
from harness.evaluation.measures import HALF_A_DIGIT, MEASURES, Measure
from harness.evaluation.metrics import rmse
from harness.evaluation.ranking import LENGTH, judge_users, recommend_to
from harness.evaluation.splits import SealedTest
from harness.models.base import Recommender
from harness.models.baseline.model import Baseline

NOTHING = Catalogue.empty()


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


def judge(parts, **how):
    train, test = parts
    sealed = SealedTest(test)
    entries = [
        Entry(
            name="c, tuned",
            family=Constant,
            params={"stars": 3.0},
            role="tuned",
            candidate="c",
        ),
        Entry(name="c, initial", family=Mean, params={}, role="initial", candidate="c"),
    ]
    seeds = [0, 1, 2]
    fitted = fit_entries(
        entries,
        (
            (fit_entry(each, train, Catalogue.empty(), seeds=seeds)[0], 1.0)
            for each in entries
        ),
        costs={},
        on_fitted=lambda _: None,
    )
    return judge_entries(
        fitted,
        train,
        Catalogue.empty(),
        sealed,
        seeds=seeds,
        on_judged=lambda _: None,
        **how,
    )


@pytest.fixture
def final(parts):
    return judge(parts)


def test_the_number_of_threads_changes_nothing(parts, final, monkeypatch):
    monkeypatch.setattr(ranking, "_USERS_AT_ONCE", 4)
    monkeypatch.setattr(judging, "_PAIRS_AT_ONCE", 50)
    assert replace(judge(parts, jobs=3), opened=final.opened) == final


def test_the_size_of_the_test_set_is_told(final, parts):
    assert final.n_test == len(parts[1])
    assert final.n_test_users == len(np.unique(parts[1].users))


def test_of_few_users_all_get_lists(final, parts):
    assert final.n_listed_users is None
    users = choose_listed_users([Mean()], *parts, NOTHING)
    assert users.tolist() == np.unique(parts[1].users).tolist()


@pytest.fixture
def many_users():
    """Each of 6,000 users has rated three of thirty titles in both parts."""
    rng = np.random.default_rng(0)
    titles = np.argsort(rng.random((6_000, 30)), axis=1)[:, :6].ravel()
    users = np.repeat(np.arange(6_000), 6)
    ratings = Ratings.from_codes(
        (users, np.arange(6_000).astype(str).astype(object)),
        (titles, np.arange(30).astype(str).astype(object)),
        rng.integers(1, 6, len(users)).astype(np.float32),
        scale=RatingScale(1, 5),
    )
    in_test = np.arange(len(users)) % 2 == 0
    return ratings.take(~in_test), ratings.take(in_test)


def test_of_many_users_as_many_get_lists_as_the_digits_take(many_users, monkeypatch):
    train, test = many_users
    half = 0.008
    monkeypatch.setitem(HALF_A_DIGIT, "index", half)
    models = [Baseline(kind=kind).fit(train, NOTHING) for kind in ("bias", "mean")]
    chosen = choose_listed_users(models, train, test, NOTHING, at_least=100)
    everybody = np.unique(test.users)
    assert 100 < len(chosen) < len(everybody)
    errors = []
    for model in models:
        lists = recommend_to(model, everybody, LENGTH)
        for name in ("ndcg_at_10", "recall_at_10", "serendipity"):
            whole, influence = judge_users(name, lists, train, test, NOTHING)
            found, _ = judge_users(
                name, recommend_to(model, chosen, LENGTH), train, test, NOTHING
            )
            share = len(chosen) / len(everybody)
            # Of a mean over the users drawn, about that over all (without replacement).
            errors.append(np.sqrt((influence**2).sum() * (1 - share) / share))
            assert abs(found - whole) < 4 * half
    # Enough for the widest of them, and little more than that.
    assert half / 1.5 < max(errors) <= half
    fewer = choose_listed_users(models[1:], train, test, NOTHING, at_least=100)
    assert set(fewer) <= set(chosen)
    every = choose_listed_users(models, train, test, NOTHING, at_least=len(everybody))
    assert every.tolist() == everybody.tolist()


def test_the_same_users_get_the_lists_of_all_models(parts, monkeypatch, request):
    some = np.unique(parts[1].users)[::2]
    monkeypatch.setattr(judging, "choose_listed_users", lambda *_, **__: some)
    asked = []

    def spy(model, users, n, **how):
        asked.append(users.tolist())
        return recommend_to(model, users, n, **how)

    monkeypatch.setattr(judging, "recommend_to", spy)
    final = request.getfixturevalue("final")
    assert asked == [some.tolist(), some.tolist()]
    assert final.n_listed_users == len(some)


def test_models_of_two_entries_are_asked_once(parts, monkeypatch):
    train, test = parts
    entries = [
        Entry(name=role, family=Mean, params={}, role=role, candidate="c")
        for role in ("tuned", "initial")
    ]
    same = fit_entry(entries[0], train, NOTHING, seeds=[0])
    asked = []

    def spy(model, users, n, **how):
        asked.append(model)
        return recommend_to(model, users, n, **how)

    monkeypatch.setattr(judging, "recommend_to", spy)
    found = judge_entries(
        fit_entries(entries, [same, same], costs={}, on_fitted=lambda _: None),
        train,
        NOTHING,
        SealedTest(test),
        seeds=[0],
        on_judged=lambda _: None,
    )
    assert len(asked) == 1
    one, other = found.models
    assert one.rmse == other.rmse
    assert one.measures["ndcg_at_10"] == other.measures["ndcg_at_10"]


def test_a_family_with_a_seed_is_refitted_for_each_and_scored_by_the_mean(final, parts):
    truth = parts[1].values
    expected = [rmse(truth, np.full(len(truth), 3 + k / 10)) for k in range(3)]
    tuned = final.model("c")
    assert tuned.rmse_by_seed == pytest.approx(expected, abs=1e-6)
    assert tuned.rmse.value == pytest.approx(np.mean(expected))


def test_a_family_without_a_seed_is_fitted_once_on_the_training_part(final, parts):
    train, test = parts
    expected = rmse(test.values, np.full(len(test), train.mean))
    initial = final.model("c", "initial")
    assert initial.rmse_by_seed == pytest.approx([expected], abs=1e-6)


def test_a_difference_is_that_of_the_scores_and_can_be_turned(final):
    one, other = (final.model("c", role) for role in ("tuned", "initial"))
    found = final.difference(one.name, other.name)
    assert found.group == "tuning"
    assert found.value == pytest.approx(one.rmse.value - other.rmse.value)
    turned = final.difference(other.name, one.name)
    assert (turned.value, turned.low, turned.high) == (
        -found.value,
        -found.high,
        -found.low,
    )


def test_a_measure_of_the_table_is_measured_of_every_model(parts, monkeypatch, request):
    def worst(evidence):
        errors = [abs(p - evidence.test.values).max() for p in evidence.predictions]
        return float(np.mean(errors))

    toy = Measure(name="worst", label="worst error", unit="rating", compute=worst)
    monkeypatch.setitem(MEASURES, "worst", toy)
    final = request.getfixturevalue("final")
    truth = parts[1].values
    expected = np.mean([abs(truth - (3 + k / 10)).max() for k in range(3)])
    assert final.model("c").value("worst") == pytest.approx(expected, abs=1e-5)


def test_the_lowest_of_three_close_ones_is_corrected_as_by_the_library(parts):
    train, test = parts
    stars = {"a": 3.0, "b": 3.01, "c": 3.02}
    entries = [
        Entry(
            name=f"{name}, {role}",
            family=Constant,
            params={"stars": value},
            role=role,
            candidate=name,
        )
        for name, value in stars.items()
        for role in ("tuned", "initial")
    ]
    fits = (fit_entry(each, train, NOTHING, seeds=[0]) for each in entries)
    fitted = fit_entries(entries, fits, costs={}, on_fitted=lambda _: None)

    def judge(fitted):
        sealed = SealedTest(test)
        return judge_entries(
            fitted, train, NOTHING, sealed, seeds=[0], on_judged=lambda _: None
        )

    predictions = {name: np.full(len(test), value) for name, value in stars.items()}
    expected = compare_predictions(
        test.values, predictions, test.users, test.items, scale=(1, 5)
    ).winner
    found = judge(fitted).picked
    assert (found.name, found.n_close) == ("a, tuned", 3)
    assert expected.name == "a"
    assert found.corrected == pytest.approx(expected.corrected, abs=1e-5)
    assert found.corrected > found.score
    assert judge(fitted[:4]).picked is None
