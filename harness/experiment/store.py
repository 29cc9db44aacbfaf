"""An experiment read back from the storage: the record that reports and trackers read."""

from datetime import datetime
from typing import Any

from harness.errors import StudyError
from harness.experiment.decision import decide
from harness.experiment.record import BIAS_BASELINE, ExperimentRecord
from harness.experiment.spec import ExperimentSpec
from harness.search.ownership import own_study
from harness.search.records import StudyRecord
from harness.search.storage import (
    MARK,
    list_experiments,
    list_studies,
    read_experiment_facts,
    read_study,
    save_experiment_facts,
    without_password,
)

__all__ = [
    "RUNS",
    "read_experiment",
    "read_study_or_winner",
    "study_name",
    "take_over_rules",
]


RUNS = "runs"
"""Under which key the ids of an experiment's runs in MLflow are kept with it."""


_RULES = ("title", "about", "publication", "decision", "criteria", "claims")
_TEXTS = ("label", "note")


def study_name(experiment: str, candidate: str) -> str:
    """Name the study of a candidate."""
    return f"{experiment}-{candidate}"


def read_experiment(storage: str, name: str) -> ExperimentRecord:
    """Read an experiment without changing it."""
    kept = read_experiment_facts(storage, name)
    facts: dict[str, Any] = kept[MARK]
    if "spec" not in kept:
        raise StudyError(
            f"The experiment {name!r} was stopped before it began: run it again with "
            "`harness run`."
        )
    spec = ExperimentSpec.model_validate(kept["spec"])
    there = set(list_studies(storage))
    studies = {
        candidate: read_study(storage, study_name(name, candidate))
        for candidate in spec.families
        if study_name(name, candidate) in there
    }
    for study in studies.values():
        _require_same_test(name, facts, study)

    def by_candidate(kind: str) -> dict[str, Any]:
        prefix = f"{kind}/"
        found = {
            k.removeprefix(prefix): v for k, v in kept.items() if k.startswith(prefix)
        }
        # A candidate may have been taken out of the file since it was measured.
        known = {*spec.families, BIAS_BASELINE}
        return {c: each["value"] for c, each in found.items() if c in known}

    return ExperimentRecord(
        name=name,
        spec=spec,
        storage=without_password(storage),
        dataset=facts["dataset"],
        split=facts["split"],
        settings=facts["settings"],
        code_version=facts["code_version"],
        started=datetime.fromisoformat(facts["started"]),
        studies=studies,
        profile=kept.get("profile", {}),
        fresh_folds=by_candidate("fresh_folds"),
        efficiency=by_candidate("efficiency"),
        factors=by_candidate("factors"),
        runs=kept.get(RUNS, {}),
        final=kept.get("final"),
    )


def _require_same_test(name: str, facts: dict[str, Any], study: StudyRecord) -> None:
    for what, mine, its in (
        ("data", facts["dataset"]["fingerprint"], study.dataset["fingerprint"]),
        ("test set", facts["split"]["fingerprint"], study.split["fingerprint"]),
    ):
        if mine != its:
            raise StudyError(
                f"The study {study.name!r} has another {what} ({its}) than the "
                f"experiment {name!r} ({mine}), so that they cannot be compared: run the "
                "experiment again under another --name."
            )


def read_study_or_winner(storage: str, name: str) -> StudyRecord:
    """Read a study, or that of the family which an experiment has chosen."""
    if name in list_studies(storage) or name not in list_experiments(storage):
        return read_study(storage, name)
    record = read_experiment(storage, name)
    decision = decide(record)
    if decision is None:
        known = ", ".join(study.name for study in record.studies.values())
        raise StudyError(
            f"The experiment {name!r} has chosen no family yet: go on with `harness run`, "
            f"or name one of its studies: {known or 'there is none'}."
        )
    return record.studies[decision.winner]


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
    families = {
        candidate: entry.model_copy(
            update={text: getattr(spec.families[candidate], text) for text in _TEXTS}
        )
        for candidate, entry in record.spec.families.items()
    }
    rules = {rule: getattr(spec, rule) for rule in _RULES}
    follows = record.spec.model_copy(update={**rules, "families": families})
    if follows == record.spec:
        return record
    with own_study(storage, name):
        save_experiment_facts(storage, name, "spec", follows.as_json())
    return read_experiment(storage, name)
