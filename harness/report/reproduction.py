"""How to run it again, and where each number comes from."""

import shlex
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

from harness.experiment.convergence import n_judged_trials
from harness.experiment.results import ExperimentRecord
from harness.report.context import Draft, label, paragraphs
from harness.report.markdown import code, escape, table
from harness.search.records import StudyRecord
from harness.tracking.experiment_projection import EXPERIMENT_TAG, experiment_identity
from harness.tracking.projection import STUDY_TAG, TRIAL_TAG, study_identity

__all__ = ["environment_table", "local_name", "reproduction", "reproduction_command"]


def local_name(storage: str) -> str:
    """Name a storage as seen from its own folder: a report may travel.

    Examples
    --------
    >>> local_name("/srv/eve/optuna.log"), local_name("sqlite:////srv/eve/a.db")
    ('optuna.log', 'sqlite:///a.db')
    >>> local_name("studies/a.log")
    'studies/a.log'
    """
    scheme, mark, path = storage.rpartition(":///")
    return scheme + mark + (Path(path).name if Path(path).is_absolute() else path)


def reproduction_command(study: StudyRecord, space_file: Path) -> str:
    """Build the command that runs the search and the final evaluation again."""
    settings, split = study.settings, study.split
    n_trials = sum(t.state in {"complete", "pruned"} for t in study.trials)
    options: list[tuple[str, object]] = [
        ("--data", study.dataset["source"]),
        *_read_options(study.dataset.get("options", {})),
        ("--split", split["method"]),
        ("--test-share", split.get("test_share")),
        ("--folds", settings["n_folds"]),
        ("--space", space_file),
        ("--trials", n_trials or None),
        ("--sampler", settings["sampler"]["name"]),
        ("--pruner", settings["pruner"]["name"]),
        ("--seed", settings["seed"]),
        ("--jobs", settings.get("jobs")),
        ("--name", study.name),
        ("--storage", "again.log"),
        ("--reports", "again"),
    ]
    lines = [f"harness study {shlex.quote(study.family)}"]
    lines += [
        f"  {name} {shlex.quote(str(value))}"
        for name, value in options
        if value is not None
    ]
    return " \\\n".join(lines)


def _read_options(options: Mapping[str, Any]) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    for name, value in options.items():
        values = value if isinstance(value, list | tuple) else [value]
        flag = f"--{name.replace('_', '-')}"
        pairs += [(flag, each) for each in values]
    return pairs


def environment_table(study: StudyRecord) -> str:
    """List what the study ran on."""
    settings, final = study.settings, study.final or {}
    rows = software_rows(study.code_version, settings.get("environment", {}))
    rows += [
        ["sampler", _describe(settings["sampler"])],
        ["pruner", _describe(settings["pruner"])],
        ["seed of split, folds, sampler, models", escape(settings["seed"])],
        ["fingerprint of the data", code(study.dataset.get("fingerprint"))],
        ["fingerprint of the split", code(study.split.get("fingerprint"))],
        ["jobs", escape(settings.get("jobs", "-"))],
    ]
    if "seeds" in final:
        seeds = ", ".join(map(str, final["seeds"]))
        rows.append(["seeds of the final models", escape(seeds)])
    return table(rows[0], rows[1:])


def software_rows(code_version: str, environment: Mapping[str, Any]) -> list[list[str]]:
    """List versions, for a table."""
    rows = [["harness", code(code_version)]]
    rows += [
        [key, escape(environment[key])]
        for key in ("python", "platform")
        if key in environment
    ]
    packages = environment.get("packages", {})
    if packages:
        versions = ", ".join(f"{name} {version}" for name, version in packages.items())
        rows.append(["packages", escape(versions)])
    return rows


def _describe(choice: Mapping[str, Any]) -> str:
    arguments = [f"{k}={v}" for k, v in choice.items() if k != "name"]
    return code(f"{choice['name']}({', '.join(arguments)})")


def reproduction(draft: Draft) -> str:
    """Name the command, versions, seeds, fingerprints and runs."""
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
    """Name what the command line may have said otherwise than the file, too."""
    spec, settings = record.spec, record.settings
    options: list[tuple[str, object]] = [
        ("--data", spec.data.source),
        *(("--link", each) for each in spec.data.read_options().link),
        ("--trials", _n_trials(record)),
        ("--seconds", spec.budget.seconds),
        ("--seed", spec.seed),
        ("--jobs", settings.get("jobs")),
        ("--name", record.name),
        ("--storage", "again.log"),
        ("--reports", "again"),
    ]
    lines = [f"harness run {_quoted(_file(record))}"]
    lines += [f"  {n} {_quoted(value)}" for n, value in options if value is not None]
    command = " \\\n".join(lines)
    return f"```sh\n{command}\n```"


