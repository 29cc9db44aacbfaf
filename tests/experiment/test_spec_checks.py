import pytest

from harness.experiment.file import complaints
from tests.experiment.records import make_claims, make_spec


def found(**changes):
    return list(complaints(make_spec(**changes)))


def claim(candidate, metric, value=0.9, **more):
    return found(claims=make_claims([(candidate, metric, value, more)]))


def variant(**changes):
    facts = {
        "name": "bare",
        "candidate": "svd",
        "params": {"biased": False},
        "shows": "x",
    }
    return found(variants=[facts | changes])


def test_a_sound_file_raises_no_complaint():
    assert found() == []


def test_a_criterion_about_an_unknown_candidate_says_which_one_was_meant():
    ((key, rule),) = found(
        criteria=[{"metric": "rmse", "candidate": "svdd", "at_most": 1}]
    )
    assert key == "criteria.0.candidate"
    assert rule == "There is no candidate named 'svdd'. Did you mean 'svd'?"


def test_the_place_of_a_mistake_is_counted_from_zero():
    good = {"metric": "rmse", "at_most": 1}
    ((key, _),) = found(criteria=[good, good, good | {"metric": "rsme"}])
    assert key == "criteria.2.metric"


def test_bounds_that_exclude_each_other_are_refused():
    ((key, rule),) = found(criteria=[{"metric": "rmse", "at_least": 2, "at_most": 1}])
    assert key == "criteria.0.at_least"
    assert "at_least=2" in rule


@pytest.mark.parametrize("metric", ["rsme", "data.sparcity", "param."])
def test_a_claim_about_an_unknown_metric_is_refused(metric):
    candidate = None if metric.startswith("data.") else "svd"
    ((key, rule),) = claim(candidate, metric)
    assert key == "claims.0.metric"
    assert rule.startswith("There is no metric named")


def test_figures_of_models_need_a_candidate_and_figures_of_data_have_none():
    assert claim(None, "rmse") == [
        (
            "claims.0.metric",
            "'rmse' needs a candidate: one of ['cf', 'content', 'hybrid', 'svd'].",
        )
    ]
    ((key, rule),) = claim("svd", "data.mean")
    assert key == "claims.0.candidate"
    assert "leave it out" in rule
    ((key, _),) = claim("winner", "rmse")
    assert key == "claims.0.candidate"


@pytest.mark.parametrize(
    ("candidate", "metric", "value"),
    [
        ("svd", "rmse", "0.89"),
        ("svd", "rmse", "unpublished"),
        (None, "data.mean", "3.7"),
        (None, "data.peak_hours", 20),
        ("svd", "rmse", float("nan")),
    ],
)
def test_a_value_that_could_never_be_judged_is_refused(candidate, metric, value):
    ((key, _),) = claim(candidate, metric, value)
    assert key == "claims.0.value"


def test_texts_stand_for_settings_for_facts_and_for_what_was_not_published():
    assert claim("svd", "rmse", "not published") == []
    assert claim(None, "data.peak_hours", "20:00-23:00") == []
    assert claim("cf", "param.similarity", "cosine") == []


def test_costs_of_initial_settings_are_not_measured_but_for_the_training_time():
    assert claim("svd", "fit_seconds", 150) == []
    assert claim("svd", "latency_p95_ms", 8, role="tuned") == []
    ((key, rule),) = claim("svd", "latency_p95_ms", 8)
    assert key == "claims.0.role"
    assert 'add role = "tuned"' in rule


def test_preferences_have_to_exist_and_are_named_once():
    ((key, rule),) = found(decision={"prefer": ["latency_p95"]})
    assert key == "decision.prefer"
    assert "Did you mean 'latency_p95_ms'" in rule
    ((_, rule),) = found(decision={"prefer": ["rmse", "rmse"]})
    assert "once" in rule
    ((key, rule),) = found(decision={"negligible": {"latency_p95": 1}})
    assert key == "decision.negligible.latency_p95"
    assert "latency_p95_ms" in rule


def test_a_variant_changes_something_of_a_candidate_under_a_name_of_its_own():
    assert variant() == []
    assert [key for key, _ in variant(candidate="bfm")] == ["variants.0.candidate"]
    assert [key for key, _ in variant(params={})] == ["variants.0.params"]
    for taken in (
        "global mean",
        "user and item bias",
        "svd",
        "svd, tuned",
        "cf, initial",
    ):
        assert [key for key, _ in variant(name=taken)] == ["variants.0.name"]


def test_two_variants_do_not_share_a_name():
    facts = {
        "name": "bare",
        "candidate": "svd",
        "params": {"biased": False},
        "shows": "x",
    }
    ((key, _),) = found(variants=[facts, facts])
    assert key == "variants.1.name"


def test_no_family_may_be_called_the_winner():
    keys = [
        key
        for key, _ in found(
            families={"winner": {"family": "svd"}}, variants=[], criteria=[], claims=[]
        )
    ]
    assert keys == ["families.winner"]


def test_all_mistakes_are_found():
    keys = {
        key
        for key, _ in found(
            criteria=[{"metric": "x", "candidate": "y", "at_most": 1}],
            decision={"prefer": ["z"]},
        )
    }
    assert keys == {"criteria.0.metric", "criteria.0.candidate", "decision.prefer"}
