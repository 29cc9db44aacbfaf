"""Figures beside their aims, the machine they are of, and what processes take."""

import json
import os
import platform
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from harness.evaluation.worker_process import n_cores

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Figure:
    """One number, and what it should be: at most the aim, or at least."""

    name: str
    value: float
    unit: str
    aim: float | None = None
    at_least: bool = False

    def cells(self):
        """Give its name, its value, its aim, and whether that is met."""
        if self.aim is None:
            return self.name, f"{self.value:.4g} {self.unit}", "", ""
        sign = ">=" if self.at_least else "<="
        is_met = self.value >= self.aim if self.at_least else self.value <= self.aim
        return (
            self.name,
            f"{self.value:.4g} {self.unit}",
            f"{sign} {self.aim:.4g}",
            "yes" if is_met else "no",
        )


def show(figures):
    """Print figures as a table in Markdown, with the machine in its head."""
    print(f"\n{machine()}\n")
    rows = [("figure", "measured", "aim", "met"), *(f.cells() for f in figures)]
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    rows.insert(1, tuple("-" * width for width in widths))
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("|", " | ".join(cells), "|")


def machine():
    """Say what all this was measured on."""
    model = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [x.split(":")[1].strip() for x in lines if x.startswith("model name")]
        model = names[0] if names else model
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{n_cores()} cores ({model}), {memory:.0f} GiB, load average {load}, "
        f"Python {platform.python_version()}, {time.strftime('%Y-%m-%d %H:%M')}"
    )


def write(figures, path):
    """Keep figures for the process that has started this one."""
    path.write_text(json.dumps([asdict(figure) for figure in figures]))


def read(path):
    """Read what `write` has kept."""
    return [Figure(**each) for each in json.loads(path.read_text())]


def harness_command(*words):
    """Give the command line of harness as it is in this working tree."""
    return [sys.executable, "-m", "harness", *map(str, words)]


def environment(**more):
    """Give the environment in which `harness_command` finds this working tree."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


class CpuSeconds(threading.Thread):
    """Follows the CPU seconds of this process and of all that it has started."""

    def __init__(self):
        super().__init__(daemon=True)
        self._process, self._workers = psutil.Process(), {}
        self._lock = threading.Lock()

    def run(self):
        """Look often: what a worker takes after the last look before its end is lost."""
        while True:
            self.now()
            time.sleep(0.2)

    def now(self):
        """Tell the seconds of this process, and of the others."""
        with self._lock:
            for worker in self._process.children(recursive=True):
                with suppress(psutil.Error):
                    self._workers[worker.pid] = sum(worker.cpu_times()[:2])
            return sum(self._process.cpu_times()[:2]), sum(self._workers.values())


class Memory(threading.Thread):
    """Follows a process and its children: resident memory, shared pages once, and CPU."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self._process = psutil.Process(pid)
        self.peaks = {"all": 0.0, "main": 0.0, "largest child": 0.0}
        self.seconds = {}

    def run(self):
        """Look twice a second until the process has ended."""
        with suppress(psutil.NoSuchProcess):
            while self._process.is_running():
                self._look()
                time.sleep(0.5)

    def _look(self):
        sizes = {}
        for process in [self._process, *self._process.children(recursive=True)]:
            try:
                sizes[process.pid] = process.memory_full_info().pss
                used = process.cpu_times()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            self.seconds[process.pid] = used.user + used.system
        main = sizes.pop(self._process.pid, 0)
        now = {
            "all": main + sum(sizes.values()),
            "main": main,
            "largest child": max(sizes.values(), default=0),
        }
        self.peaks = {name: max(size, self.peaks[name]) for name, size in now.items()}
