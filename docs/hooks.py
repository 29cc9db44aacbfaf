"""The page of all commands, written by Typer from the command line itself."""

import re
from textwrap import dedent
from typing import Any

import typer
from typer.cli import MARKUP_MODE_KEY, get_docs_for_click

from harness.cli import app

PLACE = "<!-- all commands -->"
EXAMPLES = re.compile(r"^Examples:\n((?:  .+\n)+)", re.MULTILINE)
# Typer cuts what each command is for after 45 characters; the headings say it in full.
LIST = re.compile(r"^\*\*Commands\*\*:\n\n(\* .+\n)+\n", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Write all commands where a page has a place for them; MkDocs calls this."""
    return markdown.replace(PLACE, all_commands()) if PLACE in markdown else markdown


def all_commands() -> str:
    """Write down every command: what it is for, its arguments and its options."""
    root = typer.main.get_command(app)
    context = typer.Context(root, obj={MARKUP_MODE_KEY: app.rich_markup_mode})
    text = get_docs_for_click(obj=root, ctx=context, name="harness")
    text = text[text.index("\n## ") :]  # what stands above it is on the page
    return EXAMPLES.sub(
        lambda found: f"```sh\n{dedent(found[1])}```\n", LIST.sub("", text)
    )
