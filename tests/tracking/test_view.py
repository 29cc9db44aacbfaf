import json
from dataclasses import replace

from harness.tracking.views import (
    FINALS_VIEW,
    NESTED_VIEW,
    TRIALS_VIEW,
    VIEWS,
    merge_trials_view,
    trial_parameters,
    views_in,
)
from tests.tracking.conftest import sync


def state_of(view):
    return json.loads(json.loads(view)["state"])


OTT = TRIALS_VIEW.of("ott")


def test_shows_the_best_trial_first_with_its_parameters():
    state = state_of(merge_trials_view({}, ["n_factors"], OTT))
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`rmse`", True)
    assert "params.`n_factors`" in state["selectedColumns"]


def test_keeps_the_columns_of_other_families():
    tags = {OTT.tag: merge_trials_view({}, ["n_factors", "learning_rate"], OTT)}
    tags = {OTT.tag: merge_trials_view(tags, ["n_neighbors", "n_factors"], OTT)}
    assert trial_parameters(tags, OTT) == ["n_factors", "learning_rate", "n_neighbors"]


def test_a_view_that_cannot_be_read_is_replaced():
    for broken in ("deflate;xyz", "[]", '{"selectedColumns": 1}', "{}", '{"state": 1}'):
        assert trial_parameters({OTT.tag: broken}, OTT) == []


def test_trials_of_one_data_set_and_parents_alone_can_be_selected(
    make_study, make_trial, store_uri
):
    from mlflow import MlflowClient

    toy = make_study([make_trial(0), make_trial(1)])
    books = replace(toy.dataset, name="bob's books")
    tens = make_study([make_trial(0)], name="svd-books", dataset=books, identity="b00c")
    for study in (toy, tens):
        sync(study, store_uri)
    client = MlflowClient(store_uri)
    experiment = client.get_experiment_by_name("harness")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    views = views_in(experiment.tags)
    states = {
        name: state_of(experiment.tags[f"mlflow.sharedViewState.{key}"])
        for name, key in views.items()
    }
    found = {
        name: [
            run.info.run_name
            for run in client.search_runs(
                [experiment.experiment_id], filter_string=state["searchFilter"]
            )
        ]
        for name, state in states.items()
    }
    assert {name: sorted(names) for name, names in found.items()} == {
        "best trials first: toy": ["svd-toy #0 rmse 0.9400", "svd-toy #1 rmse 0.9390"],
        "best trials first: bob's books": ["svd-books #0 rmse 0.9400"],
    }
    assert views["best trials first: bob's books"] == "harness-trials-bob-s-books"
    assert trial_parameters(experiment.tags, TRIALS_VIEW.of("toy")) == [
        "n_factors",
        "learning_rate",
    ]
    parents = client.search_runs(
        [experiment.experiment_id],
        filter_string=NESTED_VIEW.only,
    )
    assert sorted(run.info.run_name.split(" study")[0] for run in parents) == [
        "svd-books",
        "svd-toy",
    ]


def test_the_list_of_final_models_has_them_alone_best_first():
    state = state_of(FINALS_VIEW.as_json())
    assert state["searchFilter"] == "tags.level = 'final'"
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`test_rmse`", True)
    assert state["columnOrder"][:3] == [
        "attributes.`Run Name`",
        "runDateAndNestInfo",
        "duration",
    ]


def test_every_list_has_a_name_of_its_own():
    assert len({view.name for view in VIEWS}) == len({view.tag for view in VIEWS}) == 3
