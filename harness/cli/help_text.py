"""Help texts from docstrings, flowing with the width of the terminal."""

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["help_of"]


def help_of(command: Callable[..., Any]) -> str:
    """Write the docstring of a command as its help.

    Parameters
    ----------
    command : callable
        With a docstring.

    Returns
    -------
    str
        Each paragraph on one line, for the terminal to break where it is full; examples
        stay as they are.
    """
    text, mark, examples = (inspect.getdoc(command) or "").partition("Examples\n---")
    paragraphs = (" ".join(part.split()) for part in text.strip().split("\n\n"))
    return "\n\n".join(paragraphs) + (f"\n\n{mark}{examples}" if mark else "")
