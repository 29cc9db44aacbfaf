import pytest

from harness.plain import to_json
from harness.search.openings import openings_by_now, record_opening
from harness.search.storage import create_experiment
from tests.facts import dataset_facts, split_facts

DATA, SPLIT = dataset_facts(), split_facts()


@pytest.fixture
def open_test(tmp_path):
    """Open the test set of an experiment, which is created if need be."""
    path = str(tmp_path / "optuna.log")

    def open_it(name, dataset=DATA, split=SPLIT):
        facts = {
            "dataset": to_json(dataset),
            "split": to_json(split),
            "studies": {"svd": name},
        }
        create_experiment(path, name, facts)
        return record_opening(path, name)

    open_it.storage = path
    return open_it


def test_openings_by_all_experiments_on_the_same_test_set_are_counted(open_test):
    assert [open_test("a"), open_test("b"), open_test("a")] == [1, 2, 3]


def test_the_count_by_now_and_the_last_time_are_known(open_test):
    open_test("a")
    open_test("b")
    number, last = openings_by_now(open_test.storage, DATA, SPLIT)
    assert number == 2
    assert last is not None


def test_a_catalogue_beside_the_ratings_makes_no_other_test_set(open_test):
    open_test("a")
    assert open_test("b", dataset_facts(fingerprint="data with a catalogue")) == 2


@pytest.mark.parametrize(
    ("dataset", "split"),
    [
        (DATA, split_facts(fingerprint="another split")),
        (dataset_facts(ratings_fingerprint="others"), SPLIT),
    ],
)
def test_openings_of_another_test_set_do_not_count(open_test, dataset, split):
    open_test("a")
    assert open_test("b", dataset, split) == 1
