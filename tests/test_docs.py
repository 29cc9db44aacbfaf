"""The documentation is true: what its pages show is what is printed today.

Running all pages takes some five minutes of a core, which the default suite must not:
``HARNESS_DOCS=1 pytest tests/test_docs.py`` runs them.
"""

import json
import re
import runpy

import pytest
from pages import ASKED_FOR, DOCS, PAGES, ROOT, UPDATE, Page, masked


@ASKED_FOR
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


def test_every_command_of_harness_is_in_the_reference():
    import typer.main

    from harness.cli import app

    text = (DOCS / "reference.md").read_text()
    for name, command in typer.main.get_command(app).commands.items():
        for full in getattr(command, "commands", {"": None}):
            assert f"`harness {name} {full}".rstrip() in text


def test_the_site_has_every_command_with_all_its_options():
    import typer.main

    from harness.cli import app

    page = runpy.run_path(str(DOCS / "hooks.py"))["on_page_markdown"](
        (DOCS / "commands.md").read_text()
    )
    _, *parts = re.split(r"^##+ `harness ", page, flags=re.MULTILINE)
    shown = {part.partition("`\n")[0]: part for part in parts}
    commands = dict(typer.main.get_command(app).commands)
    for name, command in commands.pop("data").commands.items():
        commands[f"data {name}"] = command
    assert shown.keys() - {"data"} == commands.keys()
    for name, command in commands.items():
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert f"`{parameter.opts[0]}" in shown[name]
    assert "```sh\nharness run quick\n" in shown["run"]
    assert "**Commands**" not in page  # Typer cuts what stands there


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


NOTEBOOK = DOCS / "notebook.ipynb"
ESCAPE = "\x1b"


def printed(cell):
    """Join what a cell of a notebook shows as text; warnings are not of interest."""
    return "".join(
        "".join(shown.get("text") or shown.get("data", {}).get("text/plain", ""))
        for shown in cell["outputs"]
        if shown.get("name") != "stderr"
    )


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_is_kept_with_outputs_that_can_be_read():
    cells = code_cells(json.loads(NOTEBOOK.read_text()))
    assert [cell["execution_count"] for cell in cells] == [
        number + 1 for number in range(len(cells))
    ]
    for cell in cells:
        assert ESCAPE not in printed(cell)
        assert not {"error"} & {shown["output_type"] for shown in cell["outputs"]}
        assert not {"stderr"} & {shown.get("name") for shown in cell["outputs"]}
        # Progress is drawn over itself: no output for each trial.
        assert len(cell["outputs"]) < 15
    searches = [cell for cell in cells if "trials" in printed(cell)]
    assert len(searches) == 2
    pictures = [s for c in cells for s in c["outputs"] if "image/png" in str(s)]
    assert len(pictures) == 2


@ASKED_FOR
def test_the_notebook_runs_and_shows_what_is_kept(tmp_path):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    kept = [printed(cell) for cell in code_cells(notebook)]
    NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    for cell in notebook["cells"]:
        cell["metadata"].pop("execution", None)  # when it was run
    for cell in code_cells(notebook):
        # Warnings name folders of this machine.
        cell["outputs"] = [s for s in cell["outputs"] if s.get("name") != "stderr"]
    if UPDATE:
        nbformat.write(notebook, NOTEBOOK)
    else:
        for shown, cell in zip(kept, code_cells(notebook), strict=True):
            assert masked(shown) == masked(printed(cell))
