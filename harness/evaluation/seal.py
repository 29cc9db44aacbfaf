"""The sealed test set: nobody who selects a model can see it."""

from harness.data.ratings import Ratings

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
