"""A search space as a study keeps it, written back as TOML."""

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["space_toml"]


def space_toml(
    family: str, space: Mapping[str, Mapping[str, Any]], initial: Mapping[str, Any]
) -> str:
    """Write a search space so that `load_space` reads the same.

    Parameters
    ----------
    family : str
        Name of the family.
    space : mapping of str to mapping
        As `SearchSpace.describe` gives it.
    initial : mapping
        Hyperparameters of trial 0.

    Returns
    -------
    str
        The content of a TOML file.
    """
    lines = [f"family = {_value(family)}", "", "[parameters]"]
    lines += [f"{_key(name)} = {_value(facts)}" for name, facts in space.items()]
    lines += ["", "[initial]"]
    lines += [f"{_key(name)} = {_value(value)}" for name, value in initial.items()]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name, re.ASCII) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float):
        return repr(value)
    # Texts, truth values and integers are written in TOML as they are in JSON.
    return json.dumps(value, ensure_ascii=False)
