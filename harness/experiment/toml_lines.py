"""Where in the text of a TOML file a key stands, for error messages."""

import re

__all__ = ["line_of"]

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?")


def line_of(text: str, key: str) -> int | None:
    r"""Find the line of a key.

    Parameters
    ----------
    text : str
        Valid TOML.
    key : str
        Path to the key, with dots; entries of arrays of tables are counted from 0:
        ``claims.2.value``.

    Returns
    -------
    int or None
        Number of the line, from 1, that sets the key, or else the innermost table above
        it that has a header; None if there is neither.

    Examples
    --------
    >>> line_of("[[claims]]\nvalue = 1\n[[claims]]\nvalue = 2", "claims.1.value")
    4
    """
    wanted = key.split(".")
    best: tuple[int, int] | None = None
    table: list[str] = []
    counts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            name = header[2].replace('"', "").replace(" ", "")
            table = name.split(".")
            if header[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                table.append(str(counts[name]))
            here = table
        else:
            found = re.match(r"""^\s*["']?([\w.-]+)["']?\s*=""", line)
            here = [*table, *found[1].split(".")] if found else []
        depth = len(here)
        if here and here == wanted[:depth] and (best is None or depth > best[0]):
            best = (depth, number)
    return best[1] if best else None
