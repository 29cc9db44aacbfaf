import pytest

from harness.data.readers.repairs import age_from, is_unrated, unknown_labels


@pytest.mark.parametrize(
    ("label", "age"),
    [
        ("FSK 12", 12),
        ("FSK 0", 0),
        ("PEGI 16", 16),
        ("12A", 12),
        ("U", 0),
        (" tv-ma ", 17),
        ("AGES_18_", 18),
        ("nc-17", 18),
    ],
)
def test_labels_that_name_an_age_have_it(label, age):
    assert age_from(label) == age


@pytest.mark.parametrize("label", ["74 min", "99", "13-16", "", "GOOD", "7++"])
def test_what_is_no_rating_has_no_age(label):
    assert age_from(label) is None


def test_not_rated_is_known_to_mean_nothing():
    assert unknown_labels(["NR", "unrated", "PG", "13+", "GOOD", "GOOD"]) == ["GOOD"]
    assert is_unrated("Not rated")
    assert age_from("Not rated") is None
