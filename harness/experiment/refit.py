"""The best settings fitted again, and the models that every comparison has."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.data.dataset import Dataset
from harness.data.ratings import Ratings
from harness.errors import DataError, StudyError
from harness.evaluation.final import Entry
from harness.evaluation.results import BIAS_BASELINE, MEAN_BASELINE
from harness.evaluation.splits import Split, split_off_test
from harness.models.base import Recommender
from harness.models.families import load_family
from harness.plain import Params
from harness.search.records import StudyRecord, TrialRecord, why_none_is_best

__all__ = ["RefittedModel", "baselines", "refit_best", "split_again"]


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
            why_none_is_best(study)
            or f"The study {study.name!r} has no complete trial yet, so there is no model "
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


def baselines(floor: Params) -> list[Entry]:
    """Name the models that every comparison has."""
    family = load_family("baseline")
    return [
        Entry(name=BIAS_BASELINE, family=family, params=floor, role="baseline"),
        Entry(
            name=MEAN_BASELINE, family=family, params={"kind": "mean"}, role="baseline"
        ),
    ]
