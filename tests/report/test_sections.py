import math
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from harness.evaluation.equivalence import Probabilities
from harness.evaluation.measures import MEASURES, Measure
from harness.experiment.results import LoggedRuns
from harness.formatting import Comparison
from harness.report.chosen import chosen_model, explainability
from harness.report.claims import claims, criteria
from harness.report.cold_start import cold_start
from harness.report.context import Context
from harness.report.families import (
    comparison,
    costs,
    describe_traits,
    lists,
    pairs,
    traits,
)
from harness.report.fronts import fronts
from harness.report.ratings import ratings
from harness.report.reproduction import reproduction, traces
from harness.report.searches import optimism, searches
from harness.report.tables import change_cells, difference_cells, size_cell
from harness.report.trial_tables import trials
from harness.report.verdict import verdict_lines, verdict_of
from harness.report.write import APPENDIX, SECTIONS
from harness.search.fidelity import Fidelity
from tests.experiment.records import (
    DATASET,
    RUNS,
    for_ndcg,
    make_claims,
    make_costs,
    make_front_study,
    make_record,
    make_spec,
    make_study,
    make_study_record,
    with_models,
)
from tests.experiment.scores import TUNED, estimate


@pytest.fixture(autouse=True)
def _without_figures(monkeypatch):
    monkeypatch.setattr("harness.report.context.Context.figure", lambda *_: "")


@pytest.fixture(scope="module")
def record():
    return make_record()


def text_of(section, record):
    return section(Context(record=record, folder=Path()))


def changed(name, *, record=None, **changes):
    """A record in which one model is changed."""

    def change(model):
        return replace(model, **changes) if model.name == name else model

    return with_models(record or make_record(), change)


def reasons(record, candidate):
    return describe_traits(traits(record, candidate))


def row(text, start):
    """The cells of the row that begins so."""
    found = re.search(rf"^\| {re.escape(start)}(.*) \|$", text, re.MULTILINE)
    assert found, f"{start} in {text}"
    return (start + found[1]).split(" | ")


def test_published_initial_and_tuned_stand_side_by_side(record):
    text = text_of(comparison, record)
    # Ten pairs of standard error 0.004, all decided in the first step: z of 0.0025 is 2.807.
    assert row(text, "collaborative filtering")[:7] == [
        "collaborative filtering",
        "0.89",
        "0.8930",
        "0.6000 [0.5920, 0.6080]",
        "3",
        "+0.0280 [+0.0168, +0.0392]",
        "worse",
    ]
    assert row(text, "hybrid")[1] == "not published"
    assert row(text, "★ **SVD** (chosen)")[4:7] == ["1", "-", "-"]
    bias = row(text, "*baseline:* user and item bias")
    assert bias[1:5] == ["-", "-", "0.6600 [0.6520, 0.6680]", "-"]


def test_rows_are_ordered_by_the_error_baselines_among_them(record):
    order = re.findall(r"^\| (.*?) \|", text_of(comparison, record), re.MULTILINE)
    assert order[2:] == [
        "★ **SVD** (chosen)",
        "hybrid",
        "collaborative filtering",
        "*baseline:* user and item bias",
        "content-based",
        "*baseline:* global mean",
    ]


def test_families_not_shown_to_be_worse_are_told_from_those_that_are():
    # 0.0005 and 0.018, with a standard error of 0.004 and without a margin.
    tuned = TUNED | {"cf": 0.5725}
    text = text_of(comparison, make_record(judged={"tuned": tuned}))
    # All but one pair are decided, which leaves it alone: 1.96 * 0.004.
    assert row(text, "collaborative filtering")[4:7] == [
        "2",
        "+0.0005 [-0.0073, +0.0083]",
        "undecided",
    ]
    assert row(text, "hybrid")[6] == "worse"
    judged = {"tuned": tuned, "error": 0.001, "margin": 0.005}
    text = text_of(comparison, make_record(judged=judged))
    assert row(text, "collaborative filtering")[6] == "equivalent"
    assert "up to 0.005 stars do not matter (the file's margin)" in text


def test_a_family_that_does_not_beat_the_bias_baseline_is_said_not_to(record):
    text = text_of(comparison, record)
    # content-based: 0.68 against 0.66.
    assert (
        "- content-based **does not beat the user and item bias baseline**: its RMSE is "
        "higher by 0.0200 [0.0088, 0.0312] stars (p < 0.001)." in text
    )
    assert text.count("**does not beat") == 1
    tuned = dict.fromkeys(TUNED, 0.5) | {"cf": 0.658, "content": 0.662}
    text = text_of(comparison, make_record(judged={"tuned": tuned}))
    assert "its RMSE is lower by 0.0020" in text
    assert "its RMSE is higher by 0.0020" in text
    assert text.count("which may be chance") == 2
    assert "does not beat the bias baseline" in row(text, "content-based")[-1]


