import json

from harness.tracking.views import (
    FINALS_VIEW,
    TRIALS_VIEW,
    VIEWS,
    merge_trials_view,
    trial_parameters,
)
from tests.tracking.conftest import sync


def state_of(view):
    return json.loads(json.loads(view)["state"])


def test_shows_the_best_trial_first_with_its_parameters():
    state = state_of(merge_trials_view({}, ["n_factors"]))
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`rmse`", True)
    assert "params.`n_factors`" in state["selectedColumns"]


def test_keeps_the_columns_of_other_families():
    tags = {TRIALS_VIEW.tag: merge_trials_view({}, ["n_factors", "learning_rate"])}
    tags = {TRIALS_VIEW.tag: merge_trials_view(tags, ["n_neighbors", "n_factors"])}
    assert trial_parameters(tags) == ["n_factors", "learning_rate", "n_neighbors"]


def test_a_view_that_cannot_be_read_is_replaced():
    for broken in ("deflate;xyz", "[]", '{"selectedColumns": 1}', "{}", '{"state": 1}'):
        assert trial_parameters({TRIALS_VIEW.tag: broken}) == []


def test_an_experiment_has_the_view_of_its_studies(make_study, store_uri):
    from mlflow import MlflowClient

    sync(make_study(), store_uri)
    tags = MlflowClient(store_uri).get_experiment_by_name("harness").tags
    assert trial_parameters(tags) == ["n_factors"]
    assert tags["mlflow.experimentKind"] == "custom_model_development"


def test_the_list_of_final_models_has_them_alone_best_first():
    state = state_of(FINALS_VIEW.as_json())
    assert state["searchFilter"] == "tags.state = 'final'"
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`test_rmse`", True)
    assert state["columnOrder"][:3] == [
        "attributes.`Run Name`",
        "runDateAndNestInfo",
        "duration",
    ]


def test_every_list_has_a_name_of_its_own():
    assert len({view.name for view in VIEWS}) == len({view.tag for view in VIEWS}) == 3
