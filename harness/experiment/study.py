"""One study: search on the training part, then judge the best on the sealed test set."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.data.dataset import Dataset
from harness.errors import StudyError
from harness.evaluation.final import Contestant, evaluate_final
from harness.evaluation.metrics import OBJECTIVE
from harness.evaluation.splits import Split, split_off_test
from harness.experiment.refit import TrainingFolds, baselines
from harness.models.families import load_family
from harness.search.engine import Budget
from harness.search.openings import record_look
from harness.search.ownership import own_study
from harness.search.pruners import make_pruner
from harness.search.records import StudyListener, StudyRecord
from harness.search.samplers import SamplerSequence
from harness.search.space import find_space, load_space
from harness.search.study import StudyPlan, run_study, save_final
from harness.version import code_version

__all__ = ["PreparedStudy", "StudySettings", "check_name", "prepare"]


N_FINAL_SEEDS = 3


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """How to search: what the command line says.

    Parameters
    ----------
    family : str
        Name of the family.
    space : str or None, default None
        Search space: a path or a name; None takes that of the family.
    name : str or None, default None
        Name of the study; None makes it from family and data set.
    storage : str
        URL or path of the Optuna storage.
    n_trials : int
        Complete or pruned trials in all.
    timeout_seconds : float or None
        No trial starts later than this.
    jobs : int
        Number of worker processes.
    seed : int
        Seed of sampler, folds, models and split.
    sampler, pruner : str
        Their names.
    n_folds : int
        Number of folds.
    split : str
        How the test set is split off.
    test_share : float
        How much of it.
    """

    family: str
    space: str | None = None
    name: str | None = None
    storage: str
    n_trials: int = 100
    timeout_seconds: float | None = None
    jobs: int = 1
    seed: int = 0
    sampler: str = "tpe"
    pruner: str = "race"
    n_folds: int = 5
    split: str = "random"
    test_share: float = 0.2


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedStudy:
    """A study whose names are all resolved and whose data is split: ready to run.

    Parameters
    ----------
    settings : StudySettings
        How to search.
    plan : StudyPlan
        What fixes the study.
    split : Split
        Training part and sealed test part.
    dataset : Dataset
        Where both come from.
    """

    settings: StudySettings
    plan: StudyPlan
    split: Split
    dataset: Dataset

    def search(self, listener: StudyListener) -> StudyRecord:
        """Run the trials that are missing."""
        return run_study(
            self.plan,
            self.split.train,
            self.dataset.catalogue,
            jobs=self.settings.jobs,
            budget=Budget(
                n_trials=self.settings.n_trials,
                timeout_seconds=self.settings.timeout_seconds,
            ),
            listener=listener,
        )

    def judge(self, study: StudyRecord) -> StudyRecord:
        """Score the best trial on the test set, unless that has been done."""
        best, before = study.best, study.final or {}
        if best is None or before.get("best_trial") == best.number:
            return study
        with own_study(self.plan.storage, study.name):
            final = self._final(study)
            return save_final(self.plan.storage, study.name, final)

    def _final(self, study: StudyRecord) -> dict[str, Any]:
        best = study.best
        assert best is not None
        final: dict[str, Any] = {"best_trial": best.number}
        optimism = {"search": best.value}
        fresh = self._folds.fresh_score(self.plan.family, best.params)
        if fresh is not None:
            optimism["fresh_folds"] = fresh
        if self.split.test is not None:
            # `open` counts the look that is recorded here.
            self.split.test.looks = record_look(self.plan.storage, study.name) - 1
            final |= evaluate_final(
                self._contestants(study),
                self.split.train,
                self.dataset.catalogue,
                self.split.test,
                seeds=[self.settings.seed + k for k in range(N_FINAL_SEEDS)],
            )
            tuned = final["models"][0]["metrics"]
            optimism["test"] = tuned[OBJECTIVE.name]["value"]
        return final | {"optimism": optimism}

    @property
    def _folds(self) -> TrainingFolds:
        return TrainingFolds(
            train=self.split.train,
            catalogue=self.dataset.catalogue,
            n_folds=self.settings.n_folds,
            method=self.settings.split,
            seed=self.settings.seed,
        )

    def _contestants(self, study: StudyRecord) -> list[Contestant]:
        assert study.best is not None
        family = self.plan.family
        floor = self._folds.best_biases()
        return [
            Contestant(name="tuned", family=family, params=study.best.params),
            Contestant(name="initial", family=family, params=self.plan.space.initial),
            *baselines(floor),
        ]


def prepare(
    settings: StudySettings, load_dataset: Callable[[], Dataset]
) -> PreparedStudy:
    """Resolve every name, and split the data."""
    if settings.name is not None:
        check_name(settings.name)
    family = load_family(settings.family)
    space = load_space(find_space(settings.space or settings.family), family)
    make_pruner(settings.pruner)
    SamplerSequence(settings.sampler, seed=settings.seed, space=space)
    dataset = load_dataset()
    split = split_off_test(
        dataset,
        method=settings.split,
        test_share=settings.test_share,
        seed=settings.seed,
    )
    plan = StudyPlan(
        name=settings.name or f"{family.name}-{dataset.name}",
        storage=settings.storage,
        family=family,
        space=space,
        sampler=settings.sampler,
        pruner=settings.pruner,
        n_folds=settings.n_folds,
        seed=settings.seed,
        dataset=dataset.facts(),
        split=split.facts,
        code_version=code_version(),
    )
    return PreparedStudy(settings=settings, plan=plan, split=split, dataset=dataset)


def check_name(name: str) -> None:
    """Check that a study or an experiment can have a name."""
    # The folder of the report has this name.
    if not re.fullmatch(r"[^/\\\x00-\x1f]{1,100}", name) or name.strip(". ") == "":
        shown = name if len(name) <= 40 else f"{name[:40]}..."
        raise StudyError(
            "The name of a study must be the name of a folder too, without slashes and "
            f"of at most 100 characters, but is {shown!r}: choose another --name."
        )
