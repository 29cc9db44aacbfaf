from dataclasses import replace
from datetime import UTC, datetime

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput

from harness.errors import TrackingError, UnknownNameError
from harness.search.openings import SealedRatings
from harness.serving.registry import CHAMPION, Registry, VersionFacts, model_name
from harness.tracking.location import locate
from harness.tracking.store import open_store

FACTS = VersionFacts(
    family="svd",
    experiment="svd-ml-100k",
    study="svd-ml-100k",
    trial=3,
    storage="optuna.log",
    dataset="ml-100k",
    simulated=False,
    split="random",
    test_set=SealedRatings(dataset="0123", ratings=None, split="4567"),
    n_test=20_000,
    rmse=0.912345,
    rmse_low=0.9,
    rmse_high=0.925,
    opened=datetime(2026, 3, 1, 12, tzinfo=UTC),
)


@pytest.fixture
def registry(store_uri):
    return Registry(locate(store_uri))


@pytest.fixture
def log_model(store_uri):
    """Return a function that logs an empty model to a run of its own."""
    experiment = open_store(locate(store_uri)).experiment_id
    client = MlflowClient(store_uri, store_uri)

    def log(trial=3, status="READY"):
        run_id = client.create_run(experiment).info.run_id
        tags = {"trial": str(trial), "trained_on": "training part"}
        model = client.create_logged_model(experiment, source_run_id=run_id, tags=tags)
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        client.finalize_logged_model(model.model_id, status)
        return run_id, model.model_uri

    return log


def register(registry, source, run_id, facts=FACTS):
    return registry.register(
        "ml-100k", source, run_id=run_id, facts=facts, description="RMSE 0.9123"
    )


def test_versions_are_listed_newest_first_with_their_aliases(registry, log_model):
    for _ in range(2):
        run_id, uri = log_model()
        version = register(registry, uri, run_id)
    registry.move(CHAMPION, version, name="ml-100k")
    found = registry.versions("ml-100k")
    assert [(v.version, v.aliases) for v in found] == [(2, (CHAMPION,)), (1, ())]
    assert (found[0].uri, found[0].source) == ("models:/ml-100k/2", uri)
    assert found[0].facts == FACTS
    assert found[0].test_set == FACTS.test_set
    assert found[0].tags == {
        "family": "svd",
        "source": "svd-ml-100k, trial 3",
        "test_rmse": "0.9123 [0.9000, 0.9250]",
        "trained_on": "training part",
        "verdict": "",
    }


def test_a_model_is_registered_once_and_described_anew(registry, log_model):
    run_id, uri = log_model()
    register(registry, uri, run_id)
    again = register(registry, uri, run_id, replace(FACTS, verdict="refused"))
    assert again.version == 1
    [version] = registry.versions("ml-100k")
    assert (version.tags["verdict"], version.facts.verdict) == ("refused", "refused")


def test_the_page_of_the_logged_model_leads_to_its_version(
    registry, log_model, store_uri
):
    run_id, uri = log_model()
    register(registry, uri, run_id)
    model = MlflowClient(store_uri).get_logged_model(uri.removeprefix("models:/"))
    assert model.tags["mlflow.modelVersions"] == (
        '[{"name": "ml-100k", "version": "1"}]'
    )


def test_a_model_is_registered_in_its_own_store_whatever_the_default_is(
    registry, log_model, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    run_id, uri = log_model()
    assert register(registry, uri, run_id).version == 1


def test_the_model_of_a_run_is_that_of_the_trial_that_was_judged(registry, log_model):
    run_id, uri = log_model(trial=3)
    assert registry.logged_model(run_id, trial=3) == uri
    assert registry.logged_model(run_id, trial=4) is None


def test_a_model_that_was_not_written_to_its_end_does_not_count(registry, log_model):
    run_id, _ = log_model(status="FAILED")
    assert registry.logged_model(run_id, trial=3) is None


def test_an_alias_that_nobody_has_is_one_sentence(registry, log_model):
    run_id, uri = log_model()
    register(registry, uri, run_id)
    assert registry.aliased("ml-100k", CHAMPION) is None
    with pytest.raises(TrackingError, match=r"with the alias @champion, but has none"):
        registry.require("ml-100k", CHAMPION)
    with pytest.raises(UnknownNameError, match=r"Did you mean 'ml-100k'"):
        registry.require("ml-100", CHAMPION)


def test_an_alias_can_be_taken_away(registry, log_model):
    run_id, uri = log_model()
    version = register(registry, uri, run_id)
    registry.move(CHAMPION, version, name="ml-100k")
    registry.move(CHAMPION, None, name="ml-100k")
    assert registry.aliased("ml-100k", CHAMPION) is None


def test_a_registry_that_is_unreachable_is_one_sentence():
    registry = Registry(locate("http://127.0.0.1:9"))
    with pytest.raises(TrackingError, match=r"must be reachable and writable, but: "):
        registry.versions("ml-100k")


def test_a_name_has_nothing_that_mlflow_refuses():
    assert model_name("films/of:2026") == "films-of-2026"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("data", "ratings", "split"), ("data", "ratings", "split"), True),
        (("data", "ratings", "split"), ("other catalogue", "ratings", "split"), True),
        (("data", "ratings", "split"), ("data", "ratings", "other"), False),
        (("data", "ratings", "split"), ("data", "other", "split"), False),
        (("data", None, "split"), ("data", "ratings", "split"), True),
        (("data", None, "split"), ("other catalogue", "ratings", "split"), False),
    ],
)
def test_test_ratings_are_the_same_whatever_the_catalogue(one, other, same):
    one, other = (
        SealedRatings(dataset=dataset, ratings=ratings, split=split)
        for dataset, ratings, split in (one, other)
    )
    assert one.are(other) is same
    assert other.are(one) is same


def test_a_version_whose_run_is_gone_has_no_report(registry, log_model):
    run_id, source = log_model()
    version = register(registry, source, run_id)
    assert registry.report_of(version) is None
    assert registry.report_of(replace(version, run_id="0" * 32)) is None
