import re
import runpy
import sys

import pytest
import typer.main

from harness.cli import app
from harness.cli.terminal import help_of


def run():
    """Run an experiment: tune all
    its families.

    Second.

    Examples
    --------
      harness run quick

      harness run published
    """


def test_paragraphs_flow_and_examples_stay():
    assert help_of(run) == (
        "Run an experiment: tune all its families.\n\nSecond.\n\n"
        "Examples:\n  harness run quick\n  harness run published"
    )


@pytest.mark.parametrize("name", sorted(typer.main.get_command(app).commands))
def test_every_command_and_option_says_what_it_is_for(name):
    command = typer.main.get_command(app).commands[name]
    assert re.match(r"[A-Z].*[.:]", command.help)
    for parameter in getattr(command, "params", []):
        if not getattr(parameter, "hidden", False):
            assert getattr(parameter, "help", "") or parameter.name == "help"


def test_the_package_is_a_command_too(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["harness", "families"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("harness", run_name="__main__")
    assert end.value.code in {0, None}
    assert "svd" in capsys.readouterr().out
