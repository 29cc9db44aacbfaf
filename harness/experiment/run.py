"""One experiment: all families searched under one budget, then judged on one test set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.data.dataset import Dataset
from harness.data.load import load_dataset
from harness.data.profile import profile
from harness.errors import StudyError
from harness.evaluation.splits import Split, split_off_test
from harness.experiment.file import (
    complaint,
    find_experiment,
    find_spaces,
    load_experiment,
)
from harness.experiment.record import ExperimentRecord
from harness.experiment.spec import ExperimentSpec
from harness.experiment.store import read_experiment, study_name
from harness.experiment.study import check_name
from harness.models.families import load_family
from harness.search.engine import Budget
from harness.search.pruners import make_pruner
from harness.search.records import StudyListener, StudyRecord, busy_seconds
from harness.search.samplers import SamplerSequence
from harness.search.storage import (
    MARK,
    create_experiment,
    read_experiment_facts,
    save_experiment_facts,
)
from harness.search.study import StudyPlan, check_plan, environment, run_study
from harness.version import code_version

__all__ = ["ExperimentSettings", "PreparedExperiment", "prepare_experiment"]


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings:
    """Which experiment to run, and where: what the command line says.

    Parameters
    ----------
    file : str
        A path or a name.
    name : str or None, default None
        Name of the experiment; None takes that of the file.
    storage : str
        URL or path of the Optuna storage.
    jobs : int
        Number of worker processes.
    changes : mapping
        What the command line says otherwise than the file.
    """

    file: str
    name: str | None = None
    storage: str
    jobs: int = 1
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedExperiment:
    """An experiment whose names are all resolved and whose data is split: ready to run.

    Parameters
    ----------
    name : str
        Its name.
    spec : ExperimentSpec
        What the file says.
    settings : ExperimentSettings
        Which experiment, and where.
    dataset : Dataset
        The data.
    split : Split
        Training part and sealed test part.
    plans : mapping of str to StudyPlan
        Candidate to what fixes its study.
    """

    name: str
    spec: ExperimentSpec
    settings: ExperimentSettings
    dataset: Dataset
    split: Split
    plans: Mapping[str, StudyPlan]

    def begin(self) -> ExperimentRecord:
        """Create the experiment in the storage, or find it there."""
        storage = self.settings.storage
        facts = {
            "dataset": self.dataset.facts(),
            "split": self.split.facts,
            "settings": {
                "file": self.settings.file,
                "seed": self.spec.seed,
                "jobs": self.settings.jobs,
                "n_folds": self.spec.search.folds,
                "environment": environment(),
            },
            "code_version": code_version(),
        }
        # Before anything is written: what the file says now must be what was searched.
        for plan in self.plans.values():
            check_plan(plan)
        if not create_experiment(storage, self.name, facts):
            kept = read_experiment_facts(storage, self.name)
            _require_equal(self.name, kept[MARK], facts)
        # Budget, claims and rule may change; what fixes a search is checked with it.
        save_experiment_facts(storage, self.name, "spec", self.spec.as_json())
        measured = profile(self.dataset).characteristics()
        save_experiment_facts(storage, self.name, "profile", measured)
        return read_experiment(storage, self.name)

    def search(self, candidate: str, listener: StudyListener) -> StudyRecord:
        """Run the trials of a candidate that are missing."""
        budget = self.spec.budget
        return run_study(
            self.plans[candidate],
            self.split.train,
            self.dataset.catalogue,
            jobs=self.settings.jobs,
            budget=Budget(
                n_trials=budget.n_trials, timeout_seconds=self._seconds_left(candidate)
            ),
            listener=listener,
        )

    def _seconds_left(self, candidate: str) -> float | None:
        """Take from the budget what earlier sessions have used of it."""
        seconds = self.spec.budget.seconds
        if seconds is None:
            return None
        record = read_experiment(self.settings.storage, self.name)
        study = record.studies.get(candidate)
        return seconds if study is None else max(0.0, seconds - busy_seconds(study))


def prepare_experiment(
    settings: ExperimentSettings,
    *,
    on_loading: Callable[[str], None] = lambda _: None,
) -> PreparedExperiment:
    """Resolve every name, load the data, and split it."""
    path = find_experiment(settings.file)
    spec = load_experiment(path, settings.changes)
    name = settings.name or path.stem
    check_name(name)
    spaces = find_spaces(path, spec)
    make_pruner(spec.search.pruner)
    for space in spaces.values():
        SamplerSequence(spec.search.sampler, seed=spec.seed, space=space)
    if spec.split.method == "none":
        raise complaint(
            path,
            "split.method",
            "an experiment needs a test set for its verdict: choose another than 'none'.",
        )
    on_loading(spec.data.source)
    dataset = load_dataset(spec.data.source, spec.data.read_options())
    split = split_off_test(
        dataset,
        method=spec.split.method,
        test_share=spec.split.test_share,
        seed=spec.seed,
    )
    plans = {
        candidate: StudyPlan(
            name=study_name(name, candidate),
            storage=settings.storage,
            family=load_family(space.family),
            space=space,
            sampler=spec.search.sampler,
            pruner=spec.search.pruner,
            n_folds=spec.search.folds,
            seed=spec.seed,
            dataset=dataset.facts(),
            split=split.facts,
            code_version=code_version(),
        )
        for candidate, space in spaces.items()
    }
    return PreparedExperiment(
        name=name,
        spec=spec,
        settings=settings,
        dataset=dataset,
        split=split,
        plans=plans,
    )


def _require_equal(
    name: str, there: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    pairs = {
        "data set": [f["dataset"]["fingerprint"] for f in (there, wanted)],
        "split": [f["split"]["fingerprint"] for f in (there, wanted)],
        "seed": [f["settings"]["seed"] for f in (there, wanted)],
        "number of folds": [f["settings"]["n_folds"] for f in (there, wanted)],
    }
    different = [what for what, (old, new) in pairs.items() if old != new]
    if different:
        raise StudyError(
            f"The experiment {name!r} exists with another {' and '.join(different)}: "
            "give this one a name of its own with --name, or repeat the old settings."
        )
