"""How to run a study again: the command, the space, and what it ran on."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.report.markdown import code, escape, table
from harness.search.records import StudyRecord

__all__ = [
    "environment_table",
    "local_name",
    "reproduction_command",
    "software_rows",
]


def local_name(storage: str) -> str:
    """Name a storage as seen from its own folder: a report may travel.

    Parameters
    ----------
    storage : str
        URL or path.

    Returns
    -------
    str
        Without the folders of an absolute path.

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
    """Build the command that runs the search and the final evaluation again.

    Parameters
    ----------
    study : StudyRecord
        The study.
    space_file : Path
        Where its search space is written.

    Returns
    -------
    str
        Lines for a shell. It names every setting, because defaults may change, and a
        new storage, because in the old one it would continue the study.
    """
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
    """List what the study ran on.

    Parameters
    ----------
    study : StudyRecord
        The study.

    Returns
    -------
    str
        Markdown: version of the code, Python, platform, packages, seeds, fingerprints.
    """
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
    """List versions, for a table.

    Parameters
    ----------
    code_version : str
        Version of harness.
    environment : mapping
        As `harness.search.environment.environment` gives it; may be empty.

    Returns
    -------
    list of list of str
        What, and which, in markdown.
    """
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