def test_every_pair_is_compared_with_size_corrected_p_and_words():
    text = text_of(pairs, make_record(judged={"tuned": TUNED | {"cf": 0.595}}))
    listed = re.findall(r"^\| (.*?) \| (.*?) \|.*\| (.*) \|$", text, re.MULTILINE)[2:]
    # SVD .572, hybrid .590, CF .595, bias .660, content .680: the ten pairs of five.
    order = ["SVD", "hybrid", "collaborative filtering", "user and item bias"]
    order += ["content-based"]
    assert [each[:2] for each in listed] == list(combinations(order, 2))
    tied = {each[:2] for each in listed if each[2] == "**undecided**"}
    # 0.005 is 1.25 standard errors: p = 0.211, the only pair left, so not adjusted.
    assert tied == {("hybrid", "collaborative filtering")}
    assert row(text, "hybrid | collaborative filtering")[2:4] == [
        "0.0050 [-0.0028, 0.0128]",
        "0.211",
    ]
    assert row(text, "SVD | content-based")[2:] == [
        "0.1080 [0.0968, 0.1192]",
        "< 0.001",
        # Of the .088 between SVD and the baseline.
        "122.7 %",
        "-",
        "worse",
    ]
    assert "adjusted for the 10 pairs" in text


def test_one_pair_needs_no_table():
    assert text_of(pairs, make_record(judged={"tuned": {"svd": 0.5}})) == ""


def test_what_tuning_is_worth_is_said_for_each_family(record):
    text = text_of(chosen_model, record).split("### What tuning is worth")[1]
    # Of four pairs, three are decided at 0.05 / 4, give or take 2.498 * 0.004; 0.572 -
    # 0.578 is left alone, give or take 1.96 * 0.004.
    assert row(text, "collaborative filtering")[1:] == [
        "0.8930",
        "0.6000",
        "-0.2930 [-0.3030, -0.2830]",
        "< 0.001",
        "lower, beyond chance",
    ]
    assert row(text, "SVD")[3:] == [
        "-0.0060 [-0.0138, +0.0018]",
        "0.134",
        "may be chance",
    ]


def test_what_tuning_is_worth_has_the_sign_of_the_change_where_higher_is_better():
    text = text_of(chosen_model, for_ndcg(make_record()))
    tuning = text.split("### What tuning is worth")[1]
    # NDCG is 0.05 + 0.3 * (1 - RMSE): from 0.893 and 0.6 by 0.3 * (0.293 +- 0.010).
    cells = row(tuning, "collaborative filtering")
    assert cells[1:4] == ["0.082", "0.170", "+0.0879 [+0.0849, +0.0909]"]
    assert cells[-1] == "higher, beyond chance"
    assert "| tuned minus initial [adjusted] |" in tuning


def test_differences_of_shares_are_in_percentage_points_in_tables_as_in_sentences():
    found = Comparison(other="b", value=-0.006, low=-0.011, high=-0.001, p_value=0.02)
    share = MEASURES["within_half_star"]
    assert difference_cells(found, share) == ["-0.60 [-1.10, -0.10]", "0.020"]
    assert change_cells(found, share) == ["+0.60 [+0.10, +1.10]", "0.020"]
    assert size_cell(found, share) == "0.60 [0.10, 1.10]"
    assert share.amount(0.006, "stars") == "0.60 percentage points"


def test_a_single_test_user_leaves_no_intervals():
    alone = make_record(
        judged={
            "error": math.nan,
            "depth_error": math.nan,
            "margin": 0.005,
            "changes": {"n_test_users": 1},
        }
    )
    parts = [text_of(part, alone) for part in (*SECTIONS, *APPENDIX)]
    assert not re.findall(r".*\bnan\b.*", "\n".join([*parts, *verdict_lines(alone)]))
    above = row(text_of(comparison, alone), "collaborative filtering")[5]
    assert re.fullmatch(r"[+-]\d\.\d{4}|-", above)
    said = {each.kind for each in verdict_of(alone).lines}
    assert {"use none", "certainty"} <= said
    assert "few users" in {each.kind for each in verdict_of(alone).caveats}


def test_settings_that_are_the_same_have_no_difference():
    record = changed("svd, tuned", params=make_record().model("svd", "initial").params)
    text = text_of(chosen_model, record).split("### What tuning is worth")[1]
    assert row(text, "SVD")[3:5] == ["-", "-"]


def test_nobody_is_called_low_where_more_than_half_are_not_told_apart():
    alike = dict.fromkeys(TUNED, 0.572)
    found = make_record(judged={"tuned": alike})
    assert not any("low RMSE" in reasons(found, candidate) for candidate in alike)


def test_a_family_without_hyperparameters_has_no_empty_table():
    study = make_study("svd")
    bare = make_record(
        studies={"svd": replace(study, settings=replace(study.settings, space={}))}
    )
    text = text_of(searches, bare)
    assert row(text, "SVD")[-1] == "nothing to tune"
    assert "| parameter |" not in text


def test_the_significance_of_the_file_decides_what_may_be_chance():
    spec = make_spec(decision={"significance": 0.2})
    text = text_of(chosen_model, make_record(spec=spec))
    assert row(text.split("### What tuning is worth")[1], "SVD")[-1].startswith("lower")


