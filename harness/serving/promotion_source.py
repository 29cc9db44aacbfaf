"""What is promoted, its model, and how it compares with the champion."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.dataset import Dataset
from harness.data.load import load_again
from harness.data.ratings import Ratings, distinct
from harness.errors import DataError, StudyError
from harness.evaluation.equivalence import NonInferiority, answer_pairs, non_inferiority
from harness.evaluation.measures import Measure
from harness.evaluation.metrics import Metric, log_losses
from harness.evaluation.objective_scores import ObjectiveScores, Scored
from harness.evaluation.objectives import measure_of
from harness.evaluation.ranking import LENGTH, NOTHING, TopLists, recommend_to
from harness.evaluation.results import Judging, ModelResult
from harness.evaluation.splits import SealedTest, Split
from harness.evaluation.statistics import Estimate
from harness.experiment.refit import refit_best, split_again
from harness.experiment.results import ExperimentRecord
from harness.experiment.store import find_experiment_of, read_experiment, read_named
from harness.formatting import unit_of_scale
from harness.models.base import Codes
from harness.search.openings import (
    SealedRatings,
    promotion_tests_by_now,
    record_opening,
)
from harness.search.records import StudyRecord, TrialRecord
from harness.serving.answers import Answerer
from harness.serving.fetch import fetch_model
from harness.serving.folder import PackagedModel, TrainedOn, write_model
from harness.serving.package import log_model, origin_of, package
from harness.serving.registry import RegisteredVersion, Registry, VersionFacts
from harness.tracking.location import Location
from harness.tracking.runs import log_experiment

__all__ = [
    "ChampionComparison",
    "JudgedParts",
    "PromotionMaterial",
    "PromotionSource",
    "compare_with_champion",
    "read_source",
    "size_on_disk",
]


@dataclass(frozen=True, kw_only=True)
class PromotionSource:
    """Settings that were judged on a sealed test set."""

    # URL or path of the Optuna storage.
    storage: str
    # The experiment, or the study, whose winner it is.
    record: ExperimentRecord
    candidate: str

    @property
    def name(self) -> str:
        """Name of the experiment or the study."""
        return self.record.name

    @property
    def study(self) -> StudyRecord:
        """The study that found the settings."""
        return self.record.studies[self.candidate]

    @property
    def trial(self) -> TrialRecord:
        """The trial that was judged."""
        assert self.study.best is not None
        return self.study.best

    @property
    def model(self) -> ModelResult:
        """What the judgement says of them."""
        found = self.record.model(self.candidate)
        assert found is not None
        return found

    @property
    def judging(self) -> Judging:
        """The judgement."""
        assert self.record.judging is not None
        return self.record.judging

    @property
    def unit(self) -> str:
        """Unit of the ratings, and so of errors."""
        return unit_of_scale(self.record.dataset.scale)

    @property
    def measure(self) -> Measure:
        """What the search improved, and models are compared by."""
        return measure_of(self.study.metric)

    def shown_score(self) -> str:
        """Write the objective on the test set, with its interval."""
        found, measure = self.model.measures[self.study.metric.name], self.measure
        low, high = measure.format(found.low), measure.format(found.high)
        value = measure.sentence(found.value, self.unit)
        return f"{measure.label} {value} [{low}, {high}]"

    @property
    def significance(self) -> float:
        """Level below which a difference counts."""
        return self.record.spec.decision.significance

    @property
    def test_set(self) -> SealedRatings:
        """What it was judged on."""
        return SealedRatings.of(self.study.dataset, self.study.split)

    @property
    def facts(self) -> VersionFacts:
        """What the registry keeps with a version: whence, and how it was judged."""
        rmse, study = self.model.rmse, self.study
        score = self.model.measures[study.metric.name]
        return VersionFacts(
            family=study.family,
            experiment=self.record.name,
            study=study.name,
            trial=self.trial.number,
            storage=study.storage,
            dataset=study.dataset.name,
            simulated=study.dataset.simulated,
            split=study.split.method,
            test_set=self.test_set,
            n_test=self.judging.n_test,
            rmse=rmse.value,
            rmse_low=rmse.low,
            rmse_high=rmse.high,
            objective=study.metric.name,
            score=score.value,
            score_low=score.low,
            score_high=score.high,
            opened=self.judging.opened,
            alpha=self.significance,
        )

    def is_settings_of(self, version: RegisteredVersion) -> bool:
        """Tell whether a version has these settings, as they were judged."""
        return version.facts is not None and self.facts.has_settings_of(version.facts)


def read_source(storage: str, name: str) -> PromotionSource:
    """Read what is to be promoted."""
    record = read_named(storage, name)
    command = "harness study" if record.file is None else "harness run"
    if record.decision is None or record.judging is None:
        raise StudyError(
            f"{record.name!r} was not judged on a test set yet, so its best model cannot be "
            f"promoted: finish it with `{command}`, with a split other than 'none'."
        )
    source = PromotionSource(
        storage=storage, record=record, candidate=record.decision.winner
    )
    study, judged = source.study, record.judging.best_trials.get(source.candidate)
    if study.best is None or study.best.number != judged:
        found = None if study.best is None else study.best.number
        raise StudyError(
            f"The best trial of {study.name!r} must be the one that was judged on the "
            f"test set ({judged}), but the search has gone on, and it is {found}: repeat "
            f"`{command}`, which judges it."
        )
    return source


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedParts:
    """The test ratings of a promotion, and what they were split from."""

    test: Ratings
    train: Ratings
    catalogue: Catalogue


class PromotionMaterial:
    """The data and the models of what is to be promoted, and its test set.

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
        self._on_step(f"loading {self._source.study.dataset.name}")
        return load_again(self._source.study.dataset)

    @cached_property
    def _split(self) -> Split:
        return split_again(self._source.study, self.dataset)

    @property
    def _test(self) -> SealedTest:
        assert self._split.test is not None
        return self._split.test

    @property
    def n_promotion_tests(self) -> int:
        """Number of promotions that were decided on these test ratings."""
        return promotion_tests_by_now(self._source.storage, self._source.test_set)

    def open_test(self) -> tuple[JudgedParts, int]:
        """Open the test set; say which opening of these ratings it is.

        What was judged before stays as it was: its verdict knew of fewer openings.
        """
        test = self._test  # data that has changed is no opening
        number = record_opening(self._source.storage, self._experiment, promotion=True)
        parts = JudgedParts(
            test=test.open(),
            train=self._split.train,
            catalogue=self.dataset.catalogue,
        )
        return parts, number

    @property
    def _experiment(self) -> str:
        """Name of the experiment that keeps the openings, which may hold several studies."""
        return find_experiment_of(self._source.storage, self._source.name)

    def log_runs(self) -> str:
        """Bring the runs in MLflow up to date; give the id of the final model's run."""
        record = read_experiment(self._source.storage, self._experiment)
        logged = log_experiment(record, self._location)
        run_id = logged.candidates[self._source.candidate].final_run
        assert run_id is not None
        return run_id

    def fetch_champion(self, champion: RegisteredVersion, uri: str) -> PackagedModel:
        """Load the champion, or say how to be rid of one whose files are lost."""
        try:
            return self._fetch(uri)
        except DataError as error:
            raise DataError(
                f"{error} That is version {champion.version}, the champion: make the "
                "previous one champion with `harness promote --rollback`, or remove the "
                "alias in `harness ui`, and promote again."
            ) from error

    def _fetch(self, uri: str) -> PackagedModel:
        self._on_step(f"loading {uri}")
        return fetch_model(self._location, uri).packaged

    def obtain(self, uri: str | None) -> tuple[PackagedModel, str | None]:
        """Load the judged model; fit it again where it is not logged, or is lost."""
        if uri is not None:
            with suppress(DataError):
                return self._fetch(uri), uri
        return self.refit("training part"), None

    def log(
        self, registry: Registry, packaged: PackagedModel | None, run_id: str
    ) -> str:
        """Log a model; without one, that of the settings fitted to all ratings."""
        if packaged is None:
            trial = self._source.trial.number
            found = registry.logged_model(run_id, trial=trial, trained_on="all ratings")
            if found is not None:
                with suppress(DataError):
                    self._fetch(found)
                    return found
            packaged = self.refit("all ratings")
        return log_model(packaged, run_id=run_id, location=self._location)

    def refit(self, trained_on: TrainedOn) -> PackagedModel:
        """Fit the settings again, with the same seed."""
        study = self._source.study
        self._on_step(f"fitting {study.family} to the {trained_on}")
        on_all = trained_on == "all ratings"
        refitted = refit_best(study, lambda: self.dataset, on_all=on_all)
        origin = origin_of(self._source.record, self._source.candidate)
        return package(refitted.model, refitted.dataset, origin, trained_on=trained_on)


