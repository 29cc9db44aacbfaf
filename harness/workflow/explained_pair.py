"""A prediction taken apart, in names and words: what the command line prints."""

from dataclasses import dataclass

from harness.models.explanation import Part

__all__ = ["ExplainedPair", "FactorInWords", "Named", "NamedNeighbor"]


@dataclass(frozen=True, kw_only=True)
class Named:
    """A user or a title.

    Parameters
    ----------
    id : str
        As in the ratings.
    name : str
        Title, where the catalogue has one; else the id.
    n_ratings : int
        Number of its training ratings.
    """

    id: str
    name: str
    n_ratings: int


@dataclass(frozen=True, kw_only=True)
class FactorInWords:
    """A latent factor that matters for the prediction.

    Parameters
    ----------
    label : str
        That of its part.
    user, title : float
        Where both are on it; their product is its part, in stars.
    trait : str or None
        Genre or decade that goes with it most, if any does beyond chance.
    correlation : float or None
        With that trait, from -1 to 1.
    positive, negative : tuple of Named
        Titles furthest from 0 on either side, the furthest first.
    """

    label: str
    user: float
    title: float
    trait: str | None
    correlation: float | None
    positive: tuple[Named, ...]
    negative: tuple[Named, ...]


@dataclass(frozen=True, kw_only=True)
class NamedNeighbor:
    """A similar title that the user has rated, or a similar user that rated the title.

    Parameters
    ----------
    who : Named
        The title, or the user.
    similarity : float or None
        To the title, or the user, that is predicted; None where all count alike.
    rating : float
        What was given, in stars.
    stars : float
        What it adds to the prediction, in stars.
    """

    who: Named
    similarity: float | None
    rating: float
    stars: float


@dataclass(frozen=True, kw_only=True)
class ExplainedPair:
    """A prediction, taken apart, in names and words.

    Parameters
    ----------
    study, family, dataset : str
        Their names.
    simulated : bool
        Whether a program made the ratings.
    trial : int
        Number of the trial whose settings were fitted again.
    n_train : int
        Number of training ratings they were fitted on.
    seed : int
        Seed of the fit.
    user, title : Named
        The pair.
    rated : float or None
        What the user gave the title in the training part, in stars.
    prediction : float
        In stars, within the scale.
    before_clipping : float
        The sum of the parts, in stars.
    parts, user_parts : tuple of Part
        See `Explanation`.
    factors : tuple of FactorInWords
        The factors among the parts that are listed one by one.
    neighbors : tuple of NamedNeighbor
        Most similar first, or where all count alike those that add most.
    neighbors_are : str
        ``"titles"`` or ``"users"``.
    notes : tuple of str
        What the model says about the data.
    """

    study: str
    family: str
    dataset: str
    simulated: bool
    trial: int
    n_train: int
    seed: int
    user: Named
    title: Named
    rated: float | None
    prediction: float
    before_clipping: float
    parts: tuple[Part, ...]
    user_parts: tuple[Part, ...]
    factors: tuple[FactorInWords, ...]
    neighbors: tuple[NamedNeighbor, ...]
    neighbors_are: str
    notes: tuple[str, ...]
