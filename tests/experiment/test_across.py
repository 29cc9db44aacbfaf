from dataclasses import replace

import pytest

from harness.errors import StudyError
from harness.evaluation.metrics import Metric
from harness.experiment.across import compare_experiments
from tests.experiment.records import make_spec, make_study, on_data_sets
from tests.experiment.scores import TUNED

SIX = dict.fromkeys("abcdef", TUNED)
MAE = Metric("mae", "minimize")
ORDER = ("svd", "hybrid", "cf", "content")


def across(tuned_by_name, **changes):
    records = on_data_sets(tuned_by_name)
    return compare_experiments(
        [replace(record, **changes.get(name, {})) for name, record in records.items()]
    )


def said(found, word):
    return next((line for line in found.sentences if word in line), "")


def test_shares_and_answers_are_those_of_the_experiments():
    # Standard error 0.004, margin 0.005; the bias baseline has 0.66.
    found = across(
        {
            "a": TUNED,
            "b": TUNED | {"hybrid": TUNED["svd"] + 0.007},
            "c": TUNED | {"hybrid": TUNED["svd"] - 0.1},
        }
    ).comparison
    assert tuple(model.name for model in found.models) == ORDER
    svd = found.models[0]
    assert svd.ranks == (1, 1, 2)
    assert svd.shares == pytest.approx([0.572 / 0.66] * 3)
    counts = found.count("svd", "hybrid")
    assert (counts.better, counts.undecided, counts.worse) == (1, 1, 1)


def test_four_data_sets_are_described_and_nothing_is_called_shown():
    found = across(dict.fromkeys("abcd", TUNED))
    # They agree in everything, and both tests are passed.
    assert found.comparison.tells_apart("svd", "content")
    assert "description, not proof" in str(found)
    assert "hown to rank below" not in str(found)


def test_from_five_data_sets_on_the_sentence_says_what_is_shown():
    found = across(SIX)
    # The critical difference of 4 families on 6 data sets is 1.91: 4 and 3 reach it from 1.
    assert said(found, "Shown to rank below: cf and content").endswith(
        "not shown: hybrid."
    )
    assert "description" not in str(found)


def test_without_a_difference_the_sentence_says_that_it_is_no_proof():
    turned = dict(zip(TUNED, reversed(TUNED.values()), strict=True))
    found = across({name: TUNED if name in "abc" else turned for name in SIX})
    assert found.comparison.leaders == ("cf", "svd")
    assert "no proof" in str(found)
    assert not said(found, "Within the data sets")


def test_counts_in_the_sentence_are_those_of_the_leader_over_all_data_sets():
    line = said(across(SIX), "Within the data sets")
    assert "svd is better in 18 of 18" in line


def test_families_that_some_lack_are_left_out_and_named():
    families = {"cf": {}, "svd": {}, "content": {}}
    records = list(on_data_sets(SIX).values())
    records[0] = replace(records[0], spec=make_spec(families=families, variants=[]))
    found = compare_experiments(records)
    assert {m.name for m in found.comparison.models} == families.keys()
    assert found.left_out == ("hybrid",)
    assert said(found, "hybrid")


def test_what_was_not_done_alike_is_told_of_each_experiment():
    spec = make_spec(budget={"trials": 99})
    found = across(SIX, b={"spec": spec})
    assert found.unlike["budget"]["b"] == "99 trials"
    assert list(found.unlike) == ["budget"]
    assert "b: 99 trials" in said(found, "budget")
    assert not across(SIX).unlike


def test_experiments_that_searched_for_different_measures_are_not_ranked():
    studies = {
        c: replace(study, settings=replace(study.settings, metric=MAE))
        for c, study in ((c, make_study(c)) for c in TUNED)
    }
    with pytest.raises(StudyError, match="a: rmse, b: mae"):
        across(dict.fromkeys("ab", TUNED), b={"studies": studies})


def test_simulated_ratings_are_named_as_such():
    records = on_data_sets(dict.fromkeys("ab", TUNED)).values()
    real, simulated = records
    real = replace(real, dataset=replace(real.dataset, simulated=False))
    assert compare_experiments([real, simulated]).simulated == ("b",)


def test_the_same_ratings_twice_are_refused():
    a, b = on_data_sets(dict.fromkeys("ab", TUNED)).values()
    with pytest.raises(StudyError, match="a is named twice"):
        compare_experiments([a, b, a])
    with pytest.raises(StudyError, match="a and b have the same ratings"):
        compare_experiments([a, replace(b, dataset=a.dataset)])


def test_what_has_no_two_families_in_common_is_refused():
    a, b = on_data_sets(dict.fromkeys("ab", TUNED)).values()
    families = {"svd": {}, "cf": {"family": "content"}}
    b = replace(b, spec=make_spec(families=families, variants=[]), judging=b.judging)
    cf, other = b.judging.model("cf"), "content"
    models = tuple(replace(m, family=other) if m == cf else m for m in b.judging.models)
    b = replace(b, judging=replace(b.judging, models=models))
    with pytest.raises(StudyError, match="b has svd, cf"):
        compare_experiments([a, b])


def test_a_test_set_that_is_still_sealed_is_refused():
    a, b = on_data_sets(dict.fromkeys("ab", TUNED)).values()
    with pytest.raises(StudyError, match="b is still sealed"):
        compare_experiments([a, replace(b, judging=None)])
