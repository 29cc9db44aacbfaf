"""What a promotion weighs: the candidate and the champion on the same test ratings."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.data.dataset import Dataset
from harness.data.load import load_again
from harness.data.ratings import Ratings
from harness.errors import DataError, StudyError
from harness.evaluation.dependence import ScoreIntervals
from harness.evaluation.metrics import rmse
from harness.evaluation.results import Judging, ModelResult
from harness.evaluation.splits import SealedTest, Split
from harness.evaluation.statistics import Estimate
from harness.experiment.refit import refit_best, split_again
from harness.experiment.results import ExperimentRecord
from harness.experiment.store import read_experiment, read_named
from harness.search.openings import SealedRatings, record_opening
from harness.search.records import StudyRecord, TrialRecord
from harness.search.storage import list_experiments
from harness.serving.answers import Answerer
from harness.serving.fetch import fetch_model
from harness.serving.folder import PackagedModel, write_model
from harness.serving.package import Origin, origin_of, package
from harness.serving.registry import RegisteredVersion
from harness.tracking.location import Location
from harness.tracking.runs import log_experiment

__all__ = [
    "ChampionComparison",
    "PromotionMaterial",
    "PromotionSource",
    "compare_with_champion",
    "read_source",
]


@dataclass(frozen=True, kw_only=True)
class PromotionSource:
    """Settings that were judged on a sealed test set.

    Parameters
    ----------
    storage : str
        URL or path of the Optuna storage.
    record : ExperimentRecord
        The experiment, or the study, whose winner it is.
    candidate : str
        Key of the winner.
    """

    storage: str
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
    def significance(self) -> float:
        """Level below which a difference counts."""
        return self.record.spec.decision.significance

    @property
    def test_set(self) -> SealedRatings:
        """What it was judged on."""
        return SealedRatings.of(self.study.dataset, self.study.split)

    @property
    def origin(self) -> Origin:
        """Where the settings come from, for the package."""
        return origin_of(self.record, self.candidate)

    @property
    def tags(self) -> dict[str, str]:
        """What the registry keeps with a version: whence, and how it was judged."""
        rmse = self.model.rmse
        facts = {
            "family": self.study.family,
            "experiment": self.record.name,
            "study": self.study.name,
            "trial": self.trial.number,
            "storage": self.study.storage,
            "dataset": self.study.dataset.get("name"),
            "simulated": self.study.dataset.get("simulated"),
            "dataset_fingerprint": self.test_set.dataset,
            "ratings_fingerprint": self.test_set.ratings,
            "split_fingerprint": self.test_set.split,
            "split": self.study.split.get("method"),
            "n_test": self.judging.n_test,
            "test_rmse": f"{rmse.value:.6f}",
            "test_rmse_low": f"{rmse.low:.6f}",
            "test_rmse_high": f"{rmse.high:.6f}",
            "test_opened": self.judging.opened.isoformat(timespec="seconds"),
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
    record = read_named(storage, name)
    command = "harness study" if record.settings["file"] is None else "harness run"
    if record.decision is None or record.judging is None:
        raise StudyError(
            f"{record.name!r} must be judged on a test set before its best model can be "
            f"promoted, but is not: finish it with `{command}`, with another split than "
            "'none'."
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
        """Open the test set; say which opening of these ratings it is.

        What was judged before stays as it was: its verdict knew of fewer openings.
        """
        number = record_opening(self._source.storage, self._experiment)
        return self._test.open(), number

    @property
    def _experiment(self) -> str:
        """Name of the experiment that keeps the openings, which may hold several studies."""
        names = list_experiments(self._source.storage)
        if self._source.name in names:
            return self._source.name
        return next(
            name
            for name in names
            if any(
                study.name == self._source.name
                for study in read_experiment(
                    self._source.storage, name
                ).studies.values()
            )
        )

    def log_runs(self) -> str:
        """Bring the runs in MLflow up to date; give the id of the final model's run."""
        record = read_experiment(self._source.storage, self._experiment)
        logged = log_experiment(record, self._location)
        run_id = logged.candidates[self._source.candidate].final_run
        assert run_id is not None
        return run_id

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
class ChampionComparison:
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


def compare_with_champion(
    newcomer: PackagedModel, champion: PackagedModel, test: Ratings
) -> ChampionComparison:
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
    return ChampionComparison(
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
