from statistics import NormalDist

import numpy as np
import pytest

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.errors import HarnessError, StudyError, UnknownNameError
from harness.evaluation.objectives import (
    OBJECTIVES,
    Fold,
    check_probabilities,
    find_objective,
    measure_on,
)
from harness.models.baseline.model import Baseline
from harness.models.families import load_family

SCALE = RatingScale(1, 5)
PAIRS = [("a", "x", 5.0), ("a", "y", 4.0), ("b", "x", 2.0), ("b", "z", 5.0)]


@pytest.fixture(scope="module")
def fold():
    """Two users and three titles; one rating of each user is held out."""
    whole = Ratings.from_columns(*zip(*PAIRS, strict=True), scale=SCALE)
    return Fold(whole.take([0, 2]), whole.take([1, 3]), Catalogue.empty())


@pytest.fixture(scope="module")
def model(fold):
    return Baseline(kind="bias").fit(fold.train, fold.catalogue)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_metrics.py"
    path.write_text(
        "import numpy as np\n"
        "def worst(truth, prediction):\n"
        "    return np.abs(truth - prediction).max()\n"
        "def exact(truth, prediction):\n"
        "    return float((truth == prediction).mean())\n"
        "exact.direction = 'maximize'\n"
        "def up(truth, prediction): ...\n"
        "up.direction = 'up'\n"
        "def mae(truth, prediction): ...\n"
        "nothing = 1\n"
        "def text(truth, prediction): return 'good'\n"
    )
    return path


def test_every_measure_of_a_fold_is_an_objective_and_costs_are_not():
    assert {
        *("rmse", "mae", "user_rmse", "within_half_star"),
        *("ndcg_at_10", "recall_at_10", "cold_item_rmse"),
    } <= {*OBJECTIVES}
    assert not {"latency_p95_ms", "coverage", "gain_over_bias", "block.genre"} & {
        *OBJECTIVES
    }


@pytest.mark.parametrize(
    ("name", "sign"), [("rmse", 1), ("r2", -1), ("ndcg_at_10", -1), ("user_rmse", 1)]
)
def test_the_direction_comes_with_the_measure(name, sign):
    assert find_objective(name).sign == sign


# Off by 1 (user a) and 3 (user b); each has liked the one title that is held out, and
# gets both titles that are left.
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rmse", np.sqrt(5)),
        ("user_rmse", 2.0),
        ("mae", 2.0),
        ("within_one_star", 0.5),
        ("recall_at_10", 1.0),
        ("cold_user_rmse", np.sqrt(5)),
    ],
)
def test_a_measure_is_taken_on_the_held_out_ratings(fold, model, name, value):
    prediction = np.array([3.0, 2.0], dtype=np.float32)
    found = measure_on(fold, find_objective(name), model, prediction)
    assert found == pytest.approx(value)


def test_log_loss_is_of_the_probability_of_what_was_given(fold, model):
    # Levels 2 and 5 were learnt, cut at 3.5; the other rating is none of them.
    prediction = model.predict(fold.valid.users, fold.valid.items)
    above = 1 - NormalDist(float(prediction[1]), model.deviation_).cdf(3.5)
    found = measure_on(fold, find_objective("log_loss"), model, prediction)
    assert found == pytest.approx(-(np.log(1e-6) + np.log(above)) / 2, abs=1e-6)


def test_log_loss_is_refused_where_a_family_or_the_ratings_have_no_probabilities(fold):
    metric = find_objective("log_loss")
    families = {"mine": load_family("svd"), "floor": Baseline}
    with pytest.raises(StudyError, match="mine cannot say: choose from baseline, bfm"):
        check_probabilities(metric, families, fold.train)
    check_probabilities(find_objective("rmse"), families, fold.train)
    check_probabilities(metric, {"floor": Baseline}, fold.train)
    scale = RatingScale(0, 100)
    many = Ratings.from_columns(["a"] * 30, range(30), range(30), scale=scale)
    with pytest.raises(StudyError, match="more than 20"):
        check_probabilities(metric, {"floor": Baseline}, many)


def test_a_measure_without_ratings_that_it_is_of_is_refused(fold, model):
    prediction = np.array([3.0, 2.0], dtype=np.float32)
    with pytest.raises(StudyError, match="sparse_user_rmse"):
        measure_on(fold, find_objective("sparse_user_rmse"), model, prediction)


def test_a_function_in_a_file_is_an_objective(fold, model, file):
    prediction = np.array([4.0, 2.0], dtype=np.float32)
    worst, exact = (find_objective(f"{file}:{name}") for name in ("worst", "exact"))
    assert (worst.name, worst.sign, exact.name, exact.sign) == ("worst", 1, "exact", -1)
    assert measure_on(fold, worst, model, prediction) == 3.0
    assert measure_on(fold, exact, model, prediction) == 0.5


def test_a_function_that_was_changed_is_another_objective(file, tmp_path):
    before = find_objective(f"{file}:worst")
    copy = tmp_path / "elsewhere.py"
    copy.write_bytes(file.read_bytes())
    assert find_objective(f"{copy}:worst") == before
    file.write_text(file.read_text() + "# changed\n")
    assert find_objective(f"{file}:worst") != before


@pytest.mark.parametrize("name", ["missing", "nothing", "up", "mae"])
def test_what_is_no_function_of_its_own_is_refused(file, name):
    with pytest.raises(HarnessError, match=name):
        find_objective(f"{file}:{name}")


def test_a_file_that_is_not_there_or_cannot_be_imported_is_named(tmp_path):
    with pytest.raises(HarnessError, match=r"none\.py"):
        find_objective(f"{tmp_path}/none.py:worst")
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0\n")
    with pytest.raises(HarnessError, match="ZeroDivisionError"):
        find_objective(f"{broken}:worst")


def test_a_function_that_returns_no_number_is_refused(fold, model, file):
    prediction = np.array([3.0, 2.0], dtype=np.float32)
    with pytest.raises(HarnessError, match="str"):
        measure_on(fold, find_objective(f"{file}:text"), model, prediction)


def test_a_misspelt_objective_is_answered_with_the_right_one():
    with pytest.raises(UnknownNameError, match="'user_rmse'"):
        find_objective("user_rmes")
