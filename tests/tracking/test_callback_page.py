"""The page of the callback is true: its Python blocks run, one after the other."""

import os
import re
import subprocess
import sys
from pathlib import Path

from harness.tracking.store import SyncCounts

PAGE = Path(__file__).parents[2] / "docs" / "callback.md"


def test_the_python_blocks_run_and_log(tmp_path, read_runs):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 6
    (tmp_path / "page.py").write_text("\n".join(blocks))
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    ran = subprocess.run(
        [sys.executable, "page.py"],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Not all trials" not in ran.stderr
    assert ran.stdout == f"{SyncCounts(unchanged=2)}\n"
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tops, children = read_runs(uri)
    by_study = {}
    for run in children:
        by_study.setdefault(run.data.tags["optuna.study"], []).append(run)
    numbers = {name: len(runs) for name, runs in by_study.items()}
    # A callback logs its study: also the five trials that another has logged elsewhere.
    assert numbers == {"parabola": 25, "ask-and-tell": 3, "training": 4, "broken": 1}
    assert {run.info.run_name for run in tops} == set(numbers)
    assert all("epoch_loss" in run.data.metrics for run in by_study["training"])
    assert "no data" in by_study["broken"][0].data.tags["optuna.error"]
    (top,), tuned = read_runs(uri, "tuning")
    assert len(tuned) == 25
    assert top.data.tags["team"] == "search"
    assert top.data.metrics.keys() == {"best_loss"}
