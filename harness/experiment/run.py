"""One experiment: all families searched under one budget on one training part."""

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from harness.data.dataset import Dataset, DatasetFacts
from harness.data.load import load_dataset
from harness.data.profile import profile
from harness.errors import ExperimentError, StudyError
from harness.evaluation.objective_scores import check_objective
from harness.evaluation.objectives import can_measure, check_probabilities
from harness.evaluation.requirements import find_requirements
from harness.evaluation.splits import Split, assign_folds, split_off_test
from harness.experiment.convergence import patience_of
from harness.experiment.file import complaint, find_spaces, load_experiment
from harness.experiment.spec import ExperimentSpec
from harness.experiment.store import repeat_name
from harness.files import find_experiment
from harness.models.blend import Blend
from harness.models.families import is_in_file, load_family
from harness.plain import to_json
from harness.search.attributes import MAX_TEXT, why_too_small
from harness.search.engine import Budget
from harness.search.executors import choose_executor
from harness.search.fidelity import (
    AUTO,
    FULL,
    WHOLE,
    Fidelity,
    choose_fidelity,
    require_samples,
)
from harness.search.ownership import own_study
from harness.search.pareto import margins_of
from harness.search.pruners import make_pruner
from harness.search.records import StudyListener, StudyRecord, busy_seconds
from harness.search.samplers import SamplerSequence, require_sampler
from harness.search.space import SearchSpace
from harness.search.storage import (
    MARK,
    ExperimentMark,
    create_experiment,
    list_studies,
    open_storage,
    read_experiment_facts,
    read_studies,
    save_experiment_facts,
    storage_errors,
    without_password,
)
from harness.search.study import (
    Scorer,
    StudyPlan,
    check_plan,
    environment,
    run_study,
    warm_space,
)
from harness.toml import as_sentence, broken_rule, first_problem
from harness.version import code_version

__all__ = [
    "PreparedExperiment",
    "RunSettings",
    "prepare_experiment",
    "prepare_repeat",
    "prepare_study",
    "study_spec",
]

