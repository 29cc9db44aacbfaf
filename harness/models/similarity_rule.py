"""What it means that two users, or two items, are similar."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from harness.models.kernels.similarity import COSINE, MSD, PEARSON

__all__ = ["MEASURES", "Measure", "SimilarityRule"]

Measure = Literal["cosine", "msd", "pearson", "pearson_baseline"]
MEASURES: tuple[str, ...] = get_args(Measure)

_KINDS = {
    "cosine": COSINE,
    "msd": MSD,
    "pearson": PEARSON,
    # The correlation around given expectations is the cosine of what is left.
    "pearson_baseline": COSINE,
}


@dataclass(frozen=True, kw_only=True)
class SimilarityRule:
    r"""How two are compared by their common ratings.

    Parameters
    ----------
    measure : {"cosine", "msd", "pearson", "pearson_baseline"}
        What is computed; the ratings are those in stars, or for ``pearson_baseline``
        what mean and biases leave unexplained.
    min_support : int
        Fewer common ratings than this count as no similarity.
    shrinkage : float
        For ``pearson_baseline``: with :math:`n` common ratings the correlation is
        multiplied by :math:`(n - 1) / (n - 1 + \text{shrinkage})`.
    """

    measure: Measure
    min_support: int
    shrinkage: float

    @property
    def kind(self) -> int:
        """The kernels' code of the measure."""
        return _KINDS[self.measure]

    def weights(self, most: int) -> npt.NDArray[np.float64]:
        """Tabulate the factor that a number of common ratings brings.

        Parameters
        ----------
        most : int
            Largest number of common ratings.

        Returns
        -------
        ndarray of float64, shape (most + 1,)
            Between 0 and 1.

        Examples
        --------
        >>> rule = SimilarityRule(measure="pearson_baseline", min_support=1, shrinkage=2)
        >>> rule.weights(3).tolist()
        [0.0, 0.0, 0.3333333333333333, 0.5]
        """
        counts = np.arange(most + 1)
        if self.measure != "pearson_baseline":
            return (counts >= max(1, self.min_support)).astype(np.float64)
        weights = np.zeros(most + 1)
        # One common rating always correlates perfectly, and means nothing.
        enough = counts >= max(2, self.min_support)
        surplus = counts[enough] - 1
        weights[enough] = surplus / (surplus + self.shrinkage)
        return weights