def with_pairs(counts, *, side="users", record=None):
    """A record whose models have so many test pairs at the depths of one side."""

    def change(model):
        groups = tuple(
            replace(group, n_pairs=counts.get(group.depth, group.n_pairs))
            for group in model.depth[side]
        )
        return replace(model, depth={**model.depth, side: groups})

    return with_models(record or make_record(), change)


def test_groups_of_a_few_pairs_have_no_interval():
    text = text_of(cold_start, with_pairs({"0": 7}))
    assert row(text, "SVD")[1:3] == ["0.745", "0.659 [0.535, 0.783]"]
    assert (
        text.count(
            "With 1 to 5 training ratings of the user the lowest RMSE is 0.659 stars (SVD"
        )
        == 1
    )


def test_reasons_name_what_a_family_is_best_and_worst_at(record):
    # Of 0.42, 0.9, 3.2 and 6.1 ms; of 0.31, 0.62, 1.9 and 4.4 s.
    assert reasons(record, "cf") == (
        "for: lowest training time (310 ms, measured once); against: RMSE 0.0280 above the "
        "lowest, highest p95 latency (6.1 ms, measured once)"
    )
    assert reasons(record, "svd").startswith(
        "for: lowest RMSE of the families, lowest p95 latency (0.42 ms, measured once), "
    )
    assert "highest RMSE of users with 0-5 ratings (0.7981)" in reasons(
        record, "content"
    )


def test_what_may_be_chance_on_cold_titles_is_no_reason():
    # The gap of 0.13 stars is six standard errors of 0.02, and less than one of 0.2.
    record = make_record(judged={"depth_error": 0.2})
    assert "0-5" not in reasons(record, "svd") + reasons(record, "content")
    assert "6-20" not in reasons(record, "svd") + reasons(record, "content")
    untested = make_record(judged={"changes": {"depth_differences": ()}})
    assert "0-5" not in reasons(untested, "svd") + reasons(untested, "content")


def test_what_the_file_prefers_is_the_reason_of_its_kind():
    spec = make_spec(decision={"prefer": ["catalogue_coverage"]})
    found = traits(make_record(spec=spec), "svd")
    said = {trait.measure.kind: trait.measure.name for trait in found if trait.measure}
    # The ranking measures of the made-up models rise as the RMSE falls.
    assert said["ranking"] == "catalogue_coverage"
    # 0.05 + 0.3 * (1 - 0.4) = 0.23, that of hybrid 0.173, give or take 0.004 each.
    better = make_record(judged={"tuned": TUNED | {"svd": 0.4}})
    assert "highest NDCG@10 (0.230)" in reasons(better, "svd")


def test_a_small_difference_is_no_reason():
    same = dict.fromkeys(TUNED, 1.0) | {"svd": 0.96}
    record = make_record(costs=make_costs(same))
    assert "p95" not in reasons(record, "svd")
    fast = same | {"svd": 0.5}
    assert "p95" in reasons(make_record(costs=make_costs(fast)), "svd")


def test_what_nobody_notices_is_no_reason():
    # 5.7 ms between best and worst, and four seconds of training, which are negligible.
    spec = make_spec(decision={})
    record = make_record(spec=spec)
    # Nor are the 0.5 ms between the two that are fastest.
    assert "low p95 latency (0.42 ms, measured once; not told apart from hybrid)" in (
        reasons(record, "svd")
    )
    assert "low p95 latency (0.90 ms" in reasons(record, "hybrid")
    assert "training time" not in reasons(record, "cf")


def with_ranges(costs, share):
    """Latencies of five processes lie within a share of the median."""

    def ranges(p95):
        return {"latency_p95_ms": (p95 * (1 - share), p95 * (1 + share))}

    return {
        name: replace(found, n_processes=5, ranges=ranges(found.latency_p95_ms))
        for name, found in costs.items()
    }


def test_a_difference_below_the_margin_speaks_for_nobody_however_significant():
    # 0.002 stars, of a standard error of 0.0003: within the margin.
    near = {**TUNED, "cf": TUNED["svd"] + 0.002}
    found = make_record(judged={"tuned": near, "error": 0.0003, "margin": 0.005})
    assert found.difference("cf, tuned", "svd, tuned").answer == "equivalent"
    assert "low RMSE (not told apart from" in reasons(found, "svd")
    assert "low RMSE (not told apart from" in reasons(found, "cf")
    assert "above the lowest" not in reasons(found, "cf")


def test_costs_whose_ranges_overlap_are_not_told_apart():
    # 0.42 and 0.9 ms: within 30 % of each the ranges end at 0.546 and begin at 0.63;
    # within 50 % they overlap.
    apart = make_record(costs=with_ranges(make_costs(), 0.3))
    assert "lowest p95 latency (0.42 ms)" in reasons(apart, "svd")
    record = make_record(costs=with_ranges(make_costs(), 0.5))
    assert "low p95 latency (0.42 ms; not told apart from hybrid)" in (
        reasons(record, "svd")
    )
    assert "low p95 latency (0.90 ms; not told apart from SVD)" in (
        reasons(record, "hybrid")
    )
    # Nobody is at an end that more than half of the families share.
    record = make_record(costs=with_ranges(make_costs(), 0.95))
    assert not [c for c in TUNED if "p95" in reasons(record, c)]