DEFAULT_STORAGE = "optuna.log"


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Where an experiment runs, and by what name."""

    # None takes the name of the file, or makes one of family and data set.
    name: str | None = None
    # URL or path of the Optuna storage.
    storage: str = DEFAULT_STORAGE
    # None leaves it to the executor.
    jobs: int | None = 1
    # Name in `EXECUTORS`; None takes the one for so many jobs on this machine.
    executor: str | None = None
    # Workers that were there when it was looked at; those of a cluster come and go.
    n_workers: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedExperiment:
    """An experiment whose names are all resolved and whose data is split: ready to run."""

    name: str
    # The experiment file as the user named it; None for a study.
    file: str | None
    # What the file, or the command, says.
    spec: ExperimentSpec
    settings: RunSettings
    dataset: Dataset
    # Training part and sealed test part.
    split: Split
    # Candidate to what fixes its study.
    plans: Mapping[str, StudyPlan]

    @property
    def is_study(self) -> bool:
        """Whether it has one family only, by no file's leave."""
        return self.file is None

    @property
    def n_folds_at_once(self) -> int:
        """Most folds of a trial that are under way at a time."""
        # Trials of a blend take no worker.
        return max(
            plan.fidelity.n_at_once(plan.n_folds)
            for candidate, plan in self.plans.items()
            if not self.spec.is_blend(candidate)
        )

    def begin(self) -> None:
        """Create the experiment in the storage, or find it there."""
        storage = self.settings.storage
        # Before anything is written: there must be ratings enough for the folds, what
        # the file says now must be what was searched, and all of it must find room.
        fold_of = assign_folds(
            self.split.train,
            n_folds=self.spec.search.folds,
            seed=self.spec.seed,
            method=self.spec.split.method,
        )
        objectives = self.spec.search.objectives
        if self.split.test is not None:
            check_objective(objectives[0], self.split.train, self.split.test)
        for plan in self.plans.values():
            require_samples(plan.evaluations, self.split.train, fold_of)
            check_plan(plan)
        with storage_errors(storage):
            reason = why_too_small(open_storage(storage))
        if reason is not None:
            raise StudyError(
                f"{without_password(storage)} cannot keep texts of {2 * MAX_TEXT:,} bytes, "
                f"which studies write: {reason}. Give its columns value_json more "
                "room, or name another --storage."
            )
        facts, there = self._facts(), dict[str, Any]()
        if not create_experiment(storage, self.name, facts, objectives):
            there = read_experiment_facts(storage, self.name)
            _require_equal(self.name, there[MARK], facts)
            self._add_families(there[MARK])
        measured = profile(self.dataset).characteristics()
        now = {"spec": self.spec.as_json(), "profile": measured}
        if any(there.get(key) != value for key, value in now.items()):
            self._save(now)

    def _facts(self) -> ExperimentMark:
        """Collect what fixes the experiment."""
        return {
            "dataset": to_json(self.dataset.facts()),
            "split": to_json(self.split.facts),
            "file": self.file,
            "seed": self.spec.seed,
            "jobs": self.settings.jobs,
            "n_folds": self.spec.search.folds,
            "environment": to_json(environment()),
            "code_version": code_version(),
            "studies": {c: plan.name for c, plan in self.plans.items()},
        }

    def _save(self, now: Mapping[str, object]) -> None:
        """Keep what may change: budget, claims, rule; not under a process that runs it."""
        storage = self.settings.storage
        with ExitStack() as owned:
            for name in {self.name, *(plan.name for plan in self.plans.values())}:
                owned.enter_context(own_study(storage, name))
            for key, value in now.items():
                save_experiment_facts(storage, self.name, key, value)

    def _add_families(self, kept: ExperimentMark) -> None:
        """Let families take part that the file did not name when it was run before."""
        new = {c: p.name for c, p in self.plans.items() if c not in kept["studies"]}
        taken = set(list_studies(self.settings.storage)) & set(new.values())
        if taken:
            raise StudyError(
                f"There is a study named {min(taken)!r} already: choose another --name."
            )
        if new:
            mark = {**kept, "studies": {**kept["studies"], **new}}
            save_experiment_facts(self.settings.storage, self.name, MARK, mark)

    def search(
        self,
        candidate: str,
        listener: StudyListener,
        *,
        scorer: Scorer | None = None,
        n_before: int = 0,
    ) -> StudyRecord:
        """Run the trials of a candidate that are missing; `n_before` do not count."""
        return run_study(
            self.plans[candidate],
            self.split.train,
            self.dataset.catalogue,
            jobs=self.settings.jobs,
            budget=Budget(
                n_trials=n_before + self.spec.n_trials(candidate),
                timeout_seconds=self._seconds_left(candidate),
                patience=patience_of(
                    self.spec,
                    self.plans[candidate].metric,
                    self.plans[candidate].dataset.scale,
                ),
            ),
            listener=listener,
            executor=self.settings.executor,
            scorer=scorer,
        )

    def _seconds_left(self, candidate: str) -> float | None:
        """Take from the budget what earlier sessions have used of it."""
        seconds = self.spec.budget.seconds
        if seconds is None:
            return None
        name = self.plans[candidate].name
        study = read_studies(self.settings.storage, [name]).get(name)
        return seconds if study is None else max(0.0, seconds - busy_seconds(study))


def prepare_experiment(
    file: str,
    settings: RunSettings,
    *,
    changes: Mapping[str, object] | None = None,
    load: Callable[[ExperimentSpec], Dataset] | None = None,
) -> PreparedExperiment:
    """Read an experiment file, resolve every name, load the data, and split it.

    `changes` is what the caller says otherwise than the file, as the file would; `load`
    takes the place of the source that the file names.
    """
    path = find_experiment(file)
    spec = load_experiment(path, changes)
    name = settings.name or path.stem
    _check_name(name)
    spaces = find_spaces(path, spec)
    if spec.split.method == "none":
        raise complaint(
            path,
            "split.method",
            "an experiment needs a test set for its verdict: choose another than 'none'.",
        )
    settings = _checked(settings, spec, spaces)
    dataset = (load or load_data)(spec)
    studies = {candidate: f"{name}-{candidate}" for candidate in spec.families}
    spaces = _warm_spaces(spec, spaces, settings, studies)
    return _prepare(_Names(name, file, studies), spec, spaces, settings, dataset)


SEEDS_APART = 1000
"""Between the seeds of two splits: more than there are seeds of refits."""


def prepare_repeat(first: PreparedExperiment, number: int) -> PreparedExperiment:
    """Prepare the same experiment on a split of its own: another seed, another name."""
    spec, name = first.spec, repeat_name(first.name, number)
    _check_name(name)
    seed = (spec.seed + SEEDS_APART * (number - 1)) % 2**31
    split = spec.split.model_copy(update={"repeats": 1})
    return _prepare(
        _Names(name, first.file, {c: f"{name}-{c}" for c in spec.families}),
        spec.model_copy(update={"seed": seed, "split": split}),
        {c: plan.space for c, plan in first.plans.items()},
        first.settings,
        first.dataset,
    )


