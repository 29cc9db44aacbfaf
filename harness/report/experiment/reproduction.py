"""Section: how to run the experiment again, and where each number comes from."""

import shlex
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from harness.experiment.record import ExperimentRecord
from harness.report.experiment.draft import Draft, paragraphs
from harness.report.experiment.models import label
from harness.report.markdown import code, escape, table
from harness.report.reproduction import local_name, software_rows
from harness.search.records import StudyRecord
from harness.tracking.projection import STUDY_TAG, TRIAL_TAG, study_identity

__all__ = ["reproduction"]


def reproduction(draft: Draft) -> str:
    """Name the command, versions, seeds, fingerprints and runs.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    str
        Markdown.
    """
    record = draft.record
    return paragraphs(
        "## How to reproduce",
        _command(record),
        "The same data (see the fingerprint), file, seed, number of jobs and versions "
        "give the same trials, the same choice and the same errors; times and memory "
        "depend on the machine.",
        _environment(record),
        _traces(record),
        _more(record),
    )


def _command(record: ExperimentRecord) -> str:
    file = local_name(str(record.settings.get("file", f"{record.name}.toml")))
    jobs = record.settings.get("jobs")
    command = f"harness run {shlex.quote(file)}"
    command += f" --jobs {shlex.quote(str(jobs))}" if jobs is not None else ""
    # One line: what is in a file's name cannot close the fence.
    return f"```sh\n{' '.join(command.split())}\n```"


def _environment(record: ExperimentRecord) -> str:
    settings, spec = record.settings, record.spec
    rows = software_rows(record.code_version, settings.get("environment", {}))
    rows += [
        ["experiment", f"{code(record.name)}, begun {_day(record)}"],
        [
            "seed of split, folds, sampler, models",
            escape(settings.get("seed", spec.seed)),
        ],
        ["fingerprint of the data", code(record.dataset.get("fingerprint"))],
        ["fingerprint of the split", code(record.split.get("fingerprint"))],
        ["folds", escape(settings.get("n_folds", spec.search.folds))],
        ["sampler, pruner", f"{code(spec.search.sampler)}, {code(spec.search.pruner)}"],
        ["jobs", escape(settings.get("jobs", "-"))],
    ]
    final = record.final or {}
    if "seeds" in final:
        seeds = ", ".join(map(str, final["seeds"]))
        rows.append(["seeds of the final models", escape(seeds)])
    rows.append(
        ["looks at the test set", escape(final.get("looks", "0, still sealed"))]
    )
    return table(rows[0], rows[1:])


def _day(record: ExperimentRecord) -> str:
    return f"{record.started.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _traces(record: ExperimentRecord) -> str:
    judged: Mapping[str, Any] = (record.final or {}).get("best_trials", {})
    rows = [
        [
            label(record, candidate),
            code(study.name),
            _trial(study, judged.get(candidate)),
            code(_filter(study, judged.get(candidate))),
        ]
        for candidate, study in record.studies.items()
    ]
    if not rows:
        return ""
    head = ["family", "study", "trial judged as tuned", "its run: filter in MLflow"]
    return paragraphs(
        "### Where the numbers come from",
        table(head, rows, align="llrl"),
        "The initial settings are trial #0 of the same study. Each trial is a run in "
        "MLflow with its parameters, fold values, seed, dataset and code version; paste a "
        "filter into the search box of the list that `harness ui` opens.",
    )


def _number(study: StudyRecord, judged: int | None) -> int | None:
    if judged is not None:
        return judged
    return None if study.best is None else study.best.number


def _trial(study: StudyRecord, judged: int | None) -> str:
    number = _number(study, judged)
    if number is None:
        return "-"
    return f"#{number}" if judged is not None else f"#{number} (best so far)"


def _filter(study: StudyRecord, judged: int | None) -> str:
    number = _number(study, judged)
    terms = [f"tags.\"{STUDY_TAG}\" = '{study_identity(study)}'"]
    terms += [] if number is None else [f"tags.{TRIAL_TAG} = '{number}'"]
    return " AND ".join(terms)


def _more(record: ExperimentRecord) -> str:
    dashboard = code(f"optuna-dashboard {shlex.quote(local_name(record.storage))}")
    return paragraphs(
        "### To look further",
        "- `harness ui` shows all trials as runs in MLflow\n"
        f"- {dashboard} shows the studies in Optuna's dashboard",
    )
