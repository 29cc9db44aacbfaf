"""What a search runs on: kept with a study, because versions change numbers."""

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

__all__ = ["environment"]


def environment() -> dict[str, Any]:
    """Name Python, the platform and the packages that harness depends on.

    Returns
    -------
    dict
        JSON-like: ``python``, ``platform`` (with the number of cores, on which times
        depend), ``packages`` (name to version).
    """
    needed = [r for r in requires("harness") or () if "extra ==" not in r]
    names = sorted(
        re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in needed
    )
    cores = os.cpu_count() or 1
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": (
            f"{platform.system()} {platform.machine()}, {cores} "
            f"core{'s' if cores > 1 else ''}"
        ),
        "packages": {name: found for name in names if (found := _version(name))},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
