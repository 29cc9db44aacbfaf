"""The best titles for one user, by name, and why."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.data.dataset import Dataset
from harness.experiment.refit import refit_best
from harness.search.records import StudyRecord
from harness.serving.answers import Answerer, give_reason, shortest
from harness.serving.folder import PackagedModel
from harness.serving.package import Origin, package

__all__ = ["RecommendedTitle", "RecommendedTitles", "package_best", "recommend_titles"]


@dataclass(frozen=True, kw_only=True)
class RecommendedTitle:
    """One title."""

    rank: int
    item: str
    # Its name, where the catalogue has one.
    title: str | None
    stars: float
    # What it is ranked by: the prediction before it is clipped to the scale.
    score: float
    why: str | None


@dataclass(frozen=True, kw_only=True)
class RecommendedTitles:
    """The best titles for one user."""

    user: str
    # Number of the user's training ratings; with none, this is the cold start.
    n_ratings: int
    # What answered: a study, or the URI of a model.
    model: str
    family: str
    dataset: str
    # Whether a program made the ratings.
    simulated: bool
    # Best first; none that the user has rated in the training part.
    titles: tuple[RecommendedTitle, ...]

    @property
    def is_cold_start(self) -> bool:
        """Whether the user has no training ratings."""
        return self.n_ratings == 0


def package_best(
    study: StudyRecord, load_dataset: Callable[[], Dataset]
) -> PackagedModel:
    """Fit the best settings of a study again, and package the model."""
    fitted = refit_best(study, load_dataset)
    origin = Origin(study=study.name, split=study.split, trial=fitted.trial.number)
    return package(fitted.model, fitted.dataset, origin)


def recommend_titles(
    packaged: PackagedModel,
    *,
    model: str,
    user: str,
    n: int,
    when: float | None = None,
) -> RecommendedTitles:
    """Rank the titles for one user, known or not, as of a time in seconds since 1970."""
    answerer, facts = Answerer(packaged), packaged.facts
    code = answerer.user_code(user)
    return RecommendedTitles(
        user=user,
        n_ratings=len(packaged.model.seen(code)),
        model=model,
        family=facts.family,
        dataset=facts.data_name,
        simulated=facts.simulated,
        titles=_name_titles(answerer, code, n, when),
    )


def _name_titles(
    answerer: Answerer, user: int, n: int, when: float | None
) -> tuple[RecommendedTitle, ...]:
    ranking = answerer.recommend(user, n, when)
    rows = zip(
        ranking.items.tolist(),
        shortest(ranking.stars),
        shortest(ranking.scores),
        strict=True,
    )
    return tuple(
        RecommendedTitle(
            rank=rank,
            item=str(answerer.packaged.model.item_ids_[item]),
            title=answerer.title_of(item),
            stars=stars,
            score=score,
            why=give_reason(answerer, user, item),
        )
        for rank, (item, stars, score) in enumerate(rows, 1)
    )
