import json
import math
from dataclasses import replace

from harness.evaluation.metrics import Metric
from harness.plain import from_json
from harness.search.fidelity import Fidelity
from harness.search.pareto import Margin
from harness.search.records import SearchSettings
from harness.tracking.projection import (
    project_study,
    project_trial,
    standings,
    study_identity,
)


def test_a_pruned_trial_has_folds_but_no_mean_that_could_be_ranked(
    make_study, make_trial
):
    image = project_trial(make_study(), make_trial(0, "pruned"))
    assert {p.key for p in image.points} == {"fold_rmse", "fit_seconds"}
    assert image.latest["fold_rmse"] == 0.95


def test_values_that_are_not_finite_are_left_out(make_study, make_trial):
    trial = make_trial(0, metrics={"rmse": 0.94, "r2": math.nan, "mae": math.inf})
    image = project_trial(make_study(), trial)
    assert set(image.latest) == {"rmse", "fold_rmse", "rmse_fold_sd"}


def test_the_spread_of_the_folds_is_their_standard_deviation(make_study, make_trial):
    trial = make_trial(0, fold_values=(0.95, 0.93, 0.94))
    image = project_trial(make_study(), trial)
    # Deviations of 0.01, -0.01 and 0 from the mean: sqrt(0.0002 / 2).
    assert math.isclose(image.latest["rmse_fold_sd"], 0.01)


def test_a_long_traceback_keeps_its_end(make_study, make_trial):
    trial = make_trial(0, "failed", error="x" * 10_000 + "ValueError: diverged")
    tag = project_trial(make_study(), trial).tags["traceback"]
    assert len(tag) == 5000
    assert tag.endswith("ValueError: diverged")


def test_a_copied_trial_says_whose_values_it_has(make_study, make_trial):
    image = project_trial(make_study(), make_trial(9, duplicate_of=4))
    assert image.tags["duplicate_of"] == "4"


def test_a_trial_says_what_it_does_not_meet(make_study, make_trial):
    met, broken = {"mae <= 1": 0.0}, {"mae <= 1": 0.5, "rmse <= 2": -0.5}
    tags = [
        project_trial(make_study(), make_trial(0, **more)).tags
        for more in ({}, {"violations": met}, {"violations": broken})
    ]
    assert [tag.get("feasible") for tag in tags] == [None, "yes", "no"]
    assert [tag.get("broken") for tag in tags] == [None, None, "mae <= 1"]


def test_what_is_not_feasible_is_never_the_best(make_study, make_trial):
    trials = [
        make_trial(0, value=0.95),
        make_trial(1, value=0.90, violations={"mae <= 1": 0.1}),
    ]
    image = project_study(make_study(trials), status="FINISHED")
    best = [(p.step, p.value) for p in image.points if p.key == "best_rmse"]
    assert best == [(0, 0.95)]
    assert image.tags["best_trial"] == "0"


def test_a_study_shows_how_its_best_value_fell(make_study, make_trial):
    values = [0.95, 0.96, 0.92, 0.93, 0.91]
    trials = [make_trial(n, value=value) for n, value in enumerate(values)]
    image = project_study(make_study(trials), status="FINISHED")
    best = [(p.step, p.value) for p in image.points if p.key == "best_rmse"]
    assert best == [(0, 0.95), (2, 0.92), (4, 0.91)]
    assert image.tags["best_trial"] == "4"


def test_a_study_counts_its_trials_by_state(make_study, make_trial):
    states = ["complete", "pruned", "pruned", "failed"]
    trials = [make_trial(n, state) for n, state in enumerate(states)]
    image = project_study(make_study(trials), status="FINISHED")
    counts = {k: v for k, v in image.latest.items() if k.startswith("n_")}
    assert counts == {"n_trials": 4, "n_complete": 1, "n_pruned": 2, "n_failed": 1}


def test_a_study_lasts_from_its_first_trial_to_its_last(make_study, make_trial):
    trials = [make_trial(0), make_trial(5)]
    image = project_study(make_study(trials), status="FINISHED")
    assert image.ended - image.started == 54_000  # 5 * 10 s until #5, and its 4 s


def test_a_study_has_its_settings_in_full(make_study):
    study = make_study()
    image = project_study(study, status="RUNNING")
    assert (
        from_json(SearchSettings, json.loads(image.tags["settings"])) == study.settings
    )
    assert image.params == {
        "family": "svd",
        "seed": "7",
        "n_folds": "3",
        "window": "8",
        "metric": "rmse",
        "sampler": "tpe",
        "split": "random",
    }


def test_a_study_says_that_one_fold_was_held_out(make_study, make_trial):
    study = make_study([make_trial(0, value=0.95)])
    settings = replace(study.settings, fidelity=Fidelity(one_fold=True))
    one = project_study(replace(study, settings=settings), status="FINISHED")
    assert one.params["n_folds_held_out"] == "1"
    assert "(on the held-out fold)" in one.tags["mlflow.note.content"]
    several = project_study(study, status="FINISHED")
    assert "(mean over the folds)" in several.tags["mlflow.note.content"]


def test_a_study_says_that_its_ratings_are_simulated(make_study):
    note = project_study(make_study(), status="RUNNING").tags["mlflow.note.content"]
    assert "These ratings are **simulated**." in note


def test_the_identity_is_that_of_the_storage(make_study):
    one = study_identity(make_study(identity="a"))
    assert one == study_identity(make_study(identity="a", name="renamed"))
    assert one != study_identity(make_study(identity="b"))


def test_trials_say_whether_they_are_on_the_front(make_study, make_trial):
    sizes = [Metric("model_bytes", "minimize")]
    values = [(0.9, 100.0), (0.903, 60.0), (0.92, 50.0), (0.95, 70.0)]
    trials = [
        make_trial(
            number,
            value=rmse,
            more_values=(size,),
            metrics={"rmse": rmse, "model_bytes": size},
        )
        for number, (rmse, size) in enumerate(values)
    ]
    study = make_study(trials)
    margins = (Margin(0.005), Margin(0.05, is_share=True))
    settings = replace(study.settings, more_metrics=tuple(sizes), margins=margins)
    study = replace(study, settings=settings)
    # Within 0.005 of the lowest are the first two, of which the second is smaller.
    found = standings(study)
    assert found == {0: "yes", 1: "picked", 2: "yes", 3: "no"}
    image = project_trial(study, trials[1], found)
    assert image.tags["pareto_front"] == "picked"
    assert image.latest["model_bytes"] == 60.0
    parent = project_study(study, status="FINISHED")
    assert parent.tags["best_trial"] == "1"
    assert parent.tags["pareto_front"] == "0, 1, 2"
    assert parent.params["metric"] == "rmse, model_bytes"
    assert standings(make_study([make_trial(0), make_trial(1)])) == {}
