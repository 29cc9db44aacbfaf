"""Zip archives unpacked without trusting them."""

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

from harness.errors import DownloadError

__all__ = ["unpack"]

MOST_MEMBERS = 1_000
MOST_BYTES_PER_BYTE = 100
"""Text of ratings packs about fivefold and zeros about a thousandfold, so that a hundred
tells a large data set from a zip bomb."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip archive; a single folder around everything is left out.

    All members are checked before the first is written.

    Parameters
    ----------
    archive : Path
        The archive.
    folder : Path
        A folder that does not exist yet; it may be incomplete if this fails.

    Raises
    ------
    DownloadError
        If it is no zip archive, is damaged, or has a member that is encrypted, no plain
        file or folder, named twice, or would be written outside the folder; or if it
        would unpack to more than 100 times its size.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            _check(archive, members)
            files = [member for member in members if not member.is_dir()]
            n_around = _count_folders_around(files)
            folder.mkdir()
            for member in files:
                parts = PurePosixPath(member.filename).parts[n_around:]
                _write(opened, member, folder.joinpath(*parts))
    # zipfile raises RuntimeError and NotImplementedError for forms it does not know.
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise _refuse(archive, f"it is damaged: {error}") from error


def _count_folders_around(files: list[zipfile.ZipInfo]) -> int:
    """Count 1 if a single folder holds all files, else 0."""
    parts = [PurePosixPath(member.filename).parts for member in files]
    return int(len({p[0] for p in parts}) == 1 and all(len(p) > 1 for p in parts))


def _check(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    for member in members:
        problem = _problem(member)
        if problem:
            raise _refuse(archive, f"its member {member.filename[:80]!r} {problem}")
    names = {member.filename.rstrip("/").casefold() for member in members}
    if len(names) < len(members):
        raise _refuse(archive, "it holds a file twice")
    n_bytes = sum(member.file_size for member in members)
    most = MOST_BYTES_PER_BYTE * archive.stat().st_size
    if n_bytes > most or len(members) > MOST_MEMBERS:
        raise _refuse(
            archive,
            f"it would unpack to {n_bytes:,} bytes in {len(members):,} files, and at "
            f"most {most:,} bytes in {MOST_MEMBERS:,} files are allowed",
        )


def _problem(member: zipfile.ZipInfo) -> str | None:
    # What Windows takes for a path counts on all systems: "C:x", "..\\x".
    posix, windows = PurePosixPath(member.filename), PureWindowsPath(member.filename)
    outside = posix.is_absolute() or windows.drive or windows.root
    if outside or ".." in (*posix.parts, *windows.parts) or "\\" in member.filename:
        return "would be written outside the folder"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device, not a file"
    if member.flag_bits & 0x1:
        return "is encrypted"
    return None


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # zipfile reads no more than the declared size, which was checked.
    with opened.open(member) as packed, target.open("xb") as plain:
        shutil.copyfileobj(packed, plain, 2**20)


def _refuse(archive: Path, why: str) -> DownloadError:
    return DownloadError(
        f"{archive.name}: the archive was not unpacked, because {why}; "
        "download it from another place."
    )
