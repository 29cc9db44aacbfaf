import json

from harness.tracking import sync
from harness.tracking.view import VIEW_TAG, merge_view, view_parameters


def test_shows_the_best_trial_first_with_its_parameters():
    state = json.loads(merge_view({}, ["n_factors"]))
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`rmse`", True)
    assert "params.`n_factors`" in state["selectedColumns"]


def test_keeps_the_columns_of_other_families():
    tags = {VIEW_TAG: merge_view({}, ["n_factors", "learning_rate"])}
    tags = {VIEW_TAG: merge_view(tags, ["n_neighbors", "n_factors"])}
    assert view_parameters(tags) == ["n_factors", "learning_rate", "n_neighbors"]


def test_a_view_that_cannot_be_read_is_replaced():
    for broken in ("deflate;xyz", "[]", '{"selectedColumns": 1}', "{}"):
        assert view_parameters({VIEW_TAG: broken}) == []


def test_an_experiment_has_the_view_of_its_studies(make_study, store_uri):
    from mlflow import MlflowClient

    sync(make_study(), store_uri)
    tags = MlflowClient(store_uri).get_experiment_by_name("harness").tags
    assert view_parameters(tags) == ["n_factors"]
    assert tags["mlflow.experimentKind"] == "custom_model_development"
