import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.evaluation.comparison import WinnerCorrection
from harness.evaluation.results import BIAS_BASELINE, MEAN_BASELINE
from harness.experiment.decision import declare
from harness.experiment.results import OpeningsByNow
from harness.report.context import Context
from harness.report.verdict import opening, verdict_lines, verdict_of
from harness.report.write import as_json
from tests.experiment.records import (
    DATASET,
    make_costs,
    make_record,
    make_spec,
    make_study,
    make_study_record,
    with_models,
)
from tests.experiment.scores import TUNED
from tests.facts import no_test

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


def kinds(statements):
    return [statement.kind for statement in statements]


def caveats(record):
    return verdict_of(record).caveats


def caveat(record, kind):
    """The facts of the only caveat of a kind."""
    (found,) = [each for each in caveats(record) if each.kind == kind]
    return found.facts


def title(record):
    return opening(Context(record=record, folder=Path())).splitlines()[0]


def test_a_verdict_is_three_lines_what_to_use_how_much_better_and_how_sure(record):
    use, gain, certainty = verdict_of(record).lines
    assert (use.kind, use.facts["candidate"]) == ("use", "svd")
    # 0.572 of svd, 0.66 of the better baseline: 0.088, or 13.3 %.
    assert gain.facts["rmse"] == 0.572
    assert gain.facts["gain"] == pytest.approx(0.088)
    assert gain.facts["share"] == pytest.approx(0.088 / 0.66)
    assert "0.0880 stars (13.3 %) below the user and item bias baseline" in gain.text
    # One of ten pairs, all of them decided at 0.05 / 10: 2.807 * 0.004.
    assert certainty.facts["low"] == pytest.approx(0.088 - 2.807 * 0.004, abs=1e-6)
    assert certainty.facts["high"] == pytest.approx(0.088 + 2.807 * 0.004, abs=1e-6)
    assert certainty.facts["comparisons"] == 10
    assert "p < 0.001" in certainty.text
    assert "0.0768 to 0.0992 stars" in certainty.text
    assert "adjusted for 10 comparisons" in certainty.text


def test_every_answer_can_be_read_off_the_interval_beside_it():
    judged = {"tuned": CLOSE | {"hybrid": 0.577}, "error": 0.001, "margin": 0.003}
    verdict = verdict_of(make_record(judged=judged))
    found = {r.facts["candidate"]: r for r in verdict.reasons if "low" in r.facts}
    assert {c: r.kind for c, r in found.items()} == {
        "cf": "equivalent",
        "hybrid": "undecided",
    }
    for each in found.values():
        low, high, margin = (each.facts[k] for k in ("low", "high", "margin"))
        assert f"{low:.4f} to {high:.4f}" in each.text
        assert (each.kind == "equivalent") == (-margin < low and high < margin)
        assert not low > margin


def test_every_line_is_short(record):
    tied = make_record(judged={"tuned": CLOSE}, costs=make_costs({"cf": 0.1}))
    for each in (record, tied, make_study_record(), make_record(opened=False)):
        for line in verdict_of(each).lines:
            assert len(line.text.split()) <= 32


def test_a_clear_win_names_the_next_best(record):
    (found,) = verdict_of(record).reasons
    assert (found.kind, found.facts["candidate"]) == ("next best", "hybrid")
    assert found.facts["value"] == pytest.approx(0.018)
    assert found.facts["low"] > found.facts["margin"] == 0
    for number in ("0.0180 stars above", "0.0068 to 0.0292"):
        assert number in found.text


def test_why_not_the_lowest_rmse_is_told_with_the_values_that_decided():
    record = make_record(
        judged={"tuned": CLOSE}, costs=make_costs({"cf": 0.1, "svd": 0.42})
    )
    verdict = verdict_of(record)
    assert verdict.lines[0].facts["candidate"] == "cf"
    assert verdict.question == "Why not SVD, which has the lowest RMSE?"
    tie, decided = verdict.reasons
    assert (tie.kind, tie.facts["candidate"]) == ("undecided", "cf")
    assert tie.facts["value"] == pytest.approx(0.0003)
    # 2.8 standard errors of 0.004 would show with 80 % power.
    assert tie.facts["detectable"] == pytest.approx(0.0112, abs=1e-5)
    assert "0.0003 stars above" in tie.text
    assert "-0.0075 to 0.0081" in tie.text
    assert decided.facts == {"criterion": "latency_p95_ms", "left": "cf"}
    assert "(0.10 ms)" in decided.text
    assert "(0.42 ms)" in decided.text