def test_the_lowest_error_is_called_so_only_where_it_is_told_apart():
    # 0.0005 of a standard error of 0.004.
    record = make_record(judged={"tuned": TUNED | {"cf": 0.5725}})
    assert "for: low RMSE (not told apart from collaborative filtering)" in (
        reasons(record, "svd")
    )
    assert "for: low RMSE (not told apart from SVD)" in reasons(record, "cf")
    assert "RMSE 0.0180 above the lowest" in reasons(record, "hybrid")


def test_means_over_users_are_told_apart_by_their_intervals():
    # recall: 0.03 + 0.2 * (1 - rmse): 0.15 and 0.112, give or take 0.004 each.
    spec = make_spec(decision={"prefer": ["recall_at_10"]})
    judged = {"tuned": TUNED | {"svd": 0.4}}
    record = make_record(spec=spec, judged=judged)
    assert "highest recall@10 (0.150)" in reasons(record, "svd")

    def blur(model):
        wide = {"recall_at_10": estimate(model.value("recall_at_10"), 0.1)}
        return model.with_measures(wide)

    assert "recall" not in reasons(with_models(record, blur), "svd")


def test_costs_that_are_written_alike_are_no_reason():
    tiny = {c: {"fit_seconds": 0.0001 * (1 + k)} for k, c in enumerate(TUNED)}
    record = make_record(costs=make_costs(**tiny))
    assert not [c for c in TUNED if "training time" in reasons(record, c)]


def test_the_measures_of_the_winner_stand_beside_initial_and_baselines(record):
    text = text_of(chosen_model, record)
    # Errors from a normal distribution: erf(0.5 / (rmse * sqrt(2))).
    assert row(text, "within 0.5")[1:5] == [
        "61.3 %",
        "55.1 %",
        "41.2 %",
        "61.8 % [61.0, 62.6]",
    ]
    # 1 - 0.572² / 0.85 = 0.6151.
    assert row(text, "R²")[4] == "0.615 [0.607, 0.623]"
    assert "0.5712 (seed 7), 0.5720 (seed 8), 0.5728 (seed 9)" in text
    # The fixture: 0.572² / 0.85 of the way to 3.65.
    assert (
        "ratings of 1 are predicted 1.02 stars too high on average, ratings of 5 0.52 too low"
        in text
    )
    assert "by 0.05 stars at most (near 2.20, where ratings lie below" in text


def test_where_nothing_of_the_winner_was_published_the_best_published_family_stands_in():
    # The hybrid wins; of it there is only "not published", of SVD the lowest RMSE.
    record = make_record(judged={"tuned": TUNED | {"hybrid": 0.5}})
    text = text_of(chosen_model, record)
    assert "## The chosen model: hybrid" in text
    published = text.split("### Beside the publication")[1]
    assert row(published, "RMSE ")[1:] == ["0.5749", "SVD", "0.5000"]
    assert row(published, "within 1.0")[1:3] == ["91.18 %", "SVD"]
    assert "RMSE per user" not in published.split("###")[0]


def test_a_study_has_its_result_under_a_plain_heading():
    text = text_of(chosen_model, make_study_record())
    assert text.startswith("## Result on the sealed test set")
    assert "0.5720 [0.5640, 0.5800]" in text
    assert text_of(comparison, make_study_record()) == ""


def test_a_measure_in_the_table_is_in_every_report_without_another_edit(monkeypatch):
    for kind in ("accuracy", "ranking", "cost", "cold start"):
        toy = Measure(
            name=f"toy_{kind}",
            label=f"toy {kind}",
            unit="share",
            kind=kind,
            direction="maximize",
            compute=lambda _: 0.4321,
            definition=f"Share of toys by {kind}.",
        )
        monkeypatch.setitem(MEASURES, toy.name, toy)
    sections = (chosen_model, lists, costs, cold_start)
    for record in (make_record(), make_study_record()):
        for section, kind in zip(
            sections, ("accuracy", "ranking", "cost", "cold start"), strict=True
        ):
            text = text_of(section, record)
            assert f"toy {kind}" in text
            assert "43.2 %" in text
    spec = make_spec(criteria=[{"metric": "toy_cost", "at_least": 0.5}])
    checked = row(text_of(criteria, make_record(spec=spec)), "toy cost")
    assert checked[2:] == ["43.2 %", ">= 50 %", "**FAIL**"]


def test_without_claims_nothing_is_said_to_be_published():
    spec = make_spec(claims=[])
    record = make_record(spec=spec)
    for section in (comparison, chosen_model, ratings, explainability):
        assert "publi" not in text_of(section, record)
    assert "| characteristic | measured |\n| :--- | ---: |\n" in text_of(
        ratings, record
    )
    assert "Published" not in text_of(claims, record)


