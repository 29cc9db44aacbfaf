import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import scipy.stats

from harness.errors import ParameterError
from harness.evaluation.dependence import Uncertain, VarianceParts
from harness.evaluation.equivalence import (
    answer_pairs,
    check_margin,
    non_inferiority,
    users_to_detect,
)


def uncertain(value, se=0.001, df=1e9, titles=0.0):
    parts = VarianceParts(users=se**2 - titles, titles=titles)
    return Uncertain(
        value=value, parts=parts, degrees_of_freedom=df, two_way_ratio=None
    )


def answer(value, **settings):
    (pair,) = answer_pairs([("a", "b", uncertain(value, **settings))], margin=0.005)
    return pair


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # The interval reaches 1.96 standard errors, of 0.001, to either side.
        (-0.00697, "better"),
        (-0.00695, "undecided"),
        (-0.00305, "undecided"),
        (-0.00303, "equivalent"),
        (0.0, "equivalent"),
        (0.00303, "equivalent"),
        (0.00305, "undecided"),
        (0.00697, "worse"),
    ],
)
def test_answers_change_where_the_intervals_leave_the_margin(value, expected):
    assert answer(value).answer == expected


def test_a_significant_difference_below_the_margin_is_equivalence():
    pair = answer(-0.0025)
    assert pair.p_difference < 0.02
    assert pair.answer == "equivalent"


def test_p_values_and_probabilities_are_students():
    pair = answer(-0.004, se=0.002, df=7)
    t = scipy.stats.t(7)
    assert pair.p_equivalent == pytest.approx(2 * t.sf(0.5))
    assert pair.p_beyond_margin == 1
    assert pair.p_difference == pytest.approx(2 * t.sf(2))
    p = pair.probability
    assert p.better == pytest.approx(t.sf(0.5))
    assert p.worse == pytest.approx(t.sf(4.5))
    assert p.better + p.equivalent + p.worse == pytest.approx(1)
    assert pair.detectable == pytest.approx(0.002 * (t.ppf(0.975) + t.ppf(0.8)))


def test_answers_of_one_question_are_adjusted_together():
    # Unadjusted p = 0.0455 beyond the margin: enough alone, not among three.
    alone = answer(-0.007)
    assert alone.answer == "better"
    others = [("a", name, uncertain(-0.005)) for name in "cd"]
    found = answer_pairs([("a", "b", uncertain(-0.007)), *others], margin=0.005)
    assert found[0].answer == "undecided"
    assert found[0].p_beyond_margin == pytest.approx(3 * alone.p_beyond_margin)
    half = scipy.stats.norm.isf(0.05 / 3 / 2) * 0.001
    assert found[0].confidence == pytest.approx(1 - 0.05 / 3)
    assert found[0].difference.high == pytest.approx(-0.007 + half)


def test_pairs_that_differ_leave_their_level_to_the_others():
    # The first step, at 0.05 / 4, shows the one far from the margin to differ; the second,
    # at 0.05 / 3, one more; the last, at 0.05 / 2, none.
    z = scipy.stats.norm
    second = 0.005 + 0.001 * z.isf(0.05 / 3 / 2) + 1e-6
    assert second < 0.005 + 0.001 * z.isf(0.05 / 4 / 2)
    values = (0.02, 0.0, second, 0.0068)
    found = answer_pairs([("a", str(v), uncertain(v)) for v in values], margin=0.005)
    assert [p.answer for p in found] == ["worse", "equivalent", "worse", "undecided"]
    levels = [1 - p.confidence for p in found]
    assert levels == pytest.approx([0.05 / 4, 0.05 / 2, 0.05 / 3, 0.05 / 2])


def test_equivalent_pairs_do_not_make_a_difference_significant():
    # Holm: of six pairs, none of which is significant, the smallest p counts six times.
    equivalent = [("a", name, uncertain(0.0)) for name in "bcdef"]
    found = answer_pairs(
        [*equivalent, ("a", "g", uncertain(0.021, 0.01))], margin=0.005
    )
    assert [p.answer for p in found] == [*["equivalent"] * 5, "undecided"]
    assert found[-1].p_difference == pytest.approx(6 * 2 * scipy.stats.norm.sf(2.1))


def test_of_a_single_user_nothing_is_probable_or_foreseen():
    pair = answer(0.1, se=math.nan)
    assert np.isnan([*asdict(pair.probability).values()]).all()
    assert users_to_detect(pair, n_users=1) is None