def test_all_that_are_tied_are_named():
    record = make_record(
        judged={"tuned": CLOSE | {"hybrid": 0.5722}}, costs=make_costs({"hybrid": 0.1})
    )
    ties = [r for r in verdict_of(record).reasons if r.kind == "undecided"]
    assert [tie.facts["candidate"] for tie in ties] == ["hybrid", "cf"]


def test_the_best_can_win_a_tie_too():
    verdict = verdict_of(make_record(judged={"tuned": CLOSE}))
    assert verdict.lines[0].facts["candidate"] == "svd"
    assert verdict.question == "Why SVD, although others are not shown to be worse?"
    assert kinds(verdict.reasons) == ["undecided", "round"]


def test_criteria_are_told_in_the_order_they_were_applied():
    costs = make_costs({"cf": 6.0, "svd": 0.4, "hybrid": 0.41})
    record = make_record(judged={"tuned": CLOSE | {"hybrid": 0.5722}}, costs=costs)
    # 0.40 and 0.41 ms are within 5 %; then 620 ms of training against 4.4 s.
    first, second = [r for r in verdict_of(record).reasons if r.kind == "round"]
    assert first.facts == {"criterion": "latency_p95_ms", "left": "svd, hybrid"}
    assert second.facts == {"criterion": "fit_seconds", "left": "svd"}


def test_where_no_criterion_separates_the_rmse_decides():
    spec = make_spec(decision={"prefer": ["latency_p95_ms", "fit_seconds"]})
    costs = make_costs({"cf": 0.42, "svd": 0.42}, cf={"fit_seconds": 0.62})
    record = make_record(judged={"tuned": CLOSE}, costs=costs, spec=spec)
    _, silent, last = verdict_of(record).reasons
    assert silent.kind == "silent criteria"
    assert list(silent.facts) == ["latency_p95_ms", "fit_seconds"]
    assert last.facts == {"criterion": "rmse", "left": "svd"}


def test_a_tied_family_that_may_be_no_better_than_the_baseline_drops_out_by_name():
    judged = {
        "tuned": {"svd": 0.645, "cf": 0.652, "hybrid": 0.7, "content": 0.7},
        "baselines": {"user and item bias": 0.660, "global mean": 0.9},
    }
    verdict = verdict_of(make_record(judged=judged))
    assert verdict.lines[0].facts["candidate"] == "svd"
    assert verdict.reasons[-1].facts == {"criterion": "gain_over_bias", "left": "svd"}
    assert "collaborative filtering (0.0080)" in verdict.reasons[-1].text


def test_a_family_within_the_margin_is_as_good_and_not_merely_untold():
    # 0.0003 is 6 standard errors of 0.001 within a margin of 0.006.
    judged = {"tuned": CLOSE, "error": 0.001, "margin": 0.006}
    record = make_record(judged=judged, costs=make_costs({"cf": 0.1}))
    found = verdict_of(record).reasons[0]
    assert (found.kind, found.facts["candidate"]) == ("equivalent", "cf")
    assert found.facts["margin"] == 0.006
    assert "within the margin of 0.006" in found.text
    assert verdict_of(record).lines[0].facts["candidate"] == "cf"


@pytest.mark.parametrize(
    ("bias", "mean", "floor"),
    [
        (0.5725, 0.92, "user and item bias"),
        (0.55, 0.92, "user and item bias"),
        # The biases are beaten, but not the mean: on ratings without structure.
        (0.66, 0.5725, "global mean"),
        (0.66, 0.55, "global mean"),
    ],
)
def test_no_family_is_recommended_that_does_not_beat_the_better_baseline(
    bias, mean, floor
):
    baselines = {"user and item bias": bias, "global mean": mean}
    for record in (
        make_record(judged={"baselines": baselines}),
        make_study_record(judged={"baselines": baselines}),
    ):
        use, gain, certainty = verdict_of(record).lines
        assert use.kind == "use none"
        assert gain.facts["floor"] == floor
        assert gain.facts["gain"] == pytest.approx(min(bias, mean) - 0.572)
        assert ("may be chance" in certainty.text) == (min(bias, mean) == 0.5725)
        assert verdict_lines(record)[0].startswith("Use none yet")


def test_a_family_alone_in_a_file_with_several_has_no_rival():
    record = make_record(judged={"tuned": {"svd": TUNED["svd"]}, "variants": {}})
    assert kinds(verdict_of(record).reasons) == ["only one"]
    assert "not judged" in kinds(caveats(record))