def test_characteristics_stand_beside_the_published_ones(record):
    text = text_of(ratings, record)
    assert row(text, "variance of ratings") == [
        "variance of ratings",
        "0.86",
        "0.85",
        "+1.2 %",
    ]
    assert row(text, "minutes watched, mean")[1:] == ["94.2", "-", "-"]
    assert (
        "| openings of the test set | no. 1 when judged (2026-03-01 12:30 UTC) |"
        in text
    )


def test_ratings_of_others_are_not_described_by_a_study_they_have_nothing_to_do_with():
    spec = make_spec(claims=[])
    record = make_record(spec=spec, dataset=replace(DATASET, simulated=False))
    assert "minutes watched" not in text_of(ratings, record)
    assert "Characteristics" not in text_of(ratings, record)


def test_cold_start_shows_every_family_and_how_sure_it_is(record):
    text = text_of(cold_start, record)
    # 40 pairs have an interval, fewer than 30 have none.
    assert row(text, "test pairs") == ["test pairs", "40", "260", "900", "2,800"]
    assert len(re.findall(r"^\| hybrid", text, re.MULTILINE)) == 2 + 1
    # One of ten pairs, give or take 2.807 * 0.02.
    assert (
        "With no training ratings of the user the lowest RMSE is 0.745 stars (SVD; 0.556 "
        "with more than 20), the highest 0.886 (content-based); on the same pairs they "
        "differ by 0.1407 [0.0846, 0.1969] stars, beyond chance (adjusted p < 0.001)."
        in text
    )


def test_cold_start_admits_chance():
    text = text_of(cold_start, make_record(judged={"depth_error": 0.1}))
    # 0.1407 is 1.41 standard errors.
    assert (
        "they differ by 0.1407 [-0.1400, 0.4214] stars, which may be chance (adjusted p = 1.000)."
        in text
    )
    untested = make_record(judged={"changes": {"depth_differences": ()}})
    assert "not compared, so this may be chance." in text_of(cold_start, untested)


ALL_COLD = (
    "All test pairs have a title with no training ratings: all that this report says of "
    "errors is about cold start. With no training ratings of the title the lowest RMSE is "
    "0.760 stars (SVD), the highest 0.904 (content-based); on the same pairs they differ by "
    "0.1435 [0.0874, 0.1997] stars, beyond chance (adjusted p < 0.001)."
)
ALL_WARM = (
    "All but a few test pairs have a title with more than 20 training ratings: this split "
    "says little about cold start."
)
TOO_FEW = (
    "There are fewer than 30 test pairs of each number of ratings of the title: too few to "
    "compare."
)


@pytest.mark.parametrize(
    ("depth", "said"), [("0", ALL_COLD), (">20", ALL_WARM), ("none", TOO_FEW)]
)
def test_a_split_with_one_depth_is_about_cold_start_or_says_little(depth, said):
    few = 0 if depth == "0" else 29
    counts = dict.fromkeys(("0", "1-5", "6-20", ">20"), few) | {depth: 4000}
    text = text_of(cold_start, with_pairs(counts, side="items"))
    assert said in text.split("\n\n")
    # A panel of one depth, or of none, would say what stands everywhere else.
    assert ("### By the ratings of the title" in text) == (depth != "0")


def test_entries_of_one_family_are_compared_where_least_is_known():
    families = {"svd": {"label": "SVD"}, "svd_cold": {"family": "svd", "label": "SVD+"}}
    spec = make_spec(families=families, claims=[], criteria=[], variants=[])

    def change(model):
        if model.candidate != "content":
            return model
        return replace(model, candidate="svd_cold", family="svd")

    two = {"svd": 0.572, "content": 0.68}
    record = with_models(make_record(spec=spec, judged={"tuned": two}), change)
    assert (
        "Of the same family, SVD errs less there (0.745) than SVD+ (0.886); on the same "
        "pairs they differ by 0.1407" in text_of(cold_start, record)
    )


def test_the_highest_value_of_a_column_is_bold(record):
    text = text_of(lists, record)
    # 0.05 + 0.3 * (1 - 0.572) = 0.1784.
    assert row(text, "SVD")[1] == "**0.178**"
    assert row(text, "content-based")[4] == "**0.686**"
    assert "top 10 of the 520 users of the test set" in text
    assert "means over the 480 of them who rated a title there" in text


def test_it_is_said_where_a_sample_of_the_users_got_lists():
    record = make_record(judged={"changes": {"n_listed_users": 500}})
    assert "500 of the 520 users of the test set" in text_of(lists, record)


def test_costs_stand_in_one_row_and_the_front_is_named(record, monkeypatch):
    monkeypatch.setattr(Context, "figure", lambda *_: "a picture")
    text = text_of(costs, record)
    assert row(text, "SVD") == [
        "SVD",
        "620 ms",
        "0.34 ms",
        "0.42 ms",
        "0.67 ms",
        "186 MB",
        "1.3 MB",
        "**0.5720**",
    ]
    assert "of 1,000 calls" in text
    assert text.endswith("in both: user and item bias, SVD.")


