"""The search of a blend: weights for the best settings of the other families."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from harness.errors import SearchFailedError, StudyError
from harness.evaluation.metrics import Metric, score
from harness.evaluation.objectives import Fold, is_slow, measure_on
from harness.evaluation.splits import assign_folds, cut_fold
from harness.experiment.fitting import HeldOut, choose_jobs, hold_out, open_fitter
from harness.experiment.run import PreparedExperiment
from harness.models.base import Recommender
from harness.models.blend import (
    Blend,
    Member,
    error_products,
    fit_weights,
    read_members,
    write_members,
    write_weights,
)
from harness.plain import Params
from harness.search.folds import (
    FoldResult,
    FoldTask,
    TrainingData,
    Workbench,
    portable,
)
from harness.search.records import StudyListener, StudyRecord, TrialRecord
from harness.search.storage import read_studies

__all__ = ["initial_settings", "require_members", "search_blend"]

Floats = npt.NDArray[np.float32]


def initial_settings(initial: Params, best: Params) -> Params:
    """Give the initial settings of a blend the members of its best trial."""
    return {**initial, "members": best["members"], "weights": ""}


def require_members(prepared: PreparedExperiment, only: str | None = None) -> None:
    """Refuse a blend with other members than before, or by itself before they are done."""
    storage = prepared.settings.storage
    blends = [c for c in prepared.plans if prepared.spec.is_blend(c)]
    if not blends:
        return
    names = {c: plan.name for c, plan in prepared.plans.items()}
    studies = read_studies(storage, names.values())
    for candidate in blends:
        name = names[candidate]
        study = studies.get(name)
        allowed = set(prepared.spec.members(candidate))
        before = {m.name for text in _members_of(study) for m in read_members(text)}
        if not before <= allowed:
            raise StudyError(
                f"The study {name!r} exists with other members, {', '.join(sorted(before))}: "
                "give this one a name of its own with --name, or repeat the old members."
            )
        missing = [m for m in sorted(allowed) if names[m] not in studies]
        if candidate == only and missing:
            raise StudyError(
                f"{candidate!r} is made of other families, of which {', '.join(missing)} "
                "have not been searched yet: search them first, or leave --only out."
            )


def _members_of(study: StudyRecord | None) -> list[str]:
    """List the members of each trial that counts."""
    trials = () if study is None else study.trials
    return [
        str(trial.params["members"])
        for trial in trials
        if trial.state in {"complete", "pruned"} and "members" in trial.params
    ]


def search_blend(
    prepared: PreparedExperiment,
    candidate: str,
    listener: StudyListener,
    *,
    on_step: Callable[[str], None],
) -> StudyRecord:
    """Search the weights of a blend, once its members have been searched.

    The members are fitted with their best settings on the folds of the searches, once.
    Each trial weights what they predict of the ratings held out: those of one fold by
    weights from the other folds, so that no rating has a say in what scores it. A blend
    costs the sum of what its members cost, so that requirements are about which of them it
    leaves out.
    """
    best = _best_trials(prepared, candidate)
    text = write_members(
        [
            Member(
                name=name,
                family=prepared.plans[name].space.family,
                params=trial.params,
            )
            for name, trial in best.items()
        ]
    )
    plan = prepared.plans[candidate]
    study = read_studies(prepared.settings.storage, [plan.name]).get(plan.name)
    tried = _members_of(study)
    # Where members have better settings by now, the blend of those is searched anew.
    n_before = len(tried) - tried.count(text)
    scorer = None
    if tried.count(text) < prepared.spec.n_trials(candidate):
        on_step(f"out-of-fold predictions of {', '.join(best)}")
        # Criteria may have changed since: it goes on by those that it began with.
        require = plan.require if study is None else study.settings.require
        measures = (*plan.objectives, *(each.metric for each in require))
        scorer = _hold_out_all(prepared, text, best, measures)
    return prepared.search(candidate, listener, scorer=scorer, n_before=n_before)


def _best_trials(
    prepared: PreparedExperiment, candidate: str
) -> dict[str, TrialRecord]:
    members = prepared.spec.members(candidate)
    names = {member: prepared.plans[member].name for member in members}
    studies = read_studies(prepared.settings.storage, names.values())
    best = {
        member: found
        for member, name in names.items()
        if name in studies and (found := studies[name].best) is not None
    }
    if len(best) < 2:
        having = f"only {next(iter(best))} has one" if best else "none has one"
        raise SearchFailedError(
            f"A blend needs two members with a complete trial that meets what is required, "
            f"but of {', '.join(members)} {having}."
        )
    return best


def _hold_out_all(
    prepared: PreparedExperiment,
    text: str,
    best: Mapping[str, TrialRecord],
    measures: tuple[Metric, ...],
) -> "_Scorer":
    """Fit the members on all folds but one, each fold in turn, and let them predict it."""
    spec, train = prepared.spec, prepared.split.train
    families = {name: prepared.plans[name].family for name in best}
    # Lists need the models, which stay where they are fitted.
    n_folds, keep = spec.search.folds, any(map(is_slow, measures))
    data = TrainingData(
        family=next(iter(families.values())),
        train=train,
        catalogue=prepared.dataset.catalogue,
        fold_of=assign_folds(
            train, n_folds=n_folds, seed=spec.seed, method=spec.split.method
        ),
    )
    calls = [
        partial(
            hold_out,
            family=portable(families[name]),
            # With the seed of its trial each errs as it did there.
            task=FoldTask(
                params=trial.params, seed=trial.seed, fold=fold, also=measures
            ),
            keep=keep,
        )
        for fold in range(n_folds)
        for name, trial in best.items()
    ]
    seconds = n_folds * sum(t.metrics.get("fit_seconds", 0.0) for t in best.values())
    jobs = 1 if keep else choose_jobs(seconds, prepared.settings.jobs)
    with open_fitter(data, jobs=jobs) as fitter:
        found = list(fitter.map(calls))
        size = len(best)
        return _Scorer(
            members=text,
            bench=fitter.bench,
            truth=[
                train.values[cut_fold(data.fold_of, fold)[1]] for fold in range(n_folds)
            ],
            held_out=[found[k : k + size] for k in range(0, len(found), size)],
        )


@dataclass(kw_only=True, eq=False)
class _Scorer:
    """Scores blends by what their members predict of each fold."""

    members: str
    bench: Workbench
    # The ratings of each fold, and what each member predicts of them.
    truth: Sequence[Floats]
    held_out: Sequence[Sequence[HeldOut]]

    @property
    def given(self) -> Params:
        """The members, which are the same for all trials."""
        return {"members": self.members}

    @cached_property
    def _products(self) -> list[npt.NDArray[np.float64]]:
        return [
            error_products(self._predictions(fold), truth)
            for fold, truth in enumerate(self.truth)
        ]

    def _predictions(self, fold: int) -> Floats:
        return np.stack([each.prediction for each in self.held_out[fold]], axis=1)

    def run(self, task: FoldTask) -> FoldResult:
        """Weight one fold by what is known of the others, and score it."""
        total = sum(self._products)
        weights, of_all = (
            fit_weights(
                np.asarray(products),
                shrinkage=float(task.params.get("shrinkage", 1.0)),  # type: ignore[arg-type]
                least_weight=float(task.params.get("least_weight", 0.0)),  # type: ignore[arg-type]
            )
            for products in (total - self._products[task.fold], total)
        )
        mixed = self._predictions(task.fold) @ weights
        prediction = self.bench.train.scale.clip(mixed)
        scores = score(self.truth[task.fold], prediction)
        scores |= self._costs(task.fold, weights)
        others = [metric for metric in task.measures if metric.name not in scores]
        if others:
            fold = Fold(*self.bench.parts(task.fold), self.bench.catalogue)
            model = self._blend(task.fold, weights, fold)
            scores |= {m.name: measure_on(fold, m, model, prediction) for m in others}
        return FoldResult(
            metrics={name: np.array([value]) for name, value in scores.items()},
            found={"weights": write_weights(read_members(self.members), of_all)},
        )

    def _costs(self, fold: int, weights: npt.NDArray[np.float64]) -> dict[str, float]:
        """Add up what the members cost that have a weight."""
        pairs = zip(self.held_out[fold], weights, strict=True)
        there = [member.costs for member, weight in pairs if weight > 0]
        return {name: sum(costs[name] for costs in there) for name in there[0]}

    def _blend(
        self, fold: int, weights: npt.NDArray[np.float64], parts: Fold
    ) -> Recommender:
        """Make the blend of a fold, of the models that were fitted for it."""
        members = read_members(self.members)
        model = Blend(members=self.members, weights=write_weights(members, weights))
        fitted = {
            member.name: each.model
            for member, each in zip(members, self.held_out[fold], strict=True)
            if each.model is not None
        }
        if len(fitted) < len(members):
            return model  # this measure asks for predictions only
        return model.fit_around(parts.train, parts.catalogue, fitted)