def test_before_the_test_set_is_opened_nothing_is_recommended():
    record = make_record(opened=False)
    sealed, so_far = verdict_of(record).lines
    assert sealed.kind == "sealed"
    assert sealed.facts == {"started": 4, "families": 4}
    # The lowest objective: svd, 0.572 + 0.003.
    assert so_far.facts == {"candidate": "svd", "trial": 7, "rmse": 0.575}
    assert caveats(record) == ()


def test_before_the_first_trial_there_is_nothing_to_say_but_that():
    (sealed,) = verdict_of(make_record(opened=False, studies={})).lines
    assert sealed.facts == {"started": 0, "families": 4}


def test_a_study_without_test_set_or_without_trial_says_so():
    record = make_study_record(opened=False, split=no_test())
    assert kinds(verdict_of(record).lines) == ["no test set", "so far"]
    nothing = make_study_record(
        study=make_study("svd", progress=("failed",)), opened=False
    )
    assert kinds(verdict_of(nothing).lines) == ["no trial"]


def test_a_study_says_what_tuning_was_worth():
    # 0.578 and 0.572: 1.5 standard errors.
    (found,) = verdict_of(make_study_record()).reasons
    assert (found.kind, found.facts["outcome"]) == ("tuning", "unclear")
    assert "0.0060 stars (interval -0.0018 to 0.0138; p = 0.134)" in found.text
    (better,) = verdict_of(make_study_record(judged={"initial": {"svd": 0.6}})).reasons
    assert better.facts["outcome"] == "better"
    (worse,) = verdict_of(make_study_record(judged={"initial": {"svd": 0.55}})).reasons
    assert worse.facts["outcome"] == "worse"
    initial = make_study_record().model("svd", "initial").params
    record = with_models(make_study_record(), lambda m: replace(m, params=initial))
    assert kinds(verdict_of(record).reasons) == ["nothing better"]


def test_the_title_tells_reports_apart_by_name_data_and_day(record):
    assert title(record) == "# published: ott, 2026-03-01 (SIMULATED ratings)"
    real = make_record(dataset=replace(DATASET, simulated=False, name="ml-100k"))
    assert title(real) == "# published: ml-100k, 2026-03-01"
    text = opening(Context(record=real, folder=Path()))
    assert "*Four families on a simulated streaming service*" in text
    assert "ratings are simulated" not in text


def test_points_are_not_called_stars():
    record = make_record(dataset=replace(DATASET, scale=(0.0, 100.0)))
    text = opening(Context(record=record, folder=Path()))
    assert "0.0880 points (13.3 %)" in text
    lines = " ".join(verdict_lines(record))
    assert "stars" not in lines


def test_a_terminal_gets_the_lines_the_reasons_and_the_kinds_of_caveats(record):
    lines = verdict_lines(record)
    assert lines[0] == "Use SVD."
    assert lines[3].startswith("- ")
    assert lines[-1].endswith("failed criterion.")
    assert not any(mark in " ".join(lines) for mark in ("**", "&lt;", "`"))


def test_what_limits_a_verdict_is_listed():
    assert kinds(caveats(make_record())) == ["failed criterion"]
    assert caveat(make_record(), "failed criterion") == {"metric": "latency_p95_ms"}
    # All judge trial 7, which is the best of each.
    stale = make_record(judged={"best_trials": dict.fromkeys(TUNED, 7) | {"cf": 4}})
    assert caveat(stale, "out of date") == {"candidate": "cf", "judged": 4, "best": 7}


def test_openings_are_numbered_when_judged_and_counted_by_now():
    first = make_record(openings=OpeningsByNow(number=1))
    assert "openings" not in kinds(caveats(first))
    last = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
    later = make_record(
        judged={"changes": {"openings": 3}},
        openings=OpeningsByNow(number=7, last=last),
    )
    assert caveat(later, "openings") == {"when judged": 3, "by now": 7}
    text = opening(Context(record=later, folder=Path()))
    assert (
        "no. 3 when judged (2026-03-01 12:30 UTC); 7 by now, the last at 2026-03-02"
        in text
    )
    same = make_record(
        judged={"changes": {"openings": 3}},
        openings=OpeningsByNow(number=3, last=last),
    )
    assert "by now" not in opening(Context(record=same, folder=Path()))


