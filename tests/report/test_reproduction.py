import shlex
from dataclasses import replace
from pathlib import Path

from harness.experiment.spec import DataSpec
from harness.report.context import Context
from harness.report.reproduction import command_of, local_name, reproduction
from harness.search.records import Environment
from tests.experiment.records import make_record, make_spec, make_study_record


def words(record, folder=Path()):
    return shlex.split(command_of(record, folder).replace("\\\n", " "))


def value_of(command, flag):
    return command[command.index(flag) + 1]


def reading(record, **options):
    """The same study of data that was read with options."""
    data = DataSpec(source="toy.csv", **options)
    return replace(record, spec=record.spec.model_copy(update={"data": data}))


def test_the_command_of_a_study_repeats_what_was_recorded():
    command = words(reading(make_study_record()), Path("reports/svd"))
    assert command[:3] == ["harness", "study", "svd"]
    for flag, value in {
        "--data": "toy.csv",
        "--trials": "12",
        "--split": "random",
        "--test-share": "0.2",
        "--folds": "5",
        "--seed": "7",
        "--jobs": "2",
        "--sampler": "tpe",
        "--pruner": "race",
        "--window": "8",
        "--space": "reports/svd/space.toml",
    }.items():
        assert value_of(command, flag) == value


def test_a_study_within_an_experiment_is_repeated_by_itself():
    record = make_record().only("svd")
    assert words(record)[:3] == ["harness", "study", "svd"]
    assert words(make_record())[:2] == ["harness", "run"]


def test_an_experiment_file_with_one_family_is_repeated_by_its_file():
    spec = make_spec(families={"svd": {}}, variants=[], criteria=[], claims=[])
    command = words(make_record(spec=spec))
    assert command[:3] == ["harness", "run", "experiments/published.toml"]


def test_the_repetition_overwrites_neither_stores_nor_report():
    for record in (make_record(), make_study_record()):
        command = words(record)
        for flag in ("--storage", "--tracking-uri", "--reports"):
            assert "reproduction/" in value_of(command, flag)


def test_the_commands_are_ones_that_exist():
    from typer.main import get_command

    from harness.cli import app

    study = reading(make_study_record(), user_column="who", catalogue=("a", "b"))
    for record, name in ((study, "study"), (make_record(), "run")):
        options = {
            option
            for parameter in get_command(app).commands[name].params
            for option in parameter.opts
        }
        assert {word for word in words(record) if word.startswith("--")} <= options


def test_limits_and_repeats_given_on_the_command_line_are_repeated():
    budget = {"trials": 12, "seconds": 60.0, "patience": 5}
    spec = make_spec(budget=budget, split={"repeats": 3})
    command = words(make_record(spec=spec))
    for flag, value in (("--seconds", "60.0"), ("--patience", "5"), ("--repeats", "3")):
        assert value_of(command, flag) == value
    study = make_study_record()
    spec = study.spec.model_copy(update={"budget": spec.budget})
    assert value_of(words(replace(study, spec=spec)), "--timeout") == "60.0"


def test_what_times_decide_is_said_to_depend_on_the_machine():
    def text(**changes):
        record = make_record(spec=make_spec(**changes))
        return reproduction(Context(record=record, folder=Path()))

    steady = text(decision={"prefer": ["ndcg_at_10", "model_bytes"]})
    assert "which family is chosen" not in steady
    assert "which family is chosen" in text(decision={"prefer": ["latency_p95_ms"]})
    timed = text(budget={"seconds": 60.0}, decision={"prefer": []})
    assert "how many trials there are" in timed
    assert "which family is chosen" not in timed


def test_no_version_is_cut_off():
    packages = {f"package-{k}": "1.2.3" for k in range(40)}
    environment = Environment(python="3", platform="p", packages=packages)
    record = make_record(environment=environment)
    text = reproduction(Context(record=record, folder=Path()))
    assert "package-39 1.2.3" in text


def test_how_the_data_was_read_is_repeated():
    record = reading(
        make_study_record(), user_column="who is it", catalogue=("a.csv", "b.csv")
    )
    command = words(record)
    assert value_of(command, "--user-column") == "who is it"
    assert command.count("--catalogue") == 2


def test_a_name_with_blanks_and_quotes_survives_the_shell():
    record = replace(make_study_record(), name="it's; $(rm)")
    assert value_of(words(record), "--name") == "it's; $(rm)"


def test_versions_are_those_of_the_search():
    environment = Environment(
        python="CPython 3.11.7", platform="Linux x86_64", packages={"optuna": "5.0.0"}
    )
    record = make_record(environment=environment)
    text = reproduction(Context(record=record, folder=Path()))
    for fact in ("CPython 3.11.7", "Linux x86\\_64", "optuna 5.0.0", "0.1.0+gabc1234"):
        assert fact in text


def test_a_storage_is_named_without_the_folders_of_this_machine():
    assert local_name("/srv/eve/a.log") == "a.log"
    assert local_name("sqlite:///here.db") == "sqlite:///here.db"
    assert local_name("postgresql://eve@host/db") == "postgresql://eve@host/db"
