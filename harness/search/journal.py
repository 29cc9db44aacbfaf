"""Optuna's journal file as a backend that writes several operations at once."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from filelock import FileLock
from optuna.storages.journal import BaseJournalBackend

from harness.errors import StudyError

__all__ = ["Journal"]

Operation: TypeAlias = dict[str, Any]
"""A line of the file: a code for what is done, and its arguments."""


class Journal(BaseJournalBackend):
    """A file in Optuna's journal format, one operation a line.

    Optuna's own `JournalFileBackend` makes a durable write (``fsync``) of each operation,
    a dozen for a trial. Its lock is a file that a killed process leaves behind; the next
    start would wait 30 seconds for it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path.with_name(path.name + ".flock"))
        # What of the file was read: operations and bytes.
        self._n_read = 0
        self._position = 0
        self._last = b""
        # Operations of `one_write`, None outside of it; and how many of them were read.
        self._pending: list[bytes] | None = None
        self._n_pending_read = 0
        if not path.parent.is_dir():
            # The lock would make one.
            raise StudyError(
                f"The storage {path} cannot be opened: there is no folder {path.parent}."
            )
        with self._locked():
            path.touch()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with self._lock:
                self._cut_torn_tail()
                yield
        except OSError as error:
            raise StudyError(
                f"The journal {self._path} cannot be written: {error.strerror or error}. "
                "What was written before is kept: the same command goes on from there."
            ) from error

    def _cut_torn_tail(self) -> None:
        """Remove half a line that a killed writer has left at the end."""
        if not self._path.exists() or self._path.stat().st_size == 0:
            return
        with self._path.open("rb") as journal:
            journal.seek(-1, os.SEEK_END)
            if journal.read() == b"\n":
                return
        os.truncate(self._path, self._path.read_bytes().rfind(b"\n") + 1)

    @contextmanager
    def one_write(self) -> Iterator[None]:
        """Collect the operations inside, and write them at the end, all at once.

        They are read back as if they were written; nobody else writes meanwhile.
        """
        if self._pending is not None:
            yield
            return
        with self._locked():
            self._pending, self._n_pending_read = [], 0
            try:
                yield
            finally:
                lines, self._pending = self._pending, None
                self._write(lines)
                read = lines[: self._n_pending_read]
                self._n_read += len(read)
                self._position += sum(map(len, read))
                self._last = read[-1] if read else self._last

    def is_continued(self) -> bool:
        """Tell whether what was read is still there: not another file by this name."""
        with self._path.open("rb") as journal:
            journal.seek(self._position - len(self._last))
            return journal.read(len(self._last)) == self._last

    def append_logs(self, logs: list[Operation]) -> None:
        """Add operations: now, or at the end of `one_write`."""
        lines = [
            json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs
        ]
        if self._pending is not None:
            self._pending += lines
            return
        with self._locked():
            self._write(lines)

    def _write(self, lines: list[bytes]) -> None:
        if not lines:
            return
        with self._path.open("ab") as journal:
            before = journal.tell()
            try:
                journal.write(b"".join(lines))
                journal.flush()
                os.fsync(journal.fileno())
            except OSError:
                # A full disk takes a part of it: all or nothing.
                os.truncate(self._path, before)
                raise

    def read_logs(self, log_number_from: int) -> Iterator[Operation]:
        """Read operations from a number on, those of `one_write` included."""
        if log_number_from < self._n_read:
            self._n_read, self._position = 0, 0
        with self._path.open("rb") as journal:
            journal.seek(self._position)
            yield from self._read_lines(journal, log_number_from)
        for line in (self._pending or [])[self._n_pending_read :]:
            self._n_pending_read += 1
            yield json.loads(line)

    def _read_lines(
        self, lines: Iterable[bytes], log_number_from: int
    ) -> Iterator[Operation]:
        for line in lines:
            if not line.endswith(b"\n"):
                return  # somebody is writing it
            log = self._parse(line)
            self._n_read += 1
            self._position += len(line)
            self._last = line
            if self._n_read > log_number_from:
                yield log

    def _parse(self, line: bytes) -> Operation:
        try:
            log = json.loads(line)
        except ValueError:
            log = None
        if isinstance(log, dict) and "op_code" in log:
            return log
        shown = line.strip()[:40].decode(errors="replace")
        raise StudyError(
            f"{self._path}:{self._n_read + 1}: must be an operation of an Optuna journal, "
            f"but is {shown!r}: remove this line, or restore the file from a copy."
        )
