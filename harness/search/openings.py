"""Openings of the test set, counted by the ratings that were sealed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from harness.data.dataset import DatasetFacts
from harness.evaluation.splits import SplitFacts
from harness.search.attributes import read_attribute
from harness.search.storage import (
    MARK,
    ExperimentMark,
    attributes_of_all,
    read_experiment_facts,
    save_experiment_facts,
)

__all__ = [
    "SealedRatings",
    "openings_by_now",
    "promotion_tests_by_now",
    "record_opening",
]


@dataclass(frozen=True, kw_only=True)
class SealedRatings:
    """Which test ratings a model is judged on."""

    dataset: str | None
    ratings: str | None
    split: str | None

    @classmethod
    def of(cls, dataset: DatasetFacts, split: SplitFacts) -> Self:
        """Identify them by what is kept of data and split."""
        return cls(
            dataset=dataset.fingerprint,
            ratings=dataset.ratings_fingerprint,
            split=split.fingerprint,
        )

    def are(self, others: "SealedRatings") -> bool:
        """Tell whether they are the same, be the catalogue the same or not."""
        if self.split != others.split:
            return False
        if self.ratings is None or others.ratings is None:
            return self.dataset == others.dataset
        return self.ratings == others.ratings

    def __str__(self) -> str:
        """Both fingerprints, for people."""
        return f"{self.ratings or self.dataset} and {self.split}"


OPENINGS = "openings"
PROMOTION_TESTS = "promotion_tests"
"""The openings among these that decided whether a model replaces another."""


def record_opening(storage: str, name: str, *, promotion: bool = False) -> int:
    """Write down that the test ratings of an experiment are opened, and count openings.

    It is written before the seal is broken: an opening that ends in a crash counts too.
    Whoever has seen one test score knows something about every model on the same test
    set, so all experiments of the storage count.
    """
    facts = read_experiment_facts(storage, name)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for key in (OPENINGS, PROMOTION_TESTS) if promotion else (OPENINGS,):
        save_experiment_facts(storage, name, key, [*facts.get(key, ()), now])
    return len(_times_of(storage, _ratings_of(facts[MARK]), OPENINGS))


def openings_by_now(
    storage: str, dataset: DatasetFacts, split: SplitFacts
) -> tuple[int, datetime | None]:
    """Count the openings of the same test ratings, and tell when the last one was."""
    times = _times_of(storage, SealedRatings.of(dataset, split), OPENINGS)
    return len(times), times[-1] if times else None


def promotion_tests_by_now(storage: str, sealed: SealedRatings) -> int:
    """Count the promotions that were decided on test ratings, dry runs included."""
    return len(_times_of(storage, sealed, PROMOTION_TESTS))


def _times_of(storage: str, sealed: SealedRatings, key: str) -> list[datetime]:
    return sorted(
        datetime.fromisoformat(time)
        for attrs in attributes_of_all(storage)
        if (mark := read_attribute(attrs, MARK)) and _ratings_of(mark).are(sealed)
        for time in read_attribute(attrs, key) or ()
    )


def _ratings_of(mark: ExperimentMark) -> SealedRatings:
    # Only what is needed: all experiments of the storage are looked through.
    dataset, split = mark["dataset"], mark["split"]
    return SealedRatings(
        dataset=dataset["fingerprint"],
        ratings=dataset["ratings_fingerprint"],
        split=split["fingerprint"],
    )
