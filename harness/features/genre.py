"""The genre block: which genres, how common they are, and which go together."""

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.features.membership import Membership, read_membership
from harness.features.parts import Part, scale_part

__all__ = ["GENRE_COLUMNS", "genre_cooccurrence", "genre_parts", "genre_popularity"]

GENRE_COLUMNS = ("listed_in",)

MOST_GENRES = 60
N_COMPONENTS = 8
Floats = npt.NDArray[np.float64]


def genre_parts(catalogue: Catalogue) -> tuple[Part, ...]:
    """Build the parts of the genre block.

    Parameters
    ----------
    catalogue : Catalogue
        Its column ``listed_in``, if it has one.

    Returns
    -------
    tuple of Part
        Genres (one column each, at most 60), popularity of the genres of a title, and its
        place among genres that go together; may be empty.
    """
    genres = read_membership(catalogue, *GENRE_COLUMNS, max_names=MOST_GENRES)
    names = genres.names
    parts = (
        scale_part(
            [f"genre: {n}" for n in names], genres.table.toarray(), genres.known
        ),
        scale_part(
            ["popularity of its genres"],
            _mean_over_genres(genres, genre_popularity(genres)[:, None]),
            genres.known,
        ),
        _cooccurrence_part(genres),
    )
    return tuple(part for part in parts if part is not None)


def genre_popularity(genres: Membership) -> Floats:
    """Score genres by the share of titles that have them.

    Parameters
    ----------
    genres : Membership
        Genres of the titles.

    Returns
    -------
    ndarray of float64, shape (n_genres,)
        log(1 + titles with the genre) / log(1 + titles with any genre): from 0 to 1, on a
        logarithmic scale because most genres are rare.
    """
    n_titles = max(1, int(genres.known.sum()))
    popularity: Floats = np.log1p(genres.counts) / np.log1p(n_titles)
    return popularity


def genre_cooccurrence(genres: Membership, n_components: int = N_COMPONENTS) -> Floats:
    r"""Place genres so that those that occur together are close.

    The leading eigenvectors of the positive pointwise mutual information [1]_,

    .. math:: \max\left(0, \log \frac{n_{gh} \, n}{n_g \, n_h}\right)

    where :math:`n_{gh}` titles have both genres, with sums :math:`n_g` and total :math:`n`,
    each scaled by the root of its eigenvalue.

    Parameters
    ----------
    genres : Membership
        Genres of the titles.
    n_components : int, default 8
        Dimensions; fewer where there are fewer genres.

    Returns
    -------
    ndarray of float64, shape (n_genres, n_components)
        Coordinates.

    References
    ----------
    .. [1] O. Levy and Y. Goldberg, "Neural word embedding as implicit matrix
       factorization", NIPS 2014, section 3.2.
    """
    both = (genres.table.T @ genres.table).toarray().astype(np.float64)
    sums = both.sum(axis=0)
    expected = np.outer(sums, sums) / max(sums.sum(), 1.0)
    # Pairs that never occur together have log 0; they count as 0 like any negative value.
    ratio = np.where(both > 0, both, expected) / np.where(expected > 0, expected, 1.0)
    values, vectors = np.linalg.eigh(np.maximum(np.log(ratio), 0.0))
    leading = np.argsort(-values, kind="stable")[:n_components]
    vectors = vectors[:, leading]
    # An eigenvector is known up to its sign: the largest entry is made positive.
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    placed: Floats = vectors * signs * np.sqrt(np.maximum(values[leading], 0.0))
    return placed


def _cooccurrence_part(genres: Membership) -> Part | None:
    if not genres.names:
        return None
    placed = genre_cooccurrence(genres)
    names = [f"genre group {k + 1}" for k in range(placed.shape[1])]
    return scale_part(names, _mean_over_genres(genres, placed), genres.known)


def _mean_over_genres(genres: Membership, of_genres: Floats) -> Floats:
    n_genres = np.maximum(np.diff(genres.table.indptr), 1)
    mean: Floats = (genres.table @ of_genres) / n_genres[:, None]
    return mean
