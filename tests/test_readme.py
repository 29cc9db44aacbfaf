"""The README is true: its commands run, and print what it shows; see ``pages``."""

import re

import pytest
from pages import ROOT, Page, masked

README = ROOT / "README.md"


@pytest.fixture
def page(tmp_path):
    page = Page(README, tmp_path)
    yield page
    page.stop()


def test_every_command_prints_what_the_readme_shows(page):
    for shown, printed in page.run():
        assert masked(shown) == masked(printed)


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
