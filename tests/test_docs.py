"""The documentation is true: what its pages show is what is printed today.

Running all pages takes some five minutes of a core, which the default suite must not:
``HARNESS_DOCS=1 pytest tests/test_docs.py`` runs them.
"""

import os
import re

import pytest
from pages import ROOT, Page, masked

DOCS = ROOT / "docs"
ELSEWHERE = {"callback.md", "statistics.md"}
"""Pages with tests of their own, which check more than that they run."""
PAGES = sorted(path for path in DOCS.glob("*.md") if path.name not in ELSEWHERE)


@pytest.mark.skipif(
    not ({"HARNESS_DOCS", "HARNESS_UPDATE_DOCS"} & set(os.environ)),
    reason="takes minutes: set HARNESS_DOCS=1",
)
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_block_prints_what_the_page_shows(path, tmp_path):
    if "```console" not in path.read_text() and "```python" not in path.read_text():
        pytest.skip("nothing to run on this page")
    page = Page(path, tmp_path)
    try:
        if path.name != "tutorial.md":
            page.make_ratings()
        pairs = page.run()
    finally:
        page.stop()
    for shown, printed in pairs:
        assert masked(shown) == masked(printed)


@pytest.mark.skipif("HARNESS_DOCS" not in os.environ, reason="set HARNESS_DOCS=1")
def test_the_notebook_runs_and_ends_in_ten_films(tmp_path):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(DOCS / "notebook.ipynb", as_version=4)
    shown = notebook.cells[-1].outputs[-1]["data"]["text/plain"]
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, resources=resources).execute()
    assert notebook.cells[-1].outputs[-1]["data"]["text/plain"] == shown
    assert len(shown.splitlines()) == 11
    # One bar each, and no line per trial: progress is drawn over itself.
    outputs = [o for c in notebook.cells for o in c.get("outputs", [])]
    assert sum(o.output_type == "display_data" for o in outputs) < 15


def test_every_command_of_harness_is_in_the_reference():
    import typer.main

    from harness.cli import app

    text = (DOCS / "reference.md").read_text()
    for name, command in typer.main.get_command(app).commands.items():
        for full in getattr(command, "commands", {"": None}):
            assert f"`harness {name} {full}".rstrip() in text


def test_every_family_has_its_formula():
    from harness.models.families import family_names

    text = (DOCS / "families.md").read_text()
    for name in family_names():
        assert f"## `{name}`" in text


def test_every_measure_is_in_the_reference():
    from harness.evaluation.measures import MEASURES

    text = (DOCS / "reference.md").read_text()
    for name in MEASURES:
        assert f"`{name}`" in text


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.stem)
def test_links_and_pictures_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    for path in DOCS.glob("*.md"):
        assert re.search(rf"\b{path.name}$", navigation, re.MULTILINE), path.name