def test_a_model_that_is_best_in_both_has_no_rival(monkeypatch):
    monkeypatch.setattr(Context, "figure", lambda *_: "a picture")
    record = make_record(costs=make_costs({"svd": 0.1}))
    text = text_of(costs, record)
    assert text.endswith("has a lower RMSE than SVD, or a lower p95 latency.")


def test_factors_are_told_in_words_and_titles(record):
    text = text_of(explainability, record)
    assert row(text, "factor 1") == [
        "factor 1",
        "30.0 %",
        "the 1990s (+0.60)",
        "Title 1A; Title 1B; Title 1C",
        "Title 1X; Title 1Y; Title 1Z",
    ]
    assert row(text, "factor 2")[2] == "-"


def test_tuned_weights_of_content_are_normalised_and_laid_beside_claimed_ones(record):
    # 0.08, 0.81, 0.32 and 0.11 of 1.32.
    text = text_of(explainability, record)
    assert row(text, "content-based, tuned")[1:] == [
        "6.1 %",
        "61.4 %",
        "24.2 %",
        "8.3 %",
    ]
    assert "published" not in text
    claimed = make_claims([("content", "block.genre", 0.5, {})])
    text = text_of(explainability, make_record(spec=make_spec(claims=claimed)))
    assert row(text, "published")[1:] == ["-", "50.0 %", "-", "-"]


def content_with(params=None, **changes):
    content = make_record().model("content")
    return changed(
        "content, tuned", params={**content.params, **(params or {})}, **changes
    )


def test_a_block_that_is_off_has_no_weight():
    # 0.08, 0.81 and 0.32 of 1.21.
    text = text_of(explainability, content_with(blocks_off=("people",)))
    assert row(text, "content-based, tuned")[1:] == ["6.6 %", "66.9 %", "26.4 %", "off"]


def test_the_weight_of_statistics_stands_beside_the_four_where_they_are_used(record):
    assert "statistics" not in text_of(explainability, record).lower()
    text = text_of(explainability, content_with(params={"statistics_weight": 1.25}))
    assert row(text, "content-based, tuned")[1:] == [
        "6.1 %",
        "61.4 %",
        "24.2 %",
        "8.3 %",
        "125.0 %",
    ]
    assert "not part of that sum, but relative to it." in text
    plain = {"statistics_weight": 1.25, "predictor": "regression"}
    assert "tatistics" not in text_of(explainability, content_with(params=plain))


def test_blocks_that_the_catalogue_has_nothing_for_are_named(record):
    assert "whatever its weight" not in text_of(explainability, record)
    note = "Title features: block people is off: the catalogue has no cast."
    text = text_of(explainability, content_with(notes=(note,)))
    assert f"whatever its weight:\n\n- {note}" in text


def test_importance_is_pointed_at_only_where_there_is_some(record):
    assert "importance" not in text_of(explainability, record)
    long = make_study("content", progress=tuple(k / 30 for k in range(31)))
    text = text_of(explainability, make_record(studies={"content": long}))
    assert "(see importance)" in text


def test_searches_show_counts_best_time_and_settings(record):
    text = text_of(searches, record)
    assert row(text, "SVD") == ["SVD", "9", "2", "1", "#7", "0.5750", "2 min 0 s", ""]
    assert "the same budget of 12 trials, on the same 5 folds" in text
    assert "### Best settings: SVD (trial #7)" in text
    assert "| `n_factors` | 100 | **46** | 16 to 100, log |" in text
    assert "Not converged" not in text
    folded = text_of(trials, record)
    assert "| `ValueError: too much` | #9 |" in folded
    assert "12 trials: 9 complete, 2 pruned, 1 failed." in folded
    assert re.findall(r"^\| #(\d+)", folded, re.MULTILINE)[:3] == ["7", "11", "8"]


def test_rungs_show_how_many_trials_came_how_far():
    study = make_study("svd")
    # Of twelve trials eleven have not failed: six, three and two of them end here.
    rungs = iter([1 / 16] * 6 + [1 / 4] * 3 + [1.0] * 2)
    trials = tuple(
        replace(
            trial,
            rung=(rung := 1.0 if trial.state == "failed" else next(rungs)),
            state="failed"
            if trial.state == "failed"
            else ("complete" if rung == 1 else "pruned"),
        )
        for trial in study.trials
    )
    settings = replace(
        study.settings, fidelity=Fidelity(samples=(1 / 16, 1 / 4), one_fold=True)
    )
    raced = replace(study, trials=trials, settings=settings)
    text = text_of(searches, make_record(studies={"svd": raced}))
    quarter = f"{study.split.n_train / 4:,.0f}"
    assert row(text, "1/16")[2:] == ["1", "11", "6"]
    assert row(text, "1/4")[1:] == [quarter, "1", "5", "3"]
    assert row(text, "everything")[2:] == ["1", "2", "0"]
    assert "held-out fold of the training part" in text
    # Folds of 16,000 ratings differ by 0.0005 stars.
    n_held_out = study.split.n_train // 5
    assert f"about {0.0005 * (16_000 / n_held_out) ** 0.5:.4f} stars" in text
    assert "Rungs" not in text_of(searches, make_record(studies={"svd": study}))


