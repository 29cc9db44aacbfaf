"""Which ratings are the test set, known by their fingerprints."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

__all__ = ["SealedRatings"]


@dataclass(frozen=True, kw_only=True)
class SealedRatings:
    """Which test ratings a model is judged on.

    Parameters
    ----------
    dataset : str or None
        Fingerprint of ratings and catalogue.
    ratings : str or None
        Fingerprint of the ratings alone; the first version did not keep it.
    split : str or None
        Fingerprint of the split.
    """

    dataset: str | None
    ratings: str | None
    split: str | None

    @classmethod
    def of(cls, dataset: Mapping[str, Any], split: Mapping[str, Any]) -> Self:
        """Identify them by what is kept of data and split.

        Parameters
        ----------
        dataset, split : mapping
            As `StudyRecord` has them.

        Returns
        -------
        SealedRatings
            The test ratings of that split.
        """
        return cls(
            dataset=dataset.get("fingerprint"),
            ratings=dataset.get("ratings_fingerprint"),
            split=split.get("fingerprint"),
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
