import re

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
    """


def test_paragraphs_flow_and_examples_stay():
    assert help_of(run) == (
        "Run an experiment: tune all its families.\n\nSecond.\n\n"
        "Examples\n--------\n  harness run quick"
    )


@pytest.mark.parametrize("name", sorted(typer.main.get_command(app).commands))
def test_every_command_and_option_says_what_it_is_for(name):
    command = typer.main.get_command(app).commands[name]
    assert re.match(r"[A-Z].*[.:]", command.help)
    for parameter in getattr(command, "params", []):
        if not getattr(parameter, "hidden", False):
            assert getattr(parameter, "help", "") or parameter.name == "help"
