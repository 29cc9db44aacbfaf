"""A page of the documentation that is run: its commands, its Python, its files.

In a page, a block with ``title="NAME"`` is a file, ``console`` blocks are commands with what
they print, and ``python`` blocks are scripts; a ``text`` block right after one is what it
prints. Numbers are compared only in their place: times differ between machines, and so, in
the last digits, do sums. ``<!-- slow -->`` before a block leaves it out unless
``HARNESS_SLOW=1``. ``HARNESS_UPDATE_DOCS=1`` writes what is printed today into the pages.
"""

import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
ELSEWHERE = {"callback.md", "statistics.md"}
"""Pages with tests of their own, which check more than that they run."""
PAGES = sorted(path for path in DOCS.glob("*.md") if path.name not in ELSEWHERE)


ASKED_FOR = pytest.mark.skipif(
    not ({"HARNESS_DOCS", "HARNESS_UPDATE_DOCS"} & set(os.environ)),
    reason="takes minutes: set HARNESS_DOCS=1",
)
SLOW = "<!-- slow -->\n"
BLOCK = re.compile(
    rf'({SLOW})?```(?P<kind>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<body>.*?)```'
    r"(?P<tail>\n\n```text\n(?P<printed>.*?)```)?",
    re.DOTALL,
)
UPDATE = bool(os.environ.get("HARNESS_UPDATE_DOCS"))
ALL = UPDATE or bool(os.environ.get("HARNESS_SLOW"))
BROKEN = "user,item,rating\na,x,4\nb,x,five\n"


COUNT = re.compile(r" +\d+/\d+ .*s left$")


def shortened(lines):
    """Leave out all live counts but the first and the last."""
    counts = [k for k, line in enumerate(lines) if COUNT.match(line)]
    between = counts[1:-1]
    return (
        [
            "  ..." if k == between[0] else line
            for k, line in enumerate(lines)
            if k not in between[1:]
        ]
        if between
        else lines
    )


def masked(text):
    """Blank out what may differ: numbers, and how far tables and lines are padded."""
    # How far a live count has come by a tenth, and which range is too narrow, may differ.
    text = re.sub(r"(?m)^ +(\d+/\d+ .*|\.\.\.)$", "", text)
    text = re.sub(
        r"(?m)^.*(at the edge|widen|Caveats \().*$", "", text, flags=re.IGNORECASE
    )
    # What a factor adds, and to which side it points, are in the last digits as well.
    text = re.sub(r"[+-](?=\d| side)", "", text)
    text = re.sub(r"\b[0-9a-f]{16,32}\b", "#", text)
    text = re.sub(r"\d[\d,]*(\.\d+)?(e-?\d+)?", "#", text)
    text = re.sub(r"[ ─━]+", " ", text)
    return [line.strip() for line in text.splitlines() if line.strip()]


@dataclass
class Page:
    """One page, and the folder in which it is run."""

    path: Path
    folder: Path
    servers: list = field(default_factory=list)

    def run(self):
        """Run all blocks in order; give pairs of what is shown and what is printed."""
        text = self.path.read_text()
        (self.folder / "broken.csv").write_text(BROKEN)
        pairs = []

        def play(found):
            if found[1] and not ALL:
                return found[0]
            shown, printed, new = self._play(found)
            pairs.append((shown, printed))
            return f"{found[1] or ''}{new}"

        new = BLOCK.sub(play, text)
        if UPDATE:
            self.path.write_text(new)
            return [(printed, printed) for _, printed in pairs]
        return pairs

    def _play(self, found):
        kind, body, title = found["kind"], found["body"], found["title"]
        block = found[0].removeprefix(found[1] or "")
        if title:
            self._write(title, body)
        elif kind == "console":
            printed = self._session(body)
            return body, printed, f"```console\n{printed}```{found['tail'] or ''}"
        elif kind == "python" and not body.startswith(">>>"):
            # Unless the page shows it, what a script prints is not compared.
            printed = self._script(body)
            if found["tail"]:
                new = block.removesuffix(f"{found['printed']}```") + f"{printed}```"
                return found["printed"], printed, new
        return "", "", block

    def _write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        if path.name == "pyproject.toml":
            self._install(path)

    def _install(self, path):
        """Do what ``pip install -e .`` would do there, without a network."""
        project = tomllib.loads(path.read_text())["project"]
        name, version = project["name"].replace("-", "_"), project["version"]
        facts = self.folder / f"{name}-{version}.dist-info"
        facts.mkdir(exist_ok=True)
        (facts / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\n"
        )
        lines = []
        for group, entries in project["entry-points"].items():
            lines += [f"[{group}]", *(f"{k} = {v}" for k, v in entries.items())]
        (facts / "entry_points.txt").write_text("\n".join(lines) + "\n")

    def _session(self, body):
        lines = []
        for command in (line[2:] for line in body.splitlines() if line[:2] == "$ "):
            lines.append(f"$ {command}")
            printed = [
                line.rstrip()
                for line in self._shell(command).splitlines()
                # A busy machine may leave runs for `harness sync`.
                if not line.startswith("Not everything is logged to MLflow")
            ]
            lines += shortened(printed)
        return "\n".join(lines) + "\n"

    @property
    def _environment(self):
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        more = {"PATH": path, "COLUMNS": "100", "TERM": "dumb"}
        return kept | more | {"PYTHONPATH": str(self.folder)}

    def _shell(self, command):
        if command.endswith("&"):
            self.servers.append(
                subprocess.Popen(
                    f"exec {command.removesuffix('&')}",
                    shell=True,
                    cwd=self.folder,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                )
            )
            return ""
        return subprocess.run(
            command,
            shell=True,
            check=False,
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1800,
        ).stdout

    def _script(self, body):
        path = self.folder / "script.py"
        path.write_text(body)
        ran = subprocess.run(
            [sys.executable, path.name],
            check=False,
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1800,
        )
        assert ran.returncode == 0, f"{body}\n{ran.stderr}"
        return ran.stdout

    def make_ratings(self):
        """Write the ratings and titles that all pages use, as the tutorial does."""
        tutorial = (ROOT / "docs" / "tutorial.md").read_text()
        for found in BLOCK.finditer(tutorial):
            if found["title"]:
                self._write(found["title"], found["body"])
        self._shell("python make_ratings.py")

    def stop(self):
        """Stop the servers that commands have started."""
        for server in self.servers:
            server.terminate()
            server.wait(60)
