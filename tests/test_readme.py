"""The README is true: its commands run, and print what it shows; see ``pages``.

Like the other pages it takes half a minute of a core: ``HARNESS_DOCS=1`` runs it.
"""

import re
import shlex

import pytest
from pages import ASKED_FOR, PAGES, ROOT, Page, masked
from typer.main import get_command

from harness.cli import app

README = ROOT / "README.md"


@ASKED_FOR
def test_every_command_prints_what_the_readme_shows(tmp_path):
    page = Page(README, tmp_path)
    try:
        pairs = page.run()
    finally:
        page.stop()
    for shown, printed in pairs:
        assert masked(shown) == masked(printed)


@pytest.mark.parametrize("path", [README, *PAGES], ids=lambda path: path.stem)
def test_every_command_that_is_shown_has_such_arguments_and_options(path):
    shown = re.findall(
        r"^\$ harness (.*?)(?: (?:[&|>;]|2>).*)?$", path.read_text(), re.MULTILINE
    )
    for line in shown:
        command, words = get_command(app), shlex.split(line, comments=True)
        # As it is read before anything is carried out, a command in a group included.
        while words and words[0] in getattr(command, "commands", {}):
            command, words = command.commands[words[0]], words[1:]
        command.make_context("harness", words)


def test_the_two_commands_to_set_up_are_there():
    shell = re.findall(r"```sh\n(.*?)\n```", README.read_text(), re.DOTALL)
    main, tests = shell[:2]
    assert main.endswith("&& .venv/bin/harness study svd --trials 100")
    assert tests.endswith("&& .venv/bin/python -m pytest")
    assert "\n" not in main + tests


def test_it_is_short():
    assert len(README.read_text().splitlines()) <= 180


def test_links_and_pictures_lead_somewhere():
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README.read_text())
    assert len(targets) > 10
    for target in targets:
        assert (README.parent / target).exists(), target
