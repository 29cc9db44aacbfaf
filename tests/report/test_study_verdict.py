import pytest

from harness.report.study_verdict import comparisons, optimism, title, verdict

NAMES = ("tuned", "initial", "user and item bias")


@pytest.fixture
def judge(make_study, make_trial, make_final):
    """Word the verdict on a study with these test scores and p-values."""

    def word(rmse, p_values, **changes):
        scores = dict(zip(NAMES, rmse, strict=True))
        final = make_final(2, scores, p_values, **changes)
        trials = [make_trial(n) for n in range(3)]
        return " ".join(verdict(make_study(trials, final=final)))

    return word


def test_an_improvement_is_said_with_size_and_interval(judge):
    text = judge([0.90, 0.94, 0.95], [0.001, 0.001])
    assert "lowered the RMSE on the sealed test set from 0.9400 to **0.9000**" in text
    # 0.90 - 0.94 = -0.04, give or take 0.005.
    assert "by 0.0400 [0.0350, 0.0450], which is beyond chance (p = 0.002)" in text
    assert "**beats the user and item bias baseline** (0.9500)" in text


def test_a_difference_that_may_be_chance_is_no_improvement(judge):
    text = judge([0.938, 0.94, 0.95], [0.4, 0.001])
    assert "**cannot be told apart**" in text
    assert "0.0020 [-0.0030, 0.0070]" in text
    assert "lowered" not in text


def test_a_deterioration_is_called_so(judge):
    text = judge([0.95, 0.94, 0.99], [0.001, 0.001])
    assert "**raised**" in text
    assert "by 0.0100 [0.0050, 0.0150]" in text


@pytest.mark.parametrize(("rmse", "p"), [(0.96, 0.001), (0.949, 0.5), (0.951, 0.5)])
def test_a_family_that_does_not_beat_the_bias_baseline_is_said_not_to(judge, rmse, p):
    text = judge([rmse, 0.97, 0.95], [0.001, p])
    assert "`svd` **does not beat the user and item bias baseline**" in text


def test_many_comparisons_raise_the_bar(judge):
    # 0.03 alone is below 0.05; of two comparisons, both with 0.03, neither is.
    text = judge([0.93, 0.94, 0.95], [0.03, 0.03])
    assert "(p = 0.060)" in text
    assert "cannot be told apart" in text


def test_p_values_are_corrected_and_tiny_ones_are_bounds(judge):
    # Two comparisons (Holm): the smaller p counts twice.
    text = judge([0.90, 0.94, 0.95], [0.0004, 0.02])
    assert "(p < 0.001)" in text
    assert "(p = 0.020)" in text


def test_a_second_look_at_the_test_set_is_confessed(judge):
    assert "opened **2 times**" in judge([0.9, 0.94, 0.95], [0.001, 0.001], looks=2)
    assert "times**" not in judge([0.9, 0.94, 0.95], [0.001, 0.001])


def test_a_final_result_of_an_earlier_best_trial_is_out_of_date(judge):
    text = judge([0.9, 0.94, 0.95], [0.001, 0.001], best_trial=1)
    assert "**Out of date:** the test set has judged trial #1" in text
    assert "#2" in text


def test_without_test_set_the_search_scores_are_called_optimistic(
    make_study, make_trial
):
    study = make_study([make_trial(0), make_trial(1)], split={"method": "none"})
    text = " ".join(verdict(study))
    assert "**There is no test set**" in text
    assert "optimistic" in text
    assert "#1, has a mean RMSE over the folds of **0.9490**" in text
    assert "the initial settings have 0.9500" in text


def test_a_search_that_was_stopped_leaves_the_test_set_sealed(make_study, make_trial):
    assert "**The test set is still sealed**" in verdict(make_study([make_trial(0)]))[0]


def test_a_study_without_complete_trial_has_no_result(make_study, make_trial):
    study = make_study([make_trial(0, "failed")])
    assert "**No trial was completed**" in verdict(study)[0]


def test_an_optimum_at_the_edge_is_part_of_the_verdict(make_study, make_trial):
    edge = make_trial(0, params={"n_factors": 990, "n_epochs": 50})
    text = " ".join(verdict(make_study([edge])))
    assert "**Widen the range** of `n_factors` (high end)" in text


def test_comparisons_keep_their_sign(make_study, make_final):
    final = make_final(0, {"tuned": 0.9, "initial": 0.95}, [0.001])
    (found,) = comparisons(make_study(final=final))
    assert (round(found.value, 6), found.outcome) == (-0.05, "better")


def test_optimism_lays_three_scores_side_by_side(make_study, make_final, make_trial):
    final = make_final(2, {"tuned": 0.93, "initial": 0.95}, [0.001])
    trials = [make_trial(0), make_trial(1, "pruned"), make_trial(2, "failed")]
    rows, sentence = optimism(make_study(trials, final=final))
    assert [value for _, value, _ in rows] == [0.94, 0.942, 0.93]
    assert "best of 2 trials" in rows[0][2]
    # 0.942 - 0.940
    assert "flatters the settings by 0.0020 stars" in sentence


def test_the_title_says_that_ratings_are_simulated(make_study):
    simulated = {"name": "ott", "simulated": True}
    assert title(make_study(dataset=simulated)).endswith("on ott (SIMULATED ratings)")
    assert "SIMULATED" not in title(make_study())


def test_folds_in_time_cannot_be_dealt_anew_and_the_report_says_so(
    make_study, make_final, make_trial
):
    final = make_final(2, dict.fromkeys(NAMES, 0.9), [1.0, 1.0])
    del final["optimism"]["fresh_folds"]
    rows, sentence = optimism(
        make_study([make_trial(n) for n in range(3)], final=final)
    )
    assert [row[0] for row in rows] == ["search", "test set"]
    assert "cannot be dealt anew" in sentence
