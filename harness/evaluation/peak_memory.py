"""How much memory this process has used at its peak."""

import ctypes
import gc
import sys
from pathlib import Path

__all__ = ["peak_bytes", "restart_peak"]

_OWN_STATUS = Path("/proc/self/status")
_OWN_REFERENCES = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def restart_peak() -> None:
    """Let the peak start from what is in use now, as far as the system can.

    Memory that was freed is given back first; else what comes next would seem to cost
    nothing as long as it fits into it. Linux can start the peak again; elsewhere it is
    that of the whole life of the process.
    """
    gc.collect()
    if not sys.platform.startswith("linux"):
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc has it, musl does not
        trim(0)
    try:
        _OWN_REFERENCES.write_text(_RESET_PEAK)
    except OSError:  # some containers do not allow it
        return


def peak_bytes() -> int | None:
    """Read the largest resident set of this process.

    Returns
    -------
    int or None
        In bytes, since `restart_peak` on Linux, else since the start; None on systems
        that do not tell (Windows).
    """
    if _OWN_STATUS.exists():
        # Not ru_maxrss: on Linux a process inherits that of the one that started it.
        for line in _OWN_STATUS.read_text().splitlines():
            name, _, size = line.partition(":")
            if name == "VmHWM":
                return int(size.split()[0]) * 1024
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