@pytest.mark.parametrize("margin", [0.0, 0.005])
def test_answers_and_p_values_can_be_read_off_the_intervals(margin):
    rng = np.random.default_rng(0)
    pairs = answer_pairs(
        [
            ("a", str(k), uncertain(v, se, df=7))
            for k, (v, se) in enumerate(
                zip(rng.normal(0, 0.006, 60), rng.uniform(1e-4, 2e-3, 60), strict=True)
            )
        ],
        margin=margin,
    )
    for pair in pairs:
        low, high = pair.difference.low, pair.difference.high
        assert (pair.answer == "better") == (high < -margin)
        assert (pair.answer == "worse") == (low > margin)
        assert (pair.answer == "equivalent") == (-margin < low and high < margin)
        assert (pair.p_beyond_margin < 0.05) == (pair.answer in {"better", "worse"})
        assert (pair.p_equivalent < 0.05) == (pair.answer == "equivalent")
        assert (pair.p_difference < 0.05) == (low > 0 or high < 0)
    assert {pair.answer for pair in pairs} >= {"better", "worse", "undecided"}


def test_without_any_uncertainty_the_answer_is_plain():
    assert answer(0.0, se=0).answer == "equivalent"
    assert answer(-0.1, se=0).answer == "better"
    assert answer(0.005, se=0).answer == "undecided"
    assert asdict(answer(-0.1, se=0).probability) == {
        "better": 1,
        "equivalent": 0,
        "worse": 0,
    }


def test_flipping_twice_changes_nothing():
    pair = answer(-0.0071)
    flipped = pair.flipped()
    assert (flipped.one, flipped.other, flipped.answer) == ("b", "a", "worse")
    assert flipped.difference.low == -pair.difference.high
    assert flipped.flipped() == pair


def test_pairs_are_plain_json():
    text = json.dumps(asdict(answer(-0.0071)), allow_nan=False)
    assert json.loads(text)["difference"]["value"] == -0.0071


def test_users_to_detect_have_the_power_that_is_promised():
    pair = answer(0.0, se=0.004)
    n = users_to_detect(pair, n_users=500)
    z = scipy.stats.norm
    # With n users the standard error shrinks by the root of 500 / n.
    power = z.sf(z.ppf(0.975) - 0.005 / (0.004 * math.sqrt(500 / n)))
    assert power == pytest.approx(0.8, abs=0.001)
    # Among two undecided pairs the interval is wider.
    twice = [("a", b, uncertain(0.0, se=0.004)) for b in "bc"]
    pair, _ = answer_pairs(twice, margin=0.005)
    n = users_to_detect(pair, n_users=500)
    power = z.sf(z.ppf(0.9875) - 0.005 / (0.004 * math.sqrt(500 / n)))
    assert power == pytest.approx(0.8, abs=0.001)


def test_more_users_do_not_help_where_titles_are_too_few():
    # (0.005 / 2.8)^2 = 3.19e-6 is all the variance that may be left.
    few = answer(0.0, se=0.004, titles=3.3e-6)
    assert users_to_detect(few, n_users=500) is None
    some = answer(0.0, se=0.004, titles=1e-6)
    assert users_to_detect(some, n_users=500) > users_to_detect(
        answer(0.0, se=np.sqrt(0.004**2 - 1e-6)), n_users=500
    )


def test_non_inferiority_looks_at_one_side():
    z = scipy.stats.norm.ppf(0.95)
    found = non_inferiority(answer(0.0033), n_users=100)
    assert found.upper == pytest.approx(0.0033 + z * 0.001)
    assert (found.non_inferior, found.superior, found.inferior) == (True, False, False)
    assert not non_inferiority(answer(0.0034), n_users=100).non_inferior
    assert non_inferiority(answer(-0.0017), n_users=100).superior
    assert not non_inferiority(answer(-0.0016), n_users=100).superior
    two_sided = 2 * scipy.stats.norm.sf(1.7)
    assert non_inferiority(answer(-0.0017), n_users=100).p_value == pytest.approx(
        two_sided
    )
    assert non_inferiority(answer(0.0067), n_users=100).inferior
    # A stricter level, as for a later opening.
    assert not non_inferiority(answer(0.0033), n_users=100, alpha=0.004).non_inferior


def test_non_inferiority_says_how_many_users_would_do():
    found = non_inferiority(answer(0.004, se=0.004), n_users=500)
    z = scipy.stats.norm
    se = 0.004 * math.sqrt(500 / found.users_needed)
    power = z.cdf(0.005 / se - z.ppf(0.95))
    assert power == pytest.approx(0.8, abs=0.001)


@pytest.mark.parametrize("alpha", [0, 0.5, -1, math.nan])
def test_an_impossible_level_is_refused(alpha):
    with pytest.raises(ParameterError, match="alpha"):
        non_inferiority(answer(0), n_users=100, alpha=alpha)


@pytest.mark.parametrize("margin", [-0.001, math.nan, math.inf, 4.1])
def test_an_impossible_margin_is_refused(margin):
    with pytest.raises(ParameterError, match="margin must be between 0 and"):
        check_margin(margin, (1, 5))


def test_a_margin_that_is_not_declared_depends_on_the_scale():
    assert check_margin(None, (1, 5)) == (0.005, False)
    assert check_margin(None, (0, 100)) == (0.125, False)
    assert check_margin(0.01, (1, 5)) == (0.01, True)