def size_on_disk(packaged: PackagedModel) -> int:
    """Measure what a model takes on disk, in bytes."""
    if packaged.manifest is not None:
        return packaged.manifest.size_bytes
    with tempfile.TemporaryDirectory() as folder:
        return write_model(packaged, Path(folder) / "model").size_bytes


FEWEST_USERS = 30
"""Reports warn of intervals over few users; with fewer than this nobody should decide."""


@dataclass(frozen=True, kw_only=True)
class ChampionComparison:
    """How two models compare, by the objective of the newcomer's search."""

    # Of the newcomer and of the champion, in the unit of the objective.
    score: float
    champion_score: float
    # Turned so that less is better.
    difference: Estimate
    # Whether the newcomer may replace the champion.
    test: NonInferiority
    # Number of test ratings that both were judged on, and of their users.
    n_pairs: int
    n_users: int
    n_test: int


def compare_with_champion(
    newcomer: PackagedModel,
    champion: PackagedModel,
    parts: JudgedParts,
    *,
    metric: Metric,
    margin: float,
    alpha: float,
) -> ChampionComparison:
    """Let two models answer for the same test ratings.

    Test ratings that either was trained on are left out: whoever knows the answer is not
    being tested. On one and the same split these are none. The models are asked by id,
    because codes differ where the data does. Compared are these two fits, not their
    families: a fit is what is served.
    """
    test = parts.test
    fair = untrained(newcomer, test) & untrained(champion, test)
    pairs = test.take(fair)
    n_users = len(distinct(pairs.users))
    if n_users < FEWEST_USERS:
        raise StudyError(
            f"Only {len(pairs):,} of the {len(test):,} test ratings, of {n_users} users, "
            f"are new to both models, and a comparison needs at least {FEWEST_USERS} "
            "users: judge both on one split, by running the experiment of the champion "
            "with the newcomer in it."
        )
    scores = ObjectiveScores(
        metric=metric, train=parts.train, test=pairs, catalogue=parts.catalogue
    )
    models = {"newcomer": newcomer, "champion": champion}
    for name, model in models.items():
        lists = [_lists(model, pairs)] if scores.needs_lists else []
        predictions = [_predict(model, pairs)]
        losses = [_losses(model, pairs)] if scores.needs_losses else []
        scores.scored[name] = Scored(
            predictions=predictions, lists=lists, losses=losses
        )
    [pair] = answer_pairs(scores.differences([("newcomer", "champion")]), margin=margin)
    first, second = (metric.sign * x for x in scores.losses([*models]).scores)
    return ChampionComparison(
        score=float(first),
        champion_score=float(second),
        difference=pair.difference,
        test=non_inferiority(pair, n_users=n_users, alpha=alpha),
        n_pairs=len(pairs),
        n_users=n_users,
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
    return packaged.model.predict(*_codes(packaged, pairs), pairs.timestamps)


def _losses(packaged: PackagedModel, pairs: Ratings) -> npt.NDArray[np.float64]:
    model = packaged.model
    said = model.predict_proba(*_codes(packaged, pairs), pairs.timestamps)
    return log_losses(pairs.values, model.levels_, said)


def _codes(packaged: PackagedModel, pairs: Ratings) -> tuple[Codes, Codes]:
    """Translate the codes of the test ratings to those of a model."""
    answerer = Answerer(packaged)
    users = np.array([answerer.user_code(id_) for id_ in pairs.user_ids])
    items = np.array([answerer.item_code(id_) for id_ in pairs.item_ids])
    return users[pairs.users], items[pairs.items]


def _lists(packaged: PackagedModel, pairs: Ratings) -> TopLists:
    """Let a model recommend to the test users, in the codes of the test ratings."""
    answerer, model = Answerer(packaged), packaged.model
    users = distinct(pairs.users)
    of_model = (answerer.user_code(pairs.user_ids[user]) for user in users)
    found = recommend_to(model, of_model, LENGTH)
    codes = {id_: code for code, id_ in enumerate(pairs.item_ids)}
    # A title that these data do not know keeps its place, and is nothing.
    known = np.array([*(codes.get(id_, NOTHING) for id_ in model.item_ids_), NOTHING])
    return TopLists(
        users=users.astype(np.int32),
        items=known[found.items].astype(np.int32),
        n_items=pairs.n_items,
    )
