"""What a promotion weighs: the candidate and the champion on the same test ratings."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.dataset import Dataset
from harness.data.load import load_again
from harness.data.ratings import Ratings
from harness.errors import DataError, StudyError, UnknownNameError
from harness.evaluation.costs import measure_efficiency
from harness.evaluation.dependence import ScoreIntervals
from harness.evaluation.final import BIAS_BASELINE
from harness.evaluation.metrics import rmse
from harness.evaluation.splits import SealedTest, Split
from harness.evaluation.statistics import Estimate
from harness.experiment.decision import decide
from harness.experiment.record import ExperimentRecord
from harness.experiment.refit import refit_best, split_again
from harness.experiment.store import read_experiment
from harness.search.openings import SealedRatings, record_look
from harness.search.records import StudyRecord, TrialRecord
from harness.search.storage import (
    list_experiments,
    list_studies,
    read_study,
    save_experiment_facts,
)
from harness.search.study import save_final
from harness.serving.answers import Answerer
from harness.serving.fetch import fetch_model
from harness.serving.folder import PackagedModel, write_model
from harness.serving.package import Origin, package
from harness.serving.registry import RegisteredVersion
from harness.tracking.experiment_projection import log_experiment
from harness.tracking.location import Location
from harness.tracking.sync import log_study

__all__ = ["Duel", "PromotionMaterial", "PromotionSource", "fight", "read_source"]


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
    """Read what is to be promoted."""
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


class PromotionMaterial:
    """The data, the model and the costs of what is to be promoted.

    Parameters
    ----------
    source : PromotionSource
        What is to be promoted.
    location : Location
        Where its runs are, and the registry.
    on_step : callable
        Is told what takes a while.
    """

    def __init__(
        self,
        source: PromotionSource,
        location: Location,
        on_step: Callable[[str], None],
    ) -> None:
        self._source = source
        self._location = location
        self._on_step = on_step

    @cached_property
    def dataset(self) -> Dataset:
        """The data, loaded again."""
        self._on_step(f"loading {self._source.study.dataset['name']}")
        return load_again(self._source.study.dataset)

    @cached_property
    def _split(self) -> Split:
        return split_again(self._source.study, self.dataset)

    @property
    def _test(self) -> SealedTest:
        assert self._split.test is not None
        return self._split.test

    def open_test(self) -> tuple[Ratings, int]:
        """Open the test set; the look is counted, and kept with the result."""
        source, test = self._source, self._test
        looks = record_look(source.storage, source.name)
        final = {**source.final, "looks": looks}
        if source.experiment is None:
            save_final(source.storage, source.name, final)
        else:
            save_experiment_facts(source.storage, source.name, "final", final)
        return test.open(), looks

    def log_runs(self) -> str:
        """Bring the runs in MLflow up to date."""
        source = read_source(self._source.storage, self._source.name)
        where = {
            "tracking_uri": self._location.tracking_uri,
            "experiment": self._location.experiment,
        }
        if source.experiment is None:
            return log_study(source.study, **where)
        return log_experiment(source.experiment, None, **where)[str(source.candidate)]

    def fetch(self, uri: str) -> PackagedModel:
        """Load a model that is logged or registered, and check that it is intact."""
        self._on_step(f"loading {uri}")
        with fetch_model(self._location, uri) as fetched:
            return fetched.packaged

    def fetch_champion(self, champion: RegisteredVersion) -> PackagedModel:
        """Load the champion, or say how to be rid of one whose files are lost."""
        try:
            return self.fetch(champion.uri)
        except DataError as error:
            raise DataError(
                f"{error} That is version {champion.version}, the champion: make the "
                "previous one champion with `harness promote --rollback`, or remove the "
                "alias in `harness ui`, and promote again."
            ) from error

    def fetch_or_refit(self, uri: str | None) -> tuple[PackagedModel, str | None]:
        """Load the newcomer; fit it again where it is not logged, or its files are lost."""
        if uri is not None:
            with suppress(DataError):
                return self.fetch(uri), uri
        return self.refit(), None

    def refit(self) -> PackagedModel:
        """Fit the settings again, on the same training part with the same seed."""
        study = self._source.study
        self._on_step(f"fitting {study.family} again")
        refitted = refit_best(study, lambda: self.dataset)
        return package(refitted.model, refitted.dataset, self._source.origin)

    def costs(self) -> Mapping[str, Any]:
        """Look up, or measure, what the model costs."""
        source = self._source
        if source.experiment is not None:
            found = source.experiment.efficiency.get(str(source.candidate))
            if found is not None:
                return found
        self._on_step(f"measuring the latency of {source.study.family}")
        return measure_efficiency(
            source.study.family,
            source.trial.params,
            seed=int(source.study.settings["seed"]),
            train=self._split.train,
            catalogue=self.dataset.catalogue,
        )

    def coverage(self) -> float:
        """Look up, or count, the share of test pairs with a known user and title."""
        found = self._source.model.get("coverage")
        if found is not None:
            return float(found)
        return self._test.coverage(self._split.train)

    def size_bytes(self, packaged: PackagedModel) -> int:
        """Measure what a model takes on disk."""
        found = packaged.facts.get("size_bytes")
        if found is not None:
            return int(found)
        with tempfile.TemporaryDirectory() as folder:
            return int(write_model(packaged, Path(folder) / "model")["size_bytes"])


FEWEST_USERS = 30
"""Reports warn of intervals over few users; with fewer than this nobody should decide."""


@dataclass(frozen=True, kw_only=True)
class Duel:
    """How two models compare.

    Parameters
    ----------
    rmse, champion_rmse : float
        In stars, of the newcomer and of the champion.
    difference : Estimate
        RMSE of the newcomer minus that of the champion, in stars.
    p_value : float
        Of no difference, two-sided.
    n_pairs : int
        Number of test ratings that both were judged on.
    n_test : int
        Number of test ratings in all.
    """

    rmse: float
    champion_rmse: float
    difference: Estimate
    p_value: float
    n_pairs: int
    n_test: int


def fight(newcomer: PackagedModel, champion: PackagedModel, test: Ratings) -> Duel:
    """Let two models predict the same test ratings.

    Test ratings that either was trained on are left out: whoever knows the answer is not
    being tested. On one and the same split these are none. The models are asked by id,
    because codes differ where the data does. Compared are these two fits, not their
    families: a fit is what is served.
    """
    fair = untrained(newcomer, test) & untrained(champion, test)
    pairs = test.take(fair)
    n_users = len(np.unique(pairs.users))
    if n_users < FEWEST_USERS:
        raise StudyError(
            f"Only {len(pairs):,} of the {len(test):,} test ratings, of {n_users} users, "
            f"are new to both models, and a comparison needs at least {FEWEST_USERS} "
            "users: judge both on one split, by running the experiment of the champion "
            "with the newcomer in it."
        )
    first, second = (_predict(model, pairs) for model in (newcomer, champion))
    difference, p_value = ScoreIntervals(pairs).difference([first], [second])
    return Duel(
        rmse=rmse(pairs.values, first),
        champion_rmse=rmse(pairs.values, second),
        difference=difference,
        p_value=p_value,
        n_pairs=len(pairs),
        n_test=len(test),
    )


def untrained(packaged: PackagedModel, test: Ratings) -> npt.NDArray[np.bool_]:
    """Say which test pairs a model was not trained on."""
    model = packaged.model
    codes = {user: code for code, user in enumerate(model.user_ids_)}
    fresh = np.ones(len(test), dtype=bool)
    order = np.argsort(test.users, kind="stable")
    users, starts = np.unique(test.users[order], return_index=True)
    for user, rows in zip(users, np.split(order, starts[1:]), strict=True):
        code = codes.get(test.user_ids[user], -1)
        seen = set(model.item_ids_[model.seen(code)])
        fresh[rows] = [test.item_ids[item] not in seen for item in test.items[rows]]
    return fresh


def _predict(packaged: PackagedModel, pairs: Ratings) -> npt.NDArray[np.float32]:
    answerer = Answerer(packaged)
    users = [answerer.user_code(id_) for id_ in pairs.user_ids]
    items = [answerer.item_code(id_) for id_ in pairs.item_ids]
    return answerer.predict(np.array(users)[pairs.users], np.array(items)[pairs.items])
