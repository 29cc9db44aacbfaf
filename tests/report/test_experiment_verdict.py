import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.experiment.decision import declare
from harness.report.context import Draft
from harness.report.verdict import opening
from tests.experiment.records import make_efficiency, make_record, make_spec, make_study
from tests.experiment.scores import TUNED

CLOSE = {"cf": 0.5723, "content": 0.68, "hybrid": 0.59, "svd": 0.5720}
"""Of these, an error of 0.004 stars cannot tell cf from svd."""


@pytest.fixture(scope="module")
def record():
    return make_record()


@pytest.fixture
def make_falling():
    """Studies of which that of one candidate has found its best in its last trial."""

    def make(candidate, params=None):
        studies = {c: make_study(c) for c in TUNED}
        falling = make_study(candidate, progress=(0.0, 0.1, 0.2, 0.3, 0.4, 1.0))
        if params:
            last = replace(falling.trials[-1], params=params)
            falling = replace(falling, trials=(*falling.trials[:-1], last))
        return studies | {candidate: falling}

    return make


def verdict(record):
    """The verdict without the title and what follows it."""
    parts = opening(Draft.of(record, Path())).split("\n\n")
    return next(p for p in parts if not p.startswith(("#", ">")))


def caveats(record):
    return re.findall(r"^- (.*)", opening(Draft.of(record, Path())), re.MULTILINE)


def test_a_clear_win_is_three_sentences_with_size_certainty_and_cost(record):
    text = verdict(record)
    # 0.572 of svd, 0.66 of the baseline, 0.59 of hybrid; intervals: 1.96 * 0.004.
    assert text.startswith(
        "**Use SVD**: its RMSE on the sealed test set is 0.5720 [0.5640, 0.5800] stars, "
        "0.0880 [0.0802, 0.0958] below the user and item bias baseline (0.6600; p < 0.001)."
    )
    assert (
        "the next best, hybrid, is worse by 0.0180 [0.0102, 0.0258] stars, which is "
        "beyond chance (p < 0.001)." in text
    )
    assert text.endswith(
        "It takes 620 ms to train, 0.42 ms for a user's top 10 (p95), 186 MB of memory at "
        "its peak and 1.3 MB on disk."
    )


def test_a_tie_is_said_with_the_values_that_decided():
    record = make_record(
        final={"tuned": CLOSE}, efficiency=make_efficiency({"cf": 0.1, "svd": 0.42})
    )
    text = verdict(record)
    assert text.startswith("**Use collaborative filtering**: ")
    assert (
        "SVD has the lowest RMSE of the families, but the two cannot be told apart "
        "(0.0003 [-0.0075, 0.0081] stars, p = 0.940); among the tied the rule decides: by "
        "p95 latency collaborative filtering (0.10 ms) is ahead of SVD (0.42 ms)."
        in text
    )


def test_a_third_family_that_is_tied_is_named():
    record = make_record(
        final={"tuned": CLOSE | {"hybrid": 0.5722}},
        efficiency=make_efficiency({"hybrid": 0.1}),
    )
    assert (
        "SVD has the lowest RMSE of the families, but the two cannot be told apart "
        "(0.0002 [-0.0076, 0.0080] stars, p = 1.000), and neither can collaborative filtering from it; "
        in verdict(record)
    )


def test_the_best_can_win_a_tie_too():
    text = verdict(make_record(final={"tuned": CLOSE}))
    assert "**Use SVD**" in text
    assert (
        "It has the lowest RMSE of the families, but cannot be told apart from "
        "collaborative filtering (0.0003 [-0.0075, 0.0081] stars, p = 0.940)" in text
    )
    assert "SVD (0.42 ms) is ahead of collaborative filtering (6.1 ms)" in text


def test_criteria_are_told_in_the_order_they_were_applied():
    costs = make_efficiency({"cf": 6.0, "svd": 0.4, "hybrid": 0.41})
    record = make_record(
        final={"tuned": CLOSE | {"hybrid": 0.5722}}, efficiency=costs, spec=make_spec()
    )
    # 0.40 and 0.41 ms are within 5 %; then 620 ms of training against 4.4 s.
    assert (
        "the rule decides: by p95 latency collaborative filtering (6.0 ms) drops out; by "
        "training time SVD (620 ms) is ahead of hybrid (4.4 s)." in verdict(record)
    )


