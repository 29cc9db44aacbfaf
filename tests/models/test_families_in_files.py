"""A family in a file of the user's own: ``my_model.py:MyModel``."""

import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import harness
from harness.cli import app
from harness.errors import MissingExtraError, UnknownNameError, UnsupportedError
from harness.models.families import family_in_file, load_family, reference_of
from harness.search.storage import read_study
from harness.serving.folder import read_model, write_model
from harness.tracking.location import locate

CODE = '''
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from harness.models.base import Recommender
from harness.models.hyperparameters import NonNegative


@dataclass(kw_only=True)
class Shrunk(Recommender):
    """The mean of the ratings, and a shift."""

    name: ClassVar[str] = "shrunk"
    shift: NonNegative = 0.0
    mean_: float = field(init=False, repr=False)

    def _fit(self, ratings, catalogue):
        self.mean_ = float(ratings.values.mean())

    def _predict(self, users, items):
        return np.full(len(users), self.mean_ + self.shift)
'''
SPACE = """family = "shrunk"

[parameters]
shift = { type = "float", low = 0.0, high = 0.5 }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with such a file and its search space."""
    (tmp_path / "mine.py").write_text(CODE)
    (tmp_path / "mine.toml").write_text(SPACE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    return tmp_path


def test_it_is_found_by_file_and_class_again_and_again(folder):
    family = load_family("mine.py:Shrunk")
    assert family.name == "shrunk"
    assert load_family(str(folder / "mine.py") + ":Shrunk") is family
    assert load_family("mine.py:Shrunk") is family
    assert reference_of(family) == "mine.py:Shrunk"
    assert reference_of(load_family("svd")) == "svd"


def test_a_file_that_was_edited_is_read_again(folder):
    before = load_family("mine.py:Shrunk")
    (folder / "mine.py").write_text(CODE.replace("+ self.shift", "- self.shift"))
    assert load_family("mine.py:Shrunk") is not before


def test_what_lies_beside_the_file_can_be_imported(folder):
    (folder / "beside_mine.py").write_text("NAME = 'shrunk'\n")
    (folder / "mine.py").write_text("from beside_mine import NAME\n" + CODE)
    assert load_family("mine.py:Shrunk").name == "shrunk"


@pytest.mark.parametrize(
    ("code", "reference", "error", "fact"),
    [
        (CODE, "other.py:Shrunk", UnsupportedError, "no file 'other.py'"),
        (CODE, "mine.py:Shrink", UnknownNameError, "'Shrunk'"),
        (CODE, "mine.py:np", UnsupportedError, "np in mine.py"),
        (
            CODE.replace('"shrunk"', '"svd"'),
            "mine.py:Shrunk",
            UnsupportedError,
            "'svd'",
        ),
        ("import no_such\n", "mine.py:A", MissingExtraError, "'no_such'"),
        ("x = 1\ny = 1 / 0\n", "mine.py:A", UnsupportedError, "mine.py:2"),
        ("x = = 1\n", "mine.py:A", UnsupportedError, "mine.py:1"),
        (
            CODE.replace("    name: ClassVar", "    # name: ClassVar"),
            "mine.py:Shrunk",
            UnsupportedError,
            "name",
        ),
    ],
)
def test_what_is_wrong_is_said(folder, code, reference, error, fact):
    (folder / "mine.py").write_text(code)
    with pytest.raises(error, match=fact):
        load_family(reference)


def test_it_is_tuned_by_workers_and_found_again_from_the_stores(folder, small_dataset):
    study = harness.tune(
        "mine.py:Shrunk",
        small_dataset,
        trials=2,
        jobs=2,
        location=locate(f"sqlite:///{folder}/mlflow.db"),
        progress=False,
    )
    assert study.name == f"shrunk-{small_dataset.name}"
    assert [*study.trials["state"]] == ["complete"] * 2
    [record] = study.results.studies.values()
    assert record.family == "shrunk"
    assert record.reference == "mine.py:Shrunk"
    assert "harness study mine.py:Shrunk" in study.report_path.read_text()


def test_without_a_search_space_the_file_to_write_is_named(folder):
    (folder / "mine.toml").unlink()
    with pytest.raises(harness.errors.HarnessError, match=r"mine\.toml.*shift"):
        harness.tune("mine.py:Shrunk", trials=1, jobs=1, progress=False)


def test_a_packaged_model_takes_its_code_along(folder, package_toy):
    packaged = package_toy("mine.py:Shrunk", shift=0.25)
    write_model(packaged, folder / "model")
    (folder / "mine.py").unlink()
    again = read_model(folder / "model").model
    pairs = np.array([0, 1]), np.array([2, 3])
    np.testing.assert_array_equal(again.predict(*pairs), packaged.model.predict(*pairs))


def test_code_of_a_model_that_needs_other_files_is_refused(folder):
    (folder / "mine.py").write_text("import left_at_home\n" + CODE)
    with pytest.raises(MissingExtraError, match=r"left_at_home.*one file"):
        family_in_file(folder / "mine.py", "shrunk")


def test_a_fit_that_fails_shows_file_and_line(folder):
    # Raised in a library, which the family's line has called.
    line, error = "np.linalg.inv(np.zeros((2, 2)))", "LinAlgError: Singular matrix"
    code = CODE.replace("self.mean_ = float(ratings.values.mean())", line)
    (folder / "mine.py").write_text(code)
    number = code.splitlines().index(f"        {line}") + 1
    (folder / "ratings.csv").write_text(
        "user,item,rating\n"
        + "".join(f"u{k % 5},i{k},{k % 4 + 1}\n" for k in range(40))
    )
    words = ["study", "mine.py:Shrunk", "--data", "ratings.csv", "--trials", "2"]
    result = CliRunner().invoke(app, [*words, "--split", "none", "--jobs", "1"])
    assert result.exit_code == 2
    place = f'File "{folder / "mine.py"}", line {number}'
    assert f"{error} ({place}, in _fit)" in " ".join(result.output.split())
    [*failed] = read_study("optuna.log", "shrunk-ratings").trials
    assert {trial.state for trial in failed} == {"failed"}
    assert error in failed[0].error
    assert place in failed[0].error
