import optuna
import pytest

from harness.search.openings import record_look
from harness.search.storage import open_storage

DATA = {"fingerprint": "data", "ratings_fingerprint": "ratings"}


@pytest.fixture
def look(tmp_path):
    """Look at the test set of a study, which is created if need be."""
    path = str(tmp_path / "optuna.log")

    def look_at(name, dataset, split="split"):
        study = optuna.create_study(
            study_name=name, storage=open_storage(path), load_if_exists=True
        )
        facts = {"dataset": dataset, "split": {"fingerprint": split}}
        study.set_user_attr("harness", facts)
        return record_look(path, name)

    return look_at


def test_looks_of_all_studies_on_the_same_test_set_are_counted(look):
    assert [look("a", DATA), look("b", DATA), look("a", DATA)] == [1, 2, 3]


def test_a_catalogue_beside_the_ratings_makes_no_other_test_set(look):
    look("a", DATA)
    assert look("b", {**DATA, "fingerprint": "data with a catalogue"}) == 2


@pytest.mark.parametrize(
    ("dataset", "split"),
    [(DATA, "another split"), ({**DATA, "ratings_fingerprint": "others"}, "split")],
)
def test_looks_at_another_test_set_do_not_count(look, dataset, split):
    look("a", DATA)
    assert look("b", dataset, split) == 1


def test_studies_of_the_first_version_are_known_by_data_and_catalogue(look):
    look("old", {"fingerprint": "data"})
    assert look("new", DATA) == 2
    assert look("other", {**DATA, "fingerprint": "other"}) == 2  # "new" alone is known
