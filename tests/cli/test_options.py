import re
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from harness.cli import HarnessGroup, app, options
from harness.cli.options import DataOptions, WorkerOptions, spread_options

TABLE = "who,what,liked\na,x,3\na,x,4\nb,y,5\n"


@pytest.fixture
def run(tmp_path):
    """Run a command that takes the data options besides one of its own."""
    app = typer.Typer(cls=HarnessGroup, pretty_exceptions_enable=False)

    @app.callback()
    def _main():
        pass

    @app.command()
    @spread_options
    def show(
        word: Annotated[str, typer.Argument()],
        data: DataOptions,
        trials: Annotated[int, typer.Option()] = 7,
    ):
        ratings = data.load().ratings
        print(word, trials, list(ratings.values), ratings.scale.high)

    (tmp_path / "r.csv").write_text(TABLE)

    def run_with(*arguments):
        line = ["show", "word", "--data", str(tmp_path / "r.csv"), *arguments]
        return CliRunner().invoke(app, line)

    return run_with


NAMES = ["--user-column", "who", "--item-column", "what", "--rating-column", "liked"]


def test_a_command_gets_the_options_beside_its_own(run):
    result = run(*NAMES, "--duplicates", "last", "--scale", "1:10", "--trials", "3")
    assert result.exit_code == 0
    assert result.output == "word 3 [np.float32(4.0), np.float32(5.0)] 10.0\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (NAMES, "--duplicates last"),
        ([*NAMES, "--scale", "5"], "scale must be LOW:HIGH"),
        ([*NAMES, "--scale", "5:1"], "low < high"),
        (["--user-column", "whoo"], "Did you mean 'who'?"),
        ([*NAMES, "--duplicates", "first"], "'error', 'last'"),
        ([*NAMES, "--catalogue", "nowhere.csv"], "nowhere.csv: cannot be read"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(run, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("schema nope", "'KIND': 'nope' is not one of"),
        ("study svd --trials 0", "'--trials': must be at least 1, but is '0'"),
        ("study svd --trials x", "must be a whole number, but is 'x'"),
        ("study svd --timeout x", "must be a number, but is 'x'"),
    ],
)
def test_a_value_that_cannot_be_is_told_without_words_of_pydantic(command, message):
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code == 2
    # Without the frame around it.
    assert message in " ".join(re.sub("[^ -~]", "", result.output).split())


def test_help_lists_each_option_once(run):
    output = run("--help").output
    for name in ("--data", "--scale", "--timestamp-column", "--encoding", "--trials"):
        assert output.count(f"{name} ") == 1


def test_a_default_of_zero_is_a_default():
    @dataclass
    class Numbers:
        seed: Annotated[int, typer.Option("--seed")] = 0
        share: Annotated[float, typer.Option("--share")] = 0.0
        quiet: Annotated[bool, typer.Option("--quiet")] = False

    app = typer.Typer()

    @app.command()
    @spread_options
    def show(numbers: Numbers):
        print(numbers.seed, numbers.share, numbers.quiet)

    assert CliRunner().invoke(app, []).output == "0 0.0 False\n"


@pytest.mark.parametrize(
    ("given", "prepared"),
    [
        ({}, [None]),
        ({"executor": "processes", "jobs": 3}, [3]),
        ({"executor": "inline"}, []),
        ({"executor": "dask=tcp://host:8786"}, []),
        ({"dry_run": True}, []),
    ],
)
def test_workers_get_ready_where_processes_of_this_machine_are_wanted(
    monkeypatch, given, prepared
):
    calls = []
    monkeypatch.setattr(options, "prepare_workers", calls.append)
    WorkerOptions(**given).prepare()
    assert calls == prepared
