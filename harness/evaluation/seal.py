"""The sealed test set: nobody who selects a model can see it."""

from harness.data.ratings import Ratings
from harness.evaluation.depth import known_share

__all__ = ["SealedTest"]


class SealedTest:
    """Test ratings that count how often they have been looked at.

    Parameters
    ----------
    ratings : Ratings
        The test part.
    looks : int, default 0
        How often it was opened before, in earlier sessions of the same study.
    """

    def __init__(self, ratings: Ratings, looks: int = 0) -> None:
        self._ratings = ratings
        self.looks = looks

    def __len__(self) -> int:
        return len(self._ratings)

    def open(self) -> Ratings:
        """Break the seal: for the final evaluation, after the search, and only there.

        Returns
        -------
        Ratings
            The test part; the look is counted.
        """
        self.looks += 1
        return self._ratings

    def coverage(self, train: Ratings) -> float:
        """Measure how many test pairs are of a known user and a known title.

        This is no look: it tells whom the test set asks, not what they have answered.

        Parameters
        ----------
        train : Ratings
            The training part.

        Returns
        -------
        float
            Share of the test pairs whose user and title have training ratings.
        """
        return known_share(train, self._ratings)
