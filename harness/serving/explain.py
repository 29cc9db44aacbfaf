"""A prediction of the best model taken apart, in names and words."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.data.dataset import Dataset
from harness.data.readers.columns import clean_id
from harness.errors import DataError
from harness.experiment.refit import RefittedModel, refit_best
from harness.formatting import unit_of_scale
from harness.models.explanation import Explanation, Neighbor, Part
from harness.models.factors import interpret_factor, read_traits
from harness.search.records import StudyRecord

__all__ = ["ExplainedPair", "FactorInWords", "Named", "NamedNeighbor", "explain_pair"]


@dataclass(frozen=True, kw_only=True)
class Named:
    """A user or a title."""

    id: str
    # Title, where the catalogue has one; else the id.
    name: str
    n_ratings: int


@dataclass(frozen=True, kw_only=True)
class FactorInWords:
    """A latent factor that matters for the prediction."""

    label: str
    # Where both are on it; their product is its part, in stars.
    user: float
    title: float
    # Genre or decade that goes with it most, if any does beyond chance.
    trait: str | None
    # With that trait, from -1 to 1.
    correlation: float | None
    # Titles furthest from 0 on either side, the furthest first.
    positive: tuple[Named, ...]
    negative: tuple[Named, ...]


@dataclass(frozen=True, kw_only=True)
class NamedNeighbor:
    """A similar title that the user has rated, or a similar user that rated the title."""

    who: Named
    # To the title, or the user, that is predicted; None where all count alike.
    similarity: float | None
    rating: float
    # What it adds to the prediction, in stars.
    stars: float


@dataclass(frozen=True, kw_only=True)
class ExplainedPair:
    """A prediction, taken apart, in names and words."""

    study: str
    family: str
    dataset: str
    # Of ratings and predictions.
    unit: str
    # Whether a program made the ratings.
    simulated: bool
    # Number of the trial whose settings were fitted again.
    trial: int
    # Number of training ratings they were fitted on.
    n_train: int
    seed: int
    user: Named
    title: Named
    # What the user gave the title in the training part, in stars.
    rated: float | None
    prediction: float
    # The sum of the parts, in stars.
    before_clipping: float
    parts: tuple[Part, ...]
    user_parts: tuple[Part, ...]
    # The factors among the parts that are listed one by one.
    factors: tuple[FactorInWords, ...]
    # Most similar first, or where all count alike those that add most.
    neighbors: tuple[NamedNeighbor, ...]
    neighbors_are: str
    # What the model says about the data.
    notes: tuple[str, ...]


LONGEST_ID = 60
"""Characters of an id that does not exist which an error repeats."""


def explain_pair(
    study: StudyRecord, load_dataset: Callable[[], Dataset], *, user: str, item: str
) -> ExplainedPair:
    """Fit the best settings of a study again, and explain one prediction.

    They are fitted on the whole training part with the seed of the study, as for the
    final evaluation; the test set stays sealed.
    """

    def find_pair(dataset: Dataset) -> tuple[int, int]:
        ratings = dataset.ratings
        return (
            _find_code("user", user, ratings.user_ids, dataset.name),
            _find_code("item", item, ratings.item_ids, dataset.name),
        )

    def load_checked() -> Dataset:
        dataset = load_dataset()
        find_pair(dataset)  # a misspelt id is said at once, not after the fit
        return dataset

    fitted = refit_best(study, load_checked)
    return _Namer(fitted).describe(study, find_pair(fitted.dataset))


def _find_code(
    kind: str, wanted: str, ids: npt.NDArray[np.object_], dataset: str
) -> int:
    found = np.flatnonzero(ids == wanted)
    if not len(found):
        found = np.flatnonzero(ids == clean_id(wanted))
    if len(found):
        return int(found[0])
    known: Sequence[str] = ids.tolist()
    if len(wanted) > LONGEST_ID:
        wanted = f"{wanted[: LONGEST_ID - 1]}…"
    close = difflib.get_close_matches(wanted, known, n=1)
    examples = ", ".join(repr(each) for each in known[:3])
    hint = f"Did you mean {close[0]!r}?" if close else f"Its ids are like {examples}."
    raise DataError(f"{dataset} has no {kind} {wanted!r}. {hint}")


class _Namer:
    """Gives names to the codes of an explanation."""

    def __init__(self, fitted: RefittedModel) -> None:
        self._fitted = fitted
        self._dataset, self._train = fitted.dataset, fitted.train
        frame = fitted.dataset.catalogue.frame
        self._titles = frame["title"].tolist() if "title" in frame else []

    def describe(self, study: StudyRecord, pair: tuple[int, int]) -> ExplainedPair:
        model = self._fitted.model
        explanation = model.explain(*pair)
        prediction = model.predict(*(np.array([code]) for code in pair))
        by_user = explanation.neighbors_are == "users"
        return ExplainedPair(
            study=study.name,
            family=study.family,
            dataset=self._dataset.name,
            unit=unit_of_scale(study.dataset.scale),
            simulated=self._dataset.simulated,
            trial=self._fitted.trial.number,
            n_train=len(self._train),
            seed=study.settings.seed,
            user=self.name_user(pair[0]),
            title=self.name_title(pair[1]),
            rated=self._rating_of(pair),
            prediction=float(prediction[0]),
            before_clipping=explanation.total,
            parts=explanation.parts,
            user_parts=explanation.user_parts,
            factors=self._factors(explanation),
            neighbors=tuple(
                self._neighbor(n, by_user=by_user) for n in explanation.neighbors
            ),
            neighbors_are=explanation.neighbors_are,
            notes=tuple(getattr(model, "notes_", ())),
        )

    def name_user(self, code: int) -> Named:
        identifier = str(self._dataset.ratings.user_ids[code])
        n_ratings = int(np.count_nonzero(self._train.users == code))
        return Named(id=identifier, name=identifier, n_ratings=n_ratings)

    def name_title(self, code: int) -> Named:
        identifier = str(self._dataset.ratings.item_ids[code])
        title = self._titles[code] if self._titles else None
        return Named(
            id=identifier,
            name=title if isinstance(title, str) else identifier,
            n_ratings=int(np.count_nonzero(self._train.items == code)),
        )

    def _rating_of(self, pair: tuple[int, int]) -> float | None:
        same = (self._train.users == pair[0]) & (self._train.items == pair[1])
        return float(self._train.values[same][0]) if same.any() else None

    def _neighbor(self, neighbor: Neighbor, *, by_user: bool) -> NamedNeighbor:
        name = self.name_user if by_user else self.name_title
        return NamedNeighbor(
            who=name(neighbor.code),
            similarity=neighbor.similarity,
            rating=neighbor.rating,
            stars=neighbor.stars,
        )

    def _factors(self, explanation: Explanation) -> tuple[FactorInWords, ...]:
        if not explanation.axes:
            return ()
        traits = read_traits(self._dataset.catalogue)
        meanings = [interpret_factor(a.places, traits) for a in explanation.axes]
        return tuple(
            FactorInWords(
                label=axis.label,
                user=axis.user,
                title=axis.title,
                trait=meaning.trait,
                correlation=meaning.correlation,
                positive=tuple(map(self.name_title, meaning.positive)),
                negative=tuple(map(self.name_title, meaning.negative)),
            )
            for axis, meaning in zip(explanation.axes, meanings, strict=True)
        )
