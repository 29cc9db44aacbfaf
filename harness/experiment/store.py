"""Experiments in their storage: what is kept of one, and the record made of it."""

from datetime import datetime
from typing import Any

from harness.data.dataset import DatasetFacts
from harness.errors import StudyError, UnknownNameError
from harness.evaluation.results import (
    BIAS_BASELINE,
    Costs,
    Factor,
    FloorTuning,
    Judging,
)
from harness.evaluation.splits import SplitFacts
from harness.experiment.decision import conclude, split_result
from harness.experiment.results import (
    ExperimentRecord,
    LoggedRuns,
    OpeningsByNow,
    SplitResult,
)
from harness.experiment.spec import ExperimentSpec
from harness.plain import from_json, to_json
from harness.search.openings import openings_by_now
from harness.search.ownership import own_study
from harness.search.records import Environment, StudyRecord
from harness.search.storage import (
    MARK,
    ExperimentMark,
    list_experiments,
    list_studies,
    read_experiment_facts,
    read_studies,
    save_experiment_facts,
    without_password,
)

__all__ = [
    "find_experiment_of",
    "keep",
    "keep_split",
    "list_names",
    "read_experiment",
    "read_named",
    "read_study_or_winner",
    "repeat_name",
    "take_over_rules",
]

_RULES = ("title", "about", "publication", "decision", "criteria", "claims")
_TEXTS = ("label", "note")


def keep(storage: str, name: str, key: str, value: Any) -> None:
    """Keep results with an experiment."""
    save_experiment_facts(storage, name, key, to_json(value))


def repeat_name(name: str, number: int) -> str:
    """Name the experiment that repeats another one on a split of its own."""
    return f"{name}-repeat-{number}"


def keep_split(storage: str, name: str, number: int) -> None:
    """Keep what a repeat has found with the experiment that it repeats."""
    found = split_result(read_experiment(storage, repeat_name(name, number)), number)
    key = f"splits/{number}"
    if found is not None and read_experiment_facts(storage, name).get(key) != to_json(
        found
    ):
        keep(storage, name, key, found)


def list_names(storage: str) -> list[str]:
    """List experiments, and the studies within them that go by another name."""
    experiments = list_experiments(storage)
    return [*experiments, *(s for s in list_studies(storage) if s not in experiments)]


def read_named(storage: str, name: str) -> ExperimentRecord:
    """Read an experiment, or the part of one that is about one of its studies."""
    experiment = find_experiment_of(storage, name)
    record = read_experiment(storage, experiment)
    if experiment == name:
        return record
    studies = read_experiment_facts(storage, experiment)[MARK]["studies"]
    candidate = next(c for c, study in studies.items() if study == name)
    return conclude(record.only(candidate))


def find_experiment_of(storage: str, name: str) -> str:
    """Find the experiment that is named, or that holds the study that is named."""
    experiments = list_experiments(storage)
    if name in experiments:
        return name
    if name in list_studies(storage):
        for experiment in experiments:
            facts = read_experiment_facts(storage, experiment)[MARK]
            if name in facts["studies"].values():
                return experiment
    raise UnknownNameError("study or experiment", name, list_names(storage))


