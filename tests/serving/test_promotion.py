import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from harness.data.load import load_source
from harness.errors import DataError, StudyError, TrackingError, UnknownNameError
from harness.evaluation.splits import split_off_test
from harness.models.families import load_family
from harness.search.storage import create_experiment, read_study, save_experiment_facts
from harness.search.study import save_final
from harness.serving import promotion_material
from harness.serving.promotion import (
    Bounds,
    PromotionSettings,
    check_gain,
    default_bounds,
    warn_of_floor,
)
from harness.serving.promotion import promote as pass_gate
from harness.serving.promotion_material import read_source
from harness.serving.registry import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    Registry,
    crown,
    own_succession,
    roll_back,
)
from harness.tracking.location import locate
from tests.serving.promotion_workspace import COSTS, copy


def silently(_step):
    pass


def promote(name, **changes):
    settings = PromotionSettings(name=name, storage="optuna.log", location=locate())
    return pass_gate(replace(settings, **changes), on_step=silently)


def aliases():
    """Read who is what: alias to version."""
    client = MlflowClient(locate().tracking_uri, locate().tracking_uri)
    found = client.get_registered_model("ratings").aliases
    return {alias: int(version) for alias, version in found.items()}


def files_of(version):
    """Name the folder of a registered model."""
    client = MlflowClient(locate().tracking_uri, locate().tracking_uri)
    uri = client.get_model_version_download_uri("ratings", version)
    return Path(uri.removeprefix("file://"))


def looks(study):
    return read_study("optuna.log", study).final["looks"]


@pytest.fixture(scope="module", autouse=True)
def _known_costs():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(promotion_material, "measure_efficiency", lambda *_, **__: COSTS)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
        yield


