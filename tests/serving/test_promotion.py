import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mlflow import MlflowClient

from harness.data.load import load_source
from harness.errors import (
    DataError,
    ParameterError,
    StudyError,
    TrackingError,
    UnknownNameError,
)
from harness.evaluation.equivalence import NonInferiority
from harness.evaluation.measures import MEASURES
from harness.evaluation.metrics import OBJECTIVE
from harness.evaluation.objectives import find_objective
from harness.evaluation.splits import split_off_test
from harness.evaluation.statistics import Estimate
from harness.experiment.blending import search_blend
from harness.experiment.judge import judge_experiment
from harness.experiment.run import RunSettings, prepare_experiment
from harness.experiment.spec import WINNER, Criterion
from harness.experiment.store import keep, read_experiment
from harness.models.families import load_family
from harness.search.openings import openings_by_now, promotion_tests_by_now
from harness.search.records import NoListener
from harness.search.storage import save_experiment_facts
from harness.serving.fetch import fetch_model
from harness.serving.promotion import (
    Bounds,
    PromotionSettings,
    check_floor,
    check_gain,
    check_non_inferiority,
)
from harness.serving.promotion import promote as pass_gate
from harness.serving.promotion_source import (
    ChampionComparison,
    JudgedParts,
    compare_with_champion,
    read_source,
)
from harness.serving.registry import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    Registry,
    make_champion,
    own_promotion,
    roll_back,
)
from harness.tracking.location import locate
from harness.tracking.runs import log_experiment
from tests.costs import MEASURED
from tests.serving.promotion_workspace import copy, judge_study


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


def openings(name):
    """Count the openings of the test ratings of a study by now."""
    record = read_experiment("optuna.log", name)
    return openings_by_now("optuna.log", record.dataset, record.split)[0]


@pytest.fixture(scope="module", autouse=True)
def _known_costs():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "harness.experiment.judge.measure_efficiency", lambda *_, **__: MEASURED
        )
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
        yield