def _n_trials(record: ExperimentRecord) -> int | None:
    """Count what it takes: a budget that was lowered later does not take trials back."""
    trials = record.spec.budget.trials
    if trials is None:
        return None
    return max([trials, *n_judged_trials(record).values()])


def _file(record: ExperimentRecord) -> str:
    return local_name(str(record.settings.get("file", f"{record.name}.toml")))


def _quoted(value: object) -> str:
    # On one line: what is in a file's name cannot close the fence.
    return shlex.quote(" ".join(str(value).split()))


def _environment(record: ExperimentRecord) -> str:
    settings, spec = record.settings, record.spec
    rows = software_rows(record.code_version, settings.get("environment", {}))
    rows += _other_versions(record)
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


def _other_versions(record: ExperimentRecord) -> list[list[str]]:
    """Name other versions of harness, by which an experiment was continued or judged."""
    used = {
        **{
            f"search of {label(record, c)}": s.code_version
            for c, s in record.studies.items()
        },
        "judgement": (record.final or {}).get("code_version", record.code_version),
    }
    others = [
        f"{what} {code(version)}"
        for what, version in used.items()
        if version != record.code_version
    ]
    return [["**other versions of harness**", ", ".join(others)]] if others else []


def _day(record: ExperimentRecord) -> str:
    return f"{record.started.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _traces(record: ExperimentRecord) -> str:
    judged: Mapping[str, Any] = (record.final or {}).get("best_trials", {})
    numbers = {
        c: judged.get(c, None if study.best is None else study.best.number)
        for c, study in record.studies.items()
    }
    if not numbers:
        return ""
    rows = [
        [
            label(record, c),
            code(study.name),
            code(study_identity(study)),
            "-" if numbers[c] is None else f"#{numbers[c]}",
        ]
        for c, study in record.studies.items()
    ]
    head = ["family", "study", "its id in MLflow"]
    head.append("trial judged as tuned" if judged else "best trial so far")
    return paragraphs(
        "### Where the numbers come from",
        table(head, rows, align="lllr"),
        "The initial settings are trial #0 of the same study. Each trial is a run in "
        "MLflow, with its parameters, fold values, seed, dataset and code version, and so "
        "is each tuned model as it was judged on the test set. To find the run of a trial, "
        "or the models that were judged, paste such a line into the search box of the "
        "list that `harness ui` opens:",
        _filters(record, numbers),
        _run_ids(record, numbers),
    )


def _filters(record: ExperimentRecord, numbers: Mapping[str, int | None]) -> str:
    candidate, number = next(iter(numbers.items()))
    study = study_identity(record.studies[candidate])
    trial = f"tags.\"{STUDY_TAG}\" = '{study}' AND tags.{TRIAL_TAG} = '{number or 0}'"
    whole = f"tags.\"{EXPERIMENT_TAG}\" = '{experiment_identity(record)}'"
    lines = [trial, *([whole] if record.models else [])]
    return "```text\n" + "\n".join(lines) + "\n```"


def _run_ids(record: ExperimentRecord, numbers: Mapping[str, int | None]) -> str:
    """Name the runs that hold the numbers, where they were logged before the report."""
    rows = []
    for c, known in record.runs.get("candidates", {}).items():
        # Ids of what was judged before do not hold the numbers of this report.
        if c not in numbers or known["trial"] != numbers[c]:
            continue
        measured = {
            "trial_run": f"trial #{numbers[c]}, on the folds",
            "final_run": "tuned model, on the test set",
        }
        rows += [
            [label(record, c), what, code(known[key])]
            for key, what in measured.items()
            if key in known
        ]
    if not rows:
        return ""
    top = record.runs.get("experiment")
    rows += [["all", "the experiment", code(top)]] if top else []
    return paragraphs(
        "Or go to a run by its id, with such a line as `attributes.run_id = '...'`; these "
        "are the runs as they were logged last:",
        table(["family", "numbers of", "MLflow run"], rows),
    )


def _more(record: ExperimentRecord) -> str:
    kept = shlex.quote(local_name(record.storage))
    again = f"harness report {shlex.quote(record.name)} --storage {kept}"
    return paragraphs(
        "### To look further",
        "- `harness ui` shows all trials as runs in MLflow\n"
        f"- {code(f'optuna-dashboard {kept}')} shows the studies in Optuna's dashboard\n"
        f"- {code(again)} writes this report again, without training",
    )