def test_where_no_criterion_separates_the_rmse_decides():
    spec = make_spec(decision={"prefer": ["latency_p95_ms"]})
    costs = make_efficiency({"cf": 0.42, "svd": 0.42})
    text = verdict(make_record(final={"tuned": CLOSE}, efficiency=costs, spec=spec))
    assert (
        "p95 latency does not separate them; by RMSE SVD (0.5720) is ahead of "
        "collaborative filtering (0.5723)." in text
    )


@pytest.mark.parametrize(
    ("bias", "how"), [(0.5725, "may be chance"), (0.55, "worse by")]
)
def test_no_family_is_recommended_that_does_not_beat_the_bias_baseline(bias, how):
    baselines = {"user and item bias": bias, "global mean": 0.92}
    text = verdict(make_record(final={"baselines": baselines}))
    assert text.startswith("**Use none of them yet**: the rule chooses SVD, ")
    assert "**does not beat the user and item bias baseline**" in text
    assert how in text


def test_a_single_family_has_no_rival():
    spec = make_spec(
        families={"svd": {"label": "SVD"}}, variants=[], criteria=[], claims=[]
    )
    record = make_record(
        spec=spec,
        studies={},
        final={"tuned": {"svd": TUNED["svd"]}, "variants": {}},
        efficiency={},
    )
    text = verdict(record)
    assert "It is the only family that was judged." in text
    assert "What it costs was not measured." in text


def test_before_the_test_set_is_opened_nothing_is_recommended():
    record = make_record(opened=False)
    text = verdict(record)
    assert text.startswith(
        "**The test set is still sealed**, so nothing is decided: 4 of 4"
    )
    # The lowest objective: svd, 0.572 + 0.003.
    assert "So far SVD has the lowest RMSE over the folds, 0.5750 stars" in text
    assert "Use" not in text
    assert caveats(record) == []


def test_before_the_first_trial_there_is_nothing_to_say_but_that():
    text = verdict(make_record(opened=False, studies={}))
    assert "0 of 4 searches have begun" in text
    assert "So far" not in text


def test_simulated_ratings_are_announced_and_real_ones_are_not(record):
    assert opening(Draft.of(record, Path())).startswith(
        "# Four families on a simulated streaming service (SIMULATED ratings)\n\n"
        "> **These ratings are simulated.**"
    )
    real = make_record(dataset={**record.dataset, "simulated": False})
    assert "SIMULATED" not in opening(Draft.of(real, Path()))


def test_what_limits_a_verdict_is_listed():
    found = caveats(make_record(final={"changes": {"looks": 3}}))
    assert found[0].startswith("**Acceptance criterion failed**: The p95 latency of")
    assert found[1].startswith("The test set has been opened **3 times**")
    # All judge trial 7, which is the best of each.
    stale = dict.fromkeys(TUNED, 7) | {"cf": 4}
    found = caveats(make_record(final={"best_trials": stale}))
    assert any(
        "of collaborative filtering the test set has judged trial #4" in f
        for f in found
    )
    assert not any("of SVD the test set" in f for f in found)


def test_errors_far_above_the_published_ones_are_said_at_once():
    tuned = {c: rmse + 0.3 for c, rmse in TUNED.items()}
    # 0.872 / 0.5749 = 1.517
    assert caveats(make_record(final={"tuned": tuned}))[-1].startswith(
        "**Not as published**: The lowest published RMSE is 0.5749 (SVD). The lowest here, "
        "of all tuned families, is 0.8720 (SVD): 52 % higher"
    )
    assert "Not as published" not in " ".join(caveats(make_record()))


def test_a_search_that_was_still_finding_better_settings_is_not_converged(make_falling):
    found = caveats(make_record(studies=make_falling("cf")))
    assert "**Not converged**: collaborative filtering." in " ".join(found)


def test_a_best_value_at_the_end_of_its_range_is_named(make_falling):
    studies = make_falling("svd", params={"n_factors": 99, "learning_rate": 0.01})
    found = " ".join(caveats(make_record(studies=studies)))
    assert "**Widen the range** of: SVD `n_factors` (high)." in found