def study_spec(
    reference: str,
    *,
    entry: Mapping[str, object] = MappingProxyType({}),
    n_trials: int = 100,
    seconds: float | None = None,
    patience: int | None = None,
    **tables: Any,
) -> ExperimentSpec:
    """Say in memory what an experiment file with one family would say.

    `reference` is what `load_family` takes: a name, or file and class; `entry` is what
    the file would say of the family.
    `tables` are ``data``, ``split`` and ``search`` as the file has them, and ``seed``.
    """
    if reference == Blend.name:
        raise ExperimentError(
            "A blend is made of other families, so that it cannot be a study of its own: "
            "name it beside them in an experiment file, as [families.blend], for "
            "`harness run`."
        )
    family, entry = reference, dict(entry)
    if is_in_file(reference):
        family, entry = load_family(reference).name, entry | {"family": reference}
    content = {
        "title": f"Study of {family}",
        "families": {family: entry},
        "budget": {"trials": n_trials, "seconds": seconds, "patience": patience},
        **tables,
    }
    try:
        return ExperimentSpec.model_validate(content)
    except ValidationError as error:
        first = first_problem(error)
        key = ".".join(map(str, first["loc"]))
        rule = as_sentence(broken_rule(first, ExperimentSpec))
        raise ExperimentError(f"{key}: {rule}") from error


def prepare_study(
    spec: ExperimentSpec,
    settings: RunSettings,
    *,
    load: Callable[[ExperimentSpec], Dataset] | None = None,
) -> PreparedExperiment:
    """Prepare an experiment with one family, which is called a study."""
    if settings.name is not None:
        _check_name(settings.name)
    spaces = find_spaces(None, spec)
    settings = _checked(settings, spec, spaces)
    dataset = (load or load_data)(spec)
    [family] = spec.families
    name = settings.name or f"{family}-{dataset.name}"
    _check_name(name)
    spaces = _warm_spaces(spec, spaces, settings, {family: name})
    return _prepare(_Names(name, None, {family: name}), spec, spaces, settings, dataset)


def load_data(spec: ExperimentSpec) -> Dataset:
    """Load the data that an experiment names."""
    return load_dataset(spec.data.source, spec.data.read_options())


@dataclass(frozen=True)
class _Names:
    """What an experiment, its file and its studies are called."""

    experiment: str
    file: str | None
    studies: Mapping[str, str]


def _prepare(
    names: _Names,
    spec: ExperimentSpec,
    spaces: Mapping[str, SearchSpace],
    settings: RunSettings,
    dataset: Dataset,
) -> PreparedExperiment:
    split = split_off_test(
        dataset,
        method=spec.split.method,
        test_share=spec.split.test_share,
        seed=spec.seed,
    )
    times = dataset.ratings.timestamps
    if times is None or times.min() == times.max():
        spaces = {
            c: space.without_times(load_family(space.family).without_times)
            for c, space in spaces.items()
        }
    _check_measures(spec, spaces, split)
    return PreparedExperiment(
        name=names.experiment,
        file=names.file,
        spec=spec,
        settings=settings,
        dataset=dataset,
        split=split,
        plans=_plans(spec, spaces, names, settings, dataset.facts(), split),
    )


def _check_measures(
    spec: ExperimentSpec, spaces: Mapping[str, SearchSpace], split: Split
) -> None:
    families = {c: load_family(space.family) for c, space in spaces.items()}
    required = [r.metric for r in find_requirements(spec.search.require or ())]
    for asked in (*spec.search.objectives, *required):
        check_probabilities(asked, families, split.train)


def _plans(
    spec: ExperimentSpec,
    spaces: Mapping[str, SearchSpace],
    names: _Names,
    settings: RunSettings,
    dataset: DatasetFacts,
    split: Split,
) -> dict[str, StudyPlan]:
    """Fix what is searched for each candidate, and how."""
    objectives = spec.search.objectives
    # An impossible margin is refused before hours of search, and before the test set is opened.
    margins = margins_of(
        objectives,
        declared=spec.decision.margin,
        noticeable=spec.decision.noticeable,
        scale=dataset.scale,
    )
    # Optuna prunes by one objective only.
    pruner = spec.search.pruner if len(objectives) == 1 else "none"
    fidelity = _fidelity_begun_with(spec, names, settings) or choose_fidelity(
        spec.search.fidelity,
        split.train,
        n_folds=spec.search.folds,
        method=split.facts.method,
        objectives=objectives,
        pruner=pruner,
    )

    def plan(candidate: str, space: SearchSpace) -> StudyPlan:
        family = load_family(space.family)
        return StudyPlan(
            name=names.studies[candidate],
            storage=settings.storage,
            family=family,
            space=space,
            sampler=spec.search.sampler,
            pruner=pruner,
            window=spec.search.window,
            n_folds=spec.search.folds,
            seed=spec.seed,
            dataset=dataset,
            split=split.facts,
            code_version=code_version(),
            metric=objectives[0],
            more_metrics=objectives[1:],
            margins=margins,
            # Its trials train nothing, and its weights need all folds.
            fidelity=WHOLE if spec.is_blend(candidate) else fidelity,
            require=tuple(
                each
                for each in spec.requirements(candidate)
                if can_measure(each.metric, family, split.train)
            ),
            warm_start=spec.families[candidate].warm_start,
        )

    return {candidate: plan(candidate, space) for candidate, space in spaces.items()}


