"""A new MLflow database: there as a whole, or not at all."""

import os
import time
from pathlib import Path

__all__ = ["create_database"]

_STALE_SECONDS = 60.0


def create_database(path: Path) -> None:
    """Create a database with all its tables, unless there is one.

    MLflow makes its tables one by one; a process killed in between leaves a file that
    no MLflow opens again. So they are made in a file beside, which is then given its
    name. If two processes do it at once, one file remains, and it is whole.

    Parameters
    ----------
    path : Path
        The database file.

    Raises
    ------
    OSError, MlflowException
        If it cannot be written.
    """
    if path.exists():
        return
    _remove_stale(path)
    scratch = path.with_name(f"{path.name}.{os.getpid()}.new")
    from mlflow import MlflowClient

    try:
        MlflowClient(f"sqlite:///{scratch}").search_experiments(max_results=1)
        try:
            # Unlike a renaming, a link never replaces what another process has made.
            path.hardlink_to(scratch)
        except FileExistsError:
            return
        except OSError:  # a file system without links
            scratch.rename(path)
    finally:
        scratch.unlink(missing_ok=True)


def _remove_stale(path: Path) -> None:
    for scratch in path.parent.glob(f"{path.name}.*.new"):
        try:
            if time.time() - scratch.stat().st_mtime > _STALE_SECONDS:
                scratch.unlink()
        except FileNotFoundError:  # its own process was faster
            continue
