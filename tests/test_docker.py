"""Dockerfile and compose.yaml, as far as that can be shown without Docker.

``HARNESS_DOCS=1`` also installs what the image installs, from the files that it copies, and
runs a study with it.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
LINES = (
    (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
)  # one instruction each
INSTRUCTIONS = [line.split(maxsplit=1) for line in LINES if line and line[0] != "#"]
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


def arguments(name):
    return [words for instruction, words in INSTRUCTIONS if instruction == name]


def copied_from_here():
    return [w.split()[:-1] for w in arguments("COPY") if not w.startswith("--from")]


def test_the_image_copies_what_is_there_and_the_build_may_see():
    seen = (ROOT / ".dockerignore").read_text().splitlines()
    for sources in copied_from_here():
        for source in sources:
            assert (ROOT / source).exists()
            assert f"!{source}" in seen


def test_the_container_runs_as_an_ordinary_user():
    last_stage = max(k for k, line in enumerate(INSTRUCTIONS) if line[0] == "FROM")
    users = [words for name, words in INSTRUCTIONS[last_stage:] if name == "USER"]
    assert users == ["harness"]


def test_caches_lie_outside_of_what_is_read_only():
    settings = dict(re.findall(r"(\w+)=(\S+)", " ".join(arguments("ENV"))))
    for name in ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
        assert settings[name].startswith(("/tmp", "/cache"))


def test_any_user_can_write_where_something_is_written():
    # `docker run --user` has no name in the container, for which MLflow would ask.
    assert "USER=harness" in " ".join(arguments("ENV"))
    [made] = [words for words in arguments("RUN") if "install -d" in words]
    folders = made.split("install -d")[1].split()
    assert folders[:2] == ["-m", "1777"]
    assert {"/work", "/cache"} <= set(folders)


def test_services_call_commands_and_options_that_exist():
    import typer.main
    from mlflow.cli import cli as mlflow

    from harness.cli import app

    harness = typer.main.get_command(app)
    for service in SERVICES.values():
        programme = {"harness": harness, "mlflow": mlflow}.get(
            service.get("entrypoint", ["harness"])[0]
        )
        name, *words = service.get("command") or [None]
        if service.get("image") != "recommender-harness" or name is None:
            continue
        known = {o for p in programme.commands[name].params for o in p.opts}
        assert {w.split("=")[0] for w in words if w.startswith("--")} <= known


def test_names_between_services_are_services_and_mlflow_answers_to_its_own():
    text = (ROOT / "compose.yaml").read_text()
    assert set(re.findall(r"(?:@|http://)(\w+)[:/]", text)) == {"database", "mlflow"}
    assert {"database", "mlflow"} <= set(SERVICES)
    allowed = next(w for w in SERVICES["mlflow"]["command"] if "--allowed-hosts" in w)
    assert "mlflow:5000" in allowed.partition("=")[2].split(",")


@pytest.mark.skipif("HARNESS_DOCS" not in os.environ, reason="takes a minute")
def test_what_the_image_installs_from_what_it_copies_runs(tmp_path):
    source, target = tmp_path / "src", tmp_path / "harness"
    source.mkdir()
    for names in copied_from_here():
        for name in names:
            path = ROOT / name
            copy = shutil.copytree if path.is_dir() else shutil.copy
            copy(path, source / name)
    for words in arguments("RUN"):
        if "/opt/harness" in words:
            command = words.replace("/opt/harness", str(target))
            command = re.sub(r"^python ", f"{sys.executable} ", command)
            subprocess.run(command, shell=True, check=True, cwd=source)
    work = tmp_path / "work"
    work.mkdir()
    (entry,) = arguments("ENTRYPOINT")
    assert entry == '["harness"]'
    done = subprocess.run(
        [target / "bin" / "harness", "study", "svd", "--trials", "1", "--jobs", "1"],
        check=False,
        cwd=work,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(work),
            "MPLCONFIGDIR": str(work / "matplotlib"),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (work / "reports" / "svd-ott" / "report.html").exists()