def test_what_was_changed_after_the_look_is_said():
    first = make_spec()
    declared = declare(first)
    same = make_record(final={"changes": {"declared": declared}})
    assert not any("Changed after" in line for line in caveats(same))
    later = make_spec(decision={"prefer": ["model_bytes"]}, criteria=[])
    record = make_record(spec=later, final={"changes": {"declared": declared}})
    assert (
        "**Changed after the test set was first opened**: decision rule, acceptance "
        "criteria. Whoever knew the scores could choose them so that they suit."
        in caveats(record)
    )


def test_a_family_that_was_searched_longer_than_the_budget_is_said_to_be_favoured():
    studies = {c: make_study(c) for c in TUNED}
    assert not any("Unequal" in line for line in caveats(make_record(studies=studies)))
    studies["svd"] = make_study("svd", progress=(0.0, 0.5, *[0.4] * 20, 1.0))
    assert (
        "**Unequal budgets**: the families have had different numbers of trials "
        "(collaborative filtering 11, content-based 11, hybrid 11, SVD 23); who was "
        "searched longer is favoured." in caveats(make_record(studies=studies))
    )


def test_criteria_that_separate_nobody_are_named_together():
    spec = make_spec(decision={"prefer": ["latency_p95_ms", "fit_seconds"]})
    costs = make_efficiency({"cf": 0.42, "svd": 0.42})
    costs["cf"]["fit_seconds"] = costs["svd"]["fit_seconds"]
    text = verdict(make_record(final={"tuned": CLOSE}, efficiency=costs, spec=spec))
    assert (
        "the rule decides: p95 latency and training time do not separate them;" in text
    )


def test_a_tied_family_that_may_be_no_better_than_the_baseline_drops_out_by_name():
    final = {
        "tuned": {"svd": 0.645, "cf": 0.652, "hybrid": 0.7, "content": 0.7},
        "baselines": {"user and item bias": 0.660, "global mean": 0.9},
    }
    text = verdict(make_record(final=final))
    assert "**Use SVD**" in text
    assert (
        "the rule decides: collaborative filtering (0.0080) drops out, not beyond chance "
        "better than the bias baseline." in text
    )


def test_a_tie_whose_interval_excludes_zero_is_said_to_be_one_by_correction():
    # 0.0085 is 2.125 standard errors: p = 0.0336. Of the ten pairs three are this or less:
    # two of 0.0085 and one of nothing, so it is corrected to 3 * 0.0336.
    tuned = TUNED | {"hybrid": 0.5805, "cf": 0.5805}
    text = verdict(make_record(final={"tuned": tuned}))
    assert (
        "hybrid (0.0085 [0.0007, 0.0163] stars, p = 0.101 when corrected for all pairs)"
        in text
    )


@pytest.mark.parametrize(("n_users", "is_said"), [(99, True), (100, False)])
def test_intervals_of_few_test_users_are_said_to_be_too_narrow(n_users, is_said):
    record = make_record(final={"changes": {"n_test_users": n_users}})
    found = [line for line in caveats(record) if f"**{n_users} users only**" in line]
    assert bool(found) == is_said


@pytest.mark.parametrize(
    ("unseen", "others", "said"),
    [
        # Of 399, 401, 4,240 and 320: 19.8, 20.2, 92 and 100 %.
        (79, 320, None),
        (81, 320, ("20 %", "in part")),
        (3920, 320, ("92 %", "mostly")),
        (320, 0, ("100 %", "wholly")),
    ],
)
def test_test_ratings_of_strangers_are_a_limit(unseen, others, said):
    final = make_record().final
    depth = final["models"][0]["depth"]
    counts = (unseen, 0, 0, others)
    depth["users"] = [
        group | {"n_pairs": n} for group, n in zip(depth["users"], counts, strict=True)
    ]
    lines = caveats(make_record(final={"changes": final}))
    found = [line for line in lines if "without any training rating" in line]
    assert len(found) == (said is not None)
    if said:
        share, amount = said
        assert found[0] == (
            f"**{share} of the test ratings** ({unseen:,} of {unseen + others:,}) have a "
            f"user without any training rating: the comparison is {amount} one of what "
            "families say of users that they do not know."
        )


def test_one_number_that_beats_every_family_is_a_limit():
    # The mean has 0.922.
    record = make_record(final={"tuned": TUNED | dict.fromkeys(TUNED, 0.95)})
    assert any(
        "**The global mean has a lower RMSE** (0.9220)" in c for c in caveats(record)
    )
    assert not any("global mean" in c for c in caveats(make_record()))
