"""A report as one HTML page, made from its markdown, that needs nothing else."""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape as escape_html
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from harness.errors import StudyError
from harness.report.markdown import FOLD_END, FOLD_START

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

__all__ = ["write_html"]


IMAGE_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
# The policy has the browser refuse scripts and the network, whatever the page says.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
{opening}{contents}{rest}</body>
</html>
"""
_OPEN_SCROLL = '<{tag} class="scroll" tabindex="0" role="region" aria-label="{label}">'


def write_html(markdown_file: Path, html_file: Path) -> None:
    """Write a report as a page that shows the same without network, scripts or files.

    Images become part of the page. Markup in the text stays text; links lead to
    ``http(s)``, to headings, or to files beside the page.
    """
    try:
        page = _compose(markdown_file.read_text(encoding="utf-8"), markdown_file)
        part = html_file.with_name(f".{html_file.name}.part")
        part.write_text(page, encoding="utf-8")
        part.replace(html_file)
    except OSError as error:
        raise StudyError(
            f"{html_file} cannot be made from {markdown_file}: "
            f"{error.strerror or error}: {error.filename}."
        ) from error


def _compose(text: str, source: Path) -> str:
    parser = _parser()
    environment: dict[str, object] = {}
    tokens = _with_folds(parser.parse(text, environment))
    headings = list(_anchored_headings(tokens))
    _mark_numbers(tokens)
    for image in _images(tokens):
        image.attrSet("src", _embedded(str(image.attrGet("src")), source))

    # The verdict comes first: the contents follow what stands before the first section.
    chapters = (i for i, t in enumerate(tokens) if t.type == "heading_open")
    start = next((i for i in chapters if tokens[i].tag == "h2"), len(tokens))
    opening, rest = (
        parser.renderer.render(part, parser.options, environment)
        for part in (tokens[:start], tokens[start:])
    )
    return _PAGE.format(
        title=escape_html(headings[0][2] if headings else source.stem),
        style=resources.files("harness.report").joinpath("page.css").read_text("utf-8"),
        opening=opening,
        contents=_contents(headings),
        rest=rest,
    )


def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.validateLink = _is_harmless  # type: ignore[method-assign]
    scroll = _OPEN_SCROLL.format(tag="div", label="Table")

    def open_table(*_: object) -> str:
        return f"{scroll}\n<table>\n"

    def close_table(*_: object) -> str:
        return "</table>\n</div>\n"

    draw_image = RendererHTML().rules["image"]

    def image(_: object, *arguments: Any) -> str:
        # A span, for an image is part of a paragraph.
        opened = _OPEN_SCROLL.format(tag="span", label="Figure")
        return f"{opened}{draw_image(*arguments)}</span>"

    parser.add_render_rule("table_open", open_table)
    parser.add_render_rule("table_close", close_table)
    parser.add_render_rule("image", image)
    return parser


def _is_harmless(url: str, *_: object) -> bool:
    """Allow links to the web, to headings and to files near by, and no other scheme."""
    scheme = re.match(r"\s*([a-z][a-z0-9+.-]*):", url, re.IGNORECASE)
    if scheme:
        return scheme[1].lower() in {"http", "https"}
    # Two slashes begin the name of a host, one the root of a disk.
    return not url.lstrip().startswith("/")


def _with_folds(tokens: "Sequence[Token]") -> "list[Token]":
    """Turn the paragraphs that begin and end a folded part into its tags.

    Nothing else of HTML is taken over; foreign text has no ``<`` that is not escaped.
    """
    found: list[Token] = []
    skip = 0
    for place, token in enumerate(tokens):
        if skip:
            skip -= 1
            continue
        inline = tokens[place + 1] if token.type == "paragraph_open" else None
        tag = "" if inline is None else _fold_tag(inline.content)
        if tag:
            token.type, token.content, token.nesting = "html_block", tag, 0
            skip = 2
        found.append(token)
    return found


def _fold_tag(text: str) -> str:
    start = FOLD_START.fullmatch(text)
    if start:
        return f"<details>\n<summary>{escape_html(start[1])}</summary>\n"
    return f"{FOLD_END}\n" if text == FOLD_END else ""


def _anchored_headings(tokens: Sequence["Token"]) -> Iterator[tuple[str, str, str]]:
    """Give each heading an id as GitHub does; yield tag, id and text."""
    used: dict[str, int] = {}
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            text = "".join(child.content for child in inline.children or ()).strip()
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            n_before = used.get(slug, 0)
            used[slug] = n_before + 1
            anchor = f"{slug}-{n_before}" if n_before else slug
            token.attrSet("id", anchor)
            yield token.tag, anchor, text


def _mark_numbers(tokens: Sequence["Token"]) -> None:
    """Tell columns of numbers from text, and keep a number on one line."""
    for token, inline in pairwise(tokens):
        if token.type not in {"td_open", "th_open"}:
            continue
        style = token.attrs.pop("style", "")
        if style != "text-align:right":
            continue
        token.attrSet("class", "number")
        for child in inline.children or ():
            child.content = re.sub(
                r"\[[^\]]*\]|(?<=\d) (?=%)|(?<=<) (?=\d)",
                lambda found: found[0].replace(" ", NO_BREAK_SPACE),
                child.content,
            )


def _images(tokens: Iterable["Token"]) -> Iterator["Token"]:
    for token in tokens:
        if token.type == "image":
            yield token
        else:
            yield from _images(token.children or ())


def _embedded(address: str, source: Path) -> str:
    """Make a data URI of an image in the folder of the report."""
    folder = source.parent.resolve()
    file = (folder / unquote(address)).resolve()
    kind = IMAGE_TYPES.get(file.suffix.lower())
    if kind is None or not file.is_relative_to(folder) or not file.is_file():
        raise StudyError(
            f"{source}: an image must be a PNG or JPEG file in the folder of the report, "
            f"but {address!r} is not; write the report again."
        )
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"


def _contents(headings: Iterable[tuple[str, str, str]]) -> str:
    entries = "".join(
        f"<li{' class=sub' if tag == 'h3' else ''}>"
        f'<a href="#{escape_html(anchor)}">{escape_html(text)}</a></li>\n'
        for tag, anchor, text in headings
        if tag in {"h2", "h3"}
    )
    if not entries:
        return ""
    return (
        f'<nav aria-label="Contents">\n<p>Contents</p>\n<ol>\n{entries}</ol>\n</nav>\n'
    )
