"""A folder of files that replaces an earlier one as a whole, or not at all."""

import shutil
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from harness.errors import StudyError

__all__ = ["write_folder"]


def write_folder(
    folder: Path,
    compose: Callable[[Path], None],
    *,
    last: Collection[str],
    replaced: Collection[str],
) -> None:
    """Write files that belong together."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target: a move within one file system cannot stop half-way.
        scratch = tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent)
        try:
            compose(Path(scratch))
            written = _move_over(Path(scratch), folder, last)
            for name in set(replaced) - written:
                (folder / name).unlink(missing_ok=True)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise StudyError(
            f"The report cannot be written to {folder}: {error.strerror or error}; "
            "choose another folder."
        ) from error


def _move_over(scratch: Path, folder: Path, last: Collection[str]) -> set[str]:
    folder.mkdir(exist_ok=True)
    names = sorted(path.name for path in scratch.iterdir())
    for name in sorted(names, key=lambda name: name in last):
        (scratch / name).replace(folder / name)
    return set(names)
