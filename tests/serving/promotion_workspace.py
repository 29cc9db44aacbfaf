"""A working folder with judged studies, for tests of promotions: built once, copied often."""

import shutil
from contextlib import chdir
from pathlib import Path

import optuna

from harness.experiment.judge import judge_experiment
from harness.experiment.run import RunSettings, prepare_study, study_spec
from harness.experiment.spec import DataSpec, SearchSpec
from harness.plain import to_json
from harness.search.records import NoListener
from harness.search.storage import (
    create_experiment,
    open_storage,
    save_experiment_facts,
)
from harness.tracking.location import locate
from harness.tracking.runs import log_experiment

MEAN = 'family = "baseline"\n[parameters]\nkind = { type = "fixed", value = "mean" }\n'


def build(folder, ratings):
    """Judge the studies good (biases), bad (the mean alone) and reseeded (other split)."""
    ids, items = ratings.user_ids[ratings.users], ratings.item_ids[ratings.items]
    rows = zip(ids, items, ratings.values, strict=True)
    lines = [f"{user},{item},{value:g}" for user, item, value in rows]
    (folder / "ratings.csv").write_text("\n".join(["user,item,rating", *lines]))
    (folder / "mean.toml").write_text(MEAN)
    with chdir(folder):
        for name, changes in {
            "good": {},
            "bad": {"space": "mean.toml"},
            "reseeded": {"seed": 8},
        }.items():
            judge_study(name, **changes)
    return folder


def judge_study(name, *, family="baseline", space=None, seed=7, criteria=(), **changes):
    """Search two trials, judge the better one, and log the runs."""
    spec = study_spec(
        family,
        entry={"space": space},
        n_trials=2,
        seed=seed,
        data=DataSpec(source="ratings.csv"),
        search=SearchSpec(folds=2),
        criteria=criteria,
        **changes,
    )
    settings = RunSettings(name=name, storage="optuna.log")
    prepared = prepare_study(spec, settings)
    prepared.begin()
    [candidate] = prepared.plans
    prepared.search(candidate, NoListener())
    judged = judge_experiment(prepared, on_step=lambda _: None)
    log_experiment(judged.record, locate(f"sqlite:///{Path.cwd()}/mlflow.db"))
    return judged.record


def keep_study(
    name,
    family,
    params,
    *,
    dataset,
    split,
    state=None,
    settings=None,
    experiment=None,
):
    """Keep a study of one trial with these settings, as a search would leave it."""
    facts = {
        "dataset": to_json(dataset),
        "split": to_json(split),
        "file": None,
        "seed": 5,
        "jobs": 1,
        "environment": {},
        "code_version": "0",
        "studies": {family: name},
    }
    create_experiment("optuna.log", experiment or name, facts)
    spec = study_spec(family).as_json()
    save_experiment_facts("optuna.log", experiment or name, "spec", spec)
    study = optuna.load_study(study_name=name, storage=open_storage("optuna.log"))
    study.set_user_attr(
        "harness",
        {
            "family": family,
            "settings": {"seed": 5, "defaults": {}, **(settings or {})},
            "dataset": to_json(dataset),
            "split": to_json(split),
            "code_version": "0",
        },
    )
    complete = optuna.trial.TrialState.COMPLETE
    study.add_trial(
        optuna.trial.create_trial(
            state=state or complete,
            value=1.0 if state in {None, complete} else None,
            user_attrs={"params": params},
        )
    )


def copy(template, folder):
    """Copy a working folder; models that it has stay where they are."""
    shutil.copytree(template, folder, dirs_exist_ok=True)
