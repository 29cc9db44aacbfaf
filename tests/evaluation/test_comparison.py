import doctest
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from harness.errors import DataError, ParameterError, UnknownNameError
from harness.evaluation import compare_predictions
from harness.evaluation.clusters import Groups
from harness.evaluation.comparison import _optimism, correct_winner
from harness.evaluation.dependence import SCORES, ScoreSums


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    users, items = np.repeat(np.arange(300), 20), rng.integers(0, 500, 6000)
    truth = rng.integers(1, 6, 6000)
    good = truth + rng.normal(0, 0.8, 6000)
    return {
        "truth": truth,
        "users": users,
        "items": items,
        "predictions": {
            "poor": good + rng.normal(0, 0.3, 6000),
            "good": good,
            "same": [good + rng.normal(0, 0.01, 6000) for _ in range(3)],
            "bias": good + rng.normal(0, 0.6, 6000),
        },
    }


def test_every_pair_is_answered_both_ways(data):
    found = compare_predictions(**data)
    assert len(found.pairs) == 6
    assert found.pair("good", "poor").answer == "better"
    assert found.pair("poor", "good").answer == "worse"
    assert found.pair("good", "same").answer == "equivalent"
    assert set(found.candidates) == {"good", "same"}
    assert found.best in found.candidates
    rmse = np.sqrt(np.mean((data["predictions"]["poor"] - data["truth"]) ** 2))
    assert found.models[0].score.value == pytest.approx(rmse)
    assert len(found.models[2].by_seed) == 3


def test_differences_are_shares_of_the_gap_between_baseline_and_best(data):
    found = compare_predictions(**data, baseline="bias")
    score = {model.name: model.score.value for model in found.models}
    assert found.pair("bias", found.best).share_of_gap == pytest.approx(1)
    expected = (score["poor"] - score["good"]) / (score["bias"] - score[found.best])
    assert found.pair("poor", "good").share_of_gap == pytest.approx(expected)
    assert compare_predictions(**data).pairs[0].share_of_gap is None


def test_the_scale_is_what_the_ratings_span_unless_it_is_given(data):
    assert compare_predictions(**data).margin == 0.005
    found = compare_predictions(**data, scale=(0, 10))
    assert (found.margin, found.margin_declared, found.scale_declared) == (
        0.0125,
        False,
        True,
    )
    assert compare_predictions(**data, margin=0.02).margin == 0.02


def test_ids_may_be_strings_and_titles_unknown(data):
    by_number = compare_predictions(**data)
    as_text = data | {"users": data["users"].astype(str), "items": None}
    found = compare_predictions(**as_text)
    assert found.n_titles is None
    assert {pair.dependence for pair in found.pairs} == {"users"}
    for pair, same in zip(found.pairs, by_number.pairs, strict=True):
        assert pair.parts.users == pytest.approx(same.parts.users)
        assert pair.two_way_ratio is None
    assert any("Titles are not known" in caveat for caveat in found.caveats)


def test_the_comparison_is_json_a_table_and_a_text(data):
    found = compare_predictions(**data, baseline="bias")
    assert json.loads(json.dumps(asdict(found), allow_nan=False))["best"] == found.best
    frame = found.to_frame()
    assert len(frame) == 6
    assert frame["difference.low"][0] == found.pairs[0].difference.low
    text = str(found)
    assert "6,000 ratings" in text
    assert "300 users" in text
    for model in found.models:
        assert f"{model.score.value:.4f}" in text


def test_few_users_and_few_titles_are_caveats(data):
    rows = data["users"] < 40
    part = {
        "truth": data["truth"][rows],
        "users": data["users"][rows],
        "items": data["items"][rows] % 12,
        "predictions": {n: data["predictions"][n][rows] for n in ("good", "poor")},
    }
    caveats = " ".join(compare_predictions(**part).caveats)
    assert "40 users are few" in caveats
    assert "count like" in caveats


def test_the_winner_is_corrected_only_where_more_than_two_are_close(data):
    assert compare_predictions(**data).winner is None
    good = data["predictions"]["good"]
    rng = np.random.default_rng(3)
    close = {str(k): good + rng.normal(0, 0.1, 6000) for k in range(5)}
    found = compare_predictions(**data | {"predictions": close})
    winner = found.winner
    assert (winner.name, winner.n_close) == (found.best, 5)
    assert winner.score == min(model.score.value for model in found.models)
    assert winner.corrected > winner.score
    assert compare_predictions(**data | {"predictions": close}).winner == winner


