"""Facts of a made-up data set and of its split, which tests can vary."""

from harness.data.dataset import DatasetFacts
from harness.evaluation.splits import SplitFacts
from harness.plain import from_json
from harness.search.records import SearchSettings

DATASET = {
    "name": "toy",
    "source": "toy.csv",
    "fingerprint": "0123456789abcdef",
    "ratings_fingerprint": "fedcba9876543210",
    "n_users": 30,
    "n_items": 40,
    "n_ratings": 900,
    "scale": (1.0, 5.0),
}

SPLIT = {
    "method": "random",
    "seed": 7,
    "test_share": 0.2,
    "fingerprint": "feedbeef",
    "n_train": 720,
    "n_test": 180,
}


def dataset_facts(**changes):
    return DatasetFacts(**(DATASET | changes))


def split_facts(**changes):
    return SplitFacts(**(SPLIT | changes))


def no_test(**changes):
    """Facts of the split `none`."""
    return split_facts(method="none", n_train=900, n_test=0, **changes)


def search_settings(**facts):
    """Settings of a search, of plain data."""
    return from_json(SearchSettings, facts)


def difference_of(intervals, one, other):
    """RMSE of one model minus that of the other, with its interval and p-value."""
    found = intervals.sums([one, other]).estimate(0, minus=1)
    p_value = found.uncertainty.p_value(found.value)
    return found.interval(intervals.confidence), p_value
