"""A study from its settings to its record: created or continued, run, and read back."""

import os
import platform
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import requires
from typing import Any, Protocol

import optuna
from optuna.trial import FrozenTrial

from harness.data.catalogue import Catalogue
from harness.data.dataset import DatasetFacts
from harness.data.ratings import Ratings
from harness.errors import SpaceError, StudyError
from harness.evaluation.metrics import OBJECTIVE, Metric
from harness.evaluation.requirements import Requirement
from harness.evaluation.splits import SplitFacts, assign_folds
from harness.evaluation.worker_process import n_cores
from harness.models.base import Recommender
from harness.models.families import file_of
from harness.plain import Params, ParamValue, from_json, to_json
from harness.search.attributes import read_attribute, read_attributes, write_attribute
from harness.search.engine import Budget, Engine, SearchPlan
from harness.search.executors import choose_executor, open_runner, run_here
from harness.search.fidelity import WHOLE, Evaluation, Fidelity, require_samples
from harness.search.folds import FoldResult, FoldTask, TrainingData
from harness.search.ownership import own_study
from harness.search.pareto import Margin
from harness.search.pruners import describe_pruner, make_pruner
from harness.search.records import (
    WINDOW,
    Environment,
    Patience,
    SearchSettings,
    StudyListener,
    StudyRecord,
    stopped_at,
)
from harness.search.samplers import SamplerSequence, require_sampler
from harness.search.space import SearchSpace
from harness.search.storage import (
    PATIENCE,
    create_study,
    database_errors,
    name_objectives,
    open_storage,
    read_studies,
    read_study,
    storage_errors,
    study_record,
    trial_record,
    without_password,
)
from harness.version import DISTRIBUTION, installed_version

__all__ = [
    "Scorer",
    "StudyPlan",
    "check_plan",
    "environment",
    "run_study",
    "warm_space",
]


def environment() -> Environment:
    """Name Python, the platform and the packages that harness depends on."""
    needed = [r for r in requires(DISTRIBUTION) or () if "extra ==" not in r]
    names = sorted(
        re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in needed
    )
    usable, there = n_cores(), os.cpu_count() or 1
    limited = f"{usable} of " if usable < there else ""
    return Environment(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        platform=(
            f"{platform.system()} {platform.machine()}, {limited}{there} "
            f"core{'s' if there > 1 else ''}"
        ),
        packages={name: found for name in names if (found := installed_version(name))},
    )


