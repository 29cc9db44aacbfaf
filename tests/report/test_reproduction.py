import shlex
from pathlib import Path

from harness.report.reproduction import (
    environment_table,
    local_name,
    reproduction_command,
)


def words(study):
    text = reproduction_command(study, Path("space.toml")).replace("\\\n", " ")
    return shlex.split(text)


def value_of(command, flag):
    return command[command.index(flag) + 1]


def test_the_command_repeats_what_was_recorded(make_study, make_trial):
    states = ("complete", "pruned", "failed", "complete")
    trials = [make_trial(n, state) for n, state in enumerate(states)]
    command = words(make_study(trials))
    assert command[:3] == ["harness", "study", "svd"]
    # A failed trial is not one of the trials that were asked for.
    assert value_of(command, "--trials") == "3"
    for flag, value in {
        "--data": "toy.csv",
        "--split": "random",
        "--test-share": "0.2",
        "--folds": "3",
        "--seed": "7",
        "--jobs": "2",
        "--sampler": "tpe",
        "--pruner": "race",
        "--space": "space.toml",
    }.items():
        assert value_of(command, flag) == value


def test_the_repetition_overwrites_neither_storage_nor_report(make_study):
    command = words(make_study())
    assert value_of(command, "--storage") == "again.log"
    assert value_of(command, "--reports") == "again"


def test_the_command_is_one_that_exists(make_study, make_trial):
    from typer.main import get_command

    from harness.cli import app

    options = {
        name
        for parameter in get_command(app).commands["study"].params
        for name in parameter.opts
    }
    dataset = make_study().dataset | {
        "options": {"user_column": "who", "catalogue": ["a.csv", "b.csv"]}
    }
    command = words(make_study([make_trial(0)], dataset=dataset))
    assert {word for word in command if word.startswith("--")} <= options


def test_how_the_data_was_read_is_repeated(make_study):
    dataset = make_study().dataset | {
        "options": {"user_column": "who is it", "catalogue": ["a.csv", "b.csv"]}
    }
    command = words(make_study(dataset=dataset))
    assert value_of(command, "--user-column") == "who is it"
    assert command.count("--catalogue") == 2


def test_a_name_with_blanks_and_quotes_survives_the_shell(make_study):
    command = words(make_study(name="it's; $(rm)"))
    assert value_of(command, "--name") == "it's; $(rm)"


def test_versions_are_those_of_the_search(make_study):
    settings = dict(make_study().settings) | {
        "environment": {
            "python": "CPython 3.11.7",
            "platform": "Linux x86_64",
            "packages": {"optuna": "5.0.0"},
        }
    }
    text = environment_table(make_study(settings=settings))
    for fact in ("CPython 3.11.7", "Linux x86\\_64", "optuna 5.0.0", "0.1.0+gabc1234"):
        assert fact in text


def test_a_storage_is_named_without_the_folders_of_this_machine():
    assert local_name("/srv/eve/a.log") == "a.log"
    assert local_name("sqlite:///here.db") == "sqlite:///here.db"
    assert local_name("postgresql://eve@host/db") == "postgresql://eve@host/db"