def test_time_is_told_from_the_first_start_to_the_last_end():
    text = text_of(trials, make_study_record())
    # Twelve trials of ten seconds, one after the other.
    assert row(text, "search, from first start")[1] == "2 min 0 s"
    assert row(text, "of which per trial")[1] == "10.0 s"
    assert row(text, "training of the best settings on a fold")[1] == "700 ms"
    assert row(text, "training of the judged settings")[1] == "620 ms"


def test_a_search_that_still_falls_is_marked():
    falling = make_study("cf", progress=(0.0, 0.1, 0.2, 1.0))
    text = text_of(
        searches, make_record(studies={"cf": falling, "svd": make_study("svd")})
    )
    assert "**not converged**" in row(text, "collaborative filtering")[-1]
    assert "**Not converged**: collaborative filtering. " in text
    assert row(text, "SVD")[-1] == ""


def test_search_fresh_folds_and_test_stand_side_by_side(record):
    # The fixture: search 0.003 and fresh folds 0.005 above the test score.
    text = text_of(optimism, record)
    assert row(text, "SVD")[1:] == ["0.5750", "0.5770", "+0.0020", "0.5720"]
    assert "up to 0.0020 stars worse" in text


def on_one_fold(study):
    settings = replace(study.settings, fidelity=Fidelity(one_fold=True))
    return replace(study, settings=settings)


def test_one_fold_is_that_of_the_split_and_who_has_more_is_told():
    studies = {"svd": on_one_fold(make_study("svd")), "content": make_study("content")}
    record = make_record(studies=studies)
    n_train, name = record.split.n_train, record.spec.label("content")
    text = text_of(searches, record)
    assert f"One fold of {n_train // 5:,} ratings" in text
    assert f"{name} was scored on all 5" in text
    # Of five folds in time the first of six blocks is only learnt from.
    timed = replace(record, split=replace(record.split, method="temporal"))
    assert f"One fold of {n_train // 6:,} ratings" in text_of(searches, timed)
    assert "was scored on all" not in text_of(
        searches, make_record(studies={"svd": studies["svd"]})
    )


def test_nothing_is_said_of_several_folds_where_one_was_held_out():
    study = on_one_fold(make_study("svd"))
    record = make_study_record(study=study, opened=False)
    assert "SD of folds" not in text_of(trials, record)
    [line] = [line for line in verdict_of(record).lines if line.kind == "so far"]
    assert "on the held-out fold" in line.text
    assert "over the folds" not in line.text


def test_how_far_two_fresh_folds_differ_by_chance_is_told_where_one_was_scored():
    record = make_record(studies={"svd": on_one_fold(make_study("svd"))})
    text = text_of(optimism, record)
    # Of normal errors with this RMSE, two means of so many squares.
    n = record.split.n_train // 5
    errors = np.random.default_rng(0).normal(
        0, max(record.fresh_folds.values()), (400, 2, n)
    )
    gaps = np.subtract(*np.sqrt(np.square(errors).mean(axis=2)).T)
    told = float(re.search(r"differ by up to ([0-9.]+) stars by chance", text)[1])
    assert told == pytest.approx(np.quantile(abs(gaps), 0.95), rel=0.15)


def test_folds_that_follow_each_other_in_time_are_not_dealt_anew():
    text = text_of(optimism, make_record(fresh_folds=dict.fromkeys(TUNED)))
    assert row(text, "SVD")[1:] == ["0.5750", "-", "-", "0.5720"]
    assert "cannot be dealt anew" in text


def test_a_gain_that_passes_but_may_be_chance_says_so():
    text = text_of(criteria, make_record(judged={"error": 0.1}))
    assert row(text, "gain over the bias baseline")[-1] == (
        "pass, but the difference to the baseline may be chance"
    )


def test_criteria_pass_or_fail(record):
    text = text_of(criteria, record)
    assert "**1 of 3 fail.**" in text
    assert row(text, "gain over the bias baseline")[1:] == [
        "SVD",
        "0.0880",
        ">= 0.05",
        "pass",
    ]
    assert row(text, "p95 latency")[2:] == ["6.1 ms", "<= 2 ms", "**FAIL**"]
    spec = make_spec(criteria=[{"metric": "rmse", "at_most": 0.6}])
    assert "\nIt holds.\n" in text_of(criteria, make_record(spec=spec))


def test_families_searched_with_another_budget_are_not_said_to_have_the_same():
    long = make_study("svd", progress=(0.0, 0.5, *[0.4] * 20, 1.0))
    text = text_of(searches, make_record(studies={"cf": make_study("cf"), "svd": long}))
    assert "**different numbers of trials**, on the same 5 folds" in text
    # A budget that was lowered after both were searched: each has had 11.
    lower = make_record(spec=make_spec(budget={"trials": 4}))
    assert "the same budget of 11 trials, on the same 5" in text_of(searches, lower)


