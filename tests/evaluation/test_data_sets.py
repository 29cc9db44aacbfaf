"""Models over several data sets, held to the numbers that Demšar's paper prints."""

import itertools

import numpy as np
import pytest
from scipy.stats import friedmanchisquare

from harness.errors import DataError, ParameterError
from harness.evaluation.data_sets import (
    DataSetScores,
    compare_data_sets,
    critical_difference,
    friedman_test,
)

# Demšar (2006), table 6: AUC on 14 data sets. The paper ranks the last two on "voting",
# 0.975 both, by digits that it does not print: here 0.9751 and 0.9750.
VARIANTS = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
AUC = {
    "adult": (0.763, 0.768, 0.771, 0.798),
    "breast cancer": (0.599, 0.591, 0.590, 0.569),
    "breast cancer wisconsin": (0.954, 0.971, 0.968, 0.967),
    "cmc": (0.628, 0.661, 0.654, 0.657),
    "ionosphere": (0.882, 0.888, 0.886, 0.898),
    "iris": (0.936, 0.931, 0.916, 0.931),
    "liver disorders": (0.661, 0.668, 0.609, 0.685),
    "lung cancer": (0.583, 0.583, 0.563, 0.625),
    "lymphography": (0.775, 0.838, 0.866, 0.875),
    "mushroom": (1.000, 1.000, 1.000, 1.000),
    "primary tumor": (0.940, 0.962, 0.965, 0.962),
    "rheum": (0.619, 0.666, 0.614, 0.669),
    "voting": (0.972, 0.981, 0.9751, 0.9750),
    "wine": (0.957, 0.978, 0.946, 0.970),
}


def scores(table, names=VARIANTS, floor=2.0, **answers):
    return [
        DataSetScores(
            name=name,
            floor=floor,
            scores=dict(zip(names, row, strict=True)),
            answers=answers.get(name, {}),
        )
        for name, row in table.items()
    ]


def demsar(confidence):
    # Lower is better here, and scores are above 0.
    errors = {name: [1.5 - auc for auc in row] for name, row in AUC.items()}
    return compare_data_sets(scores(errors), confidence=confidence)


def test_mean_ranks_and_friedmans_test_are_those_that_the_paper_prints():
    found = demsar(0.95)
    ranks = {model.name: round(model.rank, 3) for model in found.models}
    assert ranks == {
        "C4.5+m+cf": 1.964,
        "C4.5+m": 2.0,
        "C4.5+cf": 2.893,
        "C4.5": 3.143,
    }
    # The paper does not correct for ties: four on one data set, two on three.
    ties = 1 - (60 + 3 * 6) / (14 * 4 * 15)
    plain = found.friedman.statistic * ties
    assert plain == pytest.approx(9.28, abs=0.005)
    assert 13 * plain / (14 * 3 - plain) == pytest.approx(3.69, abs=0.005)
    assert found.friedman.degrees_of_freedom == 3
    assert found.differ


@pytest.mark.parametrize(
    ("confidence", "printed"),
    [
        # Table 5(a) of the paper, for 2 to 10 models.
        (0.95, (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)),
        (0.90, (1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920)),
    ],
)
def test_critical_values_are_those_of_the_papers_table(confidence, printed):
    found = [
        critical_difference(k, 1, confidence=confidence) / np.sqrt(k * (k + 1) / 6)
        for k in range(2, 11)
    ]
    assert found == pytest.approx(printed, abs=0.0016)


def test_at_the_level_of_5_percent_the_paper_tells_no_two_apart():
    found = demsar(0.95)
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)
    assert found.groups == (("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"),)


def test_at_10_percent_c45_is_told_from_two_and_one_belongs_to_neither_group():
    found = demsar(0.90)
    assert found.critical_difference == pytest.approx(1.12, abs=0.005)
    assert found.groups == (
        ("C4.5+m+cf", "C4.5+m", "C4.5+cf"),
        ("C4.5+cf", "C4.5"),
    )
    pairs = itertools.combinations([model.name for model in found.models], 2)
    assert {pair for pair in pairs if found.tells_apart(*pair)} == {
        ("C4.5+m+cf", "C4.5"),
        ("C4.5+m", "C4.5"),
    }


