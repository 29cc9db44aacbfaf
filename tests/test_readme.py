"""The README is true: its commands run, and print what it shows.

Numbers are compared only in their place: times differ between machines, and so, in the
last digits, do sums. ``HARNESS_UPDATE_README=1 pytest tests/test_readme.py`` writes what
the commands print today into the README. Commands that take minutes are marked in it;
they are run then, and with ``HARNESS_SLOW=1``.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
SLOW = "<!-- slow -->\n"
BLOCK = re.compile(rf"({SLOW})?```console\n(.*?)```", re.DOTALL)
UPDATE = bool(os.environ.get("HARNESS_UPDATE_README"))
ALL = UPDATE or bool(os.environ.get("HARNESS_SLOW"))
MY_RATINGS = """\
member,book,stars
"""


def blocks(text):
    """The commands with what they print; without the slow ones, unless they are wanted."""
    return [found[2] for found in BLOCK.finditer(text) if ALL or not found[1]]


def commands_of(block):
    return [line[2:] for line in block.splitlines() if line.startswith("$ ")]


def masked(text):
    """Blank out what may differ: numbers, and how far tables and lines are padded."""
    # How far a live count has come by a tenth, and which range is too narrow, may differ.
    text = re.sub(r"(?m)^ +\d+/\d+ .*$", "", text)
    text = re.sub(r" \*\*Widen the range\*\*.*", "", text)
    # What a factor adds, and to which side it points, are in the last digits as well.
    text = re.sub(r"[+-](?=\d| side)", "", text)
    text = re.sub(r"\d[\d,]*(\.\d+)?(e-?\d+)?", "#", text)
    text = re.sub(r"[ ─━]+", " ", text)
    return [line.strip() for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with the files that the README speaks of."""
    import numpy as np

    folder = tmp_path_factory.mktemp("readme")
    rng = np.random.default_rng(0)
    pairs = rng.choice(80 * 50, size=1200, replace=False)
    level = 6 + 1.5 * rng.normal(size=80)[pairs // 50] + rng.normal(size=50)[pairs % 50]
    stars = np.clip(np.round(level + rng.normal(size=1200)), 1, 10)
    rows = [
        f"m{pair // 50},b{pair % 50},{star:.0f}\n"
        for pair, star in zip(pairs, stars, strict=True)
    ]
    (folder / "my-ratings.csv").write_text(MY_RATINGS + "".join(rows))
    broken = "user,item,rating\na,x,4\nb,x,five\n"
    (folder / "broken.csv").write_text(broken)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    """Run a command line there as a user would."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "100",
        "TERM": "dumb",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)

    def run_line(line):
        if line.endswith("&"):
            servers.append(start(line))
            return ""
        return subprocess.run(
            line,
            shell=True,
            check=False,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
        ).stdout

    def start(line):
        return subprocess.Popen(
            f"exec {line.removesuffix('&')}",
            shell=True,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
        )

    servers = []
    yield run_line
    for server in servers:
        server.terminate()
        server.wait(60)


def test_every_command_prints_what_the_readme_shows(run):
    text = README.read_text()
    printed = []
    for block in blocks(text):
        lines = []
        for command in commands_of(block):
            lines.append(f"$ {command}")
            lines += [line.rstrip() for line in run(command).splitlines()]
        printed.append("\n".join(lines) + "\n")
    if UPDATE:
        new = iter(printed)
        README.write_text(
            BLOCK.sub(lambda found: f"{found[1] or ''}```console\n{next(new)}```", text)
        )
    for shown, today in zip(blocks(README.read_text()), printed, strict=True):
        assert masked(shown) == masked(today)


def test_the_two_commands_to_set_up_are_there():
    shell = re.findall(r"```sh\n(.*?)\n```", README.read_text(), re.DOTALL)
    main, tests = shell[:2]
    assert main.endswith("&& .venv/bin/harness study svd --trials 100")
    assert tests.endswith("&& .venv/bin/python -m pytest")
    assert "\n" not in main + tests


def test_the_space_it_shows_is_sound(tmp_path):
    from harness.models.svd.model import SVD
    from harness.search.space import load_space

    (shown,) = re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL)
    path = tmp_path / "svd.toml"
    path.write_text(shown)
    load_space(path, SVD)


def test_every_command_of_harness_is_in_it():
    import typer.main

    from harness.cli import app

    text = README.read_text()
    for name in typer.main.get_command(app).commands:
        assert f"harness {name}" in text


def test_the_pictures_it_shows_are_there():
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README.read_text()):
        assert (README.parent / path).is_file()
