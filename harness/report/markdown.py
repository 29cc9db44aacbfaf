"""Markdown that foreign text cannot break: escaping, code spans, tables."""

import re
from collections.abc import Iterable, Sequence

__all__ = ["FOLD_END", "FOLD_START", "code", "escape", "fold", "table"]


_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_LONGEST = 300


def _one_line(text: object, longest: int = _LONGEST) -> str:
    line = " ".join(re.sub(r"[\x00-\x1f\x7f\u2028\u2029]", " ", str(text)).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def escape(text: object, *, longest: int = _LONGEST) -> str:
    r"""Write text that is not ours so that it stands there as it is, on one line.

    Examples
    --------
    >>> print(escape("a|b <i> *c*"))
    a|b &lt;i&gt; \*c\*
    """
    plain = _one_line(text, longest).translate(_ENTITIES)
    marked = re.sub(r"([\\`*_{}\[\]~$#!])", r"\\\1", plain)
    # At the start of a line these would begin a list or a heading.
    return re.sub(r"^(\d*)([.)]|[-+=])(?=\s|$)", r"\1\\\2", marked)


def code(text: object) -> str:
    """Write text that is not ours as a code span.

    Examples
    --------
    >>> print(code("n_factors"))
    `n_factors`
    """
    plain = _one_line(text) or " "
    fence = "`" * (max(map(len, re.findall("`+", plain)), default=0) + 1)
    pad = " " if "`" in plain else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, align: str = ""
) -> str:
    r"""Lay out a table; cells are markdown already, and a ``|`` in them is escaped.

    Examples
    --------
    >>> print(table(["model", "RMSE"], [["tuned", "0.9034"]], align="lr"))
    | model | RMSE |
    | :--- | ---: |
    | tuned | 0.9034 |
    """
    rules = ["---:" if side == "r" else ":---" for side in align.ljust(len(head), "l")]
    lines = [head, rules, *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


FOLD_START = re.compile(r"<details>\n<summary>([^<>]+)</summary>")
FOLD_END = "</details>"


def fold(summary: str, body: str) -> str:
    """Write a part that is shown when its summary is clicked; nothing without a body.

    Examples
    --------
    >>> print(fold("All pairs", "Text."))
    <details>
    <summary>All pairs</summary>
    <BLANKLINE>
    Text.
    <BLANKLINE>
    </details>
    """
    if not body:
        return ""
    opening = f"<details>\n<summary>{summary}</summary>"
    return f"{opening}\n\n{body}\n\n{FOLD_END}"


def _cell(text: str) -> str:
    # In a table a bar ends the cell even inside a code span.
    return text.replace("|", "\\|")
