"""A blend in an experiment: its weights, its trials, its members, and what it gains."""

from contextlib import nullcontext

import numpy as np
import pytest

from harness import carry_out
from harness.errors import ExperimentError, SearchFailedError, StudyError
from harness.evaluation.splits import assign_folds
from harness.experiment import blending, forecast
from harness.experiment import judge as judgement
from harness.experiment.blending import require_members, search_blend
from harness.experiment.file import complaints
from harness.experiment.fitting import open_fitter
from harness.experiment.judge import judge_experiment
from harness.experiment.probe import FamilyCosts
from harness.experiment.run import RunSettings, prepare_experiment, study_spec
from harness.experiment.store import read_experiment
from harness.models.blend import read_members
from harness.models.families import make_model
from harness.progress import NoProgress
from harness.search.engine import Stopped
from harness.search.folds import TrainingData
from harness.search.records import NoListener
from harness.search.storage import read_studies, read_study
from harness.tracking.location import locate
from tests.costs import MEASURED
from tests.experiment.records import make_spec
from tests.experiment.test_leakage import permute_test
from tests.listeners import StopAfter

FILE = """\
title = "toy"
final_seeds = 2
[data]
source = "toy.csv"
[search]
folds = 3
[budget]
trials = 4
[families.blend]
[families.cf]
[families.svd]
parameters.n_epochs = { type = "epochs", high = 4, patience = 2 }
initial = { n_epochs = 3, n_factors = 16 }
[families.baseline]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.toml").write_text(FILE)
    monkeypatch.setattr(judgement, "measure_efficiency", lambda *_, **__: MEASURED)
    return tmp_path


@pytest.fixture
def prepare(small_dataset):
    def prepare(*, storage="o.log", dataset=small_dataset, **changes):
        prepared = prepare_experiment(
            "toy.toml",
            RunSettings(storage=storage),
            changes=changes,
            load=lambda _: dataset,
        )
        require_members(prepared)
        prepared.begin()
        return prepared

    return prepare


def search(prepared, *, listener=None):
    """Search all families, the blend last."""
    for candidate in sorted(prepared.plans, key=prepared.spec.is_blend):
        if prepared.spec.is_blend(candidate):
            return search_blend(
                prepared, candidate, listener or NoListener(), on_step=lambda _: None
            )
        prepared.search(candidate, NoListener())
    raise AssertionError("there is no blend")


def outcome(study):
    return [
        (t.number, t.state, dict(t.params), t.value, t.fold_values)
        for t in study.trials
    ]


def test_the_members_are_all_families_but_baselines_and_blends(prepare):
    study = search(prepare())
    assert [m.name for m in read_members(study.trials[0].params["members"])] == [
        "cf",
        "svd",
    ]


def test_no_rating_has_a_say_in_the_weights_that_score_it(prepare, small_dataset):
    """By hand: two members have weights in closed form, of the other folds for each."""
    prepared = prepare()
    study = search(prepared)
    storage, train = prepared.settings.storage, prepared.split.train
    fold_of = assign_folds(train, n_folds=3, seed=0, method="random")
    predicted = np.empty((len(train), 2))
    for k, name in enumerate(["cf", "svd"]):
        best = read_study(storage, f"toy-{name}").best
        for fold in range(3):
            model = make_model(prepared.plans[name].family, best.params, best.seed)
            held_out = train.take(fold_of == fold)
            model.fit(train.take(fold_of != fold), small_dataset.catalogue)
            predicted[fold_of == fold, k] = model._predict_at(
                held_out.users, held_out.items, held_out.timestamps
            )

    def weight_of_first(these):
        one, other = (predicted[these] - train.values[these, None]).T
        between = one - other
        return np.clip(-(between @ other) / (between @ between), 0, 1)

    free = study.trials[1]
    assert (free.params["shrinkage"], free.params["least_weight"]) == (0, 0)
    for fold, value in enumerate(free.fold_values):
        weight = round(weight_of_first(fold_of != fold), 4)
        mixed = predicted[fold_of == fold] @ [weight, 1 - weight]
        error = train.scale.clip(mixed) - train.values[fold_of == fold]
        assert value == pytest.approx(np.sqrt(np.mean(error**2)), abs=1e-6)
    weights = dict(part.split() for part in free.params["weights"].split(", "))
    assert float(weights.get("cf", 0)) == pytest.approx(
        weight_of_first(fold_of >= 0), abs=1e-4
    )
    equal = study.trials[0]
    assert equal.params["weights"] == "cf 0.5, svd 0.5"


def test_the_test_ratings_reach_no_weight(prepare, small_dataset):
    one = search(prepare(storage="a.log"))
    other = search(
        prepare(storage="b.log", dataset=permute_test(small_dataset, seed=1))
    )
    assert outcome(one) == outcome(other)


def test_a_search_that_was_stopped_is_continued_as_if_it_had_not_been(prepare):
    whole = search(prepare(storage="a.log"))
    with pytest.raises(Stopped):
        search(prepare(storage="b.log"), listener=StopAfter(2))
    assert outcome(search(prepare(storage="b.log"))) == outcome(whole)


def test_a_complete_search_fits_nothing(prepare, monkeypatch):
    whole = search(prepare())
    monkeypatch.setattr(blending, "hold_out", lambda *_, **__: pytest.fail("fitted"))
    assert outcome(search(prepare())) == outcome(whole)


def test_members_with_better_settings_are_blended_anew(prepare):
    before = search(prepare())
    after = search(prepare(budget={"trials": 12}, families={"blend": {"trials": 3}}))
    n = len(before.trials)
    assert outcome(after)[:n] == outcome(before)
    texts = {trial.params["members"] for trial in after.trials}
    if len(texts) == 1:
        pytest.fail("more trials were to find better members")
    assert len(after.trials) == n + 3


def test_other_members_than_before_are_refused(prepare):
    search(prepare())
    with pytest.raises(StudyError, match=r"other members, cf, svd"):
        prepare(families={"blend": {"members": ["svd", "baseline"]}})


def test_a_blend_needs_two_members_that_could_be_trained(prepare):
    prepared = prepare()
    prepared.search("cf", NoListener())
    with pytest.raises(SearchFailedError, match="only cf has one"):
        search_blend(prepared, "blend", NoListener(), on_step=lambda _: None)


def test_it_cannot_be_searched_before_its_members(prepare):
    with pytest.raises(StudyError, match="cf, svd have not been searched"):
        require_members(prepare(), "blend")
    with pytest.raises(ExperimentError, match="made of other families"):
        study_spec("blend")


def test_a_blend_costs_the_sum_of_its_members_and_must_meet_what_is_required(prepare):
    # svd takes some 17 kB, cf some 9; by least squares svd would weigh less than 0.1.
    blend = {
        "trials": 2,
        "initial": {"shrinkage": 0.0, "least_weight": 0.25},
        "enqueue": [{"shrinkage": 1.0, "least_weight": 0.0}],
    }
    require = ["model_bytes <= 20000", "ndcg_at_10 >= 0"]
    prepared = prepare(search={"require": require}, families={"blend": blend})
    study = search(prepared)
    names = {member: prepared.plans[member].name for member in ("cf", "svd")}
    found = read_studies("o.log", names.values())
    size = {m: found[name].best.metrics["model_bytes"] for m, name in names.items()}
    alone, both = study.trials
    assert "svd" not in alone.params["weights"]
    assert alone.metrics["model_bytes"] == pytest.approx(size["cf"])
    # That trial was pruned after one fold, where sizes differ by a few bytes.
    assert both.metrics["model_bytes"] == pytest.approx(sum(size.values()), rel=1e-3)
    assert (alone.is_feasible, both.is_feasible) == (True, False)
    assert both.violations["model_bytes <= 20000"] == pytest.approx(
        both.metrics["model_bytes"] / 20000 - 1
    )


def test_a_search_for_probabilities_is_for_families_that_give_them(prepare):
    with pytest.raises(StudyError, match="blend and cf and svd cannot say"):
        prepare(search={"metric": "log_loss"})
    with pytest.raises(StudyError, match="blend and cf and svd cannot say"):
        prepare(search={"require": ["log_loss <= 1"]})
    criterion = {"metric": "log_loss", "at_most": 1}
    plans = prepare(criteria=[criterion]).plans
    required = {c: [str(r) for r in plan.require] for c, plan in plans.items()}
    assert required.pop("baseline") == ["log_loss <= 1.25"]
    assert not any(required.values())


def test_a_blend_of_points_picked_on_fronts_has_a_front_of_its_own(prepare):
    search_for = {"metric": ["rmse", "model_bytes"], "sampler": "random"}
    prepared = prepare(search=search_for, budget={"trials": 6})
    blend = search(prepared)
    record = read_experiment("o.log", "toy")
    assert set(record.fronts) == {"blend", "cf", "svd", "baseline"}
    sizes = {}
    for member in read_members(blend.trials[0].params["members"]):
        [picked] = [
            trial
            for trial in record.studies[member.name].trials
            if trial.number == record.fronts[member.name].picked
        ]
        assert dict(member.params) == dict(picked.params)
        sizes[member.name] = picked.metrics["model_bytes"]
    for trial in blend.trials:
        assert trial.state == "complete"
        there = [name for name in sizes if name in trial.params["weights"]]
        total = sum(sizes[name] for name in there)
        # Folds may leave out another member than all of them together.
        assert trial.more_values[0] == pytest.approx(total, rel=0.1) or len(there) < 2


@pytest.mark.parametrize("metric", ["ndcg_at_10", "user_rmse"])
def test_weights_are_searched_for_any_objective(prepare, metric):
    study = search(prepare(search={"metric": metric}, budget={"trials": 2}))
    assert all(trial.state == "complete" for trial in study.trials)
    assert study.metric.name == metric


def test_the_judged_blend_is_made_of_the_judged_models(prepare):
    prepared = prepare()
    search(prepared)
    judged = judge_experiment(prepared, on_step=lambda _: None)
    blend = judged.models["blend"]
    assert blend.parts_
    for name, part in blend.parts_.items():
        assert part is judged.models[name]
    record = judged.record
    assert record.model("blend", "initial").params["weights"] == ""
    refitted = make_model(type(blend), record.model("blend").params, 0)
    train, test = prepared.split.train, prepared.split.test.open()
    refitted.fit(train, prepared.dataset.catalogue)
    np.testing.assert_array_equal(
        refitted.predict(test.users, test.items, test.timestamps),
        blend.predict(test.users, test.items, test.timestamps),
    )
    [gain] = record.blends
    singles = {c: record.model(c).rmse.value for c in ("cf", "svd", "baseline")}
    assert gain.single == min(singles, key=singles.__getitem__)
    assert gain.difference.value == pytest.approx(
        record.model("blend").rmse.value - singles[gain.single]
    )
    assert set(gain.weights) == {"cf", "svd"}
    # It costs what its parts do.
    assert record.costs["blend"].fit_seconds == 2 * record.costs["svd"].fit_seconds


def test_fresh_folds_of_a_blend_are_made_of_those_of_its_members(prepare):
    prepared = prepare()
    best = search(prepared).best
    storage, plans = prepared.settings.storage, prepared.plans
    settings = {
        name: (plans[name].family, read_study(storage, f"toy-{name}").best.params)
        for name in ("cf", "svd")
    }
    blend = {"blend": (plans["blend"].family, best.params)}
    train = prepared.split.train
    data = TrainingData(
        family=plans["svd"].family,
        train=train,
        catalogue=prepared.dataset.catalogue,
        fold_of=assign_folds(train, n_folds=3, seed=9, method="random"),
    )
    with open_fitter(data, jobs=1) as fitter:
        together = fitter.fresh_scores({**settings, **blend}, seed=5, n_folds=3)
        alone = fitter.fresh_scores(blend, seed=5, n_folds=3)
        members = fitter.fresh_scores(settings, seed=5, n_folds=3)
    assert together == pytest.approx({**members, **alone}, abs=1e-6)


def test_it_is_carried_out_on_several_splits(prepare, tmp_path, monkeypatch):
    # MLflow's database and figures take longer than all the rest.
    monkeypatch.setattr("harness.report.context.Context.figure", lambda *_: "")
    monkeypatch.setattr(carry_out, "MLflowTracker", lambda *_, **__: nullcontext())
    monkeypatch.setattr(carry_out, "log_runs", lambda record, *_: (record, None))
    monkeypatch.setattr(carry_out, "log_report", lambda *_: None)
    prepared = prepare(split={"repeats": 2}, budget={"trials": 2})
    done = carry_out.carry_out(
        prepared, locate(), tmp_path / "reports", NoProgress(), only=None
    )
    splits = done.results.repeated.splits
    assert [set(split.scores) >= {"blend", "cf", "svd"} for split in splits] == [
        True
    ] * 2
    report = done.report_path.read_text()
    assert "the best single family" in report
    assert "### What blend is made of" in report


def test_a_forecast_of_a_blend_is_that_of_its_members(prepare, monkeypatch):
    tried = FamilyCosts(
        seconds=5.0,
        initial_seconds=4.0,
        early_seconds=6.0,
        late_seconds=6.0,
        n_bytes=100.0,
        model_bytes=10.0,
        process_bytes=5,
    )
    monkeypatch.setattr(forecast, "try_family", lambda *_: tried)
    found = {f.family: f for f in forecast.forecast_experiment(prepare()).families}
    # Two members on three folds each, once; the search of one has four trials.
    assert found["cf"].most_seconds == 1.25 * 4 * 3 * 6.0
    assert found["blend"].search_seconds == 2 * 3 * 6.0
    assert found["blend"].model_bytes == 0


@pytest.mark.parametrize(
    ("families", "key", "reason"),
    [
        ({"blend": {"members": ["svd", "x"]}}, "blend.members", "no member named 'x'"),
        ({"blend": {"members": ["svd"]}}, "blend.members", "two or more"),
        ({"blend": {"members": ["svd", "svd"]}}, "blend.members", "two or more"),
        ({"blend": {"members": ["svd", "cf", "blend"]}}, "blend.members", "is a blend"),
        ({"cf": {"members": ["svd"]}}, "cf.members", "only a blend"),
        ({"svd": {}, "baseline": {}, "blend": {}}, "blend", "has 'svd'"),
    ],
)
def test_members_that_make_no_blend_are_refused(families, key, reason):
    named = (
        {"svd": {}, "cf": {}, **families} if "baseline" not in families else families
    )
    found = list(complaints(make_spec(families=named, variants=[], criteria=[])))
    assert any(f"families.{key}" == k and reason in rule for k, rule in found), found