def test_errors_far_above_the_published_ones_are_said_at_once():
    tuned = {c: rmse + 0.3 for c, rmse in TUNED.items()}
    # 0.872 / 0.5749 = 1.517
    record = make_record(judged={"tuned": tuned})
    assert caveat(record, "not as published")["share"] == pytest.approx(0.517, abs=5e-4)
    assert "not as published" not in kinds(caveats(make_record()))


def test_a_search_that_was_still_finding_better_settings_is_not_converged(make_falling):
    record = make_record(studies=make_falling("cf"))
    assert caveat(record, "not converged") == {"candidates": "cf"}


def test_a_best_value_at_the_end_of_its_range_is_named(make_falling):
    studies = make_falling("svd", params={"n_factors": 99, "learning_rate": 0.01})
    found = caveat(make_record(studies=studies), "range too narrow")
    assert found == {"candidate": "svd", "n_factors": "high"}


def test_what_was_changed_after_the_first_opening_is_said():
    first = make_spec()
    declared = declare(first)
    assert "changed rules" not in kinds(caveats(make_record(declared=declared)))
    later = make_spec(decision={"prefer": ["model_bytes"]}, criteria=[])
    record = make_record(spec=later, declared=declared)
    changed = {"changed": "decision rule, acceptance criteria"}
    assert caveat(record, "changed rules") == changed


def test_a_family_that_was_searched_longer_than_the_budget_is_said_to_be_favoured():
    studies = {c: make_study(c) for c in TUNED}
    assert "unequal budgets" not in kinds(caveats(make_record(studies=studies)))
    studies["svd"] = make_study("svd", progress=(0.0, 0.5, *[0.4] * 20, 1.0))
    found = caveat(make_record(studies=studies), "unequal budgets")
    assert found == {"cf": 11, "content": 11, "hybrid": 11, "svd": 23}


@pytest.mark.parametrize(("n_users", "is_said"), [(99, True), (100, False)])
def test_intervals_of_few_test_users_are_said_to_be_too_narrow(n_users, is_said):
    record = make_record(judged={"changes": {"n_test_users": n_users}})
    assert ("few users" in kinds(caveats(record))) == is_said


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
    def change(model):
        counts = (unseen, 0, 0, others)
        users = tuple(
            replace(group, n_pairs=n)
            for group, n in zip(model.depth["users"], counts, strict=True)
        )
        return replace(model, depth={**model.depth, "users": users})

    record = with_models(make_record(), change)
    found = [each for each in caveats(record) if each.kind == "unseen users or titles"]
    assert len(found) == (said is not None)
    if said:
        assert found[0].facts == {
            "side": "users",
            "unseen": unseen,
            "total": unseen + others,
        }
        assert all(words in found[0].text for words in said)


def test_one_number_that_beats_every_family_is_a_limit():
    # The mean has 0.922.
    record = make_record(judged={"tuned": dict.fromkeys(TUNED, 0.95)})
    assert caveat(record, "above the mean")["mean"] == 0.922
    assert "above the mean" not in kinds(caveats(make_record()))


def test_the_lowest_of_several_close_ones_is_given_as_corrected():
    picked = WinnerCorrection(
        name="svd, tuned", score=0.572, corrected=0.5743, n_close=3
    )
    judged = {"tuned": CLOSE, "changes": {"picked": picked}}
    record = make_record(judged=judged)
    [said] = [s for s in verdict_of(record).reasons if s.kind == "picked"]
    assert said.facts["corrected"] == 0.5743
    assert "0.5743" in "\n".join(verdict_lines(record))
    assert "picked" not in kinds(verdict_of(make_record()).reasons)
    unseen = replace(picked, corrected=picked.score + 1e-6)
    judged["changes"] = {"picked": unseen}
    assert "picked" not in kinds(verdict_of(make_record(judged=judged)).reasons)
    report = json.loads(as_json(record))
    assert report["judging"]["picked"]["n_close"] == 3


@pytest.mark.parametrize(
    ("bias", "mean", "unbeaten"),
    [(0.5, 0.9, BIAS_BASELINE), (0.9, 0.5, MEAN_BASELINE), (0.5, 0.5, BIAS_BASELINE)],
)
def test_the_verdict_names_a_baseline_that_is_not_beaten(bias, mean, unbeaten):
    baselines = {BIAS_BASELINE: bias, MEAN_BASELINE: mean}
    record = make_record(judged={"baselines": baselines})
    [said] = [s for s in verdict_of(record).lines if s.kind == "use none"]
    assert said.text.endswith(f"not shown to beat the {unbeaten} baseline.")