_SEARCHED = (
    *("metric", "require", "space", "initial", "defaults", "enqueue", "warm_start"),
    *("sampler", "pruner", "window", "fidelity"),
)
_SETTINGS = (*_SEARCHED, "n_folds", "seed")
"""Settings with which a study was begun, and has to be continued."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyPlan:
    """What fixes a study: the same plan and the same jobs give the same trials."""

    name: str
    # URL or path of the Optuna storage.
    storage: str
    family: type[Recommender]
    space: SearchSpace
    sampler: str
    pruner: str
    n_folds: int
    # Seed of sampler, folds and models.
    seed: int
    dataset: DatasetFacts
    split: SplitFacts
    code_version: str
    window: int = WINDOW
    # The first objective, by which the model is judged, the others, and by how much each
    # may be worse than the best where one of the front is picked.
    metric: Metric = OBJECTIVE
    more_metrics: tuple[Metric, ...] = ()
    margins: tuple[Margin, ...] = ()
    fidelity: Fidelity = WHOLE
    # What trials must meet to be the best.
    require: tuple[Requirement, ...] = ()
    # The study whose best settings are among those enqueued in the space.
    warm_start: str | None = None

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """All that it improves."""
        return (self.metric, *self.more_metrics)

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """What each trial is scored on, one after the other."""
        return self.fidelity.evaluations(self.n_folds, self.seed)

    def settings(self, jobs: int | None = None) -> SearchSettings:
        """Collect the settings of the search."""
        samplers = SamplerSequence(self.sampler, seed=self.seed, space=self.space)
        return SearchSettings(
            space=self.space.distributions,
            initial=self.space.initial,
            defaults=self._defaults(),
            enqueue=self.space.enqueue,
            warm_start=self.warm_start,
            sampler=samplers.describe(),
            pruner=describe_pruner(self.pruner),
            n_folds=self.n_folds,
            seed=self.seed,
            window=self.window,
            metric=self.metric,
            more_metrics=self.more_metrics,
            margins=self.margins,
            fidelity=self.fidelity,
            require=self.require,
            n_points=samplers.n_points,
            reference=None if file_of(self.family) is None else self.space.family,
            jobs=jobs,
            environment=environment(),
        )

    def _defaults(self) -> dict[str, ParamValue]:
        """Collect what the space leaves to the family, which may think otherwise later."""
        known = {*self.space.distributions, "seed"}
        settings = self.family().hyperparameters().items()
        return {name: value for name, value in settings if name not in known}


class Scorer(Protocol):
    """Something that scores trials by other means than training a model for each."""

    @property
    def given(self) -> Params:
        """Settings that all trials have from now on."""

    def run(self, task: FoldTask) -> FoldResult:
        """Carry out a task."""


N_TAKEN_OVER = 5
"""So many of the best settings of another study become the first trials."""


def warm_space(
    space: SearchSpace, other: str, *, family: str, storage: str, name: str
) -> SearchSpace:
    """Enqueue the best settings of another study, or what the study `name` began with."""
    kept = read_studies(storage, [name]).get(name)
    if kept is not None and kept.settings.warm_start == other:
        # The other one may have found better ones since.
        taken = kept.settings.enqueue[len(space.enqueue) :]
    else:
        taken = _best_settings(read_study(storage, other), family, space)
    return replace(space, enqueue=(*space.enqueue, *taken))


def _best_settings(
    study: StudyRecord, family: str, space: SearchSpace
) -> tuple[Params, ...]:
    if study.family != family:
        raise StudyError(
            f"The study {study.name!r} is one of {study.family}, but its best settings "
            f"were to start one of {family}: name another one with --warm-start."
        )
    found: list[Params] = []
    for trial in study.ranked:
        params = {n: v for n, v in trial.params.items() if n in space.searched}
        try:
            settings = space.searched_of(params, study.name)
        except SpaceError:
            continue  # outside this space
        if settings not in found:
            found.append(settings)
    if not found:
        raise StudyError(
            f"The study {study.name!r} has no complete trial whose settings lie in the "
            "search space: name another one with --warm-start, or widen the space."
        )
    return tuple(found[:N_TAKEN_OVER])


def run_study(  # noqa: PLR0913 - what is run, on what, how much of it, and where
    plan: StudyPlan,
    train: Ratings,
    catalogue: Catalogue,
    *,
    jobs: int | None,
    budget: Budget,
    listener: StudyListener,
    executor: str | None = None,
    scorer: "Scorer | None" = None,
) -> StudyRecord:
    """Run a study, or continue it; with a `scorer` nothing is trained for a trial."""
    # Names and numbers are found to be right before anything is written.
    choice = choose_executor(executor, jobs=jobs)
    data = _checked(plan, train, catalogue)
    storage = open_storage(plan.storage)
    with (
        storage_errors(plan.storage),
        own_study(plan.storage, plan.name) as ownership,
        open_runner(data, choice) if scorer is None else run_here(scorer.run) as runner,
    ):
        study = _create_or_continue(plan, storage, choice.jobs)
        at_start = study_record(study, plan.storage)
        listener.on_study_start(at_start)

        def on_trial(trial: FrozenTrial) -> None:
            ownership.require()
            listener.on_trial_end(at_start, trial_record(trial))

        patience = _counted(budget, study, at_start)
        try:
            given = {} if scorer is None else scorer.given
            # Criteria may have changed since: it goes on by those that it began with.
            begun = replace(plan, require=at_start.settings.require)
            engine = _engine(begun, study, on_trial, given)
            engine.run(runner, budget=replace(budget, patience=patience))
        finally:
            try:
                at_end = study_record(study, plan.storage)
            except database_errors(StudyError):
                # The error that has ended the search, once more.
                at_end = at_start
            listener.on_study_end(at_end)
        return at_end


def _checked(plan: StudyPlan, train: Ratings, catalogue: Catalogue) -> TrainingData:
    make_pruner(plan.pruner)
    require_sampler(plan.sampler, plan.objectives)
    SamplerSequence(plan.sampler, seed=plan.seed, space=plan.space)
    fold_of = assign_folds(
        train, n_folds=plan.n_folds, seed=plan.seed, method=plan.split.method
    )
    require_samples(plan.evaluations, train, fold_of)
    return TrainingData(
        family=plan.family, train=train, catalogue=catalogue, fold_of=fold_of
    )


def _counted(
    budget: Budget, study: optuna.Study, record: StudyRecord
) -> Patience | None:
    """Find since when patience counts: anew, where more trials are asked for than before.

    The same command must not start what it has stopped.
    """
    patience = budget.patience
    if patience is None:
        return None
    wanted = {"n_trials": patience.n_trials, "margin": patience.margin}
    kept = read_attributes(study.user_attrs).get(PATIENCE, {})
    since = record.patience_since if wanted.items() <= kept.items() else 0
    asked = kept.get("budget", budget.n_trials)
    was_stopped = record.n_judged < asked and stopped_at(record, patience) is not None
    if was_stopped and asked < budget.n_trials:
        since = 1 + record.trials[-1].number
    new = {**wanted, "budget": budget.n_trials, "since": since}
    if new != kept:
        write_attribute(study, PATIENCE, new)
    return replace(patience, since=since)


def _engine(
    plan: StudyPlan,
    study: optuna.Study,
    on_trial: Callable[[FrozenTrial], None],
    given: Params,
) -> Engine:
    return Engine(
        study=study,
        space=plan.space,
        samplers=SamplerSequence(plan.sampler, seed=plan.seed, space=plan.space),
        pruner=make_pruner(plan.pruner, n_samples=len(plan.fidelity.samples)),
        plan=SearchPlan(
            seed=plan.seed,
            evaluations=plan.evaluations,
            window=plan.window,
            metric=plan.metric,
            more_metrics=plan.more_metrics,
            given=given,
            require=plan.require,
        ),
        on_trial=on_trial,
    )


def _create_or_continue(
    plan: StudyPlan, storage: optuna.storages.BaseStorage, jobs: int | None
) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = create_study(storage, plan.name, plan.objectives)
    wanted = {
        "family": plan.family.name,
        "settings": to_json(plan.settings(jobs)),
        "dataset": to_json(plan.dataset),
        "split": to_json(plan.split),
        "code_version": plan.code_version,
    }
    there = read_attributes(study.user_attrs).get("harness")
    if there is None:
        if study.trials:
            raise StudyError(
                f"The study {plan.name!r} in {without_password(plan.storage)} was not "
                "made by harness: "
                "choose another name with --name."
            )
        write_attribute(study, "harness", {**wanted, "identity": secrets.token_hex(8)})
        name_objectives(study, plan.objectives)
    else:
        _require_equal(plan, there, ("family", "dataset", "split", *_SETTINGS))
        margins = to_json(plan.margins)
        if there["settings"].get("margins") != margins:
            # They change no trial, only which of the front is picked.
            settings = {**there["settings"], "margins": margins}
            write_attribute(study, "harness", {**there, "settings": settings})
    return study


def _asked(settings: SearchSettings) -> tuple[Requirement, ...]:
    """Take the requirements that are not just the criteria of a file."""
    return tuple(r for r in settings.require if not r.is_criterion)


def check_plan(plan: StudyPlan) -> None:
    """Refuse a plan whose study exists and was searched in another way."""
    for study in open_storage(plan.storage).get_all_studies():
        if study.study_name != plan.name:
            continue
        there = read_attribute(study.user_attrs, "harness")
        if there is not None:
            _require_equal(plan, there, ("family", *_SEARCHED))


def _require_equal(
    plan: StudyPlan, there: dict[str, Any], keys: tuple[str, ...]
) -> None:
    kept, wanted = from_json(SearchSettings, there["settings"]), plan.settings()
    pairs = {
        "family": (there["family"], plan.family.name),
        "dataset": (there["dataset"]["fingerprint"], plan.dataset.fingerprint),
        "split": (there["split"]["fingerprint"], plan.split.fingerprint),
        **{key: (getattr(kept, key), getattr(wanted, key)) for key in _SETTINGS},
        "metric": (kept.objectives, wanted.objectives),
        "require": (_asked(kept), _asked(wanted)),
    }
    different = [key for key in keys if pairs[key][0] != pairs[key][1]]
    if different:
        raise StudyError(
            f"The study {plan.name!r} exists with another {' and '.join(different)}: "
            "give this one a name of its own with --name, or repeat the old settings."
        )