def test_optimism_is_that_of_the_settings_that_were_judged():
    best = dict.fromkeys(TUNED, 7) | {"svd": 1}
    text = text_of(optimism, make_record(judged={"best_trials": best}))
    # Trial 1 is 0.3 of the way from 0.582 to 0.575, trial 7 at its end.
    assert row(text, "SVD")[1:4] == ["0.5799", "0.5770", "-0.0029"]
    assert row(text, "hybrid")[1] == "0.5930"


def test_versions_that_continued_or_judged_are_named_beside_the_first(record):
    assert "other versions" not in text_of(reproduction, record)
    studies = {"svd": make_study("svd", code_version="0.2.0"), "cf": make_study("cf")}
    judged = {"changes": {"code_version": "0.3.0"}}
    text = text_of(reproduction, make_record(studies=studies, judged=judged))
    assert row(text, "**other versions of harness**")[1] == (
        "search of SVD `0.2.0`, judgement `0.3.0`"
    )


def test_the_command_has_the_trials_that_were_run_though_the_budget_was_lowered():
    lower = make_record(spec=make_spec(budget={"trials": 4}))
    # Each family has had 11 trials, besides one that failed.
    assert "--trials 11 " in text_of(reproduction, lower)


def test_numbers_are_traced_to_the_ids_of_runs_that_hold_them(record):
    assert "run_id" not in text_of(traces, record)
    text = text_of(traces, make_record(runs=RUNS))
    # SVD is the fourth family.
    assert [r for r in text.splitlines() if r.startswith("| SVD |")][1:] == [
        f"| SVD | trial #7, over the folds | `{'13'.zfill(32)}` |",
        f"| SVD | tuned model, on the test set | `{'23'.zfill(32)}` |",
    ]
    assert f"| all | the experiment | `{'0' * 32}` |" in text


def test_runs_of_what_was_judged_before_are_not_named():
    svd = RUNS.candidates["svd"]
    old = LoggedRuns(
        experiment="e1", candidates={"svd": replace(svd, trial=3), "cf": svd}
    )
    text = text_of(traces, make_record(runs=old))
    assert "| SVD | trial" not in text
    assert "| collaborative filtering | trial #7" in text


def test_the_report_says_what_the_test_set_can_show():
    plain = make_record(judged={"margin": 0.005})
    known = {
        "detectable": 0.0112,
        "users_needed": 2600,
        "two_way_ratio": 1.31,
        "probability": Probabilities(better=0.01, equivalent=0.24, worse=0.75),
    }
    differences = tuple(replace(d, **known) for d in plain.judging.differences)
    record = replace(plain, judging=replace(plain.judging, differences=differences))
    text = text_of(comparison, record)
    for number in ("0.0112", "80 % power", "2,600", "here 520", "1.31 times"):
        assert number in text
    table = text_of(pairs, record)
    # hybrid 0.590, svd 0.572, bias 0.660: 18 of 88 thousandths.
    [line] = [one for one in table.splitlines() if "SVD | hybrid" in one]
    assert "| 20.5 % |" in line
    assert "/ 24.0 % /" in line
    none = tuple(replace(d, users_needed=None) for d in differences)
    record = replace(plain, judging=replace(plain.judging, differences=none))
    assert "no number of test users" in text_of(comparison, record)


# From 1 star to 0.9: nine trials are complete, at these shares of the way.
STEPS = (0.0, 0.3, 0.5, 0.4, 0.7, 1.0, 0.9, 0.8, 0.95)
SIZES = (10e6, 40e6, 50e6, 41e6, 30e6, 80e6, 70e6, 20e6, 60e6)


def make_front_record(**changes):
    study = make_front_study("svd", SIZES, initial=1.0, best=0.9, **changes)
    return make_study_record(study=study)


def test_a_front_is_listed_with_the_rule_that_picks_one():
    """On it are 10 MB (1.00), 20 MB (0.92), 60 MB (0.905) and 80 MB (0.90)."""
    record = make_front_record(progress=STEPS)
    [front] = record.fronts.values()
    assert [point.trial for point in front.points] == [5, 8, 7, 0]
    assert [round(point.values[0], 3) for point in front.points] == [
        0.9,
        0.905,
        0.92,
        1.0,
    ]
    # 0.905 is not 0.005 from 0.9 for a computer; with more room the smallest wins.
    wide = make_front_record(progress=STEPS, margins=(0.006, 0.05))
    assert wide.studies["svd"].best.number == 8
    text = text_of(fronts, wide)
    assert "**#8 (picked)**" in text
    assert text.count("| #") == 3
    assert (
        "picked from 4 on the Pareto front: 2 have RMSE within 0.006 stars of the lowest "
        "(0.9000), 1 of these has model size within 5 % of the lowest (60 MB)" in text
    )
    assert any("Trial #8 is picked from 4" in line for line in verdict_lines(wide))
    said = text_of(searches, wide)
    assert "every trial is scored to the end" in said
    assert "pruner" not in said
    assert text_of(fronts, make_record()) == ""