def test_equal_scores_are_corrected_by_the_expected_minimum():
    # The least of 4 independent standard normal numbers is -1.0294 on average (Harter,
    # Biometrika 48, 1961, table 1); what all models share does not matter.
    covariance = 0.01**2 * np.eye(4) + 0.03**2
    scores = np.full(4, 0.9)
    found = _optimism(scores, covariance, np.random.default_rng(0))
    assert found == pytest.approx(-0.010294, rel=0.03)


def test_scores_far_apart_are_not_corrected():
    scores = np.array([0.8, 0.9, 1.0])
    found = _optimism(scores, 0.001**2 * np.eye(3), np.random.default_rng(0))
    assert found == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"margin": -0.1}, ParameterError, "margin"),
        ({"margin": 4.5}, ParameterError, "margin"),
        ({"margin": float("nan")}, ParameterError, "margin"),
        ({"scale": (5, 1)}, ParameterError, "scale"),
        ({"confidence": 1.0}, ParameterError, "confidence"),
        ({"measure": "rsme"}, UnknownNameError, "rmse"),
        ({"baseline": "biass"}, UnknownNameError, "bias"),
        ({"users": np.zeros(6000)}, DataError, "users must be at least 2"),
        ({"items": np.zeros(6000)}, DataError, "items must be at least 2"),
        ({"users": np.arange(5)}, DataError, "6,000 ratings"),
        ({"predictions": {"a": np.ones(6000)}}, DataError, "Two models"),
        ({"predictions": {"a": np.ones(9), "b": np.ones(6000)}}, DataError, "'a'"),
        (
            {"predictions": {"a": np.full(6000, np.nan), "b": np.ones(6000)}},
            DataError,
            "6,000 values that are not finite",
        ),
        ({"truth": np.array(["x"] * 6000)}, DataError, "truth must be numbers"),
        ({"truth": np.ones((2, 3))}, DataError, "shape"),
    ],
)
def test_bad_input_is_one_clear_sentence(data, changes, error, words):
    with pytest.raises(error, match=words):
        compare_predictions(**data | changes)


def test_an_unknown_model_is_not_looked_up(data):
    with pytest.raises(UnknownNameError, match="'good'"):
        compare_predictions(**data).pair("goood", "poor")


def test_promotion_asks_for_non_inferiority(data):
    found = compare_predictions(**data)
    assert found.non_inferiority("same", "good").non_inferior
    assert found.non_inferiority("poor", "good").inferior
    assert found.non_inferiority("good", "poor").superior


def test_the_mean_absolute_error_is_compared_alike(data):
    found = compare_predictions(**data, measure="mae")
    mae = np.abs(data["predictions"]["poor"] - data["truth"]).mean()
    assert found.models[0].score.value == pytest.approx(mae)
    assert found.pair("good", "poor").answer == "better"


def test_the_documented_example_prints_what_is_printed():
    page = Path(__file__).parents[2] / "docs" / "statistics.md"
    found = doctest.testfile(str(page), module_relative=False)
    assert found.attempted > 8
    assert not found.failed


def test_a_single_user_leaves_no_noise_to_correct_the_winner_for():
    rng = np.random.default_rng(0)
    models = [[rng.normal(size=30)] for _ in "abc"]
    groups = Groups.of(np.zeros(30, int), np.arange(30))
    sums = ScoreSums(np.zeros(30), models, groups, SCORES["rmse"])
    assert correct_winner("abc", sums, "abc") is None


@pytest.mark.parametrize("of_no_seed", [[], np.empty((0, 60))])
def test_a_model_needs_predictions(of_no_seed):
    with pytest.raises(DataError, match="'a'"):
        compare_predictions(
            np.arange(60) % 5, {"a": of_no_seed, "b": np.ones(60)}, np.arange(60)
        )


def test_without_a_margin_titles_are_not_blamed():
    truth = np.arange(60) % 5
    models = {"a": truth + np.arange(60) / 60, "b": truth + 0.4}
    text = str(compare_predictions(truth, models, np.arange(60), margin=0))
    assert "too few" not in text.split("With 80 % power")[1].splitlines()[0]