def test_chi_square_is_scipys_with_ties_and_without():
    rng = np.random.default_rng(3)
    for n, k in ((4, 3), (12, 6)):
        table = rng.integers(1, 5, (n, k)).astype(float)
        found = compare_data_sets(
            scores(dict(enumerate(table)), names=tuple("abcdef"[:k]))
        )
        assert found.friedman.statistic == pytest.approx(
            friedmanchisquare(*table.T).statistic
        )


def test_p_of_friedmans_test_counts_all_permutations():
    ranks = [(1, 2, 3), (2, 1, 3), (1, 3, 2)]

    def chi_square(rows):
        return sum((total - 6) ** 2 for total in map(sum, zip(*rows, strict=True)))

    ways = list(itertools.product(itertools.permutations((1, 2, 3)), repeat=3))
    reached = sum(chi_square(way) >= chi_square(ranks) for way in ways)
    assert friedman_test(ranks).p_value == pytest.approx(reached / len(ways))


def test_two_models_in_one_order_on_five_data_sets_are_not_told_apart():
    # The sign test: 2 of 32 ways. Nemenyi's critical difference alone, 0.88, would do.
    found = compare_data_sets(scores(dict.fromkeys("abcde", (1.0, 1.5)), names="xy"))
    assert found.friedman.p_value == pytest.approx(2 / 32)
    assert found.critical_difference < 1
    assert not found.tells_apart("x", "y")
    assert found.groups == (("x", "y"),)


def test_equal_scores_share_a_rank_and_nothing_is_found():
    found = compare_data_sets(scores(dict.fromkeys("ab", (1.0, 1.0)), names="xy"))
    assert [model.rank for model in found.models] == [1.5, 1.5]
    assert found.leaders == ("x", "y")
    assert (found.friedman.statistic, found.friedman.p_value) == (0.0, 1.0)


def test_shares_are_of_the_bias_baseline_of_each_data_set():
    found = compare_data_sets(
        [
            DataSetScores(name="stars", floor=1.0, scores={"x": 0.9, "y": 0.8}),
            DataSetScores(name="points", floor=20.0, scores={"x": 15.0, "y": 19.0}),
        ]
    )
    shares = {model.name: model.shares for model in found.models}
    assert shares == {"x": (0.9, 0.75), "y": (0.8, 0.95)}
    assert found.to_frame().set_index("model").loc["y", "points"] == pytest.approx(95)
    assert found.is_description


def test_answers_are_counted_whichever_way_round_they_were_asked():
    found = compare_data_sets(
        scores(
            {"a": (1.0, 1.2), "b": (1.0, 1.2), "c": (1.0, 1.1), "d": (1.0, 1.1)},
            names="xy",
            a={("x", "y"): "better"},
            b={("y", "x"): "worse"},
            c={("y", "x"): "undecided"},
        )
    )
    counts = found.count("y", "x")
    assert (counts.better, counts.undecided, counts.worse) == (0, 1, 2)
    assert found.count("x", "y").better == 2
    # On "d" the two were not compared.
    assert counts.n_compared == 3
    with pytest.raises(ParameterError, match="z"):
        found.count("x", "z")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"a": (1.0, 1.2)}, "Two data sets"),
        ({"a": (1.0, 1.2), "b": (1.0, float("nan"))}, "b: .*nan"),
        ({"a": (1.0, 1.2), "b": (0.0, 1.2)}, "b: .*0.0"),
    ],
)
def test_what_cannot_be_compared_is_refused(table, said):
    with pytest.raises(DataError, match=said):
        compare_data_sets(scores(table, names="xy"))


def test_every_data_set_needs_the_same_models():
    one, other = scores({"a": (1.0, 1.2)}, "xy"), scores({"b": (1.0, 1.2)}, "xz")
    with pytest.raises(DataError, match=r"a has x, y, and b has x, z"):
        compare_data_sets(one + other)


def test_where_higher_is_better_the_highest_ranks_first():
    measured = [
        DataSetScores(name=name, floor=0.5, scores={"a": 0.1, "b": 0.2, "c": 0.3})
        for name in ("one", "two")
    ]
    found = compare_data_sets(measured, higher_is_better=True)
    assert [(m.name, m.rank) for m in found.models] == [("c", 1), ("b", 2), ("a", 3)]
    assert found.models[0].shares == pytest.approx((0.6, 0.6))
