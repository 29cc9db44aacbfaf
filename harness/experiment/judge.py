"""Judging, after the searches: fresh folds, costs, refits, and the test set, opened once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from harness.data.catalogue import Catalogue
from harness.errors import StudyError
from harness.evaluation.cost_probe import Measured
from harness.evaluation.costs import add_up, measure_efficiency
from harness.evaluation.final import Entry, FittedEntry, fit_entries, judge_entries
from harness.evaluation.results import BIAS_BASELINE, Costs, Factor, Role
from harness.evaluation.splits import TIMED, assign_folds
from harness.evaluation.worker_process import n_cores
from harness.experiment.blending import initial_settings
from harness.experiment.decision import declare
from harness.experiment.fitting import (
    FRESH_SEED_OFFSET,
    HALF_A_DIGIT,
    Fitter,
    Settings,
    choose_jobs,
    made_of_others,
    open_fitter,
    settings_key,
    tune_floor,
)
from harness.experiment.refit import baselines
from harness.experiment.results import ExperimentRecord
from harness.experiment.run import PreparedExperiment
from harness.experiment.store import keep, read_experiment
from harness.models.base import Recommender
from harness.models.factors import interpret_factor, read_traits, turn_to_principal_axes
from harness.models.families import load_family, reference_of
from harness.plain import Params, from_json, to_json
from harness.search.folds import TrainingData
from harness.search.openings import record_opening
from harness.search.ownership import own_study
from harness.search.records import TrialRecord, why_none_is_best
from harness.search.storage import read_experiment_facts, save_experiment_facts

__all__ = ["JudgedExperiment", "judge_experiment"]


FLOOR_SECONDS = 1e-6
"""Seconds that tuning the bias floor takes for each training rating."""


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedExperiment:
    """An experiment with its result."""

    record: ExperimentRecord
    models: Mapping[str, Recommender] = field(default_factory=dict)


def judge_experiment(
    prepared: PreparedExperiment, *, on_step: Callable[[str], None]
) -> JudgedExperiment:
    """Measure, refit and judge the best settings of all candidates, unless that is done.

    What was measured is kept at once: after an interruption only the rest is done.
    """
    storage, name = prepared.settings.storage, prepared.name
    with own_study(storage, name):
        judge = _Judge(prepared, read_experiment(storage, name), on_step)
        if judge.is_done:
            return JudgedExperiment(record=judge.record)
        models = judge.run()
    return JudgedExperiment(record=read_experiment(storage, name), models=models)


class _Judge:
    """Works through the steps, keeping the outcome of each."""

    def __init__(
        self,
        prepared: PreparedExperiment,
        record: ExperimentRecord,
        on_step: Callable[[str], None],
    ) -> None:
        self._prepared = prepared
        self.record = record
        self._on_step = on_step
        self._storage, self._name = prepared.settings.storage, prepared.name
        self._best: dict[str, TrialRecord] = {
            candidate: study.best
            for candidate, study in record.studies.items()
            if study.best is not None
        }
        if not self._best:
            reasons = [r for s in record.studies.values() if (r := why_none_is_best(s))]
            raise StudyError(
                " ".join(reasons)
                or f"No family of the experiment {self._name!r} has a complete trial: "
                "there is nothing to judge."
            )
        self._kept = read_experiment_facts(self._storage, self._name)

    @property
    def _judged(self) -> dict[str, object]:
        """What the final result depends on, besides what fixes the experiment."""
        spec = self._prepared.spec
        return {
            "best_trials": {c: trial.number for c, trial in self._best.items()},
            "variants": [v.model_dump(mode="json") for v in spec.variants],
            "n_seeds": spec.final_seeds,
            "margin": spec.decision.margin,
            "significance": spec.decision.significance,
        }

    @property
    def is_done(self) -> bool:
        return bool(self._kept.get("judged_for") == self._judged)

    def run(self) -> dict[str, Recommender]:
        with open_fitter(self._data(), jobs=self._jobs()) as fitter:
            self._score_fresh_folds(fitter)
            if self._prepared.split.test is None:
                self._save("judged_for", self._judged)
                return {}
            floor = self._tune_floor(fitter)
            costs, known = self._measure_costs(floor)
            entries = self._entries(floor)
            fitted = fit_entries(
                entries,
                fitter.fit(entries, self._seeds, known),
                costs=costs,
                on_fitted=lambda name: self._on_step(f"fitted {name}"),
            )
            del known  # as bytes they are there a second time
        models = {
            str(each.entry.candidate): each.models[0]
            for each in fitted
            if each.entry.role == "tuned"
        }
        for candidate, model in models.items():
            described = _strongest_factors(model, self._prepared.dataset.catalogue)
            value = [to_json(factor) for factor in described]
            self._save(f"factors/{candidate}", {"value": value})
        self._open_and_judge(fitted)
        return models

    @property
    def _is_timed(self) -> bool:
        return self._prepared.spec.split.method in TIMED

    def _data(self) -> TrainingData:
        """Deal the training part into folds that the search has not seen."""
        spec = self._prepared.spec
        first = next(iter(self._best))
        return TrainingData(
            family=self._prepared.plans[first].family,
            train=self._prepared.split.train,
            catalogue=self._prepared.dataset.catalogue,
            fold_of=assign_folds(
                self._prepared.split.train,
                n_folds=spec.search.folds,
                # Folds that follow each other in time are the same for all seeds.
                seed=spec.seed + (0 if self._is_timed else FRESH_SEED_OFFSET),
                method=spec.split.method,
            ),
        )

    def _jobs(self) -> int:
        spec, n_train = self._prepared.spec, len(self._prepared.split.train)
        asked, n_folds = self._prepared.settings.jobs, spec.search.folds
        of_one = [best.metrics.get("fit_seconds", 0.0) for best in self._best.values()]
        if self._prepared.split.test is None:
            # Fresh folds are all there is to do.
            n_fits = n_folds * len(of_one)
            return min(n_fits, choose_jobs(n_folds * sum(of_one), asked))
        # The tuned models come from where costs are measured.
        n_fits = n_folds + spec.final_seeds
        return choose_jobs(n_fits * sum(of_one) + FLOOR_SECONDS * n_train, asked)

    def _score_fresh_folds(self, fitter: Fitter) -> None:
        wanted: dict[str, Settings] = {
            candidate: (self._prepared.plans[candidate].family, best.params)
            for candidate, best in self._best.items()
            if not self._is_kept("fresh_folds", candidate, best.params)
        }
        if not wanted:
            return
        self._on_step(f"fresh folds of {' and '.join(wanted)}")
        scores = {} if self._is_timed else self._fresh_scores(fitter, wanted)
        for candidate, (_, params) in wanted.items():
            values = scores.get(candidate, [])
            fact = {
                "params": dict(params),
                "value": values[0] if values else None,
                "seed_gap": float(np.ptp(values)) if len(values) > 1 else None,
            }
            self._save(f"fresh_folds/{candidate}", fact)
            self._kept[f"fresh_folds/{candidate}"] = fact

    def _fresh_scores(
        self, fitter: Fitter, wanted: Mapping[str, Settings]
    ) -> dict[str, list[float]]:
        """Score settings on fresh folds; where one is precise enough, with two seeds."""
        search, seed = (
            self._prepared.spec.search,
            self._prepared.spec.seed + FRESH_SEED_OFFSET,
        )
        metric, *_ = search.objectives
        if not self._is_large:
            found = fitter.fresh_scores(
                wanted, seed=seed, n_folds=search.folds, metric=metric
            )
            return {candidate: [value] for candidate, value in found.items()}
        last = [search.folds - 1]
        scores = fitter.fold_scores(wanted, seed=seed, folds=last, metric=metric)
        seeded = {c: each for c, each in wanted.items() if _is_seeded(each[0])}
        again = fitter.fold_scores(seeded, seed=seed + 1, folds=last, metric=metric)
        return {c: values + again.get(c, []) for c, values in scores.items()}

    def _tune_floor(self, fitter: Fitter) -> Params:
        self._on_step(f"tuning of {BIAS_BASELINE}")
        search = self._prepared.spec.search
        floor, done = tune_floor(fitter, search.folds, search.objectives[0])
        self._save("floor", to_json(done))
        return floor

    @property
    def _is_large(self) -> bool:
        """Whether one held-out fold is as good as all of them."""
        return any(self._prepared.plans[c].fidelity.one_fold for c in self._best)

    @property
    def _seeds(self) -> list[int]:
        spec = self._prepared.spec
        n_seeds = 1 if self._seeds_change_nothing() else spec.final_seeds
        return [spec.seed + k for k in range(n_seeds)]

    def _seeds_change_nothing(self) -> bool:
        """Say whether another seed changes no digit, and none were asked for."""
        spec, star = self._prepared.spec, self._prepared.split.train.scale.star
        if not self._is_large or "final_seeds" in spec.model_fields_set:
            return False
        seeded = [c for c in self._best if _is_seeded(self._prepared.plans[c].family)]
        gaps = [self._kept[f"fresh_folds/{c}"]["seed_gap"] for c in seeded]
        return all(gap is not None and gap < HALF_A_DIGIT * star for gap in gaps)

    def _measure_costs(
        self, floor: Params
    ) -> tuple[dict[str, Costs], dict[str, Measured]]:
        """Measure the tuned models and the floor.

        Gives costs by name of the entry, and what was measured now by `settings_key`.
        """
        settings: dict[str, Settings] = {
            candidate: (self._prepared.plans[candidate].family, best.params)
            for candidate, best in self._best.items()
        }
        settings[BIAS_BASELINE] = (load_family("baseline"), floor)
        costs, known = dict[str, Costs](), dict[str, Measured]()
        mixed = made_of_others(settings)
        for candidate in sorted(settings, key=mixed.__contains__):
            members = mixed.get(candidate, ())
            parts = [costs[member] for member in members if member in costs]
            measure = partial(
                self._cost,
                settings[candidate],
                parts if len(parts) == len(members) else (),
                known,
            )
            try:
                kept = self._keep("costs", candidate, settings[candidate][1], measure)
            except StudyError as error:
                # The others must not lose their verdict. Not kept as measured: whoever
                # judges again tries again.
                self._on_step(f"not measured: {error}")
                self._save(f"costs/{candidate}", {"value": None, "problem": str(error)})
                continue
            costs[candidate] = from_json(Costs, kept)
        names = {c: c if c == BIAS_BASELINE else f"{c}, tuned" for c in costs}
        return {names[c]: each for c, each in costs.items()}, known

    def _cost(
        self, settings: Settings, parts: Sequence[Costs], known: dict[str, Measured]
    ) -> Any:
        """Add up parts, those of a blend; without any, measure, and note the models."""
        if parts:
            return to_json(add_up(parts))
        family, params = settings
        found = measure_efficiency(
            reference_of(family),
            dict(params),
            seeds=self._seeds if _is_seeded(family) else self._seeds[:1],
            train=self._prepared.split.train,
            catalogue=self._prepared.dataset.catalogue,
            n_processes=self._prepared.spec.cost_processes,
        )
        known[settings_key(family, params)] = found
        return to_json(found.costs)

    def _keep(
        self, kind: str, candidate: str, params: Any, measure: Callable[[], Any]
    ) -> Any:
        """Measure something of settings, unless it is known of the same ones."""
        key, params = f"{kind}/{candidate}", dict(params)
        if self._is_kept(kind, candidate, params):
            return self._kept[key]["value"]
        self._on_step(f"{kind.replace('_', ' ')} of {candidate}")
        value = measure()
        self._save(key, {"params": params, "value": value})
        return value

    def _is_kept(self, kind: str, candidate: str, params: Params) -> bool:
        return bool(
            self._kept.get(f"{kind}/{candidate}", {}).get("params") == dict(params)
        )

    def _save(self, key: str, value: Any) -> None:
        save_experiment_facts(self._storage, self._name, key, value)

    def _entries(self, floor: Params) -> list[Entry]:
        entries = []
        # Blends last: they are made of the others.
        for candidate in sorted(self._best, key=self._prepared.spec.is_blend):
            plan, best = self._prepared.plans[candidate], self._best[candidate]
            initial = plan.space.initial
            if self._prepared.spec.is_blend(candidate):
                initial = initial_settings(initial, best.params)
            settings: dict[Role, Params] = {"initial": initial, "tuned": best.params}
            entries += [
                Entry(
                    name=f"{candidate}, {role}",
                    family=plan.family,
                    params=params,
                    role=role,
                    candidate=candidate,
                )
                for role, params in settings.items()
            ]
        entries += self._variants()
        return [*entries, *baselines(floor)]

    def _variants(self) -> list[Entry]:
        return [
            Entry(
                name=variant.name,
                family=self._prepared.plans[variant.candidate].family,
                params={
                    **self._prepared.plans[variant.candidate].space.initial,
                    **variant.params,
                },
                role="variant",
                candidate=variant.candidate,
            )
            for variant in self._prepared.spec.variants
            if variant.candidate in self._best
        ]

    def _open_and_judge(self, fitted: list[FittedEntry]) -> None:
        test = self._prepared.split.test
        assert test is not None
        # Kept before the seal is broken, and at the first look only: what is declared
        # later is declared by somebody who may know the scores.
        declared = self._kept.get("declared")
        if declared is None:
            declared = declare(self._prepared.spec)
            self._save("declared", declared)
        number = record_opening(self._storage, self._name)
        judging = judge_entries(
            fitted,
            self._prepared.split.train,
            self._prepared.dataset.catalogue,
            test,
            seeds=self._seeds,
            margin=self._prepared.spec.decision.margin,
            confidence=1 - self._prepared.spec.decision.significance,
            metric=self._prepared.spec.search.objectives[0],
            jobs=self._prepared.settings.jobs or n_cores(),
            on_judged=lambda name: self._on_step(f"judged {name}"),
        )
        best_trials = {c: trial.number for c, trial in self._best.items()}
        judging = replace(judging, openings=number, best_trials=best_trials)
        keep(self._storage, self._name, "judging", judging)
        self._save("judged_for", self._judged)


def _is_seeded(family: type[Recommender]) -> bool:
    return "seed" in family.__dataclass_fields__


_N_FACTORS = 6
_N_TITLES = 4


def _strongest_factors(model: Recommender, catalogue: Catalogue) -> tuple[Factor, ...]:
    """Describe the factors that carry most of what a model knows beyond biases."""
    sides = [getattr(model, f"{side}_factors_", None) for side in ("user", "item")]
    if any(side is None or not side.size for side in sides):
        return ()
    n_users, n_items = len(model.user_ids_), len(model.item_ids_)
    of_users, of_items = np.asarray(sides[0])[:n_users], np.asarray(sides[1])[:n_items]
    if not (np.isfinite(of_users).all() and np.isfinite(of_items).all()):
        return ()
    users, items = turn_to_principal_axes((of_users, of_items))
    # On principal axes the sums of squares of the products add up.
    carried = np.square(users).sum(axis=0) * np.square(items).sum(axis=0)
    if not carried.sum():
        return ()
    shares = carried / carried.sum()
    frame = catalogue.frame
    names = frame["title"].tolist() if "title" in frame else model.item_ids_.tolist()
    traits = read_traits(catalogue)
    meanings = [
        interpret_factor(items[:, k], traits, n_titles=_N_TITLES)
        for k in range(min(_N_FACTORS, items.shape[1]))
    ]
    return tuple(
        Factor(
            label=f"factor {k + 1}",
            share=float(shares[k]),
            trait=meaning.trait,
            correlation=meaning.correlation,
            positive=tuple(str(names[code]) for code in meaning.positive),
            negative=tuple(str(names[code]) for code in meaning.negative),
        )
        for k, meaning in enumerate(meanings)
    )