@pytest.fixture(scope="module")
def template_with_champion(judged_template, tmp_path_factory):
    """The same, with the good model as champion."""
    folder = tmp_path_factory.mktemp("crowned")
    copy(judged_template, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert promote("good").outcome == "promoted"
    return folder


@pytest.fixture
def judged(judged_template, tmp_path, monkeypatch):
    copy(judged_template, tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def crowned(template_with_champion, tmp_path, monkeypatch):
    copy(template_with_champion, tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("crowned")
def test_the_first_model_becomes_champion_without_a_look_at_the_test_set():
    assert aliases() == {CHAMPION: 1}
    assert looks("good") == 1
    version = Registry(locate()).require("ratings", CHAMPION)
    rmse = read_study("optuna.log", "good").final["models"][0]["metrics"]["rmse"]
    assert version.figure("test_rmse") == pytest.approx(rmse["value"], abs=1e-6)
    assert version.tags["study"] == "good"


@pytest.mark.usefixtures("judged")
def test_a_model_that_is_not_worse_replaces_the_champion():
    promote("bad")
    promotion = promote("good")
    assert promotion.outcome == "promoted"
    assert aliases() == {CHAMPION: 2, PREVIOUS: 1}
    assert promotion.checks[-1].sentence.endswith("not significantly worse at 0.05.")


@pytest.mark.usefixtures("crowned")
def test_the_comparison_is_that_of_two_fits_on_the_same_test_ratings():
    duel = promote("bad", dry_run=True).duel
    dataset = load_source("ratings.csv", {})
    split = split_off_test(dataset, seed=7)
    test = split.test.open()
    baseline = load_family("baseline")
    errors = []
    for name in ("bad", "good"):
        params = read_study("optuna.log", name).best.params
        model = baseline(**params).fit(split.train, dataset.catalogue)
        predicted = model.predict(test.users, test.items)
        errors.append(np.sqrt(np.mean((predicted - test.values) ** 2)))
    assert duel.rmse == pytest.approx(errors[0], abs=1e-6)
    assert duel.champion_rmse == pytest.approx(errors[1], abs=1e-6)
    assert duel.difference.value == pytest.approx(errors[0] - errors[1], abs=1e-6)
    assert duel.n_pairs == duel.n_test == len(test)


@pytest.mark.usefixtures("crowned")
def test_a_significantly_worse_model_is_refused_and_becomes_challenger():
    promotion = promote("bad")
    assert promotion.outcome == "refused"
    assert aliases() == {CHAMPION: 1, CHALLENGER: 2}
    [sentence] = [c.sentence for c in promotion.checks if not c.passed]
    assert re.search(
        r"stars more \[\+0\.\d+, .*: significantly worse at 0.05", sentence
    )


@pytest.mark.usefixtures("crowned")
def test_opening_the_test_set_again_is_counted_over_all_studies_of_the_split():
    # Judging good was the first look, judging bad the second.
    assert looks("bad") == 2
    promotion = promote("bad", dry_run=True)
    assert promotion.looks == looks("bad") == 3


@pytest.mark.usefixtures("crowned")
def test_for_a_model_that_costs_too_much_the_test_set_stays_closed():
    promotion = promote("bad", bounds=Bounds(max_latency_ms=1.5), dry_run=True)
    assert promotion.outcome == "refused"
    [failed] = [c.sentence for c in promotion.checks if not c.passed]
    assert failed == (
        "Latency p95 of a top 10 is 2 ms: 0.5 ms above the 1.5 ms allowed."
    )
    assert (promotion.duel, promotion.looks) == (None, None)
    assert looks("bad") == 2  # that of good, and its own


@pytest.mark.usefixtures("judged")
def test_a_model_that_does_not_beat_the_biases_is_said_not_to():
    """The mean alone is far worse; the tuned biases are the floor, or next to it."""
    rmse = {
        model["name"]: model["metrics"]["rmse"]["value"]
        for model in read_study("optuna.log", "bad").final["models"]
    }
    gap = rmse["tuned"] - rmse["user and item bias"]
    promotion = promote("bad", bounds=Bounds(min_gain=0.1))
    assert warn_of_floor(promotion.source) == (
        "It does not beat user and item bias, whose RMSE on the same test ratings is "
        f"{rmse['user and item bias']:.4f}: its own is {gap:.4f} stars higher."
    )
    [failed] = [check.sentence for check in promotion.checks if not check.passed]
    assert failed == (
        f"The gain over user and item bias is {-gap:.4f} stars: {gap + 0.1:.4f} below the "
        "0.1 required."
    )
    assert warn_of_floor(promote("good", dry_run=True).source).endswith("chance.")


@pytest.mark.usefixtures("judged")
def test_the_gain_over_the_biases_is_bounded_unless_it_is_not_known():
    source = read_source("optuna.log", "bad")
    assert default_bounds(source).min_gain is None
    of_svd = replace(source, study=replace(source.study, family="svd"))
    assert default_bounds(of_svd).min_gain == 0
    assert not check_gain(default_bounds(of_svd), of_svd)[0].passed
    final = {**source.final, "differences": []}
    of_old = replace(of_svd, study=replace(of_svd.study, final=final))
    assert default_bounds(of_old).min_gain is None


@pytest.mark.usefixtures("crowned")
def test_a_dry_run_leaves_mlflow_as_it_is():
    before = Path("mlflow.db").read_bytes()
    assert promote("bad", dry_run=True).outcome == "refused"
    assert Path("mlflow.db").read_bytes() == before


@pytest.mark.usefixtures("crowned")
def test_a_promoted_model_is_not_promoted_again():
    assert promote("good").outcome == "unchanged"
    assert aliases() == {CHAMPION: 1}


@pytest.mark.usefixtures("crowned")
def test_a_challenger_is_compared_with_nobody():
    promotion = promote("reseeded", challenge=True)
    assert (promotion.outcome, promotion.checks) == ("challenger", ())
    assert aliases() == {CHAMPION: 1, CHALLENGER: 2}


@pytest.mark.usefixtures("crowned")
def test_a_model_judged_on_another_test_set_is_not_compared():
    with pytest.raises(StudyError, match=r"another test set .* with --rejudge"):
        promote("reseeded")
    assert aliases() == {CHAMPION: 1}


@pytest.mark.usefixtures("crowned")
def test_rejudging_leaves_out_what_the_champion_was_trained_on(monkeypatch):
    """The pairs that are in both test sets are the only ones that are new to both."""
    monkeypatch.setattr("harness.serving.promotion_material.FEWEST_USERS", 10)
    duel = promote("reseeded", rejudge=True, dry_run=True).duel
    dataset = load_source("ratings.csv", {})
    old, new = (split_off_test(dataset, seed=seed).test.open() for seed in (7, 8))
    pairs = [set(zip(t.users, t.items, strict=True)) for t in (old, new)]
    assert duel.n_pairs == len(pairs[0] & pairs[1]) < duel.n_test == len(pairs[1])


@pytest.mark.usefixtures("crowned")
def test_too_few_fair_pairs_are_refused():
    with pytest.raises(StudyError, match=r"are new to both models, and a comparison"):
        promote("reseeded", rejudge=True)
    assert aliases() == {CHAMPION: 1}


@pytest.mark.usefixtures("judged")
def test_a_rollback_lets_champion_and_previous_change_places():
    promote("bad")
    promote("good")
    champion, previous = roll_back(locate(), "ratings")
    assert (champion.version, previous.version) == (1, 2)
    assert aliases() == {CHAMPION: 1, PREVIOUS: 2}
    roll_back(locate(), "ratings")
    assert aliases() == {CHAMPION: 2, PREVIOUS: 1}


@pytest.mark.usefixtures("judged")
def test_a_rollback_to_files_that_are_gone_changes_nothing():
    promote("bad")
    promote("good")
    shutil.rmtree(files_of("1"))
    with pytest.raises(DataError, match=r"the files of the model must be there"):
        roll_back(locate(), "ratings")
    assert aliases() == {CHAMPION: 2, PREVIOUS: 1}


@pytest.mark.usefixtures("crowned")
def test_without_a_previous_champion_there_is_no_rollback():
    with pytest.raises(TrackingError, match=r"with the alias @previous, but has none"):
        roll_back(locate(), "ratings")
    assert aliases() == {CHAMPION: 1}


@pytest.mark.usefixtures("crowned")
def test_of_two_promotions_at_once_one_is_told_of_the_other():
    with (
        own_succession(locate(), "ratings"),
        pytest.raises(TrackingError, match=r"Another promotion of 'ratings' is under"),
    ):
        promote("bad")
    assert aliases() == {CHAMPION: 1}
    assert looks("bad") == 2


@pytest.mark.usefixtures("crowned")
def test_a_champion_that_changed_while_another_was_judged_is_not_replaced():
    """Another machine, whose lock is not ours, was faster."""
    registry = Registry(locate())
    version = registry.require("ratings", CHAMPION)
    with pytest.raises(TrackingError, match=r"was nobody .* made it version 1 since"):
        crown(registry, version, None)


@pytest.mark.usefixtures("judged")
def test_a_champion_whose_files_have_changed_stops_the_promotion():
    promote("good")
    [file] = files_of("1").rglob("model.npz")
    file.write_bytes(file.read_bytes() + b"x")
    lost = (
        r"^models:/ratings/1/artifacts/model/model.npz: must be as it was .* --rollback"
    )
    for name in ("bad", "good"):
        with pytest.raises(DataError, match=lost):
            promote(name)
    assert aliases() == {CHAMPION: 1}


@pytest.mark.usefixtures("judged")
def test_a_model_whose_files_are_lost_is_fitted_and_logged_again():
    promote("good")
    shutil.rmtree(files_of("1"))
    registry = Registry(locate())
    registry.move(CHAMPION, None, name="ratings")
    assert promote("good").outcome == "promoted"
    assert aliases() == {CHAMPION: 2}
    assert list(files_of("2").rglob("model.npz"))


@pytest.mark.usefixtures("judged")
def test_a_study_that_was_not_judged_is_not_promoted():
    save_final("optuna.log", "good", {})
    with pytest.raises(StudyError, match=r"'good' must be judged on a test set"):
        promote("good")


@pytest.mark.usefixtures("judged")
def test_a_search_that_has_gone_on_since_is_not_promoted():
    final = read_study("optuna.log", "good").final
    save_final("optuna.log", "good", {**final, "best_trial": 99})
    with pytest.raises(
        StudyError, match=r"judged on the test set \(99\), but the sear"
    ):
        promote("good")


@pytest.mark.usefixtures("judged")
def test_a_name_that_is_neither_experiment_nor_study_has_a_hint():
    with pytest.raises(UnknownNameError, match=r"named 'goof'. Did you mean 'good'"):
        promote("goof")


@pytest.mark.usefixtures("judged")
def test_the_winner_of_an_experiment_must_hold_the_criteria_of_its_file():
    make_experiment({"metric": "rmse", "at_most": 0.01})
    promotion = promote("toy", dry_run=True)
    assert promotion.outcome == "refused"
    [failed] = [c.sentence for c in promotion.checks if not c.passed]
    assert failed.endswith("above the 0.01 stars allowed.")
    make_experiment({"metric": "rmse", "at_most": 5})
    assert promote("toy").outcome == "promoted"
    version = Registry(locate()).require("ratings", CHAMPION)
    assert version.tags["experiment"] == "toy"


@pytest.mark.usefixtures("judged")
def test_what_no_criterion_of_an_experiment_bounds_is_bounded_by_default():
    make_experiment()
    told = [check.sentence for check in promote("toy", dry_run=True).checks]
    assert told[0] == "Latency p95 of a top 10 is 2 ms: at most 20 ms, as required."
    assert told[1].endswith("MB: at most 500 MB, as required.")
    assert told[2].endswith("at least 0.5, as required.")
    assert len(told) == 3


@pytest.mark.usefixtures("judged")
def test_a_criterion_of_an_experiment_replaces_the_bound_by_default():
    make_experiment({"metric": "coverage", "at_least": 0.3})
    told = [check.sentence for check in promote("toy", dry_run=True).checks]
    assert [s for s in told if "at least" in s] == [told[0]]
    assert told[0].endswith("at least 0.3, as required.")
    assert len(told) == 3


@pytest.mark.usefixtures("judged")
def test_bounds_of_the_command_line_are_beside_the_criteria_of_an_experiment():
    make_experiment({"metric": "coverage", "at_least": 0.3})
    promotion = promote("toy", bounds=Bounds(min_coverage=0.7), dry_run=True)
    told = [c.sentence for c in promotion.checks if "at least" in c.sentence]
    assert [sentence.split()[-3] for sentence in told] == ["0.3,", "0.7,"]


def make_experiment(*criteria):
    """Make an experiment of one study, judged as the study good was."""
    from tests.serving.promotion_workspace import judge_study

    judge_study("toy-baseline")
    study = read_study("optuna.log", "toy-baseline")
    facts = {
        "dataset": study.dataset,
        "split": study.split,
        "settings": {"seed": 7, "file": "toy"},
        "code_version": study.code_version,
    }
    tuned = {
        **study.final["models"][0],
        "name": "baseline, tuned",
        "candidate": "baseline",
        "role": "tuned",
        "coverage": 1.0,
    }
    final = {
        **study.final,
        "models": [tuned],
        "differences": [],
        "best_trials": {"baseline": study.best.number},
    }
    spec = {
        "title": "Toy",
        "families": {"baseline": {}},
        "criteria": list(criteria),
    }
    create_experiment("optuna.log", "toy", facts)
    save_experiment_facts("optuna.log", "toy", "spec", spec)
    save_experiment_facts("optuna.log", "toy", "final", final)
