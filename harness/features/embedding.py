"""Wide sparse tables, made narrow: truncated singular value decomposition."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MAX_COMPONENTS", "embed"]

MAX_COMPONENTS = 64
"""Computed once; whoever wants fewer takes the first ones."""


def embed(table: Any) -> npt.NDArray[np.float32]:
    """Find the directions in which the rows of a table differ most.

    Two rows that share a column come close to each other, and so do two rows that share
    none but whose columns occur together elsewhere. For TF-IDF tables this is latent
    semantic analysis [1]_.

    Parameters
    ----------
    table : sparse matrix, shape (n_rows, n_columns)
        What is counted.

    Returns
    -------
    ndarray of float32, shape (n_rows, n_components)
        Coordinates, the direction that explains most first; at most `MAX_COMPONENTS`.
        A table of one column is returned as it is.

    References
    ----------
    .. [1] S. Deerwester et al., "Indexing by latent semantic analysis", Journal of the
       American Society for Information Science 41(6), 1990.
    """
    n_components = min(MAX_COMPONENTS, table.shape[0] - 1, table.shape[1] - 1)
    if n_components < 1:
        whole: npt.NDArray[np.float32] = table.toarray().astype(np.float32)
        return whole
    from sklearn.decomposition import TruncatedSVD

    svd = TruncatedSVD(n_components=n_components, n_iter=5, random_state=0)
    # Its share of explained variance is 0 / 0 where all rows are equal.
    with np.errstate(invalid="ignore", divide="ignore"):
        coordinates = svd.fit_transform(table.astype(np.float64))
    narrow: npt.NDArray[np.float32] = coordinates.astype(np.float32)
    return narrow