def _fidelity_begun_with(
    spec: ExperimentSpec, names: _Names, settings: RunSettings
) -> Fidelity | None:
    """Let `auto` go on as studies were begun: what it stands for may change."""
    if spec.search.fidelity != AUTO:
        return None
    # A blend is scored on all folds, whatever the others are.
    wanted = [s for c, s in names.studies.items() if not spec.is_blend(c)]
    with storage_errors(settings.storage):
        there = read_studies(settings.storage, wanted).values()
    return next((study.settings.fidelity for study in there), None)


def _require_possible(spec: ExperimentSpec) -> None:
    """Refuse what a search for several objectives cannot be asked for."""
    objectives = spec.search.objectives
    require_sampler(spec.search.sampler, objectives)
    if len(objectives) == 1:
        return
    if spec.budget.patience is not None:
        raise ExperimentError(
            "Patience asks how much the best has gained, and several objectives have a "
            "front in place of a best: leave --patience out, or name one --metric."
        )
    if spec.search.fidelity not in {AUTO, FULL}:
        raise ExperimentError(
            "Samples are there to drop trials, and no trial is dropped where there are "
            f"several objectives: leave --fidelity {spec.search.fidelity} out."
        )


def _warm_spaces(
    spec: ExperimentSpec,
    spaces: Mapping[str, SearchSpace],
    settings: RunSettings,
    studies: Mapping[str, str],
) -> dict[str, SearchSpace]:
    return {
        c: space
        if (other := spec.families[c].warm_start) is None
        else warm_space(
            space,
            other,
            family=load_family(space.family).name,
            storage=settings.storage,
            name=studies[c],
        )
        for c, space in spaces.items()
    }


def _checked(
    settings: RunSettings, spec: ExperimentSpec, spaces: Mapping[str, SearchSpace]
) -> RunSettings:
    """Resolve the names of sampler, pruner and executor before any data is read."""
    choice = choose_executor(settings.executor, jobs=settings.jobs)
    # A cluster that cannot be reached is found out now.
    with choice.entry.open(choice, __name__) as workers:
        n_workers = workers.count()
    make_pruner(spec.search.pruner)
    _require_possible(spec)
    find_requirements(spec.search.require or ())
    for space in spaces.values():
        SamplerSequence(spec.search.sampler, seed=spec.seed, space=space)
    return replace(settings, n_workers=n_workers)


def _require_equal(name: str, there: ExperimentMark, wanted: ExperimentMark) -> None:
    kinds = ["study" if f["file"] is None else "experiment" for f in (there, wanted)]
    pairs = {
        f"kind (it is one {kinds[0]})": kinds,
        "data set": [f["dataset"]["fingerprint"] for f in (there, wanted)],
        "split": [f["split"]["fingerprint"] for f in (there, wanted)],
        "seed": [f["seed"] for f in (there, wanted)],
        "number of folds": [f["n_folds"] for f in (there, wanted)],
    }
    different = [what for what, (old, new) in pairs.items() if old != new]
    if different:
        raise StudyError(
            f"The experiment {name!r} exists with another {' and '.join(different)}: "
            "give this one a name of its own with --name, or repeat the old settings."
        )


def _check_name(name: str) -> None:
    """Check that a study or an experiment can have a name."""
    # The folder of the report has this name.
    if not re.fullmatch(r"[^/\\\x00-\x1f]{1,100}", name) or name.strip(". ") == "":
        shown = name if len(name) <= 40 else f"{name[:40]}..."
        raise StudyError(
            "The name of a study must be the name of a folder too, without slashes and "
            f"of at most 100 characters, but is {shown!r}: choose another --name."
        )