def read_experiment(storage: str, name: str) -> ExperimentRecord:
    """Read an experiment without changing it, and draw its conclusions."""
    kept = read_experiment_facts(storage, name)
    facts: ExperimentMark = kept[MARK]
    if "spec" not in kept:
        raise StudyError(
            f"The experiment {name!r} was stopped before it began: run it again with "
            "`harness run`."
        )
    spec = ExperimentSpec.model_validate(kept["spec"])
    dataset = from_json(DatasetFacts, facts["dataset"])
    split = from_json(SplitFacts, facts["split"])
    names = {c: facts["studies"][c] for c in spec.families if c in facts["studies"]}
    there = read_studies(storage, names.values())
    studies = {c: there[study] for c, study in names.items() if study in there}
    for study in studies.values():
        _require_same_test(name, (dataset, split), study)
    # A candidate may have been taken out of the file since it was measured.
    known = (*spec.families, BIAS_BASELINE)

    def of_each(kind: str, part: str = "value") -> dict[str, Any]:
        found = {c: kept[f"{kind}/{c}"] for c in known if f"{kind}/{c}" in kept}
        return {c: each.get(part) for c, each in found.items()}

    costs, problems = of_each("costs"), of_each("costs", "problem")
    number, last = openings_by_now(storage, dataset, split)
    judging = kept.get("judging")
    record = ExperimentRecord(
        name=name,
        spec=spec,
        storage=without_password(storage),
        dataset=dataset,
        split=split,
        file=facts["file"],
        jobs=facts["jobs"],
        environment=from_json(Environment, facts["environment"]),
        code_version=facts["code_version"],
        started=datetime.fromisoformat(facts["started"]),
        studies=studies,
        profile=kept.get("profile", {}),
        fresh_folds=from_json(dict[str, float | None], of_each("fresh_folds")),
        seed_gaps=of_each("fresh_folds", "seed_gap"),
        costs=from_json(dict[str, Costs], {c: v for c, v in costs.items() if v}),
        not_measured={c: why for c, why in problems.items() if why is not None},
        floor=from_json(FloorTuning, kept["floor"]) if "floor" in kept else None,
        factors=from_json(dict[str, tuple[Factor, ...]], of_each("factors")),
        runs=from_json(LoggedRuns, kept.get("runs", {})),
        judging=None if judging is None else from_json(Judging, judging),
        declared=kept.get("declared"),
        openings=OpeningsByNow(number=number, last=last),
        other_splits=tuple(
            from_json(SplitResult, kept[key])
            for k in range(2, spec.split.repeats + 1)
            if (key := f"splits/{k}") in kept
        ),
    )
    return conclude(record)


def _require_same_test(
    name: str, parts: tuple[DatasetFacts, SplitFacts], study: StudyRecord
) -> None:
    dataset, split = parts
    for what, mine, its in (
        ("data", dataset.fingerprint, study.dataset.fingerprint),
        ("test set", split.fingerprint, study.split.fingerprint),
    ):
        if mine != its:
            raise StudyError(
                f"The study {study.name!r} has another {what} ({its}) than the "
                f"experiment {name!r} ({mine}), so they cannot be compared: run the "
                "experiment again under another --name."
            )


def read_study_or_winner(storage: str, name: str) -> StudyRecord:
    """Read a study, or that of the family which an experiment has chosen."""
    record = read_named(storage, name)
    if record.is_study and record.studies:
        return next(iter(record.studies.values()))
    if record.decision is None:
        known = ", ".join(study.name for study in record.studies.values())
        raise StudyError(
            f"The experiment {name!r} has chosen no family yet: continue it with `harness run`, "
            f"or name one of its studies: {known or 'there is none'}."
        )
    return record.studies[record.decision.winner]


def take_over_rules(storage: str, name: str, spec: ExperimentSpec) -> ExperimentRecord:
    """Let an experiment follow its file in texts, decision rule, criteria and claims.

    What else the file says needs a search, and stays as it was searched. What is declared
    after the test set was opened is told from what was declared before.
    """
    record = read_experiment(storage, name)
    if spec.families.keys() != record.spec.families.keys():
        raise StudyError(
            f"The experiment {name!r} has searched {', '.join(record.spec.families)}, but "
            f"its file now names {', '.join(spec.families)}: run it, without --report-only."
        )
    for judged_by in ("margin", "significance"):
        now, then = (getattr(s.decision, judged_by) for s in (spec, record.spec))
        if now != then:
            raise StudyError(
                f"The {judged_by} of the experiment {name!r} has changed, and the models "
                "have to be judged by it: run it, without --report-only."
            )
    families = {
        candidate: entry.model_copy(
            update={text: getattr(spec.families[candidate], text) for text in _TEXTS}
        )
        for candidate, entry in record.spec.families.items()
    }
    rules = {rule: getattr(spec, rule) for rule in _RULES}
    follows = record.spec.model_copy(update={**rules, "families": families})
    if follows != record.spec:
        with own_study(storage, name):
            save_experiment_facts(storage, name, "spec", follows.as_json())
    # Also where the first follows already: it may have been stopped after that.
    for split in record.other_splits:
        take_over_rules(storage, split.experiment, spec)
        keep_split(storage, name, split.number)
    return read_experiment(storage, name)
