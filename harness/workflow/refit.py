"""The best settings of a study, fitted again on the same training part."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.data.dataset import Dataset
from harness.data.ratings import Ratings
from harness.errors import DataError, StudyError
from harness.evaluation.splits import Split, split_off_test
from harness.models.base import Recommender
from harness.models.families import load_family
from harness.search.records import StudyRecord, TrialRecord

__all__ = ["RefittedModel", "refit_best", "split_again"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RefittedModel:
    """A model that is fitted again.

    Parameters
    ----------
    dataset : Dataset
        The data of the study.
    train : Ratings
        Its training part.
    model : Recommender
        Fitted on that.
    trial : TrialRecord
        The trial that found its settings.
    """

    dataset: Dataset
    train: Ratings
    model: Recommender
    trial: TrialRecord


def refit_best(
    study: StudyRecord, load_dataset: Callable[[], Dataset]
) -> RefittedModel:
    """Fit the best settings of a study again.

    They are fitted on the whole training part with the seed of the study, as for the
    final evaluation; the test set stays sealed.

    Parameters
    ----------
    study : StudyRecord
        The study.
    load_dataset : callable
        Loads the data of the study again.

    Returns
    -------
    RefittedModel
        Its predictions are those of the final evaluation.

    Raises
    ------
    StudyError
        If the study has no complete trial.
    DataError
        If the data, or how it is split, has changed since.
    """
    best = study.best
    if best is None:
        raise StudyError(
            f"The study {study.name!r} has no complete trial yet, so there is no model "
            "to fit again: continue it with `harness study`."
        )
    family = load_family(study.family)
    dataset = load_dataset()
    train = split_again(study, dataset).train
    # Without what is left to the family the first version meant what it was then.
    defaults = study.settings.get("defaults", family.came_later)
    params = {**defaults, **best.params}
    if "seed" in family.__dataclass_fields__:
        params["seed"] = int(study.settings["seed"])
    model = family(**params).fit(train, dataset.catalogue)
    return RefittedModel(dataset=dataset, train=train, model=model, trial=best)


def split_again(study: StudyRecord, dataset: Dataset) -> Split:
    """Split the data of a study as it was split for it.

    Parameters
    ----------
    study : StudyRecord
        The study.
    dataset : Dataset
        Its data, loaded again.

    Returns
    -------
    Split
        The same training part, and the same test part, sealed.

    Raises
    ------
    DataError
        If the data, or how it is split, has changed since.
    """
    before = study.dataset["fingerprint"]
    if dataset.fingerprint != before:
        same = dataset.ratings.fingerprint() == study.dataset.get("ratings_fingerprint")
        raise DataError(
            f"{dataset.source}: must be the data of the study {study.name!r} (fingerprint "
            f"{before}), but {'its catalogue' if same else 'it'} has changed since "
            f"({dataset.fingerprint}); run a new study on it with `harness study`."
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
    return split
