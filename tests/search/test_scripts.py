"""Scripts that start a study with workers, with and without a guard."""

import subprocess
import sys

import pytest

BODY = """
from pathlib import Path
from typing import ClassVar
from dataclasses import dataclass
import sys

import numpy as np

from harness.data.catalogue import Catalogue
from harness.data.dataset import DatasetFacts
from harness.data.ratings import Ratings, RatingScale
from harness.evaluation.splits import SplitFacts
from harness.models.baseline.model import Baseline
from harness.search.engine import Budget
from harness.search.records import NoListener
from harness.search.space import load_space
from harness.search.study import StudyPlan, run_study

print("imported", flush=True)


@dataclass(kw_only=True)
class Own(Baseline):
    name: ClassVar[str] = "own"


family = Own if sys.argv[1] == "own" else Baseline
rng = np.random.default_rng(0)
ratings = Ratings.from_columns(
    [str(k) for k in rng.integers(0, 20, 300)],
    [str(k) for k in rng.integers(0, 50, 300)],
    rng.integers(1, 6, 300),
    scale=RatingScale(1, 5),
)
path = Path("space.toml")
path.write_text(f'family = "{family.name}"\\n[parameters]\\n')


def start():
    plan = StudyPlan(
        name="toy", storage="optuna.log", family=family,
        space=load_space(path, family), sampler="random", pruner="none", n_folds=5,
        seed=0, dataset=DatasetFacts(
            name="toy", source="", fingerprint="", ratings_fingerprint="",
            n_users=20, n_items=500, n_ratings=300, scale=(1, 5),
        ),
        split=SplitFacts(
            method="none", seed=0, test_share=0.2, fingerprint="", n_train=300, n_test=0
        ), code_version="0",
    )
    record = run_study(
        plan, ratings, Catalogue.empty(), jobs=2, budget=Budget(n_trials=3),
        listener=NoListener(),
    )
    print([t.state for t in record.trials], flush=True)

"""
BARE = BODY + "start()\n"
GUARDED = BODY + 'if __name__ == "__main__":\n    start()\n'


@pytest.fixture
def run_script(tmp_path):
    def run(text, family):
        (tmp_path / "script.py").write_text(text)
        return subprocess.run(
            [sys.executable, "script.py", family],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_a_script_without_a_guard_is_not_started_again_by_its_workers(run_script):
    done = run_script(BARE, "shipped")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("imported") == 1
    assert "['complete']" in done.stdout


def test_a_guarded_script_with_a_family_of_its_own_works(run_script):
    done = run_script(GUARDED, "own")
    assert done.returncode == 0, done.stderr
    assert "['complete']" in done.stdout


def test_without_a_guard_a_family_of_its_own_gets_one_sentence(run_script):
    done = run_script(BARE, "own")
    assert done.returncode != 0
    assert done.stderr.count("Traceback") == 1  # the script does not catch it
    assert 'if __name__ == "__main__":' in done.stderr.replace("'", '"')
    assert "complete" not in done.stdout
