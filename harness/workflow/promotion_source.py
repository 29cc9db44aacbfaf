"""What is to be promoted: the winner of an experiment, or the best of a study."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import StudyError, UnknownNameError
from harness.evaluation.final import BIAS_BASELINE
from harness.experiment.decision import decide
from harness.experiment.record import ExperimentRecord
from harness.search.experiment_storage import list_experiments
from harness.search.records import StudyRecord, TrialRecord
from harness.search.sealed_ratings import SealedRatings
from harness.search.storage import list_studies, read_study
from harness.tracking.packaging import Origin
from harness.tracking.registered_version import RegisteredVersion
from harness.workflow.experiment_record import read_experiment

__all__ = ["PromotionSource", "read_source"]

_SIGNIFICANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class PromotionSource:
    """Settings that were judged on a sealed test set.

    Parameters
    ----------
    storage : str
        URL or path of the Optuna storage.
    study : StudyRecord
        The study that found the settings.
    model : mapping
        What the judgement says of them, see `ExperimentRecord.final`.
    experiment : ExperimentRecord, optional
        The experiment whose winner it is.
    candidate : str, optional
        Key of the winner in the experiment file.
    """

    storage: str
    study: StudyRecord
    model: Mapping[str, Any]
    experiment: ExperimentRecord | None = None
    candidate: str | None = None

    @property
    def name(self) -> str:
        """Name of the experiment, or else of the study."""
        return self.experiment.name if self.experiment else self.study.name

    @property
    def trial(self) -> TrialRecord:
        """The trial that was judged."""
        assert self.study.best is not None
        return self.study.best

    @property
    def rmse(self) -> Mapping[str, float]:
        """RMSE on the test set in stars: ``value``, ``low`` and ``high``."""
        found: Mapping[str, float] = self.model["metrics"]["rmse"]
        return found

    @property
    def floor_rmse(self) -> float | None:
        """RMSE of user and item bias on the same test set, in stars, if it is known."""
        floors = [m for m in self.final["models"] if m["name"] == BIAS_BASELINE]
        return float(floors[0]["metrics"]["rmse"]["value"]) if floors else None

    @property
    def gain(self) -> Mapping[str, float] | None:
        """Stars by which it is better than user and item bias: ``value``, ``low``, ``high``.

        None if the two were not compared.
        """
        for found in self.final.get("differences", ()):
            pair = (found.get("one", self.model["name"]), found["other"])
            if pair == (BIAS_BASELINE, self.model["name"]):
                return {end: float(found[end]) for end in ("value", "low", "high")}
            if pair == (self.model["name"], BIAS_BASELINE):
                ends = {"value": "value", "low": "high", "high": "low"}
                return {end: -float(found[its]) for end, its in ends.items()}
        return None

    @property
    def final(self) -> Mapping[str, Any]:
        """Result on the test set, of the experiment or of the study."""
        found = self.study.final if self.experiment is None else self.experiment.final
        assert found is not None
        return found

    @property
    def significance(self) -> float:
        """Level below which a difference counts."""
        if self.experiment is None:
            return _SIGNIFICANCE
        return self.experiment.spec.decision.significance

    @property
    def test_set(self) -> SealedRatings:
        """What it was judged on."""
        return SealedRatings.of(self.study.dataset, self.study.split)

    @property
    def origin(self) -> Origin:
        """Where the settings come from, for the package."""
        return Origin(
            study=self.study.name,
            split=self.study.split,
            experiment=None if self.experiment is None else self.experiment.name,
            trial=self.trial.number,
            metrics=self.model["metrics"],
        )

    @property
    def tags(self) -> dict[str, str]:
        """What the registry keeps with a version: whence, and how it was judged."""
        facts = {
            "family": self.study.family,
            "experiment": None if self.experiment is None else self.experiment.name,
            "study": self.study.name,
            "trial": self.trial.number,
            "storage": self.study.storage,
            "dataset": self.study.dataset.get("name"),
            "simulated": self.study.dataset.get("simulated"),
            "dataset_fingerprint": self.test_set.dataset,
            "ratings_fingerprint": self.test_set.ratings,
            "split_fingerprint": self.test_set.split,
            "split": self.study.split.get("method"),
            "n_test": self.final.get("n_test"),
            "test_rmse": f"{self.rmse['value']:.6f}",
            "test_rmse_low": f"{self.rmse['low']:.6f}",
            "test_rmse_high": f"{self.rmse['high']:.6f}",
            "test_opened": self.final.get("opened"),
        }
        return {key: str(value) for key, value in facts.items() if value is not None}

    def is_version(self, version: RegisteredVersion) -> bool:
        """Tell whether a version has these settings, as they were judged."""
        same = ("study", "trial", "storage", "test_opened")
        tags = self.tags
        return version.test_set.are(self.test_set) and all(
            version.tags.get(key) == tags.get(key) for key in same
        )


def read_source(storage: str, name: str) -> PromotionSource:
    """Read what is to be promoted.

    Parameters
    ----------
    storage : str
        URL or path of the Optuna storage.
    name : str
        Name of an experiment or of a study.

    Returns
    -------
    PromotionSource
        The winner of the experiment, or the best trial of the study.

    Raises
    ------
    UnknownNameError
        If the storage has neither.
    StudyError
        If it was not judged on a test set, or the search has gone on since.
    """
    if name in list_experiments(storage):
        return _winner(storage, read_experiment(storage, name))
    studies = list_studies(storage)
    if name not in studies:
        known = [*list_experiments(storage), *studies]
        raise UnknownNameError("experiment or study", name, known)
    return _best(storage, read_study(storage, name))


def _winner(storage: str, record: ExperimentRecord) -> PromotionSource:
    decision = decide(record)
    if decision is None or record.final is None:
        raise StudyError(
            f"The experiment {record.name!r} must be judged on its test set before its "
            "winner can be promoted, but is not: finish it with `harness run`."
        )
    study, model = record.studies[decision.winner], record.model(decision.winner)
    assert model is not None
    judged = record.final.get("best_trials", {}).get(decision.winner)
    _require_judged(study, judged, "harness run")
    return PromotionSource(
        storage=storage,
        study=study,
        model=model,
        experiment=record,
        candidate=decision.winner,
    )


def _best(storage: str, study: StudyRecord) -> PromotionSource:
    final = study.final or {}
    if study.best is None or not final.get("models"):
        raise StudyError(
            f"The study {study.name!r} must be judged on a test set before its best "
            "model can be promoted, but is not: finish it with `harness study`, with "
            "another --split than 'none'."
        )
    _require_judged(study, final.get("best_trial"), "harness study")
    return PromotionSource(storage=storage, study=study, model=final["models"][0])


def _require_judged(study: StudyRecord, judged: int | None, command: str) -> None:
    if study.best is None or study.best.number != judged:
        found = None if study.best is None else study.best.number
        raise StudyError(
            f"The best trial of {study.name!r} must be the one that was judged on the "
            f"test set ({judged}), but the search has gone on, and it is {found}: repeat "
            f"`{command}`, which judges it."
        )
