"""Why the best model of a study predicts what it predicts."""

import difflib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from harness.data.dataset import Dataset
from harness.data.ratings import Ratings
from harness.errors import DataError, StudyError
from harness.evaluation.splits import split_off_test
from harness.models.base import Recommender
from harness.models.explanation import Explanation, Neighbor
from harness.models.factor_meaning import interpret_factor, read_traits
from harness.models.families import load_family
from harness.search.records import StudyRecord, TrialRecord
from harness.workflow.explained_pair import (
    ExplainedPair,
    FactorInWords,
    Named,
    NamedNeighbor,
)

__all__ = ["explain_pair"]

LONGEST_ID = 60
"""Characters of an id that does not exist which an error repeats."""


def explain_pair(
    study: StudyRecord, load_dataset: Callable[[], Dataset], *, user: str, item: str
) -> ExplainedPair:
    """Fit the best settings of a study again, and explain one prediction.

    They are fitted on the whole training part with the seed of the study, as for the
    final evaluation; the test set stays sealed.

    Parameters
    ----------
    study : StudyRecord
        The study.
    load_dataset : callable
        Loads the data of the study again.
    user, item : str
        Their ids.

    Returns
    -------
    ExplainedPair
        The prediction and its parts.

    Raises
    ------
    StudyError
        If the study has no complete trial.
    DataError
        If the data has changed since, or has no such user or item.
    UnsupportedError
        If the family cannot explain itself.
    """
    best = study.best
    if best is None:
        raise StudyError(
            f"The study {study.name!r} has no complete trial yet, so there is no model "
            "to explain: continue it with `harness study`."
        )
    family = load_family(study.family)
    dataset = load_dataset()
    train = _same_training_part(study, dataset)
    pair = (
        _find_code("user", user, dataset.ratings.user_ids, dataset.name),
        _find_code("item", item, dataset.ratings.item_ids, dataset.name),
    )
    params, seed = dict(best.params), int(study.settings["seed"])
    if "seed" in family.__dataclass_fields__:
        params["seed"] = seed
    model = family(**params).fit(train, dataset.catalogue)
    return _Namer(dataset, train).describe(study, best, model, pair)


def _same_training_part(study: StudyRecord, dataset: Dataset) -> Ratings:
    before = study.dataset["fingerprint"]
    if dataset.fingerprint != before:
        raise DataError(
            f"{dataset.source}: must be the data of the study {study.name!r} (fingerprint "
            f"{before}), but it has changed since ({dataset.fingerprint}); run a new study "
            "on it with `harness study`."
        )
    facts = study.split
    split = split_off_test(
        dataset,
        method=facts["method"],
        test_share=facts.get("test_share", 0.2),
        seed=facts["seed"],
    )
    if split.facts["fingerprint"] != facts["fingerprint"]:
        raise DataError(
            f"{dataset.source}: must be split as in the study {study.name!r} (fingerprint "
            f"{facts['fingerprint']}), but the split {facts['method']!r} now gives "
            f"{split.facts['fingerprint']}; use the version of harness of that study, "
            f"{study.code_version}."
        )
    return split.train


def _find_code(
    kind: str, wanted: str, ids: npt.NDArray[np.object_], dataset: str
) -> int:
    found = np.flatnonzero(ids == wanted)
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

    def __init__(self, dataset: Dataset, train: Ratings) -> None:
        self._dataset, self._train = dataset, train
        frame = dataset.catalogue.frame
        self._titles = frame["title"].tolist() if "title" in frame else []

    def describe(
        self,
        study: StudyRecord,
        trial: TrialRecord,
        model: Recommender,
        pair: tuple[int, int],
    ) -> ExplainedPair:
        explanation = model.explain(*pair)
        prediction = model.predict(*(np.array([code]) for code in pair))
        by_user = explanation.neighbors_are == "users"
        return ExplainedPair(
            study=study.name,
            family=study.family,
            dataset=self._dataset.name,
            simulated=self._dataset.simulated,
            trial=trial.number,
            n_train=len(self._train),
            seed=int(study.settings["seed"]),
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
