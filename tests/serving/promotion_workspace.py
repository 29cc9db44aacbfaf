"""A working folder with judged studies, for tests of promotions: built once, copied often."""

import shutil
from contextlib import chdir
from pathlib import Path

from harness.experiment.study import StudySettings, prepare

from harness.data.load import load_source
from harness.search.records import NoListener
from harness.tracking import sync

MEAN = 'family = "baseline"\n[parameters]\nkind = { type = "fixed", value = "mean" }\n'

COSTS = {
    "fit_seconds": 0.1,
    "latency_ms": {"p50": 1.0, "p95": 2.0, "p99": 3.0, "n_calls": 10},
    "n_titles": 40,
    "peak_memory_bytes": 1000,
    "model_bytes": 100,
}


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


def judge_study(name, **changes):
    settings = StudySettings(
        **{
            "family": "baseline",
            "name": name,
            "storage": "optuna.log",
            "n_trials": 2,
            "n_folds": 2,
            "seed": 7,
            **changes,
        }
    )
    prepared = prepare(settings, lambda: load_source("ratings.csv", {}))
    study = prepared.judge(prepared.search(NoListener()))
    sync(study, f"sqlite:///{Path.cwd()}/mlflow.db")


def copy(template, folder):
    """Copy a working folder; models that it has stay where they are."""
    shutil.copytree(template, folder, dirs_exist_ok=True)