@pytest.fixture(scope="module")
def template_with_champion(judged_template, tmp_path_factory):
    """The same, with the good model as champion."""
    folder = tmp_path_factory.mktemp("with_champion")
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
def with_champion(template_with_champion, tmp_path, monkeypatch):
    copy(template_with_champion, tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("with_champion")
def test_the_first_model_becomes_champion_without_opening_the_test_set():
    assert aliases() == {CHAMPION: 1}
    # Judging good and bad, which share a split; nothing for the promotion.
    assert openings("good") == 2
    version = Registry(locate()).require("ratings", CHAMPION)
    record = read_experiment("optuna.log", "good")
    rmse = record.model("baseline").rmse
    facts = version.facts
    assert (facts.rmse, facts.rmse_low) == (rmse.value, rmse.low)
    assert (facts.study, facts.verdict, facts.promotion_tests) == (
        "good",
        "promoted",
        0,
    )
    assert facts.opened == record.judging.opened


@pytest.mark.usefixtures("with_champion")
def test_people_see_few_tags_of_a_version():
    version = Registry(locate()).require("ratings", CHAMPION)
    facts = version.facts
    assert version.tags == {
        "family": "baseline",
        "source": f"good, trial {facts.trial}",
        "test_rmse": f"{facts.rmse:.4f} [{facts.rmse_low:.4f}, {facts.rmse_high:.4f}]",
        "trained_on": "training part",
        "verdict": "promoted",
    }


@pytest.mark.usefixtures("judged")
def test_a_model_that_is_better_replaces_the_champion():
    promote("bad")
    promotion = promote("good")
    assert promotion.outcome == "promoted"
    assert aliases() == {CHAMPION: 2, PREVIOUS: 1}
    test = promotion.comparison.test
    assert test.superior
    sentence = next(c.sentence for c in promotion.checks if "better by" in c.sentence)
    assert f"better by {-test.difference:.4f} stars, p " in sentence
    assert Registry(locate()).require("ratings", CHAMPION).facts.superior is True


@pytest.mark.usefixtures("with_champion")
def test_the_comparison_is_that_of_two_fits_on_the_same_test_ratings():
    comparison = promote("bad", dry_run=True).comparison
    dataset = load_source("ratings.csv", {})
    split = split_off_test(dataset, method="random", test_share=0.2, seed=7)
    test = split.test.open()
    baseline = load_family("baseline")
    errors = []
    for name in ("bad", "good"):
        params = read_source("optuna.log", name).trial.params
        model = baseline(**params).fit(split.train, dataset.catalogue)
        predicted = model.predict(test.users, test.items)
        errors.append(np.sqrt(np.mean((predicted - test.values) ** 2)))
    assert comparison.score == pytest.approx(errors[0], abs=1e-6)
    assert comparison.champion_score == pytest.approx(errors[1], abs=1e-6)
    assert comparison.difference.value == pytest.approx(errors[0] - errors[1], abs=1e-6)
    assert comparison.n_pairs == comparison.n_test == len(test)
    # The scale of the data: what its ratings span, 1 to 5.
    assert comparison.test.margin == pytest.approx(0.005)


@pytest.mark.usefixtures("with_champion")
def test_a_model_that_is_worse_by_more_than_the_margin_is_refused():
    promotion = promote("bad", force_undecided=True)
    assert promotion.outcome == "refused"
    assert promotion.comparison.test.inferior
    assert aliases() == {CHAMPION: 1, CHALLENGER: 2}
    [failed] = [c for c in promotion.checks if not c.passed]
    assert failed.forced_by is None


@pytest.mark.usefixtures("with_champion")
def test_what_the_test_set_cannot_tell_is_refused_unless_that_is_forced():
    """A margin that lies within the interval of the difference."""
    interval = promote("bad", dry_run=True).comparison.difference
    margin = interval.value
    promotion = promote("bad", margin=margin, dry_run=True)
    assert promotion.outcome == "refused"
    assert not promotion.comparison.test.inferior
    assert promote("bad", margin=margin, force_undecided=True).outcome == "promoted"
    version = Registry(locate()).require("ratings", CHAMPION)
    assert version.facts.forced == ("undecided",)
    assert version.tags["forced"] == "undecided"
    assert version.facts.margin == margin


@pytest.mark.usefixtures("with_champion")
def test_a_margin_wider_than_the_difference_lets_a_worse_model_pass():
    assert promote("bad", margin=3.0, dry_run=True).outcome == "promoted"


@pytest.mark.usefixtures("judged")
@pytest.mark.parametrize("margin", [-0.1, 4.5, float("nan")])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(ParameterError, match="margin must be between 0 and"):
        promote("good", margin=margin)


@pytest.mark.usefixtures("with_champion")
def test_every_opening_counts_and_makes_the_next_test_stricter():
    assert openings("bad") == 2
    first = promote("bad", dry_run=True)
    second = promote("bad", dry_run=True)
    assert (first.opening, second.opening, openings("bad")) == (3, 4, 4)
    # 0.05 / (1 * 2), and 0.05 / (2 * 3) by 2 answers: evaluation/opening_budget.py.
    levels = [each.comparison.test.alpha for each in (first, second)]
    assert levels == pytest.approx([0.025, 0.05 / 12])
    assert second.comparison.test.upper > first.comparison.test.upper
    assert second.budget.left == pytest.approx(0.05 / 3)
    assert promotion_tests_by_now("optuna.log", first.source.test_set) == 2


@pytest.mark.usefixtures("with_champion")
def test_for_a_model_that_costs_too_much_the_test_set_stays_closed():
    promotion = promote("bad", bounds=Bounds(max_latency_ms=1.5), dry_run=True)
    assert promotion.outcome == "refused"
    [failed] = [c.sentence for c in promotion.checks if not c.passed]
    assert "latency" in failed
    assert "2 ms (required: <= 1.5 ms)" in failed
    assert (promotion.comparison, promotion.opening) == (None, None)
    assert openings("bad") == 2


@pytest.mark.usefixtures("judged")
def test_a_gain_that_is_asked_for_is_a_bound():
    """The mean alone is far worse than the biases."""
    record = read_experiment("optuna.log", "bad")
    gap = record.model("baseline").rmse.value - record.baseline().rmse.value
    promotion = promote("bad", bounds=Bounds(min_gain=0.1), dry_run=True)
    [failed] = [check.sentence for check in promotion.checks if not check.passed]
    assert f"{-gap:.4f} stars (required: >= 0.1)" in failed
    source = read_source("optuna.log", "bad")
    assert check_gain(Bounds(), source) == []
    to_ten = replace(record, dataset=replace(record.dataset, scale=(1, 10)))
    [in_points] = check_gain(Bounds(min_gain=0.1), replace(source, record=to_ten))
    assert f"{-gap:.4f} points" in in_points.sentence
    assert check_floor(source, force=False) == []  # a baseline itself


@pytest.fixture
def noise(tmp_path, monkeypatch):
    """A study of a family on ratings that follow neither user nor title."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    pairs = rng.choice(60 * 40, size=900, replace=False)
    rows = [f"u{p // 40},i{p % 40},{rng.integers(1, 6)}" for p in pairs]
    (tmp_path / "ratings.csv").write_text("\n".join(["user,item,rating", *rows]))
    record = judge_study("noise", family="slope_one")
    assert not record.decision.beats_floor
    return record


@pytest.mark.usefixtures("noise")
def test_what_the_report_forbids_is_refused_unless_forced():
    promotion = promote("noise")
    assert promotion.outcome == "refused"
    assert [check.passed for check in promotion.checks] == [False, True, True, True]
    assert aliases() == {CHALLENGER: 1}
    assert promote("noise", force=True).outcome == "promoted"
    assert aliases() == {CHAMPION: 1}
    version = Registry(locate()).require("ratings", CHAMPION)
    assert version.facts.forced == ("floor",)


@pytest.mark.usefixtures("judged")
def test_what_is_served_can_be_fitted_to_all_ratings():
    promotion = promote("good", refit_all=True)
    facts = promotion.version.facts
    assert (promotion.outcome, facts.trained_on) == ("promoted", "all ratings")
    served = fetch_model(locate(), promotion.version.uri).packaged
    judged = fetch_model(locate(), facts.judged_source).packaged
    assert (served.facts.n_train, judged.facts.n_train) == (900, 720)
    # The same settings, and the figures of the judged model.
    assert served.model.hyperparameters() == judged.model.hyperparameters()
    assert served.facts.measures["rmse"] == judged.facts.measures["rmse"]
    dataset = load_source("ratings.csv", {})
    again = load_family("baseline")(**promotion.source.trial.params)
    again.fit(dataset.ratings, dataset.catalogue)
    users = np.arange(10)
    np.testing.assert_array_equal(
        served.model.predict(users, users), again.predict(users, users)
    )
    assert promote("good", refit_all=True).outcome == "unchanged"


@pytest.mark.usefixtures("judged")
def test_a_champion_fitted_to_all_ratings_is_compared_by_the_model_that_was_judged():
    promote("bad", refit_all=True)
    promotion = promote("good")
    assert promotion.outcome == "promoted"
    assert promotion.comparison.n_pairs == promotion.comparison.n_test == 180
    rmse = read_experiment("optuna.log", "bad").model("baseline").rmse.value
    assert promotion.comparison.champion_score == pytest.approx(rmse, abs=1e-6)


@pytest.mark.usefixtures("with_champion")
def test_the_champion_refitted_to_all_ratings_needs_no_test():
    promotion = promote("good", refit_all=True)
    assert (promotion.outcome, promotion.opening) == ("promoted", None)
    assert aliases() == {CHAMPION: 2, PREVIOUS: 1}


@pytest.mark.usefixtures("with_champion")
def test_a_dry_run_leaves_mlflow_as_it_is():
    before = Path("mlflow.db").read_bytes()
    assert promote("bad", dry_run=True).outcome == "refused"
    assert Path("mlflow.db").read_bytes() == before


@pytest.mark.usefixtures("with_champion")
def test_a_promoted_model_is_not_promoted_again():
    assert promote("good").outcome == "unchanged"
    assert aliases() == {CHAMPION: 1}


@pytest.mark.usefixtures("with_champion")
def test_a_challenger_is_compared_with_nobody():
    promotion = promote("reseeded", challenge=True)
    assert (promotion.outcome, promotion.checks) == ("challenger", ())
    assert aliases() == {CHAMPION: 1, CHALLENGER: 2}


@pytest.mark.usefixtures("with_champion")
def test_a_model_judged_on_another_test_set_is_not_compared():
    with pytest.raises(StudyError, match=r"another test set .* with --rejudge"):
        promote("reseeded")
    assert aliases() == {CHAMPION: 1}


@pytest.mark.usefixtures("with_champion")
def test_rejudging_leaves_out_what_the_champion_was_trained_on(monkeypatch):
    """The pairs that are in both test sets are the only ones that are new to both."""
    monkeypatch.setattr("harness.serving.promotion_source.FEWEST_USERS", 10)
    comparison = promote("reseeded", rejudge=True, dry_run=True).comparison
    dataset = load_source("ratings.csv", {})
    old, new = (
        split_off_test(dataset, method="random", test_share=0.2, seed=seed).test.open()
        for seed in (7, 8)
    )
    pairs = [set(zip(t.users, t.items, strict=True)) for t in (old, new)]
    assert comparison.n_pairs == len(pairs[0] & pairs[1])
    assert comparison.n_pairs < comparison.n_test == len(pairs[1])


@pytest.mark.usefixtures("with_champion")
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


@pytest.mark.usefixtures("with_champion")
def test_without_a_previous_champion_there_is_no_rollback():
    with pytest.raises(TrackingError, match=r"with the alias @previous, but has none"):
        roll_back(locate(), "ratings")
    assert aliases() == {CHAMPION: 1}


@pytest.mark.usefixtures("with_champion")
def test_of_two_promotions_at_once_one_is_told_of_the_other():
    with (
        own_promotion(locate(), "ratings"),
        pytest.raises(TrackingError, match=r"Another promotion of 'ratings' is under"),
    ):
        promote("bad")
    assert aliases() == {CHAMPION: 1}
    assert openings("bad") == 2


@pytest.mark.usefixtures("with_champion")
def test_a_champion_that_changed_while_another_was_judged_is_not_replaced():
    """Another machine, whose lock is not ours, was faster."""
    registry = Registry(locate())
    version = registry.require("ratings", CHAMPION)
    with pytest.raises(TrackingError, match=r"was nobody .* made it version 1 since"):
        make_champion(registry, version, None)


@pytest.mark.usefixtures("judged")
def test_a_champion_whose_files_have_changed_stops_the_promotion():
    promote("good")
    [file] = files_of("1").rglob("model.npz")
    file.write_bytes(file.read_bytes() + b"x")
    lost = (
        r"^models:/ratings/1/artifacts/model/model.npz: has changed since .* --rollback"
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
    save_experiment_facts("optuna.log", "good", "judging", None)
    with pytest.raises(StudyError, match=r"'good' was not judged on a test set"):
        promote("good")


@pytest.mark.usefixtures("judged")
def test_a_search_that_has_gone_on_since_is_not_promoted():
    judging = read_experiment("optuna.log", "good").judging
    keep(
        "optuna.log", "good", "judging", replace(judging, best_trials={"baseline": 99})
    )
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
    make_experiment(metric="rmse", at_most=0.01)
    promotion = promote("toy", dry_run=True)
    assert promotion.outcome == "refused"
    [failed] = [c.sentence for c in promotion.checks if not c.passed]
    assert "(required: <= 0.01)" in failed
    make_experiment(metric="rmse", at_most=5)
    assert promote("toy").outcome == "promoted"
    assert Registry(locate()).require("ratings", CHAMPION).facts.experiment == "toy"


def asked_of(promotion):
    """What is required by each check."""
    return [c.sentence.partition("(required: ")[2].strip(")") for c in promotion.checks]


@pytest.mark.usefixtures("judged")
def test_what_no_criterion_of_an_experiment_bounds_is_bounded_by_default():
    make_experiment()
    promotion = promote("toy", dry_run=True)
    assert asked_of(promotion) == ["<= 20 ms", "<= 500 MB", ">= 0.5"]


@pytest.mark.usefixtures("judged")
def test_a_criterion_of_an_experiment_replaces_the_bound_by_default():
    make_experiment(metric="coverage", at_least=0.3)
    promotion = promote("toy", dry_run=True)
    assert "(required: >= 30 %)" in promotion.checks[0].sentence
    assert asked_of(promotion)[1:] == ["<= 20 ms", "<= 500 MB"]


@pytest.mark.usefixtures("judged")
def test_bounds_of_the_command_line_are_beside_the_criteria_of_an_experiment():
    make_experiment(metric="coverage", at_least=0.3)
    promotion = promote("toy", bounds=Bounds(min_coverage=0.7), dry_run=True)
    assert asked_of(promotion)[1:] == ["<= 20 ms", "<= 500 MB", ">= 0.7"]


def make_experiment(**criterion):
    """Make an experiment of one study with, or without, an acceptance criterion."""
    criteria = [Criterion(candidate=WINNER, **criterion)] if criterion else []
    judge_study("toy", criteria=criteria)


def test_lists_are_compared_by_id_whatever_codes_a_model_has(
    package_toy, small_dataset
):
    """Recall of both on the liked titles of the test part, user by user."""
    split = split_off_test(small_dataset, method="random", test_share=0.25, seed=3)
    test, models = (
        split.test.open(),
        [
            package_toy("svd", n_factors=2, n_epochs=5),
            package_toy("baseline"),
        ],
    )
    # The same ratings under other codes.
    order = np.random.default_rng(0).permutation(test.n_items)
    turned = replace(
        test,
        items=np.argsort(order)[test.items].astype(np.int32),
        item_ids=np.asarray(test.item_ids)[order],
    )
    found = compare_with_champion(
        *models,
        JudgedParts(test=turned, train=split.train, catalogue=small_dataset.catalogue),
        metric=find_objective("recall_at_10"),
        margin=0.01,
        alpha=0.05,
    )
    expected = []
    for model in (packaged.model for packaged in models):
        shares = [
            len(liked & set(model.recommend(user, 10)[0])) / len(liked)
            for user in np.unique(test.users)
            if (liked := {*test.items[(test.users == user) & (test.values >= 4)]})
        ]
        expected.append(np.mean(shares))
    assert [found.score, found.champion_score] == pytest.approx(expected)
    # Turned so that less is better.
    assert found.difference.value == pytest.approx(expected[1] - expected[0])


BLEND = """\
title = "A blend"
final_seeds = 1
[data]
source = "ratings.csv"
[search]
folds = 2
[budget]
trials = 2
[decision]
margin = 2.0
prefer = ["latency_p95_ms"]
[families.users]
family = "cf"
parameters.user_based = { type = "fixed", value = true }
[families.titles]
family = "cf"
parameters.user_based = { type = "fixed", value = false }
[families.blend]
"""


@pytest.mark.usefixtures("judged")
def test_a_blend_is_promoted_and_served_as_the_sum_of_its_members(monkeypatch):
    # The margin lets all pass, and the costs, added up for a blend, choose.
    cheap = replace(MEASURED.costs, latency_p95_ms=0.5)
    monkeypatch.setattr("harness.experiment.judge.add_up", lambda *_: cheap)
    rng = np.random.default_rng(0)
    users, items = np.divmod(rng.choice(60 * 40, size=900, replace=False), 40)
    taste = (rng.normal(size=(60, 2)) @ rng.normal(size=(2, 40)))[users, items]
    stars = np.clip(np.round(3 + taste + rng.normal(0, 1, 900)), 1, 5)
    lines = [f"u{u},i{i},{s}" for u, i, s in zip(users, items, stars, strict=True)]
    Path("ratings.csv").write_text("\n".join(["user,item,rating", *lines]))
    Path("blended.toml").write_text(BLEND)
    settings = RunSettings(name="blended", storage="optuna.log")
    prepared = prepare_experiment("blended.toml", settings)
    prepared.begin()
    for member in ("users", "titles"):
        prepared.search(member, NoListener())
    search_blend(prepared, "blend", NoListener(), on_step=silently)
    record = judge_experiment(prepared, on_step=silently).record
    log_experiment(record, locate())
    assert record.decision.winner == "blend"

    promotion = promote("blended")
    assert promotion.outcome == "promoted"
    assert aliases() == {CHAMPION: 1}
    packaged = fetch_model(locate(), f"models:/ratings@{CHAMPION}").packaged
    assert (packaged.facts.family, packaged.facts.n_train) == ("blend", 720)
    blend, pair = packaged.model, (np.arange(10), np.arange(10))
    assert sum(blend.weights_) == pytest.approx(1)
    assert len(blend.parts_) == 2
    by_hand = sum(
        weight * part.predict(*pair)
        for weight, part in zip(blend.weights_, blend.parts_.values(), strict=True)
    )
    np.testing.assert_allclose(blend.predict(*pair), by_hand, atol=1e-5)


def test_of_one_test_user_a_promotion_says_that_nothing_follows():
    nothing = Estimate(value=-0.1, low=math.nan, high=math.nan)
    test = NonInferiority(
        candidate="new",
        champion="old",
        difference=-0.1,
        upper=math.nan,
        margin=0.005,
        alpha=0.05,
        non_inferior=False,
        superior=False,
        inferior=False,
        p_value=math.nan,
        users_needed=None,
    )
    comparison = ChampionComparison(
        score=0.9,
        champion_score=1.0,
        difference=nothing,
        test=test,
        n_pairs=12,
        n_users=1,
        n_test=12,
    )
    source = SimpleNamespace(
        measure=MEASURES["rmse"],
        unit="stars",
        study=SimpleNamespace(metric=OBJECTIVE),
    )
    check = check_non_inferiority(
        comparison, champion="version 1", source=source, force_undecided=False
    )
    assert not check.passed
    assert "one test user" in check.sentence
    assert "nan" not in check.sentence
