"""The genre block and the people block of titles."""

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.features.parts import Membership, Part, embed, read_membership, scale_part

__all__ = [
    "GENRE_COLUMNS",
    "PEOPLE_COLUMNS",
    "director_encoding",
    "director_part",
    "genre_cooccurrence",
    "genre_parts",
    "genre_popularity",
    "people_parts",
]


GENRE_COLUMNS = ("listed_in",)

MOST_GENRES = 60
N_COMPONENTS = 8
Floats = npt.NDArray[np.float64]


def genre_parts(catalogue: Catalogue) -> tuple[Part, ...]:
    """Build the parts of the genre block."""
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
    """Score genres by the share of titles that have them."""
    n_titles = max(1, int(genres.known.sum()))
    popularity: Floats = np.log1p(genres.counts) / np.log1p(n_titles)
    return popularity


def genre_cooccurrence(genres: Membership, n_components: int = N_COMPONENTS) -> Floats:
    r"""Place genres so that those that occur together are close.

    The leading eigenvectors of the positive pointwise mutual information [1]_,

    .. math:: \max\left(0, \log \frac{n_{gh} \, n}{n_g \, n_h}\right)

    where :math:`n_{gh}` titles have both genres, with sums :math:`n_g` and total :math:`n`,
    each scaled by the root of its eigenvalue.

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


PEOPLE_COLUMNS = ("director", "cast", "production_company")

_LABELS = {"production_company": "studio"}
_NEVER = 1e-12


def people_parts(catalogue: Catalogue) -> tuple[Part, ...]:
    """Build those parts of the people block that do not depend on ratings.

    People of at least two titles, embedded by who occurs together with whom: two titles
    with the same people are close, and so are two whose people have worked together.
    Rare people count more (inverse document frequency). `director_part` adds what ratings
    say of directors. Production companies are treated alike, where a catalogue has them.
    """
    parts = (
        _embedding(read_membership(catalogue, column, min_titles=2), column)
        for column in PEOPLE_COLUMNS
    )
    return tuple(part for part in parts if part is not None)


def _embedding(people: Membership, column: str) -> Part | None:
    if not people.names:
        return None
    from sklearn.feature_extraction.text import TfidfTransformer

    coordinates = embed(TfidfTransformer().fit_transform(people.table))
    label = _LABELS.get(column, column)
    names = [f"{label} group {k + 1}" for k in range(coordinates.shape[1])]
    return scale_part(names, coordinates, people.known, ranked=True)


def director_encoding(
    ratings: Ratings, directors: Membership, *, smoothing: float = 10.0
) -> npt.NDArray[np.float64]:
    r"""Encode directors by how their other titles are rated.

    .. math:: d_{ik} = \frac{\sum_{j \ne i} \sum_u (r_{uj} - \mu)}
              {\sum_{j \ne i} n_j + \lambda}

    over the other titles :math:`j` of director :math:`k`, averaged over the directors of
    title :math:`i`. A title's own ratings are left out: else the feature would hold the
    answer for titles with ratings, and mean something else for those without.

    References
    ----------
    D. Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes",
    ACM SIGKDD Explorations 3(1), 2001.
    """
    n_items = directors.table.shape[0]
    counts = np.bincount(ratings.items, minlength=n_items).astype(np.float64)
    deviations = ratings.values.astype(np.float64) - ratings.mean
    sums = np.bincount(ratings.items, weights=deviations, minlength=n_items)
    of_title = np.repeat(np.arange(n_items), np.diff(directors.table.indptr))
    of_director = directors.table.indices
    other_sums = (directors.table.T @ sums)[of_director] - sums[of_title]
    other_counts = (directors.table.T @ counts)[of_director] - counts[of_title]
    scores = other_sums / np.maximum(other_counts + smoothing, _NEVER)
    scores[other_counts <= 0] = 0.0
    total = np.bincount(of_title, weights=scores, minlength=n_items)
    mean: npt.NDArray[np.float64] = total / np.maximum(
        np.diff(directors.table.indptr), 1
    )
    return mean


def director_part(ratings: Ratings, directors: Membership) -> Part | None:
    """Make a part of `director_encoding`."""
    encoded = director_encoding(ratings, directors)
    return scale_part(["ratings of its director"], encoded[:, None], directors.known)
