"""Which code is running."""

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness import __version__

__all__ = ["DISTRIBUTION", "code_version", "installed_version"]

DISTRIBUTION = "recommender-harness"
"""Name on package indexes, where `harness` is another project."""


@cache  # Else each study reads the descriptions of all packages: 40 ms.
def installed_version(package: str) -> str | None:
    """Name the version of a package, where it is installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def code_version() -> str:
    """Name the version of harness, with the commit where it runs from a checkout."""
    checkout = Path(__file__).parent.parent
    if not (checkout / ".git").exists():
        return __version__
    commit = _git(checkout, "rev-parse", "--short", "HEAD")
    if commit is None:
        return __version__
    changed = _git(checkout, "status", "--porcelain", "--untracked-files=no")
    return f"{__version__}+g{commit}{'.dirty' if changed else ''}"


def _git(checkout: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "-C", str(checkout), *arguments],  # noqa: S607 - the user's git
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
