"""How to run it again, and where each number comes from."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from harness.experiment.convergence import n_judged_trials
from harness.experiment.measured import measure_named
from harness.experiment.results import ExperimentRecord
from harness.formatting import in_words
from harness.plain import Params
from harness.report.caveats import describe_openings, minute
from harness.report.context import LONGEST, Context, label, paragraphs
from harness.report.markdown import code, escape, fold, table
from harness.search.records import Environment, StudyRecord
from harness.tracking.projection import (
    EXPERIMENT_TAG,
    STUDY_TAG,
    TRIAL_TAG,
    experiment_identity,
    study_identity,
)

__all__ = ["ENQUEUE", "SPACE", "command_of", "local_name", "reproduction", "traces"]

SPACE = "space.toml"
ENQUEUE = "enqueue.json"
"""Search space of a study, and settings that its first trials were given, beside its report."""

AGAIN = "reproduction"
"""Folder of the repetition: in the same stores all trials would be there twice."""


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


def command_of(record: ExperimentRecord, folder: Path = Path()) -> str:
    """Build the command that runs the searches and the judging again.

    `folder` is where the report lies, as seen from where it is run: the space of a study
    is a file in it.
    """
    spec = record.spec
    study, given = _lone_study(record), spec.data.read_options().given()
    start = f"harness run {_quoted(_file(record))}"
    options: list[tuple[str, object]] = [("--data", spec.data.source)]
    if study is not None:
        start = f"harness study {_quoted(study.reference)}"
        options += [
            *_read_options(given),
            ("--split", spec.split.method),
            ("--test-share", spec.split.test_share),
            ("--folds", spec.search.folds),
            ("--space", folder / SPACE),
            ("--sampler", spec.search.sampler),
            ("--pruner", spec.search.pruner),
            ("--window", spec.search.window),
            ("--metric", spec.search.metric),
            ("--fidelity", spec.search.fidelity),
            *(("--require", text) for text in spec.search.require or ()),
            ("--enqueue", folder / ENQUEUE if study.settings.enqueue else None),
        ]
    else:
        options += _read_options({k: v for k, v in given.items() if k == "link"})
    options += [
        ("--trials", _n_trials(record)),
        ("--seconds" if study is None else "--timeout", spec.budget.seconds),
        ("--patience", spec.budget.patience),
        ("--repeats", spec.split.repeats if spec.split.repeats > 1 else None),
        ("--seed", spec.seed),
        ("--jobs", record.jobs),
        ("--name", record.name),
        ("--storage", f"{AGAIN}/optuna.log"),
        ("--tracking-uri", f"sqlite:///{AGAIN}/mlflow.db"),
        ("--reports", f"{AGAIN}/reports"),
    ]
    lines = [start]
    lines += [f"  {n} {_quoted(value)}" for n, value in options if value is not None]
    return " \\\n".join(lines)


def _lone_study(record: ExperimentRecord) -> StudyRecord | None:
    """Find the study that a record is about, unless an experiment file says it all."""
    study = next(iter(record.studies.values()), None)
    is_whole = bool(record.file) and (study is None or study.name != record.name)
    return study if record.is_study and not is_whole else None


def _read_options(options: Mapping[str, object]) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    for name, value in options.items():
        values = value if isinstance(value, list | tuple) else [value]
        flag = f"--{name.replace('_', '-')}"
        pairs += [(flag, each) for each in values]
    return pairs


def software_rows(code_version: str, environment: Environment) -> list[list[str]]:
    """List versions, for a table."""
    rows = [["harness", code(code_version)]]
    rows += [
        [key, escape(found)]
        for key, found in (
            ("python", environment.python),
            ("platform", environment.platform),
        )
        if found
    ]
    if environment.packages:
        versions = ", ".join(
            f"{n} {version}" for n, version in environment.packages.items()
        )
        rows.append(["packages", escape(versions, longest=LONGEST)])
    return rows


def reproduction(context: Context) -> str:
    """Name the command, and what else it takes."""
    record = context.record
    command = command_of(record, context.shown_folder)
    where = ""
    if _lone_study(record) is not None:
        where = (
            f" Run it where the study was run; {code(SPACE)} lies beside this report."
        )
    return paragraphs(
        "## How to reproduce",
        f"```sh\nmkdir -p {AGAIN}\n{command}\n```",
        f"It writes to stores of its own, in the folder {code(AGAIN)}.{where} The same data "
        "(see the fingerprint), settings, seed and versions give the same trials and the same "
        f"scores, with any number of jobs. {_about_machine(record)}",
        _more(record),
        fold("Versions, seeds and fingerprints", _environment(record)),
    )


def _about_machine(record: ExperimentRecord) -> str:
    """Say what another machine may change, as times and memory decide it."""
    spec, asked = record.spec, [s.settings.require for s in record.studies.values()]
    decided = [
        "how many trials there are" if spec.budget.seconds is not None else "",
        "which trials meet what is required"
        if any(_is_of_the_machine(each.metric.name) for r in asked for each in r)
        else "",
        "which family is chosen"
        if not record.is_study and any(map(_is_of_the_machine, spec.decision.prefer))
        else "",
    ]
    found = in_words(list(filter(None, decided)))
    depend = "Times and memory depend on the machine"
    return f"{depend}, and so may {found}." if found else f"{depend}."


def _is_of_the_machine(name: str) -> bool:
    return name != "model_bytes" and measure_named(name).kind == "cost"


def _n_trials(record: ExperimentRecord) -> int | None:
    """Count what it takes: a budget that was lowered later does not take trials back."""
    trials = record.spec.budget.trials
    if trials is None:
        return None
    return max([trials, *n_judged_trials(record).values()])


def _file(record: ExperimentRecord) -> str:
    return local_name(str(record.file or f"{record.name}.toml"))


def _quoted(value: object) -> str:
    # On one line: what is in a file's name cannot close the fence.
    return shlex.quote(" ".join(str(value).split()))


def _environment(record: ExperimentRecord) -> str:
    spec = record.spec
    rows = software_rows(record.code_version, record.environment)
    rows += _other_versions(record)
    rows += [
        ["name", f"{code(record.name)}, begun {minute(record.started)}"],
        ["seed of split, folds, sampler, models", escape(spec.seed)],
        ["fingerprint of the data", code(record.dataset.fingerprint)],
        ["fingerprint of the split", code(record.split.fingerprint)],
        ["folds", escape(spec.search.folds)],
        ["sampler", _choice(record, "sampler", spec.search.sampler)],
        ["pruner", _choice(record, "pruner", spec.search.pruner)],
        ["window", escape(spec.search.window)],
        ["fidelity", escape(spec.search.fidelity)],
        ["jobs", escape("-" if record.jobs is None else record.jobs)],
    ]
    if record.judging is not None:
        seeds = ", ".join(map(str, record.judging.seeds))
        rows.append(["seeds of the final models", escape(seeds)])
    rows.append(["openings of the test set", describe_openings(record)])
    return table(rows[0], rows[1:])


def _choice(record: ExperimentRecord, kind: str, name: str) -> str:
    """Describe a sampler or pruner with its arguments, which are the same for all."""
    study = next(iter(record.studies.values()), None)
    chosen: Params = {} if study is None else getattr(study.settings, kind)
    arguments = [f"{k}={v}" for k, v in chosen.items() if k != "name"]
    return code(f"{name}({', '.join(arguments)})")


def _other_versions(record: ExperimentRecord) -> list[list[str]]:
    """Name other versions of harness, by which an experiment was continued or judged."""
    used = {
        f"search of {label(record, c)}": study.code_version
        for c, study in record.studies.items()
    }
    if record.judging is not None:
        used["judgement"] = record.judging.code_version
    others = [
        f"{what} {code(version)}"
        for what, version in used.items()
        if version != record.code_version
    ]
    return [["**other versions of harness**", ", ".join(others)]] if others else []


def traces(context: Context) -> str:
    """Say where the numbers come from: studies, trials and runs, folded."""
    record = context.record
    judged = {} if record.judging is None else record.judging.best_trials
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
    body = paragraphs(
        table(head, rows, align="lllr"),
        "The initial settings are trial #0 of the same study. Each trial is a run in "
        "MLflow, with its parameters, fold values, seed, dataset and code version, and so "
        "is each tuned model as it was judged on the test set. To find a run, paste such a "
        "line into the search box of the list that `harness ui` opens:",
        _filters(record, numbers),
        _run_ids(record, numbers),
    )
    return fold("Where the numbers come from: studies, trials and runs", body)


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
    for c, known in record.runs.candidates.items():
        # Ids of what was judged before do not hold the numbers of this report.
        if c not in numbers or known.trial != numbers[c]:
            continue
        for what, run in (
            (
                f"trial #{numbers[c]}, {record.studies[c].settings.scored_on}",
                known.trial_run,
            ),
            ("tuned model, on the test set", known.final_run),
        ):
            if run is not None:
                rows.append([label(record, c), what, code(run)])
    if not rows:
        return ""
    if record.runs.experiment is not None:
        rows.append(["all", "the experiment", code(record.runs.experiment)])
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
