"""Scores by any objective, and how uncertain their differences are."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.evaluation.objective_scores import ObjectiveScores, Scored
from harness.evaluation.objectives import (
    OBJECTIVES,
    Fold,
    find_objective,
    losses_of,
    margin_of,
    measure_on,
)
from harness.evaluation.ranking import TopLists, catalogue_coverage, recommend_to
from harness.models.baseline.model import Baseline

RANDOM = np.random.default_rng(3)
FUNCTION = """
import numpy as np
def off(truth, prediction):
    return np.abs(truth - prediction).mean()
def near(truth, prediction):
    return (np.abs(truth - prediction) <= 1).mean()
near.direction = "maximize"
"""


@pytest.fixture(scope="module")
def parts(small_dataset):
    ratings = small_dataset.ratings
    in_test = np.arange(len(ratings)) % 4 > 0
    return ratings.take(~in_test), ratings.take(in_test), small_dataset.catalogue


@pytest.fixture(scope="module")
def models(parts):
    train, _, catalogue = parts
    return {
        kind: Baseline(kind=kind).fit(train, catalogue) for kind in ("bias", "mean")
    }


@pytest.fixture
def scores_of(parts, models):
    def make(reference):
        train, test, catalogue = parts
        users = np.unique(test.users)
        scored = {
            name: Scored(
                predictions=[model.predict(test.users, test.items)],
                lists=[recommend_to(model, users, 10)],
                losses=[losses_of(model, test)],
            )
            for name, model in models.items()
        }
        return ObjectiveScores(
            metric=find_objective(reference),
            train=train,
            test=test,
            catalogue=catalogue,
            scored=scored,
        )

    return make


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_test_set_is_measured_like_a_fold(scores_of, parts, models, name):
    train, test, catalogue = parts
    scores = scores_of(name)
    found = scores.estimate("bias", 0.95)
    prediction = models["bias"].predict(test.users, test.items)
    fold = Fold(train, test, catalogue)
    expected = measure_on(fold, scores.metric, models["bias"], prediction)
    assert found.value == pytest.approx(expected, rel=1e-6)
    assert found.low <= found.value <= found.high
    [(_, _, difference)] = scores.differences([("bias", "mean")])
    gap = found.value - scores.estimate("mean", 0.95).value
    assert difference.value == pytest.approx(scores.metric.sign * gap)


def test_lists_are_compared_by_the_paired_t_test_over_users(scores_of, parts, models):
    """Recall of each user by hand, and scipy's test of the paired differences."""
    _, test, _ = parts
    liked = {
        user: set(test.items[(test.users == user) & (test.values >= 4)])
        for user in np.unique(test.users)
    }
    recalls = {
        name: [
            len(items & set(model.recommend(user, 10)[0])) / len(items)
            for user, items in liked.items()
            if items
        ]
        for name, model in models.items()
    }
    [(_, _, found)] = scores_of("recall_at_10").differences([("bias", "mean")])
    expected = ttest_rel(recalls["mean"], recalls["bias"])
    assert found.value == pytest.approx(
        np.mean(recalls["mean"]) - np.mean(recalls["bias"])
    )
    assert found.uncertainty.p_value(found.value) == pytest.approx(expected.pvalue)


def test_coverage_without_a_user_lacks_the_titles_of_nobody_else():
    lists = TopLists(
        users=np.arange(3, dtype=np.int32),
        items=np.array([[0, 1], [1, 2], [3, -1]], dtype=np.int32),
        n_items=5,
    )
    one = Ratings.from_columns(["a"], ["x"], [3.0], scale=RatingScale(1, 5))
    scores = ObjectiveScores(
        metric=find_objective("catalogue_coverage"),
        train=one,
        test=one,
        catalogue=Catalogue.empty(),
        scored={"m": Scored(predictions=[], lists=[lists])},
    )
    whole = catalogue_coverage(lists)
    assert whole == 0.8
    left = []
    for k in range(3):
        kept = np.arange(3) != k
        part = TopLists(users=lists.users[kept], items=lists.items[kept], n_items=5)
        left.append(catalogue_coverage(part))
    jackknife = 2 / 3 * np.square(np.array(left) - np.mean(left)).sum()
    [(_, _, same)] = scores.differences([("m", "m")])
    assert same.parts.total == 0
    assert scores.losses(["m"]).estimate(0).parts.users == pytest.approx(jackknife)


def test_the_jackknife_of_a_function_agrees_with_the_formula_of_the_same_measure(
    tmp_path,
):
    """30 users with 5 ratings each: leaving a user out is exact for a mean."""
    users = np.repeat([f"u{k:02}" for k in range(30)], 5)
    items = [f"i{k}" for k in range(150)]
    truth = RANDOM.integers(1, 6, size=150).astype(float)
    ratings = Ratings.from_columns(users, items, truth, scale=RatingScale(1, 5))
    (tmp_path / "my_metrics.py").write_text(FUNCTION)
    predictions = {
        name: Scored(predictions=[RANDOM.uniform(1, 5, size=150).astype(np.float32)])
        for name in ("one", "other")
    }

    def difference(reference):
        scores = ObjectiveScores(
            metric=find_objective(reference),
            train=ratings,
            test=ratings,
            catalogue=Catalogue.empty(),
            scored=predictions,
        )
        [(_, _, found)] = scores.differences([("one", "other")])
        return found

    for function, measure in (("off", "mae"), ("near", "within_one_star")):
        ours = difference(f"{tmp_path}/my_metrics.py:{function}")
        known = difference(measure)
        assert ours.value == pytest.approx(known.value, abs=1e-6)
        assert ours.parts.users == pytest.approx(known.parts.users, rel=1e-3)


def test_the_margin_comes_with_the_measure():
    assert margin_of(find_objective("mae"), None, (1, 5)) == (0.005, False)
    assert margin_of(find_objective("ndcg_at_10"), None, (1, 5)) == (0.002, False)
    assert margin_of(find_objective("ndcg_at_10"), 0.01, (1, 5)) == (0.01, True)
