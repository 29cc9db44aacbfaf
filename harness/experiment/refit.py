"""The best settings fitted again, and scored on fresh folds beside the bias floor."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from harness.data.catalogue import Catalogue
from harness.data.dataset import Dataset
from harness.data.ratings import Ratings
from harness.errors import DataError, StudyError
from harness.evaluation.final import Entry
from harness.evaluation.results import BIAS_BASELINE, MEAN_BASELINE
from harness.evaluation.splits import TIMED, Split, assign_folds, split_off_test
from harness.models.base import Recommender
from harness.models.families import load_family
from harness.plain import Params, ParamValue
from harness.search.folds import Workbench, score_on_folds
from harness.search.records import StudyRecord, TrialRecord

__all__ = ["RefittedModel", "TrainingFolds", "baselines", "refit_best", "split_again"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RefittedModel:
    """A model that is fitted again."""

    dataset: Dataset
    train: Ratings
    model: Recommender
    trial: TrialRecord


def refit_best(
    study: StudyRecord, load_dataset: Callable[[], Dataset], *, on_all: bool = False
) -> RefittedModel:
    """Fit the best settings of a study again.

    They are fitted on the whole training part with the seed of the study, as for the
    final evaluation; the test set stays sealed. With `on_all` they are fitted to all
    ratings, and nothing is left to judge the model.
    """
    best = study.best
    if best is None:
        raise StudyError(
            f"The study {study.name!r} has no complete trial yet, so there is no model "
            "to fit again: continue it with `harness study`."
        )
    family = load_family(study.reference)
    dataset = load_dataset()
    train = dataset.ratings if on_all else split_again(study, dataset).train
    params = {**study.settings.defaults, **best.params}
    if "seed" in family.__dataclass_fields__:
        params["seed"] = study.settings.seed
    model = family(**params).fit(train, dataset.catalogue)
    return RefittedModel(dataset=dataset, train=train, model=model, trial=best)


def split_again(study: StudyRecord, dataset: Dataset) -> Split:
    """Split the data of a study as it was split for it."""
    before = study.dataset.fingerprint
    if dataset.fingerprint != before:
        same = dataset.ratings_fingerprint == study.dataset.ratings_fingerprint
        raise DataError(
            f"{dataset.source}: must be the data of the study {study.name!r} (fingerprint "
            f"{before}), but {'its catalogue' if same else 'it'} has changed since "
            f"({dataset.fingerprint}); run a new study on it with `harness study`."
        )
    facts = study.split
    split = split_off_test(
        dataset,
        method=facts.method,
        test_share=facts.test_share,
        seed=facts.seed,
    )
    if split.facts.fingerprint != facts.fingerprint:
        raise DataError(
            f"{dataset.source}: must be split as in the study {study.name!r} (fingerprint "
            f"{facts.fingerprint}), but the split {facts.method!r} now gives "
            f"{split.facts.fingerprint}; use the version of harness of that study, "
            f"{study.code_version}."
        )
    return split


BIAS_REGULARIZATIONS = (1.0, 3.0, 10.0, 30.0)
# Far from the seeds of the search: the fresh folds must not be its folds.
FRESH_SEED_OFFSET = 1_000_003


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingFolds:
    """The training part and how it is dealt into folds."""

    train: Ratings
    catalogue: Catalogue
    n_folds: int
    method: str
    # Seed of the folds that the search sees, and of the models.
    seed: int

    def fresh_score(self, family: type[Recommender], params: Params) -> float | None:
        """Score settings on folds that the search has not seen."""
        if self.method in TIMED:
            return None
        seed = self.seed + FRESH_SEED_OFFSET
        bench = self._bench(family, seed)
        return score_on_folds(bench, params, seed=seed, n_folds=self.n_folds)

    def best_biases(self) -> dict[str, ParamValue]:
        """Tune the floor too: to beat one that is badly set would prove nothing."""
        bench = self._bench(load_family("baseline"), self.seed)
        candidates: list[dict[str, ParamValue]] = [
            {
                "kind": "bias",
                "user_regularization": user,
                "item_regularization": item,
            }
            for user, item in product(BIAS_REGULARIZATIONS, repeat=2)
        ]
        return min(
            candidates,
            key=lambda params: score_on_folds(
                bench, params, seed=self.seed, n_folds=self.n_folds
            ),
        )

    def _bench(self, family: type[Recommender], seed: int) -> Workbench:
        fold_of = assign_folds(
            self.train, n_folds=self.n_folds, seed=seed, method=self.method
        )
        return Workbench(family, self.train, self.catalogue, fold_of)


def baselines(floor: Params) -> list[Entry]:
    """Name the models that every comparison has."""
    family = load_family("baseline")
    return [
        Entry(name=BIAS_BASELINE, family=family, params=floor, role="baseline"),
        Entry(
            name=MEAN_BASELINE, family=family, params={"kind": "mean"}, role="baseline"
        ),
    ]
